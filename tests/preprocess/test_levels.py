"""What pixels mean beyond 8 bits and without a ground: the same by every door, kept in the state, said."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import lamina
from lamina.config import parse
from lamina.preprocess import image
from service_tools import ask, command

cv2 = pytest.importorskip("cv2", reason="needs lamina[images]")
Image = pytest.importorskip("PIL.Image", reason="some images are things of Pillow")

SIDE = 8
QUICK = {"model": {"kind": "fnn", "width": 8}, "train": {"epochs": 30, "threads": 1}}


def depth(number: int, which: int) -> np.ndarray:
    """Millimetres, near or far."""
    rng = np.random.default_rng(number)
    return (rng.integers(0, 150, (SIDE, SIDE)) + 300 + 200 * which).astype(np.uint16)


def encoded(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def read(cells: list, cfg: image.Config | None = None) -> np.ndarray:
    values = image.parse(pa.array(cells), cfg or image.Config())
    return image.encode(values, image.fit(values, cfg or image.Config()))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> lamina.Estimator:
    rows = [{"image": encoded(depth(i, i % 2)), "label": "far" if i % 2 else "near"} for i in range(40)]
    return lamina.fit(rows, "label", recipe=QUICK, out=tmp_path_factory.mktemp("runs") / "depth")


def test_a_deep_image_is_answered_the_same_as_a_file_bytes_an_array_a_thing_of_pillow_and_over_http(model, tmp_path):
    pixels = depth(100, 1)
    (tmp_path / "far.png").write_bytes(encoded(pixels))
    forms = [tmp_path / "far.png", encoded(pixels), encoded(pixels, ".tif"), pixels, Image.fromarray(pixels)]
    answers = [model.predict([form])[0] for form in forms]
    reply = ask(model, "POST", "/predict", content=encoded(pixels), headers={"Content-Type": "image/png"})
    probabilities = [answer["probabilities"]["far"] for answer in (*answers, reply.json()["predictions"][0])]
    assert answers[0]["prediction"] == "far"
    assert np.ptp(probabilities) < 1e-6


@pytest.mark.parametrize("form", ["grey arrays of a column that is said to be images", "arrays with colours", "pillow"])
def test_deep_images_in_memory_are_learned_from(form, tmp_path):
    x, recipe = np.stack([depth(i, i % 2) for i in range(24)]), dict(QUICK)
    cells = x[..., None].repeat(3, 3) if "colours" in form else list(x)
    if "pillow" in form:
        cells = [Image.fromarray(one) for one in x]
    if "said" in form:
        recipe["columns"] = {"scan": "image"}
    fresh = lamina.fit({"scan": cells, "label": ["near", "far"] * 12}, "label", recipe=recipe, out=tmp_path / "run")
    assert fresh.predictor.prep.states[0].levels["unsigned"][0] == 300
    assert fresh.predict({"scan": cells[:2]})["prediction"] == ["near", "far"]


def test_the_levels_are_in_the_bundle_and_a_brighter_image_does_not_change_them(model):
    (state,) = model.predictor.prep.states
    assert state.levels == {"unsigned": (300.0, 649.0)}
    far = depth(7, 1)
    lone, other = model.predict([far]), model.predict([far, np.full_like(far, 65535)])
    assert lone[0] == other[0]


def test_a_state_without_levels_reads_as_older_bundles_did():
    values = image.parse(pa.array([encoded(np.full((2, 2), 5000, np.uint16))]), image.Config())
    old = {"height": 2, "width": 2, "channels": 1, "fit": "letterbox", "max_pixels": 100, "mean": [0.5], "std": [0.2]}
    faults: list[str] = []
    state = parse(image.State, old, "state", faults)
    assert state is not None, faults
    assert (image.encode(values, state) == 5000 >> 8).all()
    white = np.full((2, 2, 4), 255, np.uint8)
    white[:, :, 3] = 0
    assert (image.encode(image.parse(pa.array([encoded(white)]), image.Config()), state) == 255).all()


def test_numbers_that_are_all_the_same_or_are_none_are_images():
    assert (read([encoded(np.full((4, 4), 700, np.uint16))] * 3) == 700 >> 8).all()
    gaps = np.linspace(1, 2, 16, dtype=np.float32).reshape(4, 4)
    gaps[0, 0], gaps[1, 1] = np.nan, np.inf
    pixels = read([encoded(gaps, ".tiff")] * 3)
    assert pixels[0, 3, 3, 0] == 255
    assert pixels[0, 0, 0, 0] == pixels[0, 1, 1, 0] == 0


def test_sorts_of_numbers_have_levels_of_their_own_and_eight_bits_stay_what_they_are():
    deep = [depth(i, i % 2) for i in range(6)]
    cells = [encoded(one) for one in deep] + [encoded((one / 1e4).astype(np.float32), ".tiff") for one in deep]
    pixels = read([*cells, encoded(np.full((SIDE, SIDE), 77, np.uint8))])
    assert np.abs(pixels[:6].astype(int) - pixels[6:12]).max() <= 1
    assert (pixels[12] == 77).all()


def test_levels_that_are_no_range_are_a_sentence():
    faults: list[str] = []
    assert parse(image.Config, {"levels": [5, 5]}, "columns.image", faults) is None
    assert "of which the second is greater" in faults[0]


def test_files_decide_what_is_a_copy_and_not_what_reading_made_of_them(tmp_path):
    """All scenes are the same at 8 x 8 pixels; one test file is a copy of a training file."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 6)):
        for label, grey in (("a", 90), ("b", 160)):
            for i in range(count):
                flat = np.full((64, 64), grey, np.int16)
                flat[:32] += 20
                noise = rng.integers(-40, 41, (64, 32)).repeat(2, 1)
                noise[:, 1::2] *= -1  # which averaging takes away
                file = tmp_path / "set" / part / label / f"{i}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(encoded((flat + noise).astype(np.uint8)))
    copy = tmp_path / "set/test/a/0.png"
    copy.write_bytes((tmp_path / "set/train/a/3.png").read_bytes())
    sets = ["model={kind: fnn, width: 8}", "train.epochs=1", "columns.image={kind: image, size: 8}"]
    words = [word for one in sets for word in ("--set", one)]
    code, _, error = command("train", tmp_path / "set", "--out", tmp_path / "run", "--json", *words)
    assert code == 0, error
    copies = json.loads((tmp_path / "run/report.json").read_text())["images"]["duplicates"]
    assert [(pair["row"], pair["exact"]) for pair in copies["pairs"] if pair["part"] == "test"] == [(0, True)]


