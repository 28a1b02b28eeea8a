"""What people hand to `predict` in Python gets an answer for each row or a sentence, and never a raw error."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from PIL import Image

import lamina

BUNDLES = Path(__file__).parent.parent / "bundles"
AREAS = [80.0, 100.0, 120.0]
PREDICT = ("classification", "multilabel", "regression")
PIXELS = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def houses():
    return lamina.load(BUNDLES / "regression_fnn.lamina")


@pytest.fixture(scope="module")
def images():
    return lamina.load(BUNDLES / "classification_pretrained.lamina")


def prices(model, areas):
    return [row["prediction"] for row in model.predict([{"area": area} for area in areas])]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_no_rows_have_no_answers_whatever_the_network():
    """In a process of its own: a recurrent graph of ONNX Runtime ended it."""
    paths = [path for path in sorted(BUNDLES.glob("*.lamina")) if path.stem.startswith(PREDICT)]
    code = (
        "import sys, numpy as np, pandas as pd, lamina\nfor path in sys.argv[1:]:\n"
        "    model = lamina.load(path)\n    print(model.predict([]), len(model.predict(pd.DataFrame())))"
    )
    call = [sys.executable, "-c", code, *paths]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[] 0\n" * len(paths))


@pytest.mark.parametrize(
    "rows", [np.zeros((3, 0)), pd.DataFrame(index=range(3)), [{}, {}], pa.table({"a": [1]}).select([])]
)
def test_rows_without_a_column_are_a_sentence(houses, rows):
    with pytest.raises(lamina.DataError, match=r"not one of the columns is known .got none.*trained on area, rooms"):
        houses.predict(rows)


@pytest.mark.parametrize(
    "areas",
    [
        np.array(AREAS, ">f8"),
        np.array(AREAS, np.float16),
        np.array(AREAS, np.longdouble),
        np.array(AREAS, object),
        torch.tensor(AREAS),
        torch.tensor(AREAS, requires_grad=True),
        torch.tensor(AREAS, dtype=torch.bfloat16),
        list(torch.tensor(AREAS, requires_grad=True)),
        [np.array(area) for area in AREAS],
        pd.Series(AREAS, index=[7, 7, 9], dtype="Float64"),
        pl.Series(AREAS),
        pa.chunked_array([AREAS[:1], AREAS[1:]]),
        range(80, 121, 20),
        tuple(map(str, AREAS)),
    ],
    ids=lambda areas: f"{type(areas).__name__}-{getattr(areas, 'dtype', '')}",
)
def test_the_same_numbers_in_any_container_have_the_same_answers(houses, areas):
    assert houses.predict({"area": areas})["prediction"] == pytest.approx(prices(houses, AREAS))


def test_masked_cells_are_missing(houses):
    absent = prices(houses, [80.0, None, 120.0])
    for values in (np.array(AREAS), np.array(AREAS, int), np.array(list(map(str, AREAS)))):
        masked = np.ma.array(values, mask=[False, True, False])
        assert houses.predict({"area": masked})["prediction"] == pytest.approx(absent)
    assert prices(houses, [80.0, np.ma.masked, 120.0]) == pytest.approx(absent)


@pytest.mark.parametrize(
    "rows",
    [
        None,
        5,
        iter([{"area": 1}]),
        [None],
        [[1, 2]],
        {1, 2},
        np.array(3.0),
        np.zeros(4),
        np.zeros((2, 3, 4)),
        np.zeros((0, 1)),
        np.zeros((0, 8, 8), np.uint8),
        torch.zeros(2, 3, requires_grad=True),
        pl.LazyFrame({"area": AREAS}),
        {"area": [1.0, 2.0], "rooms": [1]},
        io.BytesIO(b"area\n1"),
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_what_is_no_table_is_a_sentence_with_the_cure(houses, rows):
    with pytest.raises(lamina.DataError, match=r"^(data|rows)[.:].*(Give|Wrap|Reshape|trained on)"):
        houses.predict(rows)


def test_one_row_gets_one_answer_and_the_path_of_a_file_a_frame(houses, tmp_path, monkeypatch):
    (price,) = prices(houses, [80.0])
    for row in ({"area": 80.0}, pd.Series({"area": 80.0})):
        assert houses.predict(row)["prediction"] == pytest.approx(price)
    monkeypatch.chdir(tmp_path)
    for path in ("rows.csv", Path("rows.csv")):
        with pytest.raises(lamina.DataError, match=r"^rows\.csv: there is no such file"):
            houses.predict(path)
    Path("rows.csv").write_text("area\n80\n")
    assert list(houses.predict("rows.csv")["prediction"]) == [pytest.approx(price)]


def test_a_file_that_is_open_or_closed_is_a_sentence(houses, tmp_path):
    (tmp_path / "rows.csv").write_text("area\n1\n")
    with open(tmp_path / "rows.csv") as file, pytest.raises(lamina.DataError, match="cannot read 'TextIOWrapper'"):
        houses.predict(file)
    with pytest.raises(lamina.DataError, match="cannot read 'TextIOWrapper'"):
        houses.predict(file)


def test_one_image_in_any_form_is_one_answer(images, tmp_path):
    (tmp_path / "a.png").write_bytes(png(PIXELS))
    forms = [
        PIXELS, Image.fromarray(PIXELS), png(PIXELS), bytearray(png(PIXELS)), str(tmp_path / "a.png"),
        tmp_path / "a.png", [PIXELS], np.array([png(PIXELS)], dtype=object), {"picture": [PIXELS]},
    ]  # fmt: skip
    for form in forms:
        answers = images.predict(form)
        labels = answers["prediction"] if isinstance(answers, dict) else [row["prediction"] for row in answers]
        assert len(labels) == 1


def test_one_row_with_an_image_gets_one_answer(images):
    answer = images.predict({"picture": Image.fromarray(PIXELS)})
    assert answer["prediction"] == images.predict([PIXELS])[0]["prediction"]


def test_pixels_in_the_byte_order_of_another_machine_are_the_same_image(images):
    deep = PIXELS.astype(np.uint16) * 257
    native, foreign = images.predict(deep), images.predict(deep.astype(">u2"))
    assert len(foreign["prediction"]) == 1
    assert foreign["probabilities.up"] == pytest.approx(native["probabilities.up"])


@pytest.mark.parametrize(
    "image",
    [
        PIXELS / 255,
        PIXELS.astype(np.int64),
        PIXELS.tolist(),
        np.ma.array(PIXELS, mask=PIXELS > 9),
        PIXELS[None, None],
        [np.zeros((0, 0, 3), np.uint8)],
        [torch.tensor(PIXELS)],
        torch.zeros(3, 24, 24, requires_grad=True),
        [io.BytesIO(png(PIXELS))],
        "nowhere.png",
        [png(PIXELS)[:60]],
        [{"picture": "a.png", "other": 1}, 5],
    ],
    ids=lambda image: type(image).__name__,
)
def test_what_is_no_image_is_a_sentence(images, image):
    with pytest.raises(lamina.DataError, match=r"^(data|rows)[.:[]"):
        images.predict(image)
