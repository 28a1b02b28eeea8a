"""What stands above the table in a text file: a line that says the delimiter, and comments."""

import re
from itertools import islice
from typing import NamedTuple

from lamina.config import as_override
from lamina.data._formats.options import Options
from lamina.data._formats.text import Text

TOP = 200  # lines looked at
SEPARATOR = re.compile(r'"?sep=(.)"?[\s,;]*', re.IGNORECASE)
MARK = "#"
CUTS = ("\t", ";", "|", ",", None)


class Preamble(NamedTuple):
    """Lines to `skip` before the table, a `delimiter` that one of them says; `header_is_comment`: names stand behind
    a `#`.
    """

    skip: int
    delimiter: str | None = None
    header_is_comment: bool = False
    notes: tuple[str, ...] = ()


def preamble(text: Text, options: Options) -> Preamble:
    """What the first lines are. With `skip` set, it is as many lines as that, and nothing is looked for behind them."""
    with text.path.open("rb") as file:
        lines = [raw.decode("utf-8", "surrogateescape").rstrip("\r\n") for raw in islice(file, TOP)]
    at = options.skip or 0
    match = SEPARATOR.fullmatch(lines[at]) if at < len(lines) else None
    if match:
        note = f"{text.file}: its first line says that cells are set off by '{match[1]}'."
        return Preamble(at + 1, match[1], notes=(note,))
    if options.skip is not None or options.comment is not None:
        return Preamble(at)
    marks = _comments(lines)
    if not marks:
        return Preamble(0)
    rows = [line for line in lines[marks[-1] + 1 :] if line.strip()]
    header_is_comment = _is_row_of_names(lines[marks[-1]], rows[0], options)
    notes = [f"{text.file}: the '{MARK}' before the names of the columns is left out."] if header_is_comment else []
    if marks := marks[: len(marks) - header_is_comment]:
        count = f"{len(marks)} lines begin" if len(marks) > 1 else "a line begins"
        how = as_override(("data", "skip"), "0")
        notes.append(f"{text.file}: {count} with '{MARK}' above the table: no row of it. To read it as one: {how}")
    skip = marks[-1] + 1 if marks else 0
    return Preamble(skip, header_is_comment=header_is_comment, notes=tuple(notes))


def _comments(lines: list[str]) -> list[int]:
    """The places of the comments that a file begins with; none where nothing stands below them."""
    places = []
    for place, line in enumerate(lines):
        if line.lstrip().startswith(MARK):
            places.append(place)
        elif line.strip():
            return places
    return []


def _is_row_of_names(comment: str, row: str, options: Options) -> bool:
    """Whether a comment has a word for each cell of the row below it, and is not a name by itself."""
    names = comment.strip().lstrip(MARK).strip()
    if any(comment.strip().partition(cut)[0] in options.expect for cut in CUTS if cut):
        return False
    cuts = (options.delimiter,) if options.delimiter else CUTS
    widths = [(len(names.split(cut)), len(row.split(cut))) for cut in cuts]
    return bool(names) and next((a == b for a, b in widths if b > 1), False)
