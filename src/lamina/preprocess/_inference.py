"""What a column is: every kind is asked how well the cells fit; identifiers and constants are skipped."""

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import privacy
from lamina.config import Config
from lamina.plugins import available, plugin
from lamina.plugins import kind as kind_of
from lamina.preprocess import _nested_lists as _lists
from lamina.preprocess import _number_text, category
from lamina.preprocess._number_notes import describe_mixture
from lamina.preprocess._number_text import Decimal
from lamina.schema import Column

NAMED_ID = re.compile(
    r"(^|[\s_\-.])(id|uuid|guid|key|index|rownum)$|^(user|customer|client|patient|order|product|item|row)id$"
    r"|^unnamed[:_ ]*\d*$|(?-i:(?<=[a-z])(Id|ID|Key|Index|UUID)$)",
    re.ASCII | re.IGNORECASE,
)
PLAIN_NUMBER = r"^[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"  # and no code such as 00501
NAMED_CODE = re.compile(
    r"(^|[\s_\-.])(zip|zip[\s_\-]?code|post(al)?[\s_\-]?code|plz|phone|phone[\s_\-]?n(o|umber)|telephone|fax|isbn|ean|sku)$",
    re.ASCII | re.IGNORECASE,
)
CODES = 2.0**53, 1e21  # between which whole numbers that come again are codes, and floats would round them
FEW = 20
NAMED_SO = 0.1  # of the score of a kind whose names a column has
SAMPLED = 10_000
PRIVATE = ("identifier", "ignore")  # their values may name a person: they stay where they are


def columns(table: pa.Table, kinds: Mapping[str, Config], decimal: Decimal = ".") -> tuple[Column, ...]:
    """The columns of a table with their kinds; `kinds` are those that a recipe sets; `decimal`: the table's mark."""
    inferred = tuple(column(table[name], name, kinds.get(name), decimal) for name in table.column_names)
    for agree in (vars(plugin("preprocess", kind)).get("agree") for kind in available("preprocess")):
        inferred = agree(inferred, table, kinds) if agree else inferred
    return inferred


def column(values: pa.ChunkedArray, name: str, cfg: Config | None = None, decimal: Decimal = ".") -> Column:
    """One column: its kind, settings by its cells, missing and distinct counts, examples and a note on anything odd."""
    values = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    present = values.drop_null()
    distinct, raw = _distinct(present), _numbers(present, decimal)
    mark = decimal if pa.types.is_string(present.type) else None
    if cfg is None:
        kind, settings, note = _kind(present, raw, name, distinct, mark)
    else:
        kind, note = kind_of(cfg), "as set"
        settings = _look(kind, raw, mark) | cfg.model_dump(mode="json", exclude_unset=True)
    settings = {k: v for k, v in settings.items() if k != "kind"}
    module = vars(plugin("preprocess", kind)) if kind in available("preprocess") else {}
    if "describe" in module:
        cells = raw if kind == "number" else present
        words = module["describe"](cells, _config(kind, settings)).replace("{name}", name)
        note = "; ".join(filter(None, (note, words)))
    private = kind in PRIVATE or module.get("PRIVATE", False)
    return Column(
        name=name,
        kind=kind,
        settings=settings,
        note=note,
        missing=values.null_count,
        distinct=distinct,
        examples=() if private else _examples(present, name, kind, settings),
    )


def _look(kind: str, cells: pa.Array, decimal: Decimal | None) -> dict[str, Any]:
    """The settings that a kind finds out of its cells."""
    return detect(kind, cells, decimal)[1] if kind in available("preprocess") and len(cells) else {}


def detect(kind: str, cells: pa.Array, decimal: Decimal | None = None) -> tuple[float, dict[str, Any]]:
    """How well cells fit a kind, and its settings; a kind with a decimal mark is told that of the table."""
    module = plugin("preprocess", kind)
    return module.detect(cells, decimal) if "decimal" in module.Config.model_fields else module.detect(cells)


def _distinct(cells: pa.Array) -> int:
    if _lists.holds_numbers(cells.type):
        return _lists.distinct(cells)
    return len(pc.unique(cells if pa.types.is_primitive(cells.type) else category.as_text(cells)))


