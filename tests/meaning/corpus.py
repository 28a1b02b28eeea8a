"""Small inputs and what they mean: each is inspected, trained on, and answered by file, by HTTP and in Python.

A file of cases is a module of this folder with a list `CASES`; `test_meaning.py` finds it by itself.

    CASES = [
        Case("us_slashes", table("day,y", lambda i: f"{day(i):%m/%d/%Y},{100 + i}"), target="y",
             kinds={"day": "time"}, task="forecasting", notes=("month first",)),
        Case("times_unread", table("day,y", lambda i: f"day {i},{i}"), target="y", error=("columns.day.format",),
             sets=("task.kind=forecasting",)),
    ]
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

ROWS = 48  # of a table that says no other number


@dataclass(frozen=True)
class Case:
    """One input and its meaning.

    `build` writes it into an empty folder and gives what a person would pass: a path, the words of a command line, or
    rows in memory (a frame, an array, a list of dicts), which are trained on with `lamina.fit`. `sets` are the choices
    of a recipe as on the command line; `model` is a small network for its task unless another one is named.

    What has to come of it: `kinds` by column (the target may be among them), the `task`, rows `used` and set `aside`
    (all and none when left out), fragments of `notes` that are there and of those that must not be (`silent`), the
    first `cells` of columns as their kind reads them, and the `answer` to the first row: by field, a value, or the two
    numbers between which it lies. With `error`, fragments of the sentence by which training is refused.

    `rows`: cells to be answered in place of those of the source, by column, as a client sends them. `body`: the same
    as text/csv, where that is no file of the source's own.
    """

    name: str
    build: Callable[[Path], Any]
    target: str | None = None
    sets: tuple[str, ...] = ()
    model: str | None = "small"
    kinds: Mapping[str, str] | None = None
    task: str | None = None
    used: int | None = None
    aside: int = 0
    notes: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    cells: Mapping[str, list[Any]] | None = None
    answer: Mapping[str, Any] | None = None
    error: tuple[str, ...] = ()
    rows: list[Mapping[str, Any]] | None = None
    body: str | None = None


def text(content: str | bytes, name: str = "data.csv") -> Callable[[Path], Path]:
    """A file of this content."""

    def build(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return build


def table(
    header: str, row: Callable[[int], str], count: int = ROWS, name: str = "data.csv", more: Iterable[str] = ()
) -> Callable[[Path], Path]:
    """A text file of a header (none: ""), a line for each number from 0, and `more` lines behind."""
    lines = [*([header] if header else []), *(row(i) for i in range(count)), *more]
    return text("\n".join(lines) + "\n", name)


def day(i: int, first: str = "2023-01-01") -> date:
    return date.fromisoformat(first) + timedelta(days=i)


def hour(i: int, first: str = "2023-01-01T00:00:00") -> datetime:
    return datetime.fromisoformat(first) + timedelta(hours=i)


def month(i: int, first: int = 2015) -> date:
    return date(first + i // 12, 1 + i % 12, 1)


def label(i: int) -> str:
    """One of two labels, which `number(i)` tells."""
    return "yes" if i % 2 else "no"


def number(i: int) -> float:
    """A number that tells `label(i)`."""
    return round(3.0 * (i % 2) + (i * 7 % 10) / 10 + 1000, 2)


def plain(value: Any) -> Any:
    """A cell of a table in memory as a client writes it in JSON; a file is its bytes in base64."""
    if isinstance(value, Path):
        return plain(value.read_bytes())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value
