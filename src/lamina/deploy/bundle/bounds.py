"""How much the JSON of a bundle may hold, looked at before anything is built of it."""

from collections.abc import Iterator, Sequence
from typing import Any

from lamina.deploy.bundle.strict_json import rejection

COLUMNS, MISSING = 1 << 15, 1000  # of a schema, and texts that mean missing
REQUESTS, DEPTH, TEXT = 4096, 8, 1 << 23  # golden rows, lists and objects in one another, characters of a text
MORE_NAMES = 64  # of golden rows, beside those of the columns: settings of requests
SETTINGS = 1 << 14  # values in the settings of a model


def check_schema(raw: Any) -> None:
    """Raise `BundleError` for a table wider than any that is trained on. `raw`: the schema as plain JSON."""
    for place, most in (("columns", COLUMNS), ("missing", MISSING), ("literal", COLUMNS)):
        values = raw.get(place) if isinstance(raw, dict) else None
        if isinstance(values, list) and len(values) > most:
            raise rejection("schema.json", place, f"are too many ({len(values):,} of {most:,})")


def check_golden(rows: Sequence[Any], answers: Sequence[Any], columns: int) -> None:
    """Raise `BundleError` for more golden rows, names or depth than a bundle of so many columns has."""
    for place, values in (("rows", rows), ("answers", answers)):
        if len(values) > REQUESTS:
            raise rejection("golden.json", place, f"are too many ({len(values):,} of {REQUESTS:,})")
    names = set[str]()
    for i, row in enumerate(rows):
        for depth, value in _nodes(row):
            if depth > DEPTH:
                raise rejection("golden.json", f"rows.{i}", f"holds more than {DEPTH} lists or objects in one another")
            if isinstance(value, str) and len(value) > TEXT:
                raise rejection("golden.json", f"rows.{i}", f"holds a text of more than {TEXT:,} characters")
            names.update(value if isinstance(value, dict) else ())
        if len(names) > columns + MORE_NAMES:
            reason = f"has names that no column has, and more than {MORE_NAMES} of them"
            raise rejection("golden.json", f"rows.{i}", reason)


def check_settings(config: dict[str, Any]) -> None:
    """Raise `BundleError` for settings of a model that no recipe could hold."""
    if sum(1 for _ in _nodes(config)) > SETTINGS:
        raise rejection("model.json", "config", f"holds more than {SETTINGS:,} values")


def _nodes(value: Any) -> Iterator[tuple[int, Any]]:
    """Every value inside a JSON value, itself included, with its depth."""
    level, depth = [value], 0
    while level:
        yield from ((depth, v) for v in level)
        parts = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list))
        level, depth = [inner for part in parts for inner in part], depth + 1
