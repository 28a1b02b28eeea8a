"""Why an answer: drawn for the sort of cells that a bundle reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lamina.config import DataError
from lamina.evaluate.images import occlusion
from lamina.evaluate.texts import explanation
from lamina.schema import ROW_HEADS, Column
from lamina.task import Session


def column(session: Session) -> Column | None:
    """The column whose parts an answer can hang on, one of pictures or of texts; None where there is no such."""
    if session.spec.output.head not in ROW_HEADS:
        return None
    return next(iter((*session.prep.files, *(c for c in session.prep.columns if c.kind == "text"))), None)


def write(
    session: Session, files: Sequence[str | Path], output: Path, label: str | None = None, overwrite: bool = False
) -> Sequence[Any]:
    """Explain the answers to files, each with `name`, `label` and `top`: pictures in a PNG, texts in a page of HTML.

    Errors: DataError where the bundle reads neither, or a file cannot be used; StorageError where `output` cannot be
    written.
    """
    if session.spec.output.head not in ROW_HEADS:
        cure = "It is for bundles that answer each row with a label or a number; what this one is asked: lamina inspect"
        raise DataError(f"explain: a bundle for {session.task.kind} has no answer that hangs on parts of a row. {cure}")
    parts = column(session)
    texts = parts is not None and parts not in session.prep.files
    return (explanation if texts else occlusion).write(session, files, output, label, overwrite)
