"""What a person sees of images: the report's gallery, duplicates across parts, heat maps, and `inspect`."""

import base64
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import lamina
from lamina.cli import commands
from lamina.deploy.predictor import Predictor
from lamina.evaluate.images import duplicates, occlusion

SIDE = 16
RED_FIRST = {"red": (220, 30, 30), "blue": (30, 30, 220)}
MNIST = Path(__file__).parents[3] / "shared" / "data" / "image_classification" / "mnist" / "mnist.npz"
LAYERS = [
    {"conv2d": {"filters": 8, "kernel_size": 3, "activation": "relu"}},
    "max_pooling2d",
    "flatten",
    {"dense": {"units": 1}},
]


def scene(rng, colour):
    """Soft coloured spots; the upper left corner has a colour of its own, and that is all the label depends on."""
    spots = rng.integers(60, 200, (4, 4, 3), dtype=np.uint8)
    image = cv2.resize(spots, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    image[:5, :5] = RED_FIRST[colour]
    return image


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[:, :, ::-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes in training and test folders; 3 test images repeat training ones, one with the other label."""
    root, rng = tmp_path_factory.mktemp("corners") / "corners", np.random.default_rng(0)
    for part, count in (("train", 160), ("test", 30)):
        for colour in RED_FIRST:
            for i in range(count):
                write(root / part / colour / f"{i:03d}.png", scene(rng, colour))
    shutil.copy(root / "train/red/000.png", root / "test/red/exact.png")
    near = cv2.imread(str(root / "train/blue/001.png"))[:, :, ::-1]
    write(root / "test/blue/near.bmp", near - (near > 128))
    shutil.copy(root / "train/blue/002.png", root / "test/red/mislabelled.png")
    (root / "train/red/broken.png").write_bytes((root / "train/red/000.png").read_bytes()[:60])
    return root


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """The run directory of a small network trained on the corners."""
    out = tmp_path_factory.mktemp("runs") / "corners"
    model = {"kind": "sequential", "layers": LAYERS}
    sets = ["train.epochs=12", "train.batch_size=32", "train.lr=3e-3", 'train.augment=[{"kind": "shift", "pixels": 1}]']
    words = ["train", str(folder), "--out", str(out), "--set", f"model={json.dumps(model)}"]
    done = CliRunner().invoke(commands.app, [*words, *(w for s in sets for w in ("--set", s))], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "note 3 of the 63 test images are training images too" in " ".join(done.output.split())
    return out


@pytest.fixture(scope="module")
def page(run):
    return (run / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def report(run):
    return json.loads((run / "report.json").read_text("utf-8"))


def section(page, anchor):
    match = re.search(rf'<section id="{anchor}">.*?</section>', page, re.DOTALL)
    assert match, anchor
    return match[0]


# the report


def test_every_image_of_the_page_is_inside_the_page_and_has_words(page):
    images = re.findall(r"<img[^>]*>", page)
    assert len(images) > 80
    for image in images:
        kind, body = re.search(r'src="data:image/(png|jpeg);base64,([^"]+)"', image).groups()
        start = {"png": b"\x89PNG", "jpeg": b"\xff\xd8"}[kind]
        assert base64.b64decode(body, validate=True).startswith(start)
        assert re.search(r'alt="[^"]{8,}"', image)
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert len(page) < 3_000_000


def test_a_page_without_images_allows_none(churn_run):
    text = (Path(churn_run.result["run"]) / "report.html").read_text("utf-8")
    assert "<img" not in text
    assert "img-src" not in text


def test_the_contact_sheet_shows_each_image_and_seven_views_that_differ_from_it(page):
    strips = re.findall(r'<figure class="shot strip">.*?</figure>', section(page, "augmented"), re.DOTALL)
    assert len(strips) == 6
    for strip in strips:
        bodies = re.findall(r'src="([^"]+)"', strip)
        assert len(bodies) == 8
        assert len(set(bodies)) >= 5  # a shift of one pixel has nine outcomes, which may repeat
    labels = {re.search(r"<figcaption>(\w+)", strip)[1] for strip in strips}
    assert labels == {"red", "blue"}


def test_the_worst_answers_are_sorted_and_are_those_of_the_predictor(run, folder, report):
    worst = report["images"]["losses"]
    assert len(worst) == 24
    assert [w["loss"] for w in worst] == sorted((w["loss"] for w in worst), reverse=True)
    assert worst[0]["file"] == "mislabelled.png"  # its label is wrong, so no network can be right
    first = worst[0]
    answer = lamina.load(run).predict([{"image": str(folder / "test" / first["actual"] / first["file"])}])[0]
    assert answer["prediction"] == first["predicted"] == "blue"
    assert np.minimum(-np.log(answer["probabilities"][first["actual"]]), 34.5) == pytest.approx(first["loss"], rel=1e-2)


def test_what_is_confused_is_counted_as_in_the_confusion_matrix(report, page):
    confused = report["images"]["confused"]
    wrong = round((1 - report["scores"]["accuracy"]) * report["data"]["rows"]["test"])
    assert sum(pair["count"] for pair in confused) == wrong >= 1
    assert {"actual": "red", "predicted": "blue"}.items() <= confused[0].items()
    assert "taken for <b>blue</b>" in section(page, "images")


def test_planted_duplicates_are_found_and_nothing_else(report, page):
    pairs = report["images"]["duplicates"]["pairs"]
    assert [(p["part"], p["exact"], p["label"], p["training_label"]) for p in pairs if p["part"] == "test"] == [
        ("test", False, "blue", "blue"),
        ("test", True, "red", "red"),
        ("test", True, "red", "blue"),
    ]
    assert len(pairs) == 3
    said = section(page, "duplicates")
    assert "3 of the 63 test images are training images too (2 exactly, 1 nearly)" in said
    assert "1 of these pairs has different labels" in said
    assert "mislabelled.png and 002.png" in said


def test_the_column_says_its_size_and_the_row_to_try_holds_no_bytes(report, page):
    note = next(c["note"] for c in report["data"]["columns"] if c["name"] == "image")
    assert note == "16 x 16 px, colour; the network sees 16 x 16, colour"
    assert report["example"]["row"] == {"image": "image.jpg"}
    use = section(page, "use")
    assert "curl -s -F image=@image.jpg http://127.0.0.1:8000/predict" in use
    assert "images/ -o predictions.csv" in use


def test_an_image_that_is_skipped_has_its_reason_in_the_page(page):
    assert "broken.png" in section(page, "data")
    assert "is cut short" in section(page, "data")


def test_images_of_arrays_and_a_number_to_predict_have_a_report_too(tmp_path):
    rng = np.random.default_rng(0)
    light = rng.integers(20, 230, 120)
    noise = rng.integers(-15, 15, (120, 12, 12))
    np.savez(tmp_path / "light.npz", x=np.uint8(light[:, None, None] + noise), y=light / 10)
    words = ["train", str(tmp_path / "light.npz"), "--task", "regression", "--out", str(tmp_path / "run")]
    words += [
        "--set",
        'model={"kind": "sequential", "layers": ["flatten", {"dense": {"units": 1}}]}',
        "--set",
        "train.epochs=2",
    ]
    done = CliRunner().invoke(commands.app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert len(text) < 600_000
    assert "P5" not in (tmp_path / "run" / "report.json").read_text("utf-8")
    assert "off by" in section(text, "images")
    assert "nothing is changed in training" in section(text, "augmented")
    (tmp_path / "one.png").write_bytes(cv2.imencode(".png", np.full((12, 12), 90, np.uint8))[1].tobytes())
    (explanation,) = occlusion.explain(Predictor(tmp_path / "run" / "bundle"), [tmp_path / "one.png"])
    assert explanation.top[0][0] == ""
    assert explanation.heat.shape == (12, 12)


# duplicates


def test_small_changes_are_near_and_other_images_are_not():
    rng = np.random.default_rng(1)
    training = np.stack([scene(rng, "red") for _ in range(200)])
    test_images = np.stack([*training[:20], *(scene(rng, "red") for _ in range(50))])
    test_images[5:20] = np.clip(test_images[5:20].astype(int) + rng.integers(-1, 2, test_images[5:20].shape), 0, 255)
    matches = duplicates.find(test_images, training)
    assert [(p.row, p.training_row) for p in matches.pairs] == [(i, i) for i in range(20)]
    assert [p.exact for p in matches.pairs] == [True] * 5 + [False] * 15


@pytest.mark.parametrize("change", ["compressed", "halved"])
def test_images_saved_again_or_resized_are_near(change):
    def changed(image):
        if change == "halved":
            return cv2.resize(cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA), (96, 96))
        return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)

    rng = np.random.default_rng(2)
    spots = rng.integers(0, 256, (60, 9, 9, 3), dtype=np.uint8)
    training = np.stack([cv2.resize(s, (96, 96), interpolation=cv2.INTER_CUBIC) for s in spots])
    matches = duplicates.find(np.stack([changed(image) for image in training[::3]]), training)
    assert [(p.row, p.training_row, p.exact) for p in matches.pairs] == [(i, 3 * i, False) for i in range(20)]


def test_images_of_one_colour_repeat_only_the_very_same_one():
    colours = [(200, 10, 10), (201, 10, 10), (10, 10, 200)]
    training = np.stack([np.full((SIDE, SIDE, 3), c, np.uint8) for c in colours[:2]] * 500)
    test_images = np.stack([np.full((SIDE, SIDE, 3), c, np.uint8) for c in colours])
    matches = duplicates.find(test_images, training)
    assert [(p.row, p.training_row, p.exact) for p in matches.pairs] == [(0, 0, True), (1, 1, True)]
    assert matches.flat == 2


@pytest.mark.skipif(not MNIST.exists(), reason="MNIST is not on this machine: ../shared/data")
def test_different_digits_are_not_called_duplicates_and_planted_ones_are():
    with np.load(MNIST) as arrays:
        training, test_images = arrays["x_train"][:20_000, ..., None], arrays["x_test"][:2000, ..., None].copy()
    test_images[7] = training[123]
    saved = cv2.imencode(".jpg", training[456], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    test_images[11] = cv2.imdecode(saved, cv2.IMREAD_UNCHANGED)[..., None]
    matches = duplicates.find(test_images, training)
    assert [(p.row, p.training_row, p.exact) for p in matches.pairs] == [(7, 123, True), (11, 456, False)]


def test_no_images_have_no_duplicates():
    none = np.zeros((0, 8, 8, 1), np.uint8)
    assert duplicates.find(none, none).pairs == ()
    assert duplicates.find(np.zeros((2, 8, 8, 1), np.uint8), none).pairs == ()


# explain


def test_the_heat_is_where_the_network_looks(run, folder):
    predictor = Predictor(run / "bundle")
    paths = sorted((folder / "test").glob("*/00*.png"))
    for explanation in occlusion.explain(predictor, paths):
        assert explanation.heat.shape == explanation.image.shape[:2] == (SIDE, SIDE)
        row, column = np.unravel_index(explanation.heat.argmax(), explanation.heat.shape)
        assert row < 6
        assert column < 6
        assert explanation.heat[:5, :5].mean() > 5 * np.abs(explanation.heat[8:, 8:]).mean()


def test_the_heat_for_the_other_label_is_the_opposite(run, folder):
    predictor, path = Predictor(run / "bundle"), folder / "test/red/000.png"
    (red,), (blue,) = occlusion.explain(predictor, [path], "red"), occlusion.explain(predictor, [path], "blue")
    assert (red.label, blue.label) == ("red", "blue")
    assert np.allclose(red.heat, -blue.heat)


@pytest.mark.parametrize("side", [1, 5, 14, 28, 224])
def test_every_pixel_is_covered_and_covers_stay_inside(side):
    seen = np.zeros((side, 2 * side), int)
    for top, bottom, left, right in occlusion.places(side, 2 * side):
        assert 0 <= top < bottom <= side
        assert 0 <= left < right <= 2 * side
        seen[top:bottom, left:right] += 1
    assert seen.min() >= 1


def test_explain_writes_a_png_and_says_the_answers(run, folder, tmp_path):
    words = ["explain", str(run), str(folder / "test/red/000.png"), str(folder / "test/blue/near.bmp")]
    done = CliRunner().invoke(commands.app, [*words, "-o", str(tmp_path / "why.png"), "--json"], catch_exceptions=False)
    answers = json.loads(done.output)
    assert [(p["file"], p["label"]) for p in answers["images"]] == [("000.png", "red"), ("near.bmp", "blue")]
    samples = cv2.imread(str(tmp_path / "why.png"))
    assert samples.shape[0] > 900
    assert samples.shape[1] > 1400
    assert samples.std() > 10


def test_many_explained_images_are_a_grid_or_a_page(run, folder, tmp_path):
    several = [str(folder / "test/red/000.png"), str(folder / "test/blue/near.bmp")] * 3
    for name in ("why.png", "why.html"):
        words = ["explain", str(run), *several, "-o", str(tmp_path / name)]
        CliRunner().invoke(commands.app, words, catch_exceptions=False)
    height, width = cv2.imread(str(tmp_path / "why.png")).shape[:2]
    assert 0.5 < width / height < 3, "no strip of one image below the other"
    text = (tmp_path / "why.html").read_text("utf-8")
    assert text.count("<img") == 12 and text.count("near.bmp") == 3 and "<script" not in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["no.png", "-o", "w.png"], "explain: no.png is not there."),
        ([".", "-o", "w.png"], "explain: . is a folder."),
        (["text.png", "-o", "w.png"], "explain: text.png is text, not an image."),
        (["good.png", "-o", "w.jpg"], "-o: must end in .png (got 'w.jpg')."),
        (["good.png", "-o", "w.png", "--label", "bleu"], "--label: there is no label 'bleu'. Did you mean 'blue'?"),
        (["good.png"] * 41 + ["-o", "w.png"], "explain: 41 images are too many for one file."),
    ],
)
def test_what_cannot_be_explained_is_a_sentence(run, folder, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "test/red/000.png", "good.png")
    Path("text.png").write_text("not an image at all")
    with pytest.raises(lamina.LaminaError, match=re.escape(sentence)):
        CliRunner().invoke(commands.app, ["explain", str(run), *words], catch_exceptions=False)


def test_a_bundle_without_images_says_so(churn_bundle):
    with pytest.raises(lamina.DataError, match="has no column of images"):
        occlusion.explain(Predictor(churn_bundle), ["x.png"])


# inspect


def test_inspect_counts_classes_sizes_broken_ones_and_copies(folder):
    done = CliRunner().invoke(commands.app, ["inspect", str(folder), "--json"], catch_exceptions=False)
    (album,) = json.loads(done.output)["surveys"]
    assert album["classes"] == [
        {"class": "blue", "all": 191, "parts": {"test": 31, "train": 160}},
        {"class": "red", "all": 193, "parts": {"test": 32, "train": 161}},
    ]
    assert (album["width"], album["height"]) == ([SIDE] * 3, [SIDE] * 3)
    assert (album["images"], album["colour"], album["grey"], album["broken"]) == (384, 383, 0, 1)
    assert album["formats"] == {"PNG": 382, "BMP": 1}
    assert album["reasons"][0]["file"].endswith("broken.png")
    assert album["reasons"][0]["reason"] == "is cut short"
    twice = album["twice"]
    assert (twice["groups"], twice["copies"], twice["different_labels"], twice["across_parts"]) == (2, 2, 1, 2)
    assert [Path(name).name for name in twice["files"][0]] == ["mislabelled.png", "002.png"]


def test_inspect_tells_a_person_the_same(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    done = CliRunner().invoke(commands.app, ["inspect", str(folder)], catch_exceptions=False)
    for words in ("382 PNG, 1 BMP", "16 px", "2 across parts, 1 with different labels", "1 images cannot be used"):
        assert words in done.output