def _examples(cells: pa.Array, name: str, kind: str, settings: dict[str, Any]) -> tuple[str, ...]:
    """The most frequent values of those that many rows share; where there is none, made-up ones."""
    if pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
        return ()
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    sample = cells.take(pa.array(rng.permutation(len(cells))[:SAMPLED]))
    values = privacy.shared(sample)
    if not values and len(sample) and kind in available("preprocess"):
        values = _example_values(sample, plugin("preprocess", kind), _config(kind, settings), rng)
    return tuple(dict.fromkeys(str(value)[:40] for value in values if value is not None))[:4]


def _example_values(cells: pa.Array, module: Any, cfg: Config, rng: np.random.Generator) -> list[Any]:
    """Cells that a kind makes up of what it learns of those there are."""
    golden = vars(module).get("golden")
    return golden(module.fit(module.parse(cells, cfg), cfg), cfg, rng, 6)[::2] if golden else []


def _kind(cells: pa.Array, raw: pa.Array, name: str, distinct: int, decimal: Decimal | None) -> tuple[str, dict, str]:
    if distinct == 0:
        return "constant", {}, "no value at all"
    if distinct == 1:
        return "constant", {}, "one value only"
    scores = {kind: detect(kind, raw, decimal) for kind in available("preprocess")}
    best = max(scores, key=lambda kind: scores[kind][0] + _by_name(kind, name, scores[kind][0]))
    settings = scores[best][1]
    values = plugin("preprocess", best).parse(raw if best == "number" else cells, _config(best, settings))
    if best == "number" and (reason := _codes(values, raw, name, distinct)):
        best, settings, note = "category", {}, f"{reason}; say otherwise with --set columns.{name}.kind=number"
        values = category.parse(cells, category.Config())
    else:
        bad = values.null_count if best != "number" else 0  # which counts its own
        note = f"{bad} cells are not of this kind and are read as missing" if bad else ""
        note = describe_mixture(cells, name) if best == "category" else note
    if reason := _identifier(values, name, distinct, best):
        return "identifier", {}, reason
    return best, settings, note


def _by_name(kind: str, name: str, score: float) -> float:
    """How much more a kind fits cells that may be of it where the column is pattern so, as `time` is."""
    pattern = vars(plugin("preprocess", kind)).get("NAMED")
    return NAMED_SO if score and pattern and pattern.search(name) else 0.0


def _codes(values: pa.Array, raw: pa.Array, name: str, distinct: int) -> str:
    """A reason to believe that whole numbers are names, such as post codes, or nothing."""
    numbers = values.drop_null()
    if pa.types.is_string(raw.type) or not len(numbers):
        return ""
    low, high = (end.as_py() for end in pc.min_max(pc.abs(numbers)).values())
    by_name = NAMED_CODE.search(name) and low >= 100
    if not by_name and (not CODES[0] <= high < CODES[1] or distinct > len(numbers) / 2):
        return ""
    if not pc.all(pc.equal(pc.floor(numbers), numbers)).as_py():
        return ""
    return "codes, as its name says" if by_name else "whole numbers of more than 15 digits that come again are codes"


def _numbers(cells: pa.Array, decimal: Decimal) -> pa.Array:
    """Text of plain numbers as numbers, of which each kind can tell at once what it would else search text for."""
    if pa.types.is_string(cells.type) and _number_text.all_plain(cells, decimal, PLAIN_NUMBER):
        return cells.cast(pa.float64())
    return cells


def _config(kind: str, settings: dict) -> Config:
    return plugin("preprocess", kind).Config.model_validate_json(json.dumps(settings))  # JSON knows lists, not tuples


def _identifier(values: pa.Array, name: str, distinct: int, kind: str) -> str:
    """A reason to believe that a column of parsed values only names its rows, or nothing."""
    if distinct < len(values) or len(values) < FEW or kind not in ("number", "category"):
        return ""
    if kind == "category":
        return "every value occurs once"
    numbers = values.drop_null()
    whole = pc.all(pc.equal(pc.floor(numbers), numbers)).as_py()
    if whole and NAMED_ID.search(name):
        return "every value occurs once and the name says so"
    ordered = pc.all(pc.greater(numbers[1:], numbers[:-1])).as_py()
    first, last = numbers[0].as_py(), numbers[-1].as_py()
    if whole and ordered and first in (0, 1, 2, 3) and last - first < 3 * len(numbers) and len(numbers) >= 100:
        return "counts the rows"
    return ""
