"""Collect: a source of rows is one file in this folder.

A source plug-in is a module with

- `Config`, a `lamina.config.Config` with `kind: Literal["<name of the file>"]` and the settings of the source;
- `load(cfg) -> Collected`: all rows in the order of the source, with `table.num_rows + len(skipped_rows)` equal to
  the rows in; a fault of the user is a `DataError`;
- `stream(cfg, rows) -> Iterator[Collected]`, where the source can be larger than memory: the same values, in
  pieces of at most `rows` rows whose columns have the same names and types.
- `expecting(cfg, names) -> Config`, where names of columns help to read it: settings that hold them, beside a recipe;
- `claims(path) -> bool`, where a bare path may mean this source: a folder of images, an `.npz` file.

A source that knows which column is the target, or says the part of a row, tells so in `Collected`.
Text stays text here: what a column is, and which texts mean missing, is decided by later stages.
"""

from lamina.data._sources import Sources, expecting, load, read, stream

__all__ = ["Sources", "expecting", "load", "read", "stream"]
