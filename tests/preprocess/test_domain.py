"""What a form says of the cells of a column: coarse ends, values that many rows share, and nothing of a single row."""

import numpy as np
import pyarrow as pa
import pytest

from lamina import preprocess
from lamina.preprocess import Domain, Preprocessor
from lamina.schema import MISSING, clean


def fitted(table: pa.Table) -> Preprocessor:
    schema = preprocess.infer(table, None, {}, MISSING)
    return preprocess.fit(clean(table, MISSING), schema)


def of(cells: list, **more: list) -> Domain:
    return fitted(pa.table({"x": cells, **more})).domain("x")


def test_a_number_lies_between_coarse_ends_about_its_median():
    numbers = np.random.default_rng(0).normal(100, 20, 500).tolist()
    domain = of(numbers)
    assert domain.sort == "number"
    assert min(numbers) * 0.9 < domain.low < domain.middle < domain.high < max(numbers) * 1.1
    assert not {domain.low, domain.middle, domain.high} & set(numbers)


def test_ends_of_numbers_far_away_are_numbers():
    domain = of([0.0, 1.0, 2.0, 3.0, 1e300, -1e300] * 10)
    assert np.isfinite([domain.low, domain.middle, domain.high]).all()


def test_a_choice_has_the_values_that_many_rows_have_and_no_rare_one():
    domain = of(["red"] * 20 + ["blue"] * 20 + ["mauve"])
    assert (domain.sort, set(domain.values)) == ("choice", {"red", "blue"})


def test_labels_are_choices():
    domain = of([["sweet", "sour"], ["sour"], ["bitter", "sweet"]] * 20)
    assert (domain.sort, set(domain.values)) == ("choices", {"sweet", "sour", "bitter"})


@pytest.mark.parametrize("cells", [["yes", "no"] * 20, [True, False] * 20])
def test_yes_and_no_are_boolean(cells):
    assert of(cells).sort == "boolean"


def test_days_are_dates_in_iso_form_however_they_are_written():
    domain = of([f"{1 + i % 28:02d}.{1 + i % 12:02d}.20{10 + i % 9}" for i in range(100)])
    assert domain.sort == "date"
    assert "2009" <= domain.low < domain.middle < domain.high < "2020"


def test_times_with_hours_are_moments_in_iso_form():
    domain = of([f"2024-03-{1 + i % 28:02d} {i % 24:02d}:15:00" for i in range(100)])
    assert domain.sort == "datetime"
    assert domain.low.startswith("2024-0") and domain.middle[10] == "T"


def test_a_moment_in_iso_form_is_read_by_a_column_that_is_written_otherwise():
    prep = fitted(pa.table({"x": [f"{1 + i % 28:02d}.{1 + i % 12:02d}.20{10 + i % 9}" for i in range(100)]}))
    moment = prep.domain("x").middle
    (time,) = prep.parse(pa.table({"x": [moment]}))["x"].to_pylist()
    assert time.date().isoformat() == moment


def test_a_series_says_its_channels():
    cells = [[[float(i + row), 1.0, 2.0] for i in range(12)] for row in range(40)]
    domain = of(cells)
    assert (domain.sort, domain.channels, domain.channels_first) == ("series", 3, False)


def test_a_text_is_a_text():
    words = ["quick", "service", "line", "drops", "every", "evening", "refund", "never"]
    rng = np.random.default_rng(0)
    assert of([" ".join(rng.choice(words, 9)) for _ in range(80)]).sort == "text"
