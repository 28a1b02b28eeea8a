"""Tasks that the package does not know, each a folder of a stranger's own: boxes, text step by step, a gallery, sound.

No edit of the package is needed from the recipe to the report, the bundle, the command line, Python and the server.
"""

import base64
import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import warm_python
from conftest import write_csv

PLUGINS = Path(__file__).parent / "plugins"
TESTS = Path(__file__).parent


def plugin_file(name: str) -> Any:
    """A module of the plug-in folder by its path, in this process, which knows nothing of the folder."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), PLUGINS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def warm(folder: Path, *words: str | Path) -> str:
    """What a process prints that knows the stranger's folder."""
    done = warm_python.run(*words, env=os.environ | {"LAMINA_PLUGINS": str(PLUGINS)}, cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def run(folder: Path, *words: str | Path) -> str:
    """What `lamina WORDS` prints in such a process."""
    return warm(folder, "-m", "lamina", *words)


def python(folder: Path, code: str) -> Any:
    """The JSON value that Python code prints in such a process."""
    return json.loads(warm(folder, "-c", code))


@contextlib.contextmanager
def server(folder: Path, bundle: str | Path) -> Iterator[str]:
    """The address of a server of a bundle."""
    env = {**os.environ, "LAMINA_PLUGINS": str(PLUGINS), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "lamina", "serve", str(bundle), "--port", "0", "--json"]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=folder)
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield json.loads(line)["url"]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def post(url: str, body: Any, media: str = "application/json") -> tuple[str, bytes]:
    """Content type and body of the reply."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": media})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return reply.headers["Content-Type"], reply.read()


def refusal(url: str, body: Any, media: str = "application/json") -> tuple[int, str]:
    """Status and sentence of a request that is refused."""
    with pytest.raises(urllib.error.HTTPError) as error:
        post(url, body, media)
    with error.value as reply:
        return reply.code, reply.read().decode()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as reply:
        return json.load(reply)


# (a) boxes: as many answers for an image as there are things in it


def squares(count: int) -> list[dict[str, Any]]:
    """Images as PNG in base64 with one or two bright squares, and where these are."""
    import cv2

    rng, rows = np.random.default_rng(0), []
    for _ in range(count):
        image, boxes = np.zeros((24, 24), np.uint8), []
        for _ in range(rng.integers(1, 3)):
            (x, y), (width, height) = rng.integers(0, 15, 2).tolist(), rng.integers(6, 10, 2).tolist()
            image[y : y + height, x : x + width] = 220
            boxes.append([x, y, x + width, y + height])
        body = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
        rows.append({"picture": f"data:image/png;base64,{body}", "boxes": json.dumps(boxes)})
    return rows


@pytest.fixture(scope="module")
def boxes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("boxes")
    write_csv(folder / "squares.csv", squares(240))
    (folder / "recipe.yaml").write_text(
        "data: squares.csv\ntarget: boxes\ntask: toy_boxes\ncolumns: {picture: {kind: image, size: 24}}\n"
        "train: {epochs: 10, threads: 1, augment: [flip, flip_vertical]}\n"
    )
    run(folder, "train", "recipe.yaml", "--out", "run")
    return folder


def test_boxes_are_learned_though_augmentation_moves_them(boxes):
    report = json.loads((boxes / "run" / "report.json").read_text())
    assert (report["task"], report["model"]["kind"]) == ("toy_boxes", "toy_detector")
    assert report["scores"]["toy_iou"] > 0.25
    page = (boxes / "run" / "report.html").read_text()
    assert "IoU" in page and "Training images after augmentation" in page


def test_an_image_gets_as_many_boxes_as_it_has(boxes):
    run(boxes, "predict", "run", "squares.csv", "-o", "answers.jsonl")
    answers = [json.loads(line)["prediction"] for line in (boxes / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 240
    assert {1, 2} <= {len(answer) for answer in answers}
    assert "toy_iou" in json.loads(run(boxes, "evaluate", "run", "squares.csv", "--json"))["scores"]


def test_boxes_are_served_for_an_uploaded_image(boxes):
    row = squares(1)[0]["picture"].partition(",")[2]
    with server(boxes, "run") as url:
        media, body = post(f"{url}/predict", base64.b64decode(row), "image/png")
        assert media == "application/json"
        (answer,) = json.loads(body)["predictions"]
        assert {"box", "score"} <= set(answer["prediction"][0])
        assert get(f"{url}/schema")["task"] == "toy_boxes"


# (b) text: the network's state goes in and comes out, and characters are streamed


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    write_csv(folder / "lines.csv", [{"line": f"{'bca'[i % 3 :]}abcabcabcabc"} for i in range(90)])
    run(folder, "train", "lines.csv", "--task", "toy_text", "--set", "columns.line=text", "--set", "train.threads=1",
        "--out", "run")  # fmt: skip
    return folder


def test_text_is_evaluated_by_running_the_served_step(text):
    report = json.loads((text / "run" / "report.json").read_text())
    assert report["scores"]["toy_bits"] < 0.8 < report["baselines"]["toy_unigram"]["toy_bits"]
    assert report["toy_text"] == {"rows": 1}
    assert "lamina compose" in (text / "run" / "report.html").read_text()


def test_text_goes_on_in_python_and_on_the_command_line(text):
    code = (
        "import json, lamina\nmodel = lamina.load('run')\n"
        "pieces = [piece.to_pylist()[0]['text'] for piece in model.compose('abca', 5)]\n"
        "print(json.dumps([pieces, list(model.operations)]))"
    )
    pieces, operations = python(text, code)
    assert (pieces, operations) == ([*"bcabc"], ["compose"])
    run(text, "compose", "run", "--prompt", "abca", "--length", "5", "-o", "more.jsonl")
    lines = (text / "more.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == pieces


def test_text_is_streamed_as_server_sent_events(text):
    with server(text, "run") as url:
        media, body = post(f"{url}/compose", {"prompt": "abca", "length": 5})
        assert media.startswith("text/event-stream")
        events = [line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: {")]
        assert "".join(json.loads(event)["pieces"][0]["text"] for event in events) == "bcabc"
        code, sentence = refusal(f"{url}/compose", {"prompt": "z"})
        assert code == 400 and "was never seen in training" in sentence
        code, sentence = refusal(f"{url}/predict", {"rows": [{}]})
        assert code == 404 and "POST /compose" in sentence


# (c) a gallery: people are added after training, into a new bundle


def people(names: range, seed: int) -> list[dict[str, Any]]:
    """Twelve rows for each person, whose mean is their own."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(40, 3)) * 3
    return [
        dict(zip("abc", (centres[n] + 0.3 * rng.normal(size=3)).round(4).tolist(), strict=True)) | {"person": f"p{n}"}
        for n in names
        for _ in range(12)
    ]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    write_csv(folder / "people.csv", people(range(24), 0))
    write_csv(folder / "visitors.csv", people(range(24, 30), 1))
    (folder / "recipe.yaml").write_text(
        "data: people.csv\ntarget: person\ntask: toy_gallery\nsplit: {kind: group, column: person}\n"
        "train: {threads: 1}\n"
    )
    run(folder, "train", "recipe.yaml", "--out", "run")
    run(folder, "enroll", "run", "visitors.csv", "--name", "person", "-o", "door.lamina")
    return folder


