"""One file each adds an architecture, a source, a column kind and a task: from the recipe to the server."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import warm_python

TESTS = Path(__file__).parent

MODEL = '''
"""One hidden layer and nothing else."""

from typing import Any, Literal

from torch import nn

from lamina import config
from lamina.layers.basic import Flat
from lamina.losses import loss


class Config(config.Config):
    kind: Literal["toynet"] = "toynet"
    hidden: int


def example(spec) -> dict[str, Any]:
    return {"hidden": 64}


def training(cfg, spec) -> dict[str, Any]:
    return {"epochs": 20, "batch_size": 16, "lr": 0.01}


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg, spec):
        super().__init__()
        self.flat = Flat(spec)
        self.hidden = nn.Linear(self.flat.width, cfg.hidden)
        self.head = nn.Linear(cfg.hidden, spec.output.size)
        self.loss = loss(spec.output)

    def forward(self, inputs):
        return {"target": self.head(self.hidden(self.flat(inputs)).relu())}

    def losses(self, batch):
        yield "", self.loss(self(batch.inputs)["target"], batch.target)
'''

SOURCE = '''
"""Rows made on the spot."""

from typing import Literal

import numpy as np
import pyarrow as pa

from lamina import config
from lamina.schema import Collected, SkippedRow


class Config(config.Config):
    kind: Literal["toyrows"] = "toyrows"
    count: int = 100


def load(cfg):
    rng = np.random.default_rng(0)
    size = rng.normal(size=cfg.count)
    table = {
        "size": [f"{v:.2f} cm" for v in 10 + size],
        "colour": [("red", "blue")[i % 2] for i in range(cfg.count)],
        "grade": [("low", "mid", "high")[int(np.digitize(v, [-0.4, 0.4]))] for v in size],
    }
    return Collected(pa.table(table), (SkippedRow("toyrows", None, "size", "made to be lost"),))
'''

KIND = '''
"""Lengths with their unit, such as 3.5 cm."""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import config
from lamina.preprocess import category
from lamina.schema import Input

SHAPE = r"^-?[0-9]+([.][0-9]+)? cm$"


class Config(config.Config):
    kind: Literal["toylength"] = "toylength"


class State(config.Config):
    mean: float
    std: float


def detect(column) -> tuple[float, dict[str, Any]]:
    fits = pa.types.is_string(column.type) and pc.all(pc.match_substring_regex(column, SHAPE), min_count=0).as_py()
    return (0.97 if fits else 0.0), {}


def parse(column, cfg):
    text = category.as_text(column)
    known = pc.match_substring_regex(text, SHAPE)
    return pc.if_else(known, pc.replace_substring(text, " cm", ""), pa.scalar(None, pa.string())).cast(pa.float64())


def fit(values, cfg) -> State:
    known = np.sort(values.drop_null().to_numpy())
    return State(mean=known.mean() if len(known) else 0.0, std=(known.std() if len(known) else 0.0) or 1.0)


def encode(values, state):
    filled = pc.fill_null(values, state.mean).to_numpy(zero_copy_only=False)
    return np.clip((filled - state.mean) / state.std, -9, 9).astype(np.float32)[:, None]


def feed(state) -> Input:
    return Input(kind="number", shape=(1,), dtype="float32", edges=((-2.0, -1.0, 0.0, 1.0, 2.0),))
'''

TASK = '''
"""Grades: a class as in classification, told as a sentence."""

from typing import Literal

import pyarrow as pa

from lamina.tasks import classification
from lamina.tasks.classification import State


class Config(classification.Config):
    kind: Literal["toygrade"] = "toygrade"


class Task(classification.Task):
    metrics = ("accuracy", "log_loss")
    baselines = ("majority",)
    plots = ("comparison", "confusion")

    @classmethod
    def suits(cls, values: pa.Array) -> float:
        return 0.0

    def table(self, answers) -> pa.Table:
        answers = super().table(answers)
        sentences = pa.array([f"graded {v}" for v in answers["prediction"].to_pylist()], pa.string())
        return answers.append_column("said", sentences)
'''

RECIPE = """
data: {kind: toyrows, count: 90}
target: grade
task: toygrade
model: {kind: toynet, hidden: 8}
train: {epochs: 5}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder of plug-ins, one file for each."""
    root = tmp_path_factory.mktemp("plugins")
    for stage, name, text in (
        ("models", "toynet", MODEL),
        ("data", "toyrows", SOURCE),
        ("preprocess", "toylength", KIND),
        ("tasks", "toygrade", TASK),
    ):
        (root / stage).mkdir()
        (root / stage / f"{name}.py").write_text(text.lstrip(), "utf-8")
    (root / "recipe.yaml").write_text(RECIPE)
    return root


def python(folder: Path, *words: str, code: int = 0, cwd: Path | None = None) -> str:
    """What a process with these plug-ins prints."""
    done = warm_python.run(*words, env=os.environ | {"LAMINA_PLUGINS": str(folder)}, cwd=cwd or folder)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def result(folder) -> dict[str, Any]:
    return json.loads(python(folder, "-m", "lamina", "train", "recipe.yaml", "--out", "run", "--json"))


def test_a_run_is_made_of_four_files_of_ones_own(folder, result):
    assert (result["rows"], result["skipped"]) == (90, 1)
    assert list(result["scores"]) == ["accuracy", "log_loss"]
    schema = json.loads((folder / "run" / "bundle" / "schema.json").read_text())
    assert {c["name"]: c["kind"] for c in schema["columns"]} == {"size": "toylength", "colour": "category"}
    assert json.loads((folder / "run" / "bundle" / "model.json").read_text())["kind"] == "toynet"


def test_the_bundle_answers_on_the_command_line(folder, result):
    (folder / "fresh.csv").write_text("size,colour\n8.00 cm,red\n12.00 cm,blue\nlong,\n")
    python(folder, "-m", "lamina", "predict", result["bundle"], "fresh.csv", "-o", "answers.jsonl")
    answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 3
    assert all(answer["said"] == f"graded {answer['prediction']}" for answer in answers)


def test_the_bundle_answers_over_http(folder, result):
    pytest.importorskip("fastapi")
    env = {**os.environ, "LAMINA_PLUGINS": str(folder)}
    command = [sys.executable, "-m", "lamina", "serve", result["bundle"], "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd=folder)
    try:
        assert server.stdout is not None
        told = ""
        for line in server.stdout:
            told += line
            if matches := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            pytest.fail(told)
        body = json.dumps({"rows": [{"size": "12.00 cm"}]}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{matches[1]}/predict", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            (row,) = json.load(answer)["predictions"]
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert row["said"] == f"graded {row['prediction']}"


def test_a_bundle_whose_plug_in_is_not_installed_is_refused_by_name(folder, result, tmp_path):
    error = python(tmp_path, "-m", "lamina", "inspect", str(folder / result["bundle"]), code=1)
    assert "this installation has no 'toy" in error
    assert "Traceback" not in error


def test_settings_and_names_of_a_plug_in_are_checked_like_all_others(folder):
    wrong = ["--set", "model.hiden=3", "--set", "data.cuont=3", "--set", "task=toygrad"]
    error = python(folder, "-m", "lamina", "train", "recipe.yaml", "--out", "other", *wrong, code=1)
    assert "model.hiden: unknown setting. Did you mean 'hidden'?" in error
    assert "data.cuont: unknown setting. Did you mean 'count'?" in error
    assert "task: there is no 'toygrad'. Did you mean 'toygrade'?" in error


def test_the_contract_tests_pick_the_plug_ins_up_and_they_pass(folder):
    files = [str(next(TESTS.rglob(f"test_{name}.py"))) for name in ("models", "preprocess", "tasks", "recipe")]
    only = ["-k", "toynet or toylength or toygrade", "-vv", "-n0", "-p", "no:cacheprovider"]
    told = python(folder, "-m", "pytest", *files, *only, cwd=TESTS.parent)
    passed = re.findall(r"::(\w+)\[(.*)\] PASSED", told)
    assert not re.search(r"FAILED|ERROR", told)
    for name, least in (("toynet", 35), ("toylength", 40), ("toygrade", 15)):
        assert len([test for test, case in passed if name in case]) >= least, told[-2000:]


def test_a_plug_in_that_breaks_shows_its_own_traceback(folder, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "broken.py").write_text('"""Broken."""\nimport there_is_no_such_package\n')
    (tmp_path / "r.yaml").write_text("data: toy:churn\ntarget: Churn\nmodel: broken\n")
    error = python(tmp_path, "-m", "lamina", "train", "r.yaml", code=1)
    assert "Traceback" in error
    assert f'{tmp_path / "models" / "broken.py"}", line 2' in error
    assert "No module named 'there_is_no_such_package'" in error


def test_a_plug_in_cannot_take_the_name_of_one_that_is_there(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "regression.py").write_text("raise SystemExit('taken over')\n")
    code = "from lamina.plugins import plugin; print(plugin('tasks', 'regression').__file__)"
    assert str(tmp_path) not in python(tmp_path, "-c", code)
