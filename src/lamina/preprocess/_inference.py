"""What a column is: every kind is asked how well the cells fit; identifiers and constants are set aside."""

import json
import re
import zlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import Config
from lamina.plugins import available, plugin
from lamina.preprocess import _nested_lists as _lists
from lamina.preprocess import category
from lamina.schema import Column

NAMED_ID = re.compile(
    r"(^|[\s_\-.])(id|uuid|guid|key|index|rownum)$|^(user|customer|client|patient|order|product|item|row)id$"
    r"|^unnamed[:_ ]*\d*$|(?-i:(?<=[a-z])(Id|ID|Key|Index|UUID)$)",
    re.ASCII | re.IGNORECASE,
)
FEW = 20
SAMPLED = 10_000
SILENT = ("identifier", "ignore", "text", "image")  # kinds whose values may name a person: they stay where they are


def columns(table: pa.Table, given: Mapping[str, Config]) -> tuple[Column, ...]:
    """The columns of a table with their kinds."""
    return tuple(column(table[name], name, given.get(name)) for name in table.column_names)


def column(values: pa.ChunkedArray, name: str, given: Config | None = None) -> Column:
    """One column: its kind, settings found, missing and distinct counts, examples and a note on anything odd."""
    values = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    known = values.drop_null()
    distinct = _distinct(known)
    found = given.model_dump(mode="json", exclude_defaults=True) if given else None
    kind, settings, note = (given.model_dump()["kind"], found, "as told") if given else _kind(known, name, distinct)
    settings = {k: v for k, v in (settings or {}).items() if k != "kind"}
    module = vars(plugin("preprocess", kind)) if kind in available("preprocess") else {}
    if "about" in module:
        note = "; ".join(filter(None, (note, module["about"](known, given or _config(kind, settings)))))
    shown = () if kind in SILENT else _examples(known, name)
    return Column(
        name=name, kind=kind, settings=settings, note=note, missing=values.null_count, distinct=distinct, examples=shown
    )


def _distinct(known: pa.Array) -> int:
    if _lists.holds_numbers(known.type):
        return _lists.distinct(known)
    return len(pc.unique(known if pa.types.is_primitive(known.type) else category.written(known)))


def _examples(known: pa.Array, name: str) -> tuple[str, ...]:
    """The most frequent values, ties drawn column by column, so that examples of several columns are not one row."""
    if pa.types.is_nested(known.type) or pa.types.is_binary(known.type) or pa.types.is_large_binary(known.type):
        return ()
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    sample = known.take(pa.array(rng.permutation(len(known))[:SAMPLED]))
    counts = sorted(sample.value_counts().to_pylist(), key=lambda c: -c["counts"])
    return tuple(dict.fromkeys(str(c["values"])[:40] for c in counts))[:4]


def _kind(known: pa.Array, name: str, distinct: int) -> tuple[str, dict, str]:
    if distinct == 0:
        return "constant", {}, "no value at all"
    if distinct == 1:
        return "constant", {}, "one value only"
    scores = {}
    for kind in available("preprocess"):
        score, settings = plugin("preprocess", kind).detect(known)
        scores[kind] = (score, settings)
    best = max(scores, key=lambda kind: scores[kind][0])
    if reason := _identifier(known, name, distinct, best):
        return "identifier", {}, reason
    settings = scores[best][1]
    bad = pc.sum(pc.is_null(plugin("preprocess", best).parse(known, _config(best, settings)))).as_py()
    return best, settings, f"{bad} cells are not of this kind and are read as missing" if bad else ""


def _config(kind: str, settings: dict) -> Config:
    return plugin("preprocess", kind).Config.model_validate_json(json.dumps(settings))  # JSON knows lists, not tuples


def _identifier(known: pa.Array, name: str, distinct: int, kind: str) -> str:
    """A reason to believe that the column only names its rows, or nothing."""
    if distinct < len(known) or len(known) < FEW or kind not in ("number", "category"):
        return ""
    if kind == "category":
        return "every value occurs once"
    numbers = plugin("preprocess", "number").parse(known, _config("number", {})).drop_null()
    whole = pc.all(pc.equal(pc.floor(numbers), numbers)).as_py()
    if whole and NAMED_ID.search(name):
        return "every value occurs once and the name says so"
    ordered = pc.all(pc.greater(numbers[1:], numbers[:-1])).as_py()
    first, last = numbers[0].as_py(), numbers[-1].as_py()
    if whole and ordered and first in (0, 1, 2, 3) and last - first < 3 * len(numbers) and len(numbers) >= 100:
        return "counts the rows"
    return ""