def test_nobody_is_in_two_parts(gallery):
    report = json.loads((gallery / "run" / "report.json").read_text())
    assert report["data"]["rows"]["test"] % 12 == 0
    assert report["scores"]["toy_pairs"] > 0.8


def test_enrolment_writes_a_new_bundle_and_leaves_the_old_one(gallery):
    code = (
        "import json, lamina\nbefore, after = lamina.load('run'), lamina.load('door.lamina')\n"
        "names = [list(model.operations) for model in (before, after)]\n"
        "print(json.dumps([names, before.predictor.id != after.predictor.id]))"
    )
    names, differ = python(gallery, code)
    assert names == [["embed", "enroll"], ["identify", "embed", "enroll"]]
    assert differ
    assert "people who are enrolled" in run(gallery, "inspect", "door.lamina")


def test_the_server_says_who_it_is(gallery):
    rows = [{k: v for k, v in row.items() if k != "person"} for row in people(range(24, 30), 2)[::12]]
    with server(gallery, "door.lamina") as url:
        answers = json.loads(post(f"{url}/identify", {"rows": rows})[1])["predictions"]
        names = [answer["name"] for answer in answers]
        assert sum(name == f"p{n}" for name, n in zip(names, range(24, 30), strict=True)) >= 4
        assert refusal(f"{url}/enroll", {"rows": rows})[0] == 404


# Sound: a kind of files that no server has heard of


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    tone = plugin_file("preprocess/toy_sound").tone
    rng, rows = np.random.default_rng(0), []
    for i in range(120):
        hertz = rng.uniform(200, 500) if i % 2 else rng.uniform(2000, 3000)
        (folder / f"{i}.wav").write_bytes(tone(hertz))
        rows.append({"sound": str(folder / f"{i}.wav"), "pitch": "low" if i % 2 else "high"})
    write_csv(folder / "sounds.csv", rows)
    run(folder, "train", "sounds.csv", "--target", "pitch", "--set", "train.threads=1", "--set", "train.epochs=10",
        "--out", "run")  # fmt: skip
    return folder


def test_a_sound_is_taken_as_an_upload_a_form_and_base64(sounds):
    tone = plugin_file("preprocess/toy_sound").tone
    low, high = tone(300.0), tone(2500.0)
    with server(sounds, "run") as url:
        (answer,) = json.loads(post(f"{url}/predict", low, "audio/wav")[1])["predictions"]
        assert answer["prediction"] == "low"
        rows = [{"sound": base64.b64encode(high).decode()}]
        assert json.loads(post(f"{url}/predict", {"rows": rows})[1])["predictions"][0]["prediction"] == "high"
        form = b"".join(
            b'--edge\r\nContent-Disposition: form-data; name="sound"; filename="a.wav"\r\n'
            b"Content-Type: audio/wav\r\n\r\n" + body + b"\r\n"
            for body in (low, high)
        )
        reply = json.loads(post(f"{url}/predict", form + b"--edge--\r\n", "multipart/form-data; boundary=edge")[1])
        assert [answer["prediction"] for answer in reply["predictions"]] == ["low", "high"]
        body = get(f"{url}/openapi.json")["paths"]["/predict"]["post"]["requestBody"]["content"]
        assert {"multipart/form-data", "audio/wav"} <= set(body)
        code, sentence = refusal(f"{url}/predict", b"no sound at all", "audio/wav")
        assert code in (400, 415) and "is no sound of a known format" in sentence


# The contract tests find them by themselves


def test_the_contract_tests_pick_them_up_and_they_pass():
    files = [next(TESTS.rglob(f"test_{name}.py")) for name in ("models", "preprocess", "tasks")]
    words = ["-m", "pytest", *files, "-k", "toy_", "-vv", "-n0", "-p", "no:cacheprovider"]
    passed = set(re.findall(r"\[(toy_\w+)[^\]]*\] PASSED", warm(TESTS.parent, *words)))
    assert {"toy_boxes", "toy_text", "toy_gallery", "toy_sound", "toy_detector", "toy_embedding"} <= passed, passed
