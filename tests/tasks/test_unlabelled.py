"""Rows without a target: how they are collected, and how the columns of a table become one vector and back."""

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pytest

from lamina import preprocess
from lamina.config import DataError
from lamina.data import Sources
from lamina.recipe import build
from lamina.schema import MISSING, Collected, clean
from lamina.tasks._unlabelled import collection, row_layout

ROWS = 200
COLUMNS = ("age", "price", "member", "city", "joined")


def table(count: int = ROWS, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    start = dt.datetime(2024, 1, 1, 8)
    return pa.table(
        {
            "age": rng.integers(18, 90, count),
            "price": np.round(rng.lognormal(3, 1, count), 2),
            "member": rng.random(count) < 0.3,
            "city": rng.choice(["Bonn", "Ulm", "Jena"], count),
            "joined": pa.array([start + dt.timedelta(hours=int(h)) for h in rng.integers(0, 9999, count)]),
            "country": ["DE"] * count,
            "note": [f"text number {i} with {rng.random():.9f} in it" for i in range(count)],
        }
    )


def fit(rows: pa.Table):
    schema = preprocess.infer(rows, None, {}, MISSING)
    layout, notes = row_layout.fit(rows, schema)
    return layout, preprocess.fit(rows, schema), notes


def test_cells_come_back_as_they_were():
    rows = table()
    layout, prep, _ = fit(rows)
    vectors = row_layout.encode(layout, prep, rows)
    assert vectors.shape == (ROWS, layout.width) == (ROWS, 1 + 1 + 1 + 5 + 1)
    cells = row_layout.decode(layout, vectors)
    assert cells["age"].equals(rows["age"])
    assert cells["member"].equals(rows["member"])
    assert cells["city"].equals(rows["city"])
    np.testing.assert_allclose(cells["price"], rows["price"], atol=0.011)
    apart = np.subtract(cells["joined"].to_numpy(), rows["joined"].to_numpy().astype("datetime64[s]"))
    assert np.abs(apart).max() <= np.timedelta64(60, "s")


def test_numbers_are_standardised_and_every_place_has_its_column():
    layout, prep, _ = fit(table())
    vectors = row_layout.encode(layout, prep, table())
    assert row_layout.names(layout) == ["age", "price", "member", *["city"] * 5, "joined"]
    for place in (0, 1, 2, 8):
        assert abs(vectors[:, place].mean()) < 0.02
        assert 0.95 < vectors[:, place].std() < 1.05
    assert (vectors[:, 3:8].sum(1) == 1).all()


def test_missing_and_unknown_cells_have_places_of_their_own():
    layout, prep, _ = fit(table())
    rows = pa.table({"age": [None, 30], "city": ["Rom", None], "member": [None, True]})
    vectors = row_layout.encode(layout, prep, rows)
    median = row_layout.decode(layout, vectors)["age"][0].as_py()
    assert abs(median - np.median(table()["age"])) <= 1
    assert vectors[0, 3:8].tolist() == [0, 0, 0, 1, 0]
    assert vectors[1, 3:8].tolist() == [0, 0, 0, 0, 1]
    assert row_layout.decode(layout, vectors)["city"].to_pylist() == [None, None]
    assert np.isfinite(vectors).all(), "columns that are not there at all are missing"


def test_absurd_numbers_are_finite_and_the_further_is_still_the_greater():
    layout, prep, _ = fit(table())
    prices = [0.0, 100.0, 1e4, 1e9, 1e300]
    vectors = row_layout.encode(layout, prep, pa.table({"price": prices}))[:, 1]
    assert np.isfinite(vectors).all() and (np.diff(vectors) > 0).all()
    assert np.abs(vectors).max() < 1e5
    back = np.array(row_layout.decode(layout, row_layout.encode(layout, prep, pa.table({"price": prices})))["price"])
    np.testing.assert_allclose(back[:-1], prices[:-1], rtol=1e-3, atol=0.02)
    assert 1e200 < back[-1] < np.inf


@pytest.mark.parametrize("absurd", [1e30, -9.99e8, 1e308])
def test_one_absurd_training_number_does_not_decide_the_scale(absurd):
    rng = np.random.default_rng(0)
    usual = rng.normal(size=300)
    layout, prep, _ = fit(pa.table({"x": [*usual, absurd], "y": rng.normal(size=301)}))
    vectors = row_layout.encode(layout, prep, pa.table({"x": usual, "y": usual}))
    assert 0.3 < vectors[:, 0].std() <= 1.1
    assert np.isfinite(vectors).all()


def test_what_is_left_out_is_said_with_what_changes_it():
    _, _, notes = fit(table())
    assert any("country" in note and "the same in every training row" in note for note in notes)
    assert any("note" in note and "--set columns.NAME.kind=KIND" in note for note in notes)


def test_nothing_is_left_to_learn_from_is_a_sentence():
    rows = pa.table({"word": [f"w{i} and {i * i} more of it" for i in range(30)], "same": [1] * 30})
    schema = preprocess.infer(rows, None, {}, MISSING)
    with pytest.raises(DataError, match="columns: none is left to learn from"):
        row_layout.fit(rows, schema)


def test_no_layout_holds_what_fewer_than_five_rows_share():
    rng = np.random.default_rng(0)
    names = ["common"] * 40 + ["Zaphod"] * 4 + ["usual"] * 56
    layout, prep, _ = fit(pa.table({"name": names, "x": rng.normal(size=100), "pay": [*[10.5] * 99, 987654.321]}))
    text = json.dumps(layout.model_dump(mode="json"))
    assert "Zaphod" not in text
    assert "987654" not in text
    assert row_layout.encode(layout, prep, pa.table({"name": ["Zaphod"]}))[0, :4].tolist() == [0, 0, 1, 0]


def test_images_and_series_stand_alone():
    rng = np.random.default_rng(0)
    series = [rng.normal(size=20).tolist() for _ in range(30)]
    single = preprocess.infer(pa.table({"s": series}), None, {}, MISSING)
    assert row_layout.is_single(single)
    other = preprocess.infer(pa.table({"s": series, "x": rng.normal(size=30)}), None, {}, MISSING)
    with pytest.raises(DataError, match=r"series are learned by themselves.*columns.NAME=ignore"):
        row_layout.is_single(other)
    assert not row_layout.is_single(preprocess.infer(table(), None, {}, MISSING))


def collect(rows: pa.Table, **changes):
    recipe = build({"data": {"kind": "arrays"}, "task": "generation", **changes})
    label = recipe.target
    return collection.collect(recipe, Sources(Collected(rows), recipe.data), label)


def test_a_label_is_no_input_and_rows_without_one_are_used():
    labels = ["fine", None, "odd", "fine"] * (ROWS // 4)
    rows = table().append_column("label", pa.array(labels))
    own = collect(rows, target="label")
    assert own.schema.target is not None and own.schema.target.name == "label"
    assert "label" not in {column.name for column in own.schema.columns}
    assert sum(part.num_rows for part in own.splits) == ROWS == own.read
    assert not own.skipped_rows


def test_changing_test_rows_changes_no_bit_of_the_layout():
    rows = table().append_column("part", pa.array((["train"] * 8 + ["validation", "test"]) * (ROWS // 10)))
    wild = clean(table(seed=1), MISSING)
    changed = pa.concat_tables([rows.filter(pa.array([part != "test" for part in rows["part"].to_pylist()]))])
    test_rows = wild.slice(0, 20).append_column("part", pa.array(["test"] * 20))
    settings = {"split": {"kind": "column", "name": "part"}}
    one, other = (collect(t, **settings) for t in (rows, pa.concat_tables([changed, test_rows])))
    assert row_layout.fit(one.splits.train, one.schema) == row_layout.fit(other.splits.train, other.schema)
