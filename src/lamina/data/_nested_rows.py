"""Rows that are dicts, perhaps nested and ragged: made flat, and bounded before a table of them takes memory."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from lamina.config import DataError

CELLS = 10_000_000  # of a table made of rows with different names; more only where enough of them hold a value
SPARSE = 20  # cells for each that holds a value
DEPTH = 32  # dicts and lists in one another
PREFIX = 1000  # characters of the names before the last one
CURE = "Flatten it to plain values, each under a name of its own."


class Extent:
    """How large a table of rows will be, counted as they are read. `place`: where they come from, for errors."""

    def __init__(self, place: str) -> None:
        self.place, self.rows, self.values = place, 0, 0
        self.names: dict[str, None] = {}

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count flat rows. Errors: DataError where nearly all cells of a large table would be gaps."""
        for row in rows:
            self.rows += 1
            self.values += len(row)
            self.names.update(dict.fromkeys(row))
        cells = self.rows * len(self.names)
        if cells > max(CELLS, SPARSE * self.values):
            raise DataError(
                f"{self.place}: {self.rows:,} rows have {len(self.names):,} names between them (such as "
                f"{_some(self.names)}), a table of {cells:,} cells of which {self.values:,} hold a value. "
                "Give all rows the same names; names that few rows have belong into one text column."
            )


def flatten(row: Mapping[Any, Any], names: Collection[str] | None = None) -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; with `names`, only the values that go by one of them.

    Errors: DataError for dicts in one another that are too deep, or whose names together are too long.
    """
    flat: dict[str, Any] = {}
    _flatten(row, "", DEPTH, names, flat)
    return flat


def _flatten(row: Mapping[Any, Any], prefix: str, room: int, names: Collection[str] | None, flat: dict) -> None:
    for key, value in row.items():
        name = prefix + (key if type(key) is str and key.isascii() else sound(str(key)))
        if isinstance(value, dict) and not is_file_cell(value):
            if not room or len(name) > PREFIX:
                fault = (
                    f"more than {DEPTH} dicts in one another" if not room else f"names of over {PREFIX:,} characters"
                )
                raise DataError(f"data.{name[:40]}: holds {fault}. {CURE}")
            _flatten(value, f"{name}.", room - 1, names, flat)
        elif names is None or name in names:
            flat[name] = value


def is_file_cell(value: Mapping[Any, Any]) -> bool:
    """Whether a dict is path and bytes of a file, as Hugging Face datasets write it, and no nested row."""
    return isinstance(value.get("bytes"), bytes) and value.keys() <= {"bytes", "path"}


def is_too_deep(value: Any) -> bool:
    """Whether dicts and lists are nested deeper than `DEPTH`; looks at each value once, whatever the depth."""
    level = [value]
    for _ in range(DEPTH + 2):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def sound(text: str) -> str:
    """Text that has a form in UTF-8: half characters, which JSON can write, become question marks."""
    return text.encode("utf-8", "replace").decode()


def _some(names: Iterable[str]) -> str:
    *some, last = [repr(name[:40]) for name, _ in zip(reversed(list(names)), range(3), strict=False)]
    return f"{', '.join(some)} and {last}"
