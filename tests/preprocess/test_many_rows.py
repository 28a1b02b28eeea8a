"""Many rows are read by their distinct cells, and mean what they mean one by one."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lamina import preprocess
from lamina.deploy.cell_notes import CellNotes
from lamina.preprocess import Preprocessor
from lamina.schema import MISSING, Column, Schema, clean

MANY = 20_000
WORDS: dict[str, list[Any]] = {
    "plan": ["basic", " plus", "Basic", "plus ", "NA", "", None, "gold", "3.0", "3"],
    "active": ["yes", "no", "maybe", "TRUE", "", None],
    "months": ["1", "1,234", "-2e3", "$5", "n/a", "none", "two", None, "1e999", " 7 "],
    "day": ["2024-01-31", "2024-02-30", "2024-03-01 12:30", "soon", "", None],
    "tags": ["red|blue", "blue", "", None, "green|red"],
}
KINDS = {"plan": "category", "active": "boolean", "months": "number", "day": "time", "tags": "labels"}


def rows(count: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns = {name: [words[i] for i in rng.integers(0, len(words), count)] for name, words in WORDS.items()}
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})


@pytest.fixture(scope="module")
def prep() -> Preprocessor:
    columns = tuple(Column(name=name, kind=kind) for name, kind in KINDS.items())
    schema = Schema(columns=columns, missing=MISSING, literal=("plan",))
    return preprocess.fit(clean(rows(500), schema.missing, schema.literal), schema)


def test_inputs_of_many_rows_are_those_of_each(prep):
    table = rows(MANY, seed=1)
    many = prep.encode(prep.read(table))
    few = [prep.encode(prep.read(table.slice(start, 100))) for start in range(0, MANY, 100)]
    cleaned = prep.encode(clean(table, prep.schema.missing, prep.schema.literal))
    for name, values in many.items():
        np.testing.assert_array_equal(values, np.concatenate([part[name] for part in few]))
        np.testing.assert_array_equal(values, cleaned[name])
        assert values.dtype == cleaned[name].dtype


def test_a_column_of_different_texts_and_one_that_is_not_there(prep):
    numbers = pa.array([f"{i / 7:.6f}" for i in range(MANY)])
    table = rows(MANY).drop_columns(["tags", "months"]).append_column("months", numbers)
    cleaned = prep.encode(clean(table, prep.schema.missing, prep.schema.literal))
    for name, values in prep.encode(prep.read(table)).items():
        np.testing.assert_array_equal(values, cleaned[name])


def test_notes_count_all_cells_and_quote_the_first(prep):
    table = rows(MANY, seed=2)
    many, few = CellNotes(prep), CellNotes(prep)
    for start in range(0, MANY, MANY // 2):
        many.add(table.slice(start, MANY // 2))
    for start in range(0, MANY, 50):
        few.add(table.slice(start, 50))
    assert any("'months' in row" in note and "is not a number" in note for note in many.sentences)
    assert sorted(note.partition("; ")[0] for note in many.sentences) == sorted(
        note.partition("; ")[0] for note in few.sentences
    )
    odd = sum(cell in ("two", "1e999") for cell in table["months"].to_pylist())
    assert any(f"{odd - 1:,} more cells" in note for note in many.sentences)
