"""Why an answer to a text of one's own: its words marked by what they speak for, in a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lamina.config import DataError
from lamina.evaluate import page
from lamina.evaluate.images.thumbnails import percent, words
from lamina.evaluate.log_odds import best
from lamina.evaluate.markup import escape, number
from lamina.evaluate.texts import marked, occlusion
from lamina.resources import disk
from lamina.schema import clean
from lamina.task import Session

MOST_TEXTS, MOST_BYTES = 40, 1_000_000  # in one page, and of one file
TITLE = "Word occlusion"
LEGEND = (
    '<mark class="for s2">Orange</mark>, underlined: it speaks for the prediction, whose odds fall without it. '
    '<mark class="against s2">Blue</mark>, dashed: it speaks against it. The marks are scaled to each text.'
)


class Explanation(NamedTuple):
    """A text, its words, and its best answers with their probabilities, or the number alone.

    `effects.falls` (different words, 1) is how much the log-odds of `label` (of a number: the number) fall without each
    of `effects.different`: above 0 it speaks for the answer, below against.
    """

    effects: occlusion.Effects
    label: str
    top: tuple[tuple[str, float], ...]
    name: str = ""


def explain(session: Session, texts: Sequence[str], label: str | None = None) -> list[Explanation]:
    """Explain the answer to each text: its most probable label, or `label`. Other columns count as missing.

    Errors: DataError for a bundle without texts, and a label that it does not know.
    """
    column = next((c.name for c in session.prep.columns if c.kind == "text"), None)
    if column is None:
        raise DataError("explain: this bundle has no column of texts. Name a bundle that was trained on texts.")
    explanations = []
    for text in texts:
        rows = clean(pa.table({column: [text]}), session.schema.missing, session.schema.literal)
        code, top = best(session.task, session.run(session.prep.encode(rows)), label)
        (effects,) = occlusion.effects(session, rows, column, None if code is None else [code])
        answer = session.task.classes[code] if code is not None else session.target or ""
        explanations.append(Explanation(effects, answer, top))
    return explanations


def write(
    session: Session, files: Sequence[str | Path], output: Path, label: str | None = None, overwrite: bool = False
) -> list[Explanation]:
    """Explain the answers to at most 40 text files, in one page of HTML.

    Errors: as `explain`; DataError for a file that is no text in UTF-8; StorageError where the page cannot be written.
    """
    if output.suffix.lower() != ".html":
        raise DataError(f"-o: must end in .html for texts (got '{output}').")
    if len(files) > MOST_TEXTS:
        raise DataError(f"explain: {len(files)} texts are too many for one page. Name at most {MOST_TEXTS}.")
    disk.refuse_existing(output, overwrite)
    texts = [_read(Path(file)) for file in files]
    explanations = [
        one._replace(name=Path(file).name) for one, file in zip(explain(session, texts, label), files, strict=True)
    ]
    disk.write_text(output, html(explanations), overwrite)
    return explanations


def _read(path: Path) -> str:
    if not path.is_file():
        is_folder = path.is_dir()
        raise DataError(f"explain: {path} {'is a folder. Name the texts in it' if is_folder else 'is not there'}.")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"explain: {path} has more than {MOST_BYTES:,} bytes. Name a shorter text.")
    try:
        return path.read_text("utf-8-sig").strip()
    except (UnicodeDecodeError, OSError):
        raise DataError(f"explain: {path} is no text in UTF-8. Name a file of text.") from None


def html(explanations: Sequence[Explanation]) -> str:
    """The page."""
    figures = marked.grid(_figure(one) for one in explanations)
    return page.document(TITLE, f'<h1>{TITLE}</h1>\n<p class="quiet">{LEGEND}</p>\n{figures}')


def _figure(explanation: Explanation) -> str:
    top = explanation.top
    answers = ", ".join(f"{words(name)} {percent(chance)}" if name else number(chance) for name, chance in top)
    own = frozenset(explanation.effects.different)  # it is the caller's, so nothing is hidden
    text = marked.marked(explanation.effects, explanation.effects.falls[:, 0], own)
    return marked.figure(text, f"<b>{words(explanation.label)}</b>: {answers}", escape(explanation.name, 80))
