"""The rows that a recipe names, and its separate test rows, read once."""

from typing import NamedTuple

from lamina.config import Config
from lamina.plugins import kind, plugin
from lamina.schema import Collected


class Sources(NamedTuple):
    """Rows to learn from and the settings of their source; test rows and theirs, where these come separately."""

    train: Collected
    config: Config
    test: Collected | None = None
    test_config: Config | None = None


def read(source: Config, rows: Collected | None = None, test_rows: Collected | None = None) -> Sources:
    """Read a source and the test rows it names. Rows in memory take the place of either."""
    collected = rows or plugin("data", kind(source)).load(source)
    path = source.model_dump().get("test")
    if test_rows is None and path is None:
        return Sources(collected, source)
    test_source = source if test_rows else source.model_copy(update={"path": path, "test": None})
    return Sources(collected, source, test_rows or plugin("data", kind(source)).load(test_source), test_source)