@pytest.mark.parametrize("kind", ["folder", "npz", "classes"])
def test_test_rows_stand_apart_in_every_source(kind, tmp_path):
    for part, count in (("first", 12), ("second", 5)):
        x = np.stack([depth(i, i % 2) for i in range(2 * count)])
        np.savez(tmp_path / f"{part}.npz", x=x, y=np.array(["near", "far"])[np.arange(2 * count) % 2])
        for i, pixels in enumerate(x):
            file: Path = tmp_path / part / ("far" if i % 2 else "near") / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded(pixels))
    suffix = ".npz" if kind == "npz" else ""
    source = [tmp_path / f"first{suffix}"]
    if kind == "classes":
        source = [f"{name}={tmp_path / 'first' / name}" for name in ("near", "far")]
    sets = [word for one in ("model={kind: fnn, width: 8}", "train.epochs=1") for word in ("--set", one)]
    other = ["--test", tmp_path / f"second{suffix}", "--out", tmp_path / "run", "--json"]
    code, _, error = command("train", *source, *other, *sets)
    assert code == 0, error
    rows = json.loads((tmp_path / "run/report.json").read_text())["data"]["rows"]
    assert (rows["train"] + rows["validation"], rows["test"]) == (24, 10)


def test_test_images_without_a_class_are_a_sentence(tmp_path):
    for i in range(12):
        for folder in ("set/near", "set/far", "later"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / f"{i}.png").write_bytes(encoded(depth(i, i % 2)))
    words = ["train", tmp_path / "set", "--test", tmp_path / "later", "--out", tmp_path / "run"]
    code, _, error = command(*words)
    assert code == 1
    assert "the test rows have no column 'label'" in error
    assert "Images stand directly in" in " ".join(error.split())
