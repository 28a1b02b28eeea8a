"""Collect: a source of rows is one file in this folder.

A source plug-in is a module with

- `Config`, a `lamina.config.Config` with `kind: Literal["<name of the file>"]` and the settings of the source;
- `load(cfg) -> Collected`: all rows in the order of the source, with `table.num_rows + len(quarantine)` equal to
  the rows in; a fault of the user is a `DataError`;
- `stream(cfg, rows) -> Iterator[Collected]`, where the source can be larger than memory: the same values, in
  pieces of at most `rows` rows whose columns have the same names and types.
- `claims(path) -> bool`, where a bare path may mean this source: a folder of pictures, an `.npz` file.

A source that knows which column is the target, or says the part of a row, tells so in `Collected`.
Text stays text here: what a column is, and which texts mean missing, is decided by later stages.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import cast

from lamina.config import Config
from lamina.data._sources import Sources, read
from lamina.plugins import plugin
from lamina.schema import Collected


def load(cfg: Config) -> Collected:
    """Read all rows of a source; `cfg` is the `Config` of any file of this folder."""
    return cast("Collected", _source(cfg).load(cfg))


def stream(cfg: Config, rows: int = 65_536) -> Iterator[Collected]:
    """The rows of `load` in pieces of at most `rows`; a source that cannot stream is loaded and cut up."""
    source = _source(cfg)
    if "stream" in vars(source):
        yield from source.stream(cfg, rows)
        return
    whole = load(cfg)
    for start in range(0, whole.table.num_rows, rows):
        head = start == 0
        yield Collected(whole.table.slice(start, rows), whole.quarantine * head, whole.notes * head)


def _source(cfg: Config) -> ModuleType:
    """The module the class of `cfg` was written in, which is a file of this folder."""
    return plugin("data", type(cfg).__module__.rpartition(".")[2], "data.kind")


__all__ = ["Sources", "load", "read", "stream"]
