"""Any source by its settings: all rows at once, rows in pieces, and the rows of a recipe beside its test rows."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import NamedTuple, cast

from lamina.config import Config, RecipeError, parse
from lamina.data import _locator
from lamina.plugins import kind, plugin
from lamina.schema import Collected, rename_columns


class Sources(NamedTuple):
    """A recipe's rows and, where it has them apart, its test rows; each with the settings of where they stand."""

    train: Collected
    config: Config
    test: Collected | None = None
    test_config: Config | None = None


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
        yield Collected(whole.table.slice(start, rows), whole.skipped_rows * head, whole.notes * head)


def expecting(cfg: Config, names: Iterable[str]) -> Config:
    """The settings with names of columns that rows should have, by which a source may tell a header from a row."""
    source = _source(cfg)
    return source.expecting(cfg, names) if "expecting" in vars(source) else cfg


def read(source: Config, rows: Collected | None = None, test_rows: Collected | None = None) -> Sources:
    """The rows of a source and its separate test rows, each read once; rows that are in memory take their place."""
    train = rows or load(source)
    if test_rows is not None:
        return Sources(train, source, test_rows, source)
    path = vars(source).get("test")
    if path is None:
        return Sources(train, source)
    later = expecting(_test_source(source, path), train.table.column_names)
    test = load(later)
    names = {test.target: train.target} if test.target and train.target else {}
    notes = tuple(note for note in test.notes if note not in train.notes)
    return Sources(train, source, replace(test, table=rename_columns(test.table, names), notes=notes), later)


def _test_source(source: Config, path: str | tuple[str, ...]) -> Config:
    """Where test rows stand: read with the same settings, or as what they are where that is another sort of source."""
    values = {"kind": kind(source)} if isinstance(path, tuple) else _locator.settings(path)
    plain = values["kind"] == "files" and "path" in vars(source) and "claims" not in vars(_source(source))
    if plain or values["kind"] == kind(source):
        return source.model_copy(update={"path": path, "test": None})
    faults = list[str]()
    later = parse(plugin("data", values["kind"]).Config, values, "data.test", faults)
    if later is None:
        raise RecipeError(faults)
    return later


def _source(cfg: Config) -> ModuleType:
    """The module the class of `cfg` was written in, which is a file of this folder."""
    return plugin("data", type(cfg).__module__.rpartition(".")[2], "data.kind")
