"""What pandas keeps beside columns: levels of a row index, and names of several levels."""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

LEVEL = re.compile(r"__index_level_\d+__")  # where pandas keeps a level without a name
PART = re.compile(r"""'([^']*)'|"([^"]*)"|([^\s,()'"]+)""")  # of a name of several levels
TIME, VALUE = "time", "value"


class Names(NamedTuple):
    """What the columns of a table that pandas wrote are called, and those that only count its rows."""

    positions: tuple[str, ...]
    renames: Mapping[str, str]

    def apply(self, table: pa.Table) -> pa.Table:
        """The table under these names."""
        rows = table.drop_columns(list(self.positions)) if self.positions else table
        return rows.rename_columns([self.renames.get(name, name) for name in rows.column_names])

    @property
    def notes(self) -> list[str]:
        """What is said of levels without a name, each a sentence."""
        times = [new for old, new in self.renames.items() if LEVEL.fullmatch(old)]
        notes = [f"the row index holds times, and is the column '{name}'." for name in times]
        return [*notes, *(f"the row index {name} is not used." for name in self.positions)]


def names(schema: pa.Schema) -> Names:
    """The names a schema of pandas means: `a.x` for ('a', 'x'), `time` for times in an index that has no name."""
    levels = [field for field in schema if LEVEL.fullmatch(field.name)]
    times = [field.name for field in levels if pa.types.is_temporal(field.type)]
    renames = {times[0]: TIME} if len(times) == 1 and TIME not in schema.names else {}
    if _has_levels((schema.metadata or {}).get(b"pandas", b"{}")):
        renames |= {name: ".".join(_parts(name)) for name in schema.names if name.startswith("(")}
    return Names(tuple(field.name for field in levels if field.name not in renames), renames)


def _has_levels(metadata: bytes) -> bool:
    """Whether names have several levels, which pandas writes as text."""
    try:
        value = json.loads(metadata)
    except ValueError:
        return False
    levels = value.get("column_indexes") if isinstance(value, dict) else None
    return isinstance(levels, list) and len(levels) > 1


def _parts(name: str) -> list[str]:
    return [next(filter(None, part)) for part in PART.findall(name) if any(part)]


def is_a(value: Any, package: str, name: str) -> bool:
    """Whether it is that class of a package, without importing the package: its objects exist only once it is."""
    module = sys.modules.get(package)
    return module is not None and hasattr(module, name) and isinstance(value, getattr(module, name))


def as_frame(source: Any) -> Any:
    """A Series of pandas or polars as a frame of one column; anything else as it is."""
    if is_a(source, "pandas", "Series") or is_a(source, "polars", "Series"):
        return source.to_frame(str(source.name) if source.name not in (None, "") else VALUE)
    return source


def columns(frame: Any) -> tuple[list[str], list[Any]]:
    """The columns of a pandas frame with their names: the levels of its index that have a name come first."""
    own = [_joint(name) for name in frame.columns]
    levels = [i for i, name in enumerate(frame.index.names) if name is not None and _joint(name) not in own]
    cells = [frame.index.get_level_values(i).to_series() for i in levels]
    level_names = [_joint(frame.index.names[i]) for i in levels]
    return [*level_names, *own], [*cells, *(frame.iloc[:, i] for i in range(len(own)))]


def _joint(name: Any) -> str:
    return ".".join(str(part) for part in name if part != "") if isinstance(name, tuple) else str(name)
