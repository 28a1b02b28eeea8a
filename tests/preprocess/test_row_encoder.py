"""A few rows of JSON reach the network without Arrow, and mean what they mean on the long way."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina import preprocess
from lamina.deploy.server.cells import CellParser
from lamina.deploy.server.request_rows import RequestRows
from lamina.preprocess import Preprocessor
from lamina.schema import MISSING, Column, Schema, clean

ROWS = 60
TRAINING: dict[str, list[Any]] = {
    "age": [20 + i % 40 for i in range(ROWS)],
    "income": [None if i % 7 == 0 else 1e3 * i + 0.25 for i in range(ROWS)],
    "code": [-999 if i % 9 == 0 else i for i in range(ROWS)],
    "plan": [("basic", "plus", "3", "true", "Ünï ✓", "NA")[i % 6] for i in range(ROWS)],
    "zone": [None if i % 11 == 0 else i % 4 for i in range(ROWS)],
    "active": [("yes", "no")[i % 2] for i in range(ROWS)],
    "day": [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(ROWS)],
    "german": [f"{1 + i % 28:02d}.{1 + i % 12:02d}.2023" for i in range(ROWS)],
    "moment": [f"2024-03-{1 + i % 28:02d} {i % 24:02d}:{i % 60:02d}:00" for i in range(ROWS)],
}
KINDS = {
    **dict.fromkeys(("age", "income", "code"), "number"),
    **dict.fromkeys(("plan", "zone"), "category"),
    "active": "boolean",
    **dict.fromkeys(("day", "german", "moment"), "time"),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "german": {"format": "%d.%m.%Y"},
    "plan": {"spellings": {"Basic": "basic"}},
}


@pytest.fixture(scope="module")
def prep() -> Preprocessor:
    columns = tuple(Column(name=name, kind=kind, settings=SETTINGS.get(name, {})) for name, kind in KINDS.items())
    schema = Schema(columns=columns, missing=(*MISSING, "-999"), literal=("plan",))
    table = pa.table({name: pa.array(cells) for name, cells in TRAINING.items()})
    return preprocess.fit(clean(table, schema.missing, schema.literal), schema)


def long_way(prep: Preprocessor, values: dict[str, list[Any]], count: int) -> dict[str, np.ndarray]:
    table, _ = CellParser(prep).parse([RequestRows(values, count)])
    return prep.encode(clean(table, prep.schema.missing, prep.schema.literal))


WORDS = st.sampled_from([*map(str, TRAINING["plan"]), *TRAINING["day"], *TRAINING["german"], *TRAINING["moment"]])
ODD = st.sampled_from(
    [
        "",
        " basic ",
        "Basic",
        "BASIC",
        "3.0",
        "03",
        "-999",
        "1e3",
        "Yes",
        "TRUE",
        "off",
        "2024-02-30",
        "2024-2-3",
        "24:00",
    ]
)
ODDER = st.sampled_from(
    ["2024-01-05T10:00:00Z", "2024-12-31 24:00", "31.04.2023", "1.2.2023", "0001-01-01", "9999-12-31"]
)
NUMBERS = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(-5, 70),
    st.floats(allow_nan=False),
    st.sampled_from([-999, -999.0]),
)
CELLS = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, ODD, ODDER, st.text(max_size=6))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_row_has_one_meaning_on_either_way(prep, data):
    names = data.draw(st.sets(st.sampled_from(sorted(KINDS)), min_size=1))
    count = data.draw(st.integers(1, 3))
    values = {name: data.draw(st.lists(CELLS, min_size=count, max_size=count)) for name in names}
    short = prep.encode_cells(values, count)
    if short is None:
        return
    other = long_way(prep, values, count)
    assert short.keys() == other.keys()
    for name, array in other.items():
        assert short[name].dtype == array.dtype and np.array_equal(short[name], array), name


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_as_people_send_them_take_the_short_way(prep, data):
    rows = data.draw(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=5))
    values = {name: [cells[row] for row in rows] for name, cells in TRAINING.items()}
    if "NA" in values["plan"] or -999 in values["code"]:
        return
    short, other = prep.encode_cells(values, len(rows)), long_way(prep, values, len(rows))
    assert short is not None
    assert all(np.array_equal(short[name], array) for name, array in other.items())


@pytest.mark.parametrize(
    ("name", "cell"),
    [("age", "12"), ("age", True), ("age", math.inf), ("plan", "platinum"), ("active", 2), ("day", "soon"), ("day", 5)],
)
def test_a_cell_of_which_there_is_something_to_say_takes_the_long_way(prep, name, cell):
    assert prep.encode_cells({name: [cell]}, 1) is None


def test_a_column_that_is_absent_is_missing_in_every_row(prep):
    short = prep.encode_cells({"age": [30, 31]}, 2)
    assert short is not None
    assert all(np.array_equal(short[name], array) for name, array in long_way(prep, {"age": [30, 31]}, 2).items())


def test_a_day_beyond_the_calendar_is_read_the_long_way(prep):
    assert prep.encode_cells({"day": ["0002-01-01"]}, 1) is not None
    assert prep.encode_cells({"day": ["0001-12-31"]}, 1) is None
    assert prep.encode_cells({"day": ["9999-01-01"]}, 1) is None
