"""Why an answer: drawn for the sort of cells that a bundle reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lamina.evaluate.images import occlusion
from lamina.evaluate.texts import explanation
from lamina.task import Session


def write(
    session: Session, files: Sequence[str | Path], output: Path, label: str | None = None, overwrite: bool = False
) -> Sequence[Any]:
    """Explain the answers to files, each with `name`, `label` and `top`: pictures in a PNG, texts in a page of HTML.

    Errors: DataError where the bundle reads neither, or a file cannot be used; StorageError where `output` cannot be
    written.
    """
    texts = not session.prep.files and any(column.kind == "text" for column in session.prep.columns)
    return (explanation if texts else occlusion).write(session, files, output, label, overwrite)
