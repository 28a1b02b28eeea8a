"""Splitting: every row in one part, the same parts for the same rows and seed."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from lamina.config import DataError
from lamina.data._splits import Auto, ByColumn, ByGroup, Random, Split, Stratified, split


def numbered(target) -> pa.Table:
    return pa.table({"row": list(range(len(target))), "y": list(target)})


def rows(parts) -> list[list[int]]:
    return [part["row"].to_pylist() for part in parts]


@settings(max_examples=100, deadline=None)
@given(
    target=st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=10, max_size=200),
    cfg=st.sampled_from([Auto(), Random(), Auto(validation=0.3, test=0.01), Random(validation=0.05, test=0.9)]),
    seed=st.integers(0, 2**32),
)
def test_every_row_is_in_one_part_and_each_part_keeps_the_order(target, cfg, seed):
    try:
        parts = rows(split(numbered(target), cfg, "y", seed))
    except DataError as fault:
        assert "no row is left" in str(fault)
        return
    assert sorted(row for part in parts for row in part) == list(range(len(target)))
    assert all(part == sorted(part) for part in parts)


def test_the_same_seed_gives_the_same_parts_and_another_seed_others():
    table = numbered("ab" * 100)
    assert rows(split(table, Auto(), "y", 3)) == rows(split(table, Auto(), "y", 3))
    assert rows(split(table, Auto(), "y", 3)) != rows(split(table, Auto(), "y", 4))


def test_the_parts_have_the_sizes_asked_for():
    for cfg in (Random(validation=0.2, test=0.1), Stratified(validation=0.2, test=0.1)):
        assert [part.num_rows for part in split(numbered("ab" * 500), cfg, "y", 0)] == [700, 200, 100]


def test_a_stratified_split_keeps_the_share_of_each_class():
    target = ["rare"] * 40 + ["common"] * 960
    for seed in range(5):
        for part in split(numbered(target), Stratified(), "y", seed):
            assert part["y"].to_pylist().count("rare") == pytest.approx(0.04 * part.num_rows, abs=1.01)


def test_a_class_with_one_row_goes_to_train():
    for seed in range(20):
        parts = split(numbered(["only"] + ["a", "b"] * 30), Stratified(), "y", seed)
        assert "only" in parts.train["y"].to_pylist()


def test_rows_of_a_small_class_have_equal_chances_to_be_tested():
    target = ["rare", "rare"] + ["a"] * 98
    test_rows = sum(
        "rare" in split(numbered(target), Stratified(), "y", seed).test["y"].to_pylist() for seed in range(300)
    )
    assert 40 < test_rows < 140  # one of the two stays in train; the other stands at a uniform place in its half


def test_auto_is_stratified_for_few_classes_and_random_for_numbers():
    few, many, single = numbered([0, 1] * 200), numbered(range(400)), numbered(["only"] + ["a"] * 199)
    assert rows(split(few, Auto(), "y", 0)) == rows(split(few, Stratified(), "y", 0))
    assert rows(split(many, Auto(), "y", 0)) == rows(split(many, Random(), "y", 0))
    assert rows(split(single, Auto(), "y", 0)) == rows(split(single, Random(), "y", 0))
    assert rows(split(many, Auto(), None, 0)) == rows(split(many, Random(), None, 0))
    lists = pa.table({"row": range(20), "y": [[1.0]] * 20})
    assert split(lists, Auto(), "y", 0).train.num_rows == 14


def test_rows_without_a_target_do_not_stop_a_split():
    parts = split(numbered([None] * 5 + ["a", "b"] * 20), Auto(), "y", 0)
    assert sum(part.num_rows for part in parts) == 45


def test_a_separate_test_table_leaves_all_rows_to_train_and_validation():
    other = numbered("ab")
    parts = split(numbered("ab" * 50), Auto(), "y", 0, test=other)
    assert parts.test is other
    assert [part.num_rows for part in parts] == [85, 15, 2]


def test_validation_is_at_most_fifty_thousand_rows():
    table = pa.table({"y": np.zeros(400_000)})
    assert [part.num_rows for part in split(table, Random(), None, 0)] == [290_000, 50_000, 60_000]


def test_a_column_can_say_the_part():
    words = ["Train", "train ", "VAL", "val", "Test", "train"] * 2
    table = pa.table({"row": list(range(12)), "part": words})
    parts = split(table, ByColumn(name="part", validation="val"), None, 0)
    assert rows(parts) == [[0, 1, 5, 6, 7, 11], [2, 3, 8, 9], [4, 10]]
    assert parts.train.column_names == ["row"]


def test_a_column_without_validation_has_it_taken_from_train():
    table = pa.table({"row": list(range(50)), "part": ["train"] * 40 + ["test"] * 10})
    parts = split(table, ByColumn(name="part"), None, 0)
    assert [part.num_rows for part in parts] == [34, 6, 10]
    assert rows(parts)[2] == list(range(40, 50))


def test_a_column_without_test_takes_a_separate_table_without_its_part_column():
    table = pa.table({"row": list(range(20)), "part": ["train"] * 20})
    other = pa.table({"row": [99], "part": ["test"]})
    assert split(table, ByColumn(name="part"), None, 0, test=other).test.column_names == ["row"]
    with pytest.raises(DataError, match="no row is left for test"):
        split(table, ByColumn(name="part"), None, 0)
    with pytest.raises(DataError, match="Keep one"):
        split(table.set_column(1, "part", [["test"] * 20]), ByColumn(name="part"), None, 0, test=other)


def test_other_values_of_the_part_column_are_listed():
    table = pa.table({"part": ["train"] * 9 + ["holdout", None]})
    with pytest.raises(DataError, match=r"\(got '', 'holdout'\)"):
        split(table, ByColumn(name="part"), None, 0)


def test_what_cannot_be_split_is_refused_with_a_sentence():
    table = numbered("ab" * 20)
    for args, sentence in (
        ((numbered("ababababa"), Auto(), "y", 0), r"at least 10 rows \(got 9\)"),
        ((table, Auto(), "z", 0), "target: there is no column 'z'"),
        ((table, ByColumn(name="prat"), "y", 0), "split.name: there is no column 'prat'"),
        ((table, Stratified(), None, 0), "stratified needs a target"),
        ((numbered(range(40)), Stratified(), "y", 0), "no row is left for validation and test"),
    ):
        with pytest.raises(DataError, match=sentence):
            split(*args)


def test_fractions_are_checked_and_the_choice_is_made_by_kind():
    choice = TypeAdapter(Split)
    assert choice.validate_json('{"kind": "stratified", "test": 0.2}') == Stratified(test=0.2)
    assert choice.validate_json('{"kind": "column", "name": "part"}') == ByColumn(name="part")
    for wrong in (
        '{"kind": "auto", "test": 0.0}',
        '{"kind": "random", "validation": 1.0}',
        '{"kind": "random", "validation": 0.5, "test": 0.5}',
        '{"kind": "column", "name": "part", "train": "TEST"}',
        '{"kind": "else"}',
    ):
        with pytest.raises(ValidationError):
            choice.validate_json(wrong)


def people(sizes) -> pa.Table:
    """Rows of as many people as there are sizes, shuffled."""
    who = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return pa.table({"row": range(len(who)), "person": [f"p{one}" for one in who], "y": who % 2})


def groups_of(table: pa.Table, parts) -> list[set]:
    return [set(table["person"].take(part["row"]).to_pylist()) for part in parts]


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=10, max_size=60),
    cfg=st.sampled_from([ByGroup(column="person"), ByGroup(column="person", validation=0.3, test=0.4)]),
    seed=st.integers(0, 2**32),
)
def test_no_group_is_in_two_parts_and_every_row_is_in_one(sizes, cfg, seed):
    table = people(sizes)
    parts = split(table, cfg, "y", seed)
    assert sorted(row for part in rows(parts) for row in part) == list(range(table.num_rows))
    train, validation, test = groups_of(table, parts)
    assert not train & validation and not train & test and not validation & test
    for part, share in ((parts.test, cfg.test), (parts.validation, cfg.validation)):
        assert abs(part.num_rows - share * table.num_rows) <= max(sizes)


def test_parts_of_even_groups_have_the_shares_asked_for():
    parts = split(people([5] * 40), ByGroup(column="person", validation=0.1, test=0.2), "y", 1)
    assert [part.num_rows for part in parts] == [140, 20, 40]


def test_a_group_too_large_for_a_small_part_goes_to_train():
    table = people([500, *[10] * 50])
    for seed in range(10):
        parts = split(table, ByGroup(column="person"), "y", seed)
        assert "p0" in groups_of(table, parts)[0]
        assert [part.num_rows for part in parts] == [700, 150, 150]


def test_three_groups_are_one_for_each_part_and_two_are_too_few():
    for seed in range(10):
        assert all(part.num_rows for part in split(people([4, 4, 4]), ByGroup(column="person"), "y", seed))
    with pytest.raises(DataError, match=r"split\.column: 'person' has 2 groups; at least 3"):
        split(people([6, 6]), ByGroup(column="person"), "y", 0)
    later = people([6, 6])
    parts = split(people([6, 6]), ByGroup(column="person"), "y", 0, later)
    assert [part.num_rows for part in parts] == [6, 6, 12]


def test_the_column_of_the_groups_is_not_learned_from_unless_it_is_the_target():
    table = people([5] * 20)
    assert split(table, ByGroup(column="person"), "y", 0).train.column_names == ["row", "y"]
    assert "person" in split(table, ByGroup(column="person"), "person", 0).train.column_names
    assert "person" not in split(table, ByGroup(column="person"), "y", 0, table).test.column_names


def test_rows_without_a_group_are_one_group():
    table = people([5] * 20)
    names = [None if who == "p3" else who for who in table["person"].to_pylist()]
    table = table.set_column(1, "person", pa.array(names))
    for seed in range(10):
        assert sum(None in who for who in groups_of(table, split(table, ByGroup(column="person"), "y", seed))) == 1


def test_a_group_column_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"no column 'persona'\. Did you mean 'person'"):
        split(people([5] * 20), ByGroup(column="persona"), "y", 0)
    lists = pa.table({"row": range(20), "y": [[1.0]] * 20})
    with pytest.raises(DataError, match="one value per row"):
        split(lists, ByGroup(column="y"), None, 0)
