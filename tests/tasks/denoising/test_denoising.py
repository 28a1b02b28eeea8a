"""Noise taken off images, recordings and tables, by every door: Python, the terminal, files, HTTP."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import lamina
from lamina import models, pipeline
from lamina.config import DataError, Interrupted
from lamina.deploy.predictor import Predictor
from lamina.estimator import Estimator
from lamina.models import unet
from lamina.plugins import plugin
from lamina.recipe import build
from lamina.run import Run
from lamina.task import RequestLimits, TooMuch
from lamina.tasks.denoising import added_noise, image_files, tiling
from lamina.train import progress, settings
from lamina.train.fit import Hooks, fit
from lamina.train.settings import Examples
from service_tools import ask, command, path

SMALL: dict[str, Any] = {
    "task": "denoising",
    "seed": 1,
    "model": {"kind": "unet", "widths": [6, 6, 6], "patch": 16},
    "train": {"epochs": 2, "steps_per_epoch": 8, "batch_size": 8, "lr": 5e-3, "threads": 1},
}


def image(seed: int, height: int = 40, width: int = 48, channels: int = 1) -> np.ndarray:
    """Stripes and a disc, uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    angle, wave = rng.uniform(0, 3, channels), rng.uniform(4, 9, channels)
    out = 128 + 90 * np.sin((x[..., None] * np.cos(angle) + y[..., None] * np.sin(angle)) / wave)
    out[(x - width // 2) ** 2 + (y - height // 2) ** 2 < height] = rng.uniform(0, 255)
    return out.clip(0, 255).astype(np.uint8)


def with_noise(clean: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noisy = clean + sigma * np.random.default_rng(seed).standard_normal(clean.shape)
    return np.rint(noisy.clip(0, 255)).astype(np.uint8)


def folder(place: Path, count: int = 14, **sizes: int) -> Path:
    place.mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(place / f"{i:02d}.png"), image(i, 36 + i % 5, **sizes))
    return place


def trained(source: Path, out: Path, recipe: dict[str, Any]) -> lamina.Estimator:
    """A run from files."""
    folder = Run.create(out)
    with folder.locked():
        *_, last = pipeline.run(build({**recipe, "data": str(source)}), folder)
    return Estimator(Predictor(folder.bundle), last)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return folder(tmp_path_factory.mktemp("photos") / "clean")


@pytest.fixture(scope="module")
def grey(photos, tmp_path_factory) -> lamina.Estimator:
    return trained(photos, tmp_path_factory.mktemp("grey") / "run", SMALL)


def waves(steps: int, channels: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    along = np.arange(steps)[:, None]
    return 5 + 2 * np.sin(along / rng.uniform(4, 9, channels) + rng.uniform(0, 6, channels))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> lamina.Estimator:
    rows = {"signal": [waves(60 + i % 7, 2, i) for i in range(16)]}
    return lamina.fit(rows, recipe=SMALL, out=tmp_path_factory.mktemp("series") / "run")


@pytest.fixture(scope="module")
def sensor(tmp_path_factory) -> lamina.Estimator:
    values = waves(400, 2)
    rows = {"when": [f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00" for i in range(400)],
            "heat": values[:, 0], "flow": values[:, 1]}  # fmt: skip
    return lamina.fit(rows, recipe=SMALL, out=tmp_path_factory.mktemp("table") / "run")


# images


def test_noise_is_taken_off_and_compared_with_filters(grey):
    scores, rivals = grey.result["scores"], grey.result["baselines"]
    assert set(rivals) == {"non_local_means", "bilateral_filter", "median_filter", "gaussian_filter", "noisy"}
    assert scores["psnr"] > rivals["noisy"]["psnr"] + 0.2 and 0 < scores["ssim"] <= 1
    assert 18 < rivals["noisy"]["psnr"] < 21.5  # the mean of deviations 15, 25 and 50


def test_an_image_is_the_same_from_python_terminal_and_http(grey, tmp_path):
    noisy = with_noise(image(50), 25)
    file, body = tmp_path / "noisy.png", cv2.imencode(".png", noisy)[1].tobytes()
    file.write_bytes(body)
    (answer,) = grey.predict([noisy[:, :, 0]])
    assert answer.shape == noisy.shape[:2] and answer.dtype == np.uint8
    assert np.array_equal(grey.predict(str(file)), answer)
    code, *_ = command("predict", path(grey), file, "-o", tmp_path / "clean.png")
    assert not code and np.array_equal(cv2.imread(str(tmp_path / "clean.png"), cv2.IMREAD_UNCHANGED), answer)
    row = {"image": base64.b64encode(body).decode()}
    replies = [
        ask(grey, "POST", "/predict", json={"rows": [row]}),
        ask(grey, "POST", "/predict", files={"image": body}),
    ]
    for reply in replies:
        inner = base64.b64decode(reply.json()["predictions"][0]["image"])
        assert np.array_equal(cv2.imdecode(np.frombuffer(inner, np.uint8), -1), answer)
    raw = ask(grey, "POST", "/denoise", content=body, headers={"Content-Type": "image/png"})
    assert raw.headers["content-type"] == "image/png"
    assert np.array_equal(cv2.imdecode(np.frombuffer(raw.content, np.uint8), -1), answer)


def test_floats_keep_their_scale_and_twice_the_numbers_are_twice_the_answer(grey):
    noisy = added_noise.add(image(51)[:, :, 0] / np.float32(255), 0.2, 0)
    (answer,), (white,) = grey.predict([noisy]), grey.predict([noisy * np.float32(255)])
    assert answer.dtype == np.float32 and noisy.min() < 0
    assert np.abs(white / 255 - answer).max() < 1e-5
    assert np.abs(grey.predict([2 * noisy])[0] - 2 * answer).max() < 1e-5


@pytest.mark.parametrize("shape", [(700, 300), (256, 513)])
def test_tiles_say_what_the_whole_image_says(grey, shape):
    session = grey.predictor
    values = added_noise.add(image(1, *shape) / np.float32(255), 0.1, 0)
    whole = session.run({"image": values[None]})["restoration"][0]
    tiles = tiling.restore(session, values)
    assert np.abs(tiles - whole).max() < 1e-3
    assert np.abs(whole - values).max() > 1e-2


def test_the_mean_over_eight_views_turns_with_the_image(photos, tmp_path):
    views = {"task": {"kind": "denoising", "views": 8}}
    session = trained(
        photos, tmp_path / "run", SMALL | views | {"train": {"epochs": 1, "steps_per_epoch": 8}}
    ).predictor
    values = added_noise.add(image(1) / np.float32(255), 0.1, 0)
    answer = tiling.restore(session, values)
    for turned, back in ((values[::-1], answer[::-1]), (values.transpose(1, 0, 2), answer.transpose(1, 0, 2))):
        assert np.abs(tiling.restore(session, np.ascontiguousarray(turned)) - back).max() < 1e-5
    single = session.run({"image": values[None]})["restoration"][0]
    assert np.abs(single - answer).max() > 1e-4


def test_views_are_for_images(tmp_path):
    recipe = SMALL | {"task": {"kind": "denoising", "views": 8}}
    model = lamina.fit({"signal": [waves(60, 1, i) for i in range(12)]}, recipe=recipe, out=tmp_path / "run")
    assert "task.test_time_augmentation: is for images alone, and does nothing here." in model.result["notes"]


def test_files_keep_their_names_folders_depth_and_transparency(grey, tmp_path):
    noisy = tmp_path / "noisy"
    (noisy / "sub").mkdir(parents=True)
    colours = with_noise(image(1, channels=3), 20)
    deep = with_noise(image(2), 20).astype(np.uint16) * 257
    alpha = np.dstack([colours, np.full(colours.shape[:2], 77, np.uint8)])
    for name, pixels in {"a.png": with_noise(image(0), 20), "sub/a.png": colours, "deep.png": deep,
                        "glass.png": alpha, "b.jpg": colours}.items():  # fmt: skip
        cv2.imwrite(str(noisy / name), pixels)
    (noisy / "broken.png").write_bytes(b"no image at all, but text")
    before = {file: file.read_bytes() for file in noisy.rglob("*.*")}
    code, out, error = command("predict", path(grey), noisy, "-o", tmp_path / "clean")
    assert not code, error
    clean = tmp_path / "clean"
    files = {str(file.relative_to(clean)) for file in clean.rglob("*.*")}
    assert files == {"a.png", "sub/a.png", "deep.png", "glass.png", "b.png"}
    assert "b.jpg is b.png" in out and "broken.png" in out
    (skipped_rows,) = (tmp_path / "clean.skipped.jsonl").read_text().splitlines()
    assert "broken.png" in json.loads(skipped_rows)["file"]
    read = {name: cv2.imread(str(clean / name), cv2.IMREAD_UNCHANGED) for name in files}
    assert read["deep.png"].dtype == np.uint16 and read["deep.png"].shape == deep.shape[:2]
    assert np.array_equal(read["glass.png"][:, :, 3], alpha[:, :, 3]) and read["sub/a.png"].shape == colours.shape
    assert before == {file: file.read_bytes() for file in noisy.rglob("*.*")}


def test_nothing_is_replaced_without_a_word(grey, photos, tmp_path):
    place = tmp_path / "out"
    assert not command("predict", path(grey), photos, "-o", place)[0]
    before = (place / "00.png").read_bytes()
    for words, sentence in (
        ((photos, "-o", place), "is there already"),
        ((photos, "-o", photos, "--overwrite"), "which is to be read"),
        ((photos, "-o", tmp_path / "one.png"), "one file cannot hold 14 images"),
    ):
        code, _, error = command("predict", path(grey), *words)
        assert code and sentence in error
    assert (place / "00.png").read_bytes() == before and len(list(photos.iterdir())) == 14
    assert not command("predict", path(grey), photos, "-o", place, "--overwrite")[0]


def test_images_of_no_use_are_said_to_be(grey):
    reply = ask(grey, "POST", "/denoise", content=b"text, and no image", headers={"Content-Type": "image/png"})
    assert reply.status_code == 415 and "is text, not an image" in reply.text
    with pytest.raises(DataError, match=r"rows\[1\].image: is missing"):
        grey.predict([image(0)[:, :, 0], None])
    assert grey.predict([np.full((1, 1), 9, np.uint8)])[0].shape == (1, 1)
    even = np.full((30, 20), 60, np.uint8)
    assert np.abs(grey.predict([even])[0].astype(int) - 60).max() < 40
    with pytest.raises(TooMuch, match="Send less at a time"):
        grey.predictor.bounded(RequestLimits(seconds=1e-9)).predict([image(0, 600, 600)])


def test_a_bundle_is_a_graph_of_any_size_and_serves_without_torch(grey):
    code = (
        "import sys, numpy as np, lamina\n"
        "model = lamina.load(sys.argv[1])\n"
        "sizes = [(17, 40), (64, 33), (5, 5)]\n"
        "answers = model.predict([np.zeros(size, np.uint8) for size in sizes])\n"
        "assert [one.shape for one in answers] == sizes\n"
        "print(sorted({'torch', 'sklearn', 'skimage'} & set(sys.modules)))"
    )
    assert grey.predictor.bundle.model.runtime == "onnx"
    done = subprocess.run([sys.executable, "-c", code, path(grey)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_report_shows_before_and_after_and_stores_no_image(grey):
    page = Path(grey.result["report"]).read_text()
    stored = Path(grey.result["report"]).with_suffix(".json").read_text()
    assert 'id="before_after"' in page and page.count('class="sheet"') == 4
    levels = json.loads(stored)["levels"]
    assert list(levels) == ["15", "25", "50"] and levels["15"]["network"] > levels["50"]["network"]
    row = json.loads(stored)["example"]["answer"]
    assert "data:image" not in stored and len(row["image"]) < 500  # a tiny image that ships with the product


# pairs


def test_noisy_and_clean_images_of_one_name_are_pairs(photos, tmp_path):
    for i, file in enumerate(sorted(photos.iterdir())):
        clean = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        for name, image in (("clean", clean), ("noisy", with_noise(clean, 30, i))):
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "data" / name / file.name), image)
    cv2.imwrite(str(tmp_path / "data" / "noisy" / "lone.png"), clean)
    cv2.imwrite(str(tmp_path / "data" / "noisy" / "00.png"), clean[:20])
    model = trained(tmp_path / "data", tmp_path / "run", SMALL)
    assert model.predictor.task.state.sigma is None and model.result["skipped"] == 2
    assert any("those of the same name in clean/ are clean" in note for note in model.result["notes"])
    assert 17 < model.result["baselines"]["noisy"]["psnr"] < 20
    code, out, error = command("evaluate", path(model), tmp_path / "data")
    assert not code and "PSNR" in out, error
    table = tmp_path / "pairs.csv"
    rows = [f"data/noisy/{i:02d}.png,data/clean/{i:02d}.png" for i in range(1, 14)]
    table.write_text("\n".join(["shot,truth", *rows]))
    other = trained(table, tmp_path / "other", SMALL | {"target": "truth"})
    assert other.predictor.task.state.columns == ("shot",) and other.result["parts"]["train"] == 9
    wrong = SMALL | {"task": {"kind": "denoising", "clean": "pure"}}
    with pytest.raises(DataError, match="there is no folder 'pure'"):
        trained(tmp_path / "data", tmp_path / "wrong", wrong)


# few and odd


def test_one_image_is_learned_from_in_parts_and_a_tiny_one_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), image(0, 90, 70, 3))
    model = trained(tmp_path / "one.png", tmp_path / "run", SMALL)
    assert any("cut into parts" in note for note in model.result["notes"])
    assert model.predictor.task.state.channels == 3 and model.result["rows"] == 1
    assert model.predict(image(0)[:, :, 0]).shape == (40, 48)  # grey by a network of colours
    cv2.imwrite(str(tmp_path / "dot.png"), image(0, 1, 1))
    with pytest.raises(DataError, match="one of 1 x 1 is too small"):
        trained(tmp_path / "dot.png", tmp_path / "dot", SMALL)


def test_what_has_no_noise_to_take_off_is_refused(tmp_path):
    with pytest.raises(DataError, match="there are no images, series or numbers"):
        lamina.fit({"word": list("abcabcabcabc")}, recipe=SMALL, out=tmp_path / "run")
    pair = {"a": np.arange(50.0) % 7, "b": np.arange(50.0) % 5, "c": np.arange(50.0) % 3}
    with pytest.raises(DataError, match="several columns hold numbers"):
        lamina.fit(pair, target="c", recipe=SMALL, out=tmp_path / "run")


# series and tables


def test_recordings_come_back_as_they_came(recordings):
    noisy = waves(90, 2, 40) + 0.5 * np.random.default_rng(0).standard_normal((90, 2))
    (row,) = recordings.predict([{"signal": noisy.tolist()}])
    reply = ask(recordings, "POST", "/predict", json={"rows": [{"signal": noisy.tolist()}]}).json()
    assert np.shape(row["signal"]) == noisy.shape
    assert np.abs(np.array(reply["predictions"][0]["signal"]) - row["signal"]).max() < 1e-5
    moved = recordings.predict([{"signal": (noisy + 1000).tolist()}])[0]["signal"]
    assert np.abs(np.array(moved) - 1000 - row["signal"]).max() < 1e-3
    gaps = noisy.tolist()
    gaps[3] = [None, None]
    reply = ask(recordings, "POST", "/predict", json={"rows": [{"signal": gaps}]}).json()
    assert "2 numbers that are missing were filled in" in reply["notes"][0]
    assert {name for name, score in recordings.result["scores"].items() if score is not None} == {"snr", "noise_rmse"}
    assert set(recordings.result["baselines"]) == {"savitzky_golay", "gaussian_filter", "median_filter", "noisy"}


def test_a_table_in_the_order_of_time_keeps_its_other_columns(sensor, tmp_path):
    values = waves(50, 2, 7)
    lines = [f"2024-05-01 {i % 24:02d}:00,{heat},{flow}" for i, (heat, flow) in enumerate(values.tolist())]
    (tmp_path / "noisy.csv").write_text("\n".join(["when,heat,flow", *lines]))
    code, _, error = command("predict", path(sensor), tmp_path / "noisy.csv", "-o", tmp_path / "clean.csv")
    assert not code, error
    head, *rows = (tmp_path / "clean.csv").read_text().splitlines()
    assert head.replace('"', "") == "when,heat,flow" and len(rows) == 50
    table = np.array([[float(cell) for cell in row.split(",")[1:]] for row in rows])
    mine = sensor.predict({"heat": values[:, 0], "flow": values[:, 1]})
    assert np.abs(np.stack([mine["heat"], mine["flow"]], 1) - table).max() < 1e-5
    body = [{"heat": heat, "flow": flow} for heat, flow in values.tolist()]
    served = ask(sensor, "POST", "/predict", json={"rows": body}).json()["predictions"]
    assert np.abs(np.array([[row["heat"], row["flow"]] for row in served]) - table).max() < 1e-5


# learning


@pytest.mark.parametrize("stops", [(3, 9), (7, 5)])
def test_a_network_dropped_at_any_step_ends_in_the_same_bits(stops, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "TICK", -1.0)  # a look at the stop flag after every step
    spec, batch = unet.example_rows(24, 0)
    cfg = plugin("models", "unet").Config(widths=(4, 6), patch=12)
    data = Examples(batch.inputs, batch.target)
    how = settings.Config(epochs=3, steps_per_epoch=6, batch_size=8, ema=0.9, precision="fp32", threads=1)

    def validate(raw: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        return {"loss": float(np.abs(raw["restoration"] - target / 255).mean()), "psnr": 0.0}

    def run(place: Path, stop: Any) -> dict[str, Any]:
        model = models.build(cfg, spec, 0)
        for row in fit(model, data, data, how, Hooks(validate, 0, place, stop)):
            assert row
        return model.state_dict()

    whole = run(tmp_path / "whole", lambda: False)
    for number in stops:
        left = iter(range(number))
        with pytest.raises(Interrupted):
            run(tmp_path / "parts", lambda left=left: next(left, None) is None)
    parts = run(tmp_path / "parts", lambda: False)
    assert all(value.equal(parts[name]) for name, value in whole.items())


def test_answers_to_alpha_and_grey_are_those_of_the_colours(grey):
    """A network of grey images sees colours one by one."""
    colours = image(3, channels=3)
    whole = image_files.restored(grey.predictor, colours / np.float32(255))
    single = image_files.restored(grey.predictor, colours[:, :, 1:2] / np.float32(255))
    assert np.abs(whole[:, :, 1:2] - single).max() < 1e-6
