"""Preprocessing: what is learned comes from training rows only, and a cell means one thing wherever it is met.

The contracts run over every column kind found in the folder, and over columns of every sort for each of them.
"""

import atexit
import datetime
import json
import shutil
import string
import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import customers, experiment_of
from lamina import preprocess
from lamina.config import LaminaError
from lamina.data import arrays
from lamina.plugins import available, plugin
from lamina.preprocess import UNUSED, Preprocessor
from lamina.recipe import build
from lamina.schema import MISSING, Collected, Column, Schema, clean

pytest.importorskip("cv2", reason="needs lamina[images]: images are a kind like any other")

KINDS = available("preprocess")
RNG = np.random.default_rng(0)
ROWS = 40
DTYPES = {"float32": np.float32, "int64": np.int64, "uint8": np.uint8}


def image(number: int, side: int = 6) -> bytes:
    """A small image in colour, raw, so that none of it is lost."""
    spots = np.random.default_rng(number).integers(0, 256, (side, side + 1, 3), dtype=np.uint8)
    return b"P6\n%d %d\n255\n" % (side + 1, side) + spots.tobytes()


def image_files() -> list[str | None]:
    """Paths of images of two sizes; every ninth is absent, one is no file and one is cut short."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for i in range(ROWS):
        (folder / f"{i}.ppm").write_bytes(image(i, 5 + i % 2)[: 60 if i == 7 else None])
    (folder / "5.ppm").unlink()
    return [None if i % 9 == 0 else str(folder / f"{i}.ppm") for i in range(ROWS)]


CELL = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])
COLUMNS: dict[str, pa.Array] = {
    "numbers": pa.array([None if i % 9 == 0 else float(v) for i, v in enumerate(RNG.normal(size=ROWS))]),
    "whole": pa.array([i % 7 for i in range(ROWS)]),
    "money": pa.array([f"${1000 * i:,}.50" for i in range(ROWS)]),
    "words": pa.array([None if i % 8 == 0 else ("red", "green", "blue")[i % 3] for i in range(ROWS)]),
    "flags": pa.array([None if i % 8 == 0 else i % 3 == 0 for i in range(ROWS)]),
    "answers": pa.array([("Yes", "no")[i % 2] for i in range(ROWS)]),
    "days": pa.array([f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(ROWS)]),
    "moments": pa.array([None if i % 8 == 0 else datetime.datetime(2024, 1, 1 + i % 28, i % 24) for i in range(ROWS)]),
    "remarks": pa.array([None if i % 8 == 0 else f"the {i % 5} quick brown foxes, again {i}" for i in range(ROWS)]),
    "nothing": pa.nulls(ROWS, pa.string()),
    "constant": pa.array([1.5] * ROWS),
    "mixed": pa.array([("3", "x", "2024-01-01", "true", None)[i % 5] for i in range(ROWS)]),
    "pictures": pa.array([None if i % 9 == 0 else image(i) for i in range(ROWS)], pa.large_binary()),
    "raw images": pa.array([image(i) for i in range(ROWS)], pa.binary()),
    "image files": pa.array(image_files(), pa.string()),
    "recordings": pa.array(
        [
            None if i % 9 == 0 else [None if k == 2 else float(v) for k, v in enumerate(RNG.normal(size=6 + i % 3))]
            for i in range(ROWS)
        ]
    ),
    "channels": pa.array([RNG.normal(size=(5 + i % 2, 3)).tolist() for i in range(ROWS)]),
    "recorded texts": pa.array([",".join(f"{v:.2f}" for v in RNG.normal(size=9)) for _ in range(ROWS)]),
    "image cells": pa.array([None if i % 9 == 0 else {"bytes": image(i), "path": None} for i in range(ROWS)], CELL),
}


def sound(found: np.ndarray) -> bool:
    """Finite, but for NaN behind the end of a series: in all channels, and in every step that follows."""
    if found.ndim != 3:
        return bool(np.isfinite(found).all())
    absent = np.isnan(found).all(axis=2)
    return bool(np.isfinite(found[~absent]).all() and (np.diff(absent.astype(int), axis=1) >= 0).all())


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype == np.float32)


def fitted(kind: str, values: pa.Array) -> Preprocessor:
    """One column `x` of a kind, fitted on its values."""
    schema = Schema(columns=(Column(name="x", kind=kind),))
    return preprocess.fit(clean(pa.table({"x": values}), MISSING), schema)


def codes(prep: Preprocessor, values: pa.Array | pa.ChunkedArray, name: str = "x") -> np.ndarray:
    """What the network is fed for some raw values of the column."""
    (result,) = prep.encode(clean(arrays.table(pa.table({name: values})), MISSING)).values()
    return result


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and alike(a[k], b[k]) for k in a)


each_kind = pytest.mark.parametrize("kind", KINDS)
each_column = pytest.mark.parametrize("column", COLUMNS)


def kind_of(values: list | pa.Array, name: str = "x") -> str:
    table = clean(arrays.table({name: values}), MISSING)
    return preprocess.infer(table, None, {}, MISSING).columns[0].kind


# every kind, on every sort of column


@each_kind
def test_the_kind_a_config_names_is_the_name_of_its_file(kind):
    assert plugin("preprocess", kind).Config().model_dump()["kind"] == kind


@each_kind
@each_column
def test_codes_have_the_shape_and_type_that_the_network_is_built_for(kind, column):
    prep = fitted(kind, COLUMNS[column])
    (feed,) = prep.inputs.values()
    result = codes(prep, COLUMNS[column])
    assert result.dtype == DTYPES[feed.dtype]
    assert result.shape[0] == ROWS
    assert all(want in (None, got) for want, got in zip(feed.shape, result.shape[1:], strict=True))
    assert sound(result)
    if feed.kind == "number":
        assert len(feed.edges) == feed.shape[0]
        assert all(len(edges) >= 2 and np.all(np.diff(edges) > 0) for edges in feed.edges)
    if feed.kind in ("category", "tokens"):
        assert result.min() >= 0
        assert (result < np.array(feed.sizes)).all()


@each_kind
@each_column
def test_the_state_survives_json_without_losing_a_bit(kind, column):
    prep = fitted(kind, COLUMNS[column])
    schema = Schema.model_validate_json(prep.schema.model_dump_json())
    again = preprocess.restore(schema, json.loads(json.dumps(prep.dump(), allow_nan=False)))
    assert again.inputs == prep.inputs
    for other in COLUMNS.values():
        assert alike(codes(prep, other), codes(again, other))


@each_kind
@each_column
def test_one_row_at_a_time_gives_the_codes_of_all_rows_together(kind, column):
    prep, values = fitted(kind, COLUMNS[column]), COLUMNS[column]
    together = codes(prep, values)
    assert alike(together, np.concatenate([codes(prep, values.slice(i, 1)) for i in range(ROWS)]))
    order = np.random.default_rng(1).permutation(ROWS)
    assert alike(together[order], codes(prep, values.take(pa.array(order))))
    assert codes(prep, values.slice(0, 0)).shape == (0, *together.shape[1:])
    chunks = pa.chunked_array([values.slice(0, 3), values.slice(3, 0), values.slice(3)])
    assert alike(together, codes(prep, chunks))


@each_kind
@each_column
def test_an_absent_column_means_a_column_of_nulls(kind, column):
    prep = fitted(kind, COLUMNS[column])
    absent = prep.encode(clean(pa.table({"other": [1, 2]}), MISSING))
    null = prep.encode(clean(pa.table({"x": pa.nulls(2, COLUMNS[column].type)}), MISSING))
    typeless = prep.encode(clean(pa.table({"x": pa.nulls(2)}), MISSING))
    assert same(absent, null)
    assert same(absent, typeless)
    for word in ("", "  ", "NA", "null", "?"):
        assert same(absent, prep.encode(clean(pa.table({"x": [word, word]}), MISSING)))


@each_kind
def test_the_state_of_a_kind_does_not_depend_on_the_order_of_the_rows(kind):
    order = pa.array(np.random.default_rng(2).permutation(ROWS))
    for values in COLUMNS.values():
        assert fitted(kind, values).dump() == fitted(kind, values.take(order)).dump()


TEXTS = st.one_of(
    st.text(max_size=12),
    st.text(string.digits + "+-.,eE%$ ", max_size=12),
    st.sampled_from(["1e999", "-inf", "NaN", "٣", "1_000", "0x10", "2024-13-45", "31.02.2024", "99999-01-01", "\x00"]),
    st.sampled_from(
        ["0001-01-01", "9999-12-31T23:59:59Z", "2024-01-01T00:00:00+99:99", "24:00", "true ", "ＹＥＳ", "🦊"]
    ),
)
WHOLE = st.integers(-(2**63), 2**63 - 1)
GARBAGE: dict[pa.DataType, st.SearchStrategy] = {
    pa.string(): TEXTS,
    pa.large_string(): TEXTS,
    pa.string_view(): TEXTS,
    pa.dictionary(pa.int8(), pa.string()): TEXTS,
    pa.binary(): st.binary(max_size=5),
    pa.large_binary(): st.binary(max_size=5),
    pa.binary_view(): st.binary(max_size=5),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.int64(): WHOLE,
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float16(): st.floats(width=16).map(np.float16),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.decimal128(10, 2): st.decimals(-(10**6), 10**6, places=2),
    pa.decimal256(60, 10): st.integers(-(10**49), 10**49).map(Decimal),
    pa.date32(): st.integers(-(2**31), 2**31 - 1),
    pa.date64(): st.integers(-(2**31), 2**31 - 1).map(lambda day: day * 86_400_000),
    pa.timestamp("s"): WHOLE,
    pa.timestamp("ms"): WHOLE,
    pa.timestamp("us", "Europe/Paris"): st.datetimes(timezones=st.just(datetime.UTC)),
    pa.timestamp("ns"): WHOLE,
    pa.time32("s"): st.integers(0, 86399),
    pa.time64("us"): st.times(),
    pa.duration("s"): WHOLE,
    pa.month_day_nano_interval(): st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    pa.list_(pa.int64()): st.lists(WHOLE, max_size=3),
    pa.large_list(pa.string()): st.lists(TEXTS, max_size=3),
    pa.list_(pa.float32(), 2): st.lists(st.floats(width=32), min_size=2, max_size=2),
    pa.struct({"a": pa.int64()}): st.fixed_dictionaries({"a": WHOLE}),
    pa.map_(pa.string(), pa.int64()): st.dictionaries(TEXTS, WHOLE, max_size=2),
    pa.null(): st.none(),
}
BUILT = {(kind, name): fitted(kind, values) for kind in KINDS for name, values in COLUMNS.items()}


@each_kind
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_value_of_any_type_stops_encoding(kind, data):
    expected = data.draw(st.sampled_from(list(GARBAGE)))
    values = data.draw(st.lists(st.none() | GARBAGE[expected], max_size=6))
    column = pa.array(values, expected)
    prep = BUILT[kind, data.draw(st.sampled_from(list(COLUMNS)))]
    (result,) = prep.encode(clean(pa.table({"x": column}), MISSING)).values()  # the table as it is, not made plain
    (feed,) = prep.inputs.values()
    assert result.shape[0] == len(values)
    assert sound(result)
    if feed.kind in ("category", "tokens"):
        assert result.size == 0 or (result.min() >= 0 and (result < np.array(feed.sizes)).all())


@each_kind
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_column_of_any_type_stops_fitting(kind, data):
    expected = data.draw(st.sampled_from(list(GARBAGE)))
    values = data.draw(st.lists(st.none() | GARBAGE[expected], min_size=1, max_size=8))
    column = pa.array(values, expected)
    prep = fitted(kind, column)
    json.dumps(prep.dump(), allow_nan=False)
    (result,) = prep.encode(clean(pa.table({"x": column}), MISSING)).values()
    assert sound(result)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_column_of_any_type_gets_a_kind(data):
    expected = data.draw(st.sampled_from(list(GARBAGE)))
    values = data.draw(st.lists(st.none() | GARBAGE[expected], min_size=1, max_size=30))
    table = clean(pa.table({"x": pa.array(values, expected)}), MISSING)
    (column,) = preprocess.infer(table, None, {}, MISSING).columns
    assert column.kind in (*KINDS, *UNUSED)
    json.loads(column.model_dump_json())


# what is learned


def test_changing_test_rows_changes_no_bit_of_the_preprocessor():
    rows = customers(200)
    experiment = experiment_of(build({"data": {"kind": "arrays"}, "target": "left"}), Collected(arrays.table(rows)))
    splits = experiment.splits
    held_out = {text for part in (splits.test, splits.validation) for text in part["charges"].to_pylist()}
    assert len(held_out) == 60
    wild = [
        {**row, "months": -1e30, "charges": "n/a", "plan": f"odd {i}", "since": "1850-01-01", "remark": "zz"}
        if row["charges"] in held_out
        else row
        for i, row in enumerate(rows)
    ]
    other = experiment_of(build({"data": {"kind": "arrays"}, "target": "left"}), Collected(arrays.table(wild)))
    assert other.splits.train.equals(splits.train)
    assert other.schema == experiment.schema
    assert other.task == experiment.task
    fitted = preprocess.fit(splits.train, experiment.schema)
    assert preprocess.fit(other.splits.train, other.schema).dump() == fitted.dump()


def test_extra_columns_and_their_order_change_nothing():
    table = clean(pa.table(COLUMNS), MISSING)
    schema = preprocess.infer(table, None, {}, MISSING)
    prep = preprocess.fit(table, schema)
    shuffled = table.select(list(reversed(table.column_names))).append_column("more", pa.array(range(ROWS)))
    assert same(prep.encode(table), prep.encode(shuffled))


def test_one_rule_for_missing_serves_training_and_answering():
    schema = Schema(columns=(Column(name="x", kind="number"),), missing=("-", "none given"))
    prep = preprocess.fit(clean(pa.table({"x": ["1", "-", "3", "none given"]}), schema.missing), schema)
    (result,) = prep.encode(clean(pa.table({"x": ["-", "none given", "2"]}), schema.missing)).values()
    assert result.tolist() == [[0, 1], [0, 1], [0, 0]]


def test_a_table_without_a_usable_column_is_refused_with_the_reason():
    table = clean(pa.table({"a": [1] * 30, "b": [f"k{i}" for i in range(30)]}), MISSING)
    schema = preprocess.infer(table, None, {}, MISSING)
    with pytest.raises(LaminaError, match="no column is left to learn from"):
        preprocess.fit(table, schema)


def test_a_misspelt_column_is_answered_with_the_nearest_name():
    given = {"ager": plugin("preprocess", "number").Config()}
    with pytest.raises(LaminaError, match=r"no column 'ager'. Did you mean 'age'\?"):
        preprocess.infer(pa.table({"age": [1, 2], "city": ["a", "b"]}), None, given, MISSING)


# what a cell means


def test_a_missing_number_is_the_median_and_says_so():
    prep = fitted("number", pa.array([1.0, 2.0, 3.0, 4.0, 100.0, None]))
    assert codes(prep, pa.array([None, 3.0])).tolist() == [[0.0, 1.0], [0.0, 0.0]]
    never_missing = fitted("number", pa.array([1.0, 2.0, 3.0]))
    assert codes(never_missing, pa.array([None])).tolist() == codes(never_missing, pa.array([2.0])).tolist()


@pytest.mark.parametrize(
    ("kind", "column"),
    [("number", "numbers"), ("category", "words"), ("boolean", "flags"), ("time", "days"), ("time", "moments")],
)
def test_cells_to_compare_with_are_as_those_of_training(kind, column):
    prep = fitted(kind, COLUMNS[column])
    own, cells = codes(prep, COLUMNS[column]), prep.background("x", np.random.default_rng(0), 256)
    assert cells is not None and cells.shape == (256, own.shape[1]) and sound(cells)
    if kind in ("number", "time"):
        assert np.abs(own.mean(axis=0) - cells.mean(axis=0)).max() < 0.35
        assert np.abs(own[:, 0].std() - cells[:, 0].std()) < 0.35
    else:
        assert set(cells.ravel().tolist()) <= set(own.ravel().tolist())


@pytest.mark.parametrize("cell", ["abc", "1.2.3", "1,23,45", "nan", "inf", "-inf", "1e999", "--1", "1 2", "0x1F", "١٢"])
def test_a_malformed_number_is_a_missing_number(cell):
    prep = fitted("number", pa.array([1.0, 2.0, None]))
    assert codes(prep, pa.array([cell])).tolist() == codes(prep, pa.array([None], pa.string())).tolist()


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1,234,567.5", 1234567.5),
        ("$1,234.50", 1234.5),
        ("€ 99", 99),
        ("£5", 5),
        ("12.5%", 12.5),
        ("-3", -3),
        ("+4", 4),
        ("-$5", -5),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("7.", 7),
        (" 8 ", 8),
        (9, 9),
        (True, 1),
        (Decimal("10.25"), 10.25),
    ],
)
def test_a_dressed_number_is_the_number(cell, value):
    prep = fitted("number", pa.array([1.0, 2.0, 50.0, 1e6]))
    assert codes(prep, pa.array([cell])).tolist() == codes(prep, pa.array([float(value)])).tolist()


def test_a_duration_is_a_number_of_seconds():
    prep = fitted("number", pa.array([1.0, 60.0, 3600.0]))
    for unit in ("s", "ms", "us", "ns"):
        minute = pa.array([datetime.timedelta(minutes=1)], pa.duration(unit))
        assert codes(prep, minute).tolist() == codes(prep, pa.array([60.0])).tolist()


def test_the_largest_whole_numbers_keep_their_sign():
    prep = fitted("number", pa.array([1.0, 2.0, 3.0]))
    assert codes(prep, pa.array([2**64 - 1], pa.uint64()))[0, 0] > 2.9
    assert codes(prep, pa.array([-(2**63)]))[0, 0] < -2.9


def test_outliers_stay_inside_three():
    result = codes(fitted("number", pa.array([1.0, 2.0, 3.0, 4.0])), pa.array([1e300, -1e300]))
    assert result[:, 0] == pytest.approx([3, -3])


def test_categories_are_known_rare_or_missing():
    prep = fitted("category", pa.array(["a"] * 6 + ["b"] * 5 + ["once", None]))
    assert codes(prep, pa.array(["a", "b", "once", "never", None]))[:, 0].tolist() == [2, 3, 1, 1, 0]


@pytest.mark.parametrize(
    "spellings",
    [
        (3, 3.0, "3", "3.0", " 3 ", Decimal("3.00"), np.float32(3), np.uint8(3)),
        (True, "true"),
        (123456789012, 123456789012.0, "123456789012", "123456789012.0"),
        (10**16, 1e16, str(10**16)),
        (0, -0.0, "0"),
        (0.1, "0.1"),
        (-7, -7.0, "-7"),
    ],
    ids=str,
)
def test_a_category_is_the_same_as_number_and_as_text(spellings):
    for trained in spellings:
        prep = fitted("category", pa.array([trained] * 5 + [None]))
        for asked in spellings:
            assert codes(prep, arrays.table([{"x": asked}])["x"]).tolist() == [[2]], (trained, asked)


def test_a_zip_code_keeps_its_zeros():
    prep = fitted("category", pa.array(["00501"] * 6 + ["501"] * 5))
    assert codes(prep, pa.array(["00501", "501"]))[:, 0].tolist() == [2, 3]


@pytest.mark.parametrize(
    "pair", [("no", "yes"), ("False", "TRUE"), ("0", "1"), (0, 1), (0.0, 1.0), ("n", "Y"), ("off", "on")]
)
def test_yes_and_no_are_read_in_every_spelling(pair):
    prep = fitted("boolean", pa.array([True, False]))
    assert codes(prep, pa.array(pair))[:, 0].tolist() == [1, 2]
    assert codes(prep, pa.array(["perhaps", None, ""]))[:, 0].tolist() == [0, 0, 0]


def test_a_point_in_time_is_the_same_in_every_notation():
    prep = fitted("time", COLUMNS["moments"])
    moment = datetime.datetime(2024, 1, 5, 13, 30)
    zoned = moment.replace(tzinfo=datetime.UTC)
    notations = [
        pa.array([moment]),
        pa.array([zoned]),
        pa.array([zoned.astimezone(datetime.timezone(datetime.timedelta(hours=5)))]),
        pa.array(["2024-01-05 13:30"]),
        pa.array(["2024-01-05 13:30:00"]),
        pa.array(["2024-01-05T13:30:00Z"]),
        pa.array(["2024-01-05T18:30:00.250+05:00"]),
        pa.array(["2024-01-05T08:00:00-0530"]),
    ]
    result = [codes(prep, notation).tolist() for notation in notations]
    assert all(one == result[0] for one in result)


@pytest.mark.parametrize("cell", ["2024-13-01", "2024-02-30", "soon", "2024-01-05 and more", "2024-01-05T25:00"])
def test_a_malformed_time_is_a_missing_time(cell):
    prep = fitted("time", COLUMNS["moments"])
    assert codes(prep, pa.array([cell])).tolist() == codes(prep, pa.array([None], pa.string())).tolist()


def test_a_date_as_text_and_a_date_as_date_are_the_same_whatever_was_trained_on():
    day = datetime.date(2024, 3, 5)
    for written, form in (("2024-03-05", "%Y-%m-%d"), ("05.03.2024", "%d.%m.%Y"), ("2024/03/05", "%Y/%m/%d")):
        text = [datetime.date(2024, 1 + i % 12, 1 + i).strftime(form) for i in range(28)]
        table = clean(pa.table({"x": text}), MISSING)
        schema = preprocess.infer(table, None, {}, MISSING)
        assert schema.columns[0].kind == "time"
        prep = preprocess.fit(table, schema)
        result = [codes(prep, pa.array([v])).tolist() for v in (written, day, datetime.datetime(2024, 3, 5))]
        assert result[0] == result[1] == result[2]
        assert result[0] != codes(prep, pa.array([None], pa.string())).tolist()


def test_words_have_codes_and_nothing_has_none():
    prep = fitted("text", COLUMNS["remarks"])
    result = codes(prep, pa.array(["Brown, foxes!", "brown   FOXES", None, "", "!!!", "foxes brown"]))
    assert result[0].tolist() == result[1].tolist()
    assert np.count_nonzero(result[0]) == 3  # two words and their pair
    assert not result[2:5].any()
    assert result[5].tolist() != result[0].tolist()


def test_a_text_longer_than_the_network_reads_is_cut():
    prep = fitted("text", COLUMNS["remarks"])
    result = codes(prep, pa.array([" ".join(map(str, range(10_000)))]))
    assert np.count_nonzero(result) == result.size


# which kind a column is


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", [1.5, 2.5, 3.5, None] * 10),
        ("number", ["1,234", "5,678,901", "12", "999"] * 10),
        ("number", ["$1.50", "$2,000.00", "$3", "$45.10"] * 10),
        ("number", ["€1.50", "£2", "€3", "£4.5"] * 10),
        ("number", ["10%", "20.5%", "3%", "100%"] * 10),
        ("number", ["1e-3", "2E5", ".5", "7."] * 10),
        ("number", [str(v) for v in range(38)] + ["unknown", "34"]),
        ("number", [-1, 5, 7, 2] * 10),
        ("category", ["00501", "94107", "10001", "02139"] * 10),
        ("category", ["red", "green", "blue", None] * 10),
        ("category", ["1", "2", "x", "y"] * 10),
        ("category", [f"sku {i % 7}" for i in range(40)]),
        ("category", ["red", "true", "3", "2024-01-01"] * 10),
        ("boolean", ["yes", "no"] * 20),
        ("boolean", ["Yes", "No", None, "yes"] * 10),
        ("boolean", ["TRUE", "false"] * 20),
        ("boolean", [True, False, None, True] * 10),
        ("boolean", [0, 1] * 20),
        ("boolean", ["0", "1"] * 20),
        ("boolean", [0.0, 1.0, None, 1.0] * 10),
        ("boolean", ["t", "f"] * 20),
        ("category", ["yes", "false"] * 20),
        ("category", ["yes", "no", "maybe"] * 13),
        ("number", [1, 2] * 20),
        ("time", ["2024-01-05", "2023-11-30", "1999-12-31"] * 13),
        ("time", ["05.01.2024", "30.11.2023", "31.12.1999"] * 13),
        ("time", ["1/5/2024", "11/30/2023", "12/31/1999"] * 13),
        ("time", ["5/1/2024", "30/11/2023", "31/12/1999"] * 13),
        ("time", ["2024/01/05", "2023/11/30"] * 20),
        ("time", ["2024-01-05T10:00:00Z", "2023-11-30T23:59:59.123+02:00"] * 20),
        ("time", ["2024-01-05 10:00", "2023-11-30 23:59"] * 20),
        ("time", [datetime.date(2024, 1, 1 + i) for i in range(28)]),
        ("time", [datetime.datetime(2024, 1, 1 + i, 3) for i in range(28)]),
        ("text", [f"order {i} arrived broken and late" for i in range(40)]),
        ("text", [f"{w} service on day {i}, thank you" for i, w in enumerate(["good", "bad"] * 20)]),
        ("identifier", [f"7590-VH{i:03d}" for i in range(40)]),
        ("number", pa.array([datetime.timedelta(hours=i % 9) for i in range(40)])),
        ("constant", ["same"] * 40),
        ("constant", [None, "one", None, "one"] * 10),
        ("constant", [None] * 40),
        ("constant", [float("nan")] * 40),
        ("image", COLUMNS["pictures"]),
        ("image", COLUMNS["raw images"]),
        ("image", COLUMNS["image files"]),
        ("image", COLUMNS["image cells"]),
        ("series", COLUMNS["recordings"]),
        ("series", COLUMNS["channels"]),
        ("series", COLUMNS["recorded texts"]),
        ("series", [str([i, 1.5, 2.5, i, 3, 4, 5, 6]) for i in range(40)]),
        ("category", [[1, 2], [3], [1, 2], [4]] * 10),
        ("identifier", [[i] for i in range(40)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_column_is_seen_for_what_it_is(kind, values):
    assert kind_of(values) == kind


@pytest.mark.parametrize("name", ["id", "ID", "user_id", "customerID", "Customer Id", "order-id", "uuid", "index"])
def test_numbers_that_name_their_rows_are_identifiers(name):
    assert kind_of([1000 + 7 * i for i in range(50)], name) == "identifier"


@pytest.mark.parametrize("name", ["paid", "humid", "bid", "width", "monkey", "avoid", "age"])
def test_numbers_that_only_end_like_an_identifier_are_numbers(name):
    assert kind_of([1000 + 7 * i for i in range(50)], name) == "number"


def test_a_row_counter_without_a_name_is_an_identifier():
    assert kind_of(list(range(200)), "x") == "identifier"
    assert kind_of([str(v) for v in range(1, 201)], "Unnamed: 0") == "identifier"
    assert kind_of(list(range(0, 20_000, 100)), "x") == "number"


def test_cells_that_do_not_fit_their_column_are_counted_in_a_note():
    (column,) = preprocess.infer(pa.table({"x": [str(v) for v in range(50)] + ["odd"]}), None, {}, MISSING).columns
    assert (column.kind, column.note) == ("number", "1 cells are not of this kind and are read as missing")


def test_what_is_said_of_a_column_wins_over_what_is_seen():
    table = pa.table({"zip": [1001, 1002, 1003] * 10, "id": range(30)})
    given = {"zip": plugin("preprocess", "category").Config(), "id": plugin("preprocess", "number").Config()}
    assert [c.kind for c in preprocess.infer(table, None, given, MISSING).columns] == ["category", "number"]
