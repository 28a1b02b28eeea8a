"""Files of arrays and long tables that cannot be what they should be: a sentence that says why."""

import numpy as np
import pytest

from lamina import data
from lamina.config import DataError
from lamina.data import arrays, long, npz
from lamina.preprocess import image

IMAGES = np.zeros((6, 4, 4), np.uint8)
LABELS = np.arange(6) % 2

ARRAYS = {
    "another number of labels": ({"x": IMAGES, "y": LABELS[:5]}, "x has 6 rows but 5 labels"),
    "no pair": ({"images": IMAGES}, "holds images; wanted x and y"),
    "no rows": ({"x": IMAGES[:0], "y": LABELS[:0]}, "x holds no rows"),
    "parts of other shapes": (
        {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :3], "y_test": LABELS},
        r"rows of different shapes, \(4, 4\) and \(3, 4\)",
    ),
    "words": ({"x": np.array([["a", "b"]] * 6), "y": LABELS}, "holds no numbers"),
    "five axes": ({"x": IMAGES[:, None, None], "y": LABELS}, "neither images nor rows"),
    "seven colours": ({"x": np.zeros((6, 7, 9, 7), np.uint8), "y": LABELS}, "neither images nor rows"),
    "pixels that are no numbers": ({"x": IMAGES + np.inf, "y": LABELS}, "must hold finite numbers"),
    "labels by halves": ({"x": IMAGES, "y": np.full((6, 2), 0.5)}, "neither one label per row nor one column"),
    "labels that are tables": ({"x": IMAGES, "y": np.ones((6, 2, 2))}, "is not one label per row"),
}
HEAD = "machine,at,volts,state\n"
SWAPPED = np.arange(24, dtype=">f8").reshape(6, 4)
LONG = {
    "no series column": (HEAD + "a,1,2,x\n", {"series": "engine"}, "data.series: there is no column 'engine'"),
    "no time column": (HEAD + "a,1,2,x\n", {"time": "when"}, "data.time: there is no column 'when'"),
    "nothing varies": (HEAD + "a,1,2,x\nb,1,3,y\n", {"time": "at"}, "no column of numbers changes within a series"),
    "no series of use": (
        HEAD + "a,soon,2,x\na,later,3,x\n",
        {"time": "at", "values": ("volts",)},
        "no series can be used; the first was skipped because its time 'soon' cannot be read",
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_make_no_rows_are_refused_with_the_reason(name, tmp_path):
    content, sentence = ARRAYS[name]
    np.savez(tmp_path / "some.npz", **content)
    with pytest.raises(DataError, match=sentence):
        data.load(npz.Config(path=str(tmp_path / "some.npz")))


def test_colours_that_come_first_are_put_right_with_a_note_and_pixels_in_shares_are_learned_from(tmp_path):
    shares = np.linspace(0, 1, 6 * 3 * 4 * 5).reshape(6, 3, 4, 5)
    np.savez(tmp_path / "some.npz", x=shares, y=np.eye(2)[LABELS])
    collected = data.load(npz.Config(path=str(tmp_path / "some.npz")))
    assert "colours first (3, 4, 5); they were put last" in " ".join(collected.notes)
    cells = collected.table["image"].combine_chunks()
    assert "0 is black and 1 is white" in image.describe(cells, image.Config())
    values = image.parse(cells, image.Config())
    pixels = image.encode(values, image.fit(values, image.Config()))
    assert np.array_equal(pixels, np.rint(shares.transpose(0, 2, 3, 1).astype(np.float32) * 255).astype(np.uint8))


def test_numbers_in_the_byte_order_of_another_machine_are_the_same_numbers(tmp_path):
    np.savez(tmp_path / "some.npz", x=SWAPPED, y=LABELS.astype(">i4"))
    table = data.load(npz.Config(path=str(tmp_path / "some.npz"))).table
    assert table["x1"].to_pylist() == SWAPPED[:, 1].tolist() and table["label"].to_pylist() == LABELS.tolist()
    for rows in ({"a": SWAPPED[:, 0], "b": SWAPPED}, SWAPPED):
        assert arrays.table(rows).columns[0].to_pylist() == SWAPPED[:, 0].tolist()


@pytest.mark.parametrize("name", LONG)
def test_long_tables_that_make_no_series_are_refused_with_the_reason(name, tmp_path):
    text, settings, sentence = LONG[name]
    path = tmp_path / "log.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=sentence):
        data.load(long.Config(**{"path": str(path), "series": "machine", **settings}))


def test_a_series_whose_day_no_calendar_has_is_skipped_and_the_others_stay(tmp_path):
    rows = [f"{name},2024-02-{day},{day * place},{name}" for place, name in enumerate("abc", 1) for day in (27, 28, 29)]
    path = tmp_path / "log.csv"
    path.write_text(HEAD + "\n".join([*rows, "c,2024-02-30,1,c", ",2024-02-27,1,", "d,2024-02-27,1,d"]) + "\n", "utf-8")
    collected = data.load(long.Config(path=str(path), series="machine", time="at", values=("volts",)))
    assert collected.table["machine"].to_pylist() == ["a", "b", "d"]
    reasons = {q.line: q.reason for q in collected.skipped_rows}
    assert reasons[8] == "its time '2024-02-30' cannot be read"
    assert "does not say which series these rows belong to" in reasons[12]


def test_states_that_are_true_or_false_are_a_channel_too(tmp_path):
    rows = [f"{name},{step},{step * 1.5},{str(step % 2 == 0).lower()}" for name in "ab" for step in range(4)]
    path = tmp_path / "log.csv"
    path.write_text(HEAD + "\n".join(rows) + "\n", "utf-8")
    collected = data.load(long.Config(path=str(path), series="machine", time="at"))
    assert collected.table.num_rows == 2 and "volts" in collected.notes[0]
