"""The shape of the source: a task is one room, nobody else asks which task it serves. See `tests/architecture.py`."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import architecture
from architecture import ROOT_MODULES, SRC

BUNDLES = Path(__file__).parent / "bundles"
TASKS = architecture.plugins(SRC, "tasks")
BLOCKED = ("torch", "sklearn", "matplotlib", "onnx", "lamina.train", "lamina.evaluate", "lamina.pipeline")

WALL = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if any(name == blocked or name.startswith(blocked + ".") for blocked in %r):
            raise ImportError(f"{name} is not there where bundles are served")

sys.meta_path.insert(0, Wall())
"""

ANSWERS = """
import json, sys
from collections.abc import Iterator
from pathlib import Path
import lamina
for path in sorted(Path(sys.argv[1]).glob("*.lamina")):
    model = lamina.load(path)
    for request in json.loads(path.with_suffix(".json").read_text("utf-8")):
        verb, answers = request.pop("ask"), request.pop("answers")
        if verb == "predict":
            assert len(model.predict(request["rows"])) == len(answers), path
        elif verb == "generate":
            assert len(model.generate(**request)) == request["count"], path
        elif verb == "perplexity":
            assert len(model.perplexity(request["rows"])) == len(answers), path
    print(path.stem)
"""


def sentence(findings) -> str:
    return "\n".join(str(one) for one in findings)


# a task is one room


def test_nothing_outside_the_tasks_asks_which_task_it_serves():
    asks = [one for one in architecture.asks() if one.rule != "prose"]
    assert not asks, sentence(asks)


def test_no_docstring_and_no_comment_outside_the_tasks_names_one():
    asks = [one for one in architecture.asks() if one.rule == "prose"]
    assert not asks, sentence(asks)


def test_what_may_stay_is_still_there():
    for allowed in architecture.ALLOWED:
        findings = (*architecture.everywhere(), *architecture.banned_names())
        assert any(allowed.covers(one) for one in findings), allowed


def test_folders_of_plug_ins_hold_plug_ins():
    assert architecture.no_plugins() == []


# who imports whom, and how large things are


@pytest.mark.parametrize("type_checking", [False, True])
def test_no_modules_import_one_another_in_a_circle(type_checking):
    assert architecture.cycle(type_checking=type_checking) == []


def test_few_modules_stand_at_the_root():
    assert len(architecture.at_root()) <= ROOT_MODULES


def test_no_file_is_too_long_to_be_one_idea():
    assert architecture.long_files() == []


# who writes


def test_files_are_written_in_one_place():
    assert not architecture.writes(), sentence(architecture.writes())


def test_whoever_may_write_does():
    assert architecture.no_writers() == []


# what things are called


def test_functions_classes_fields_and_arguments_say_what_they_are():
    public, _ = architecture.bad_names()
    assert not public, sentence(public)


def test_variables_say_what_they_hold():
    _, local = architecture.bad_names()
    assert not local, sentence(local)


# what serves never loads what trains


@pytest.fixture(scope="module")
def walled(tmp_path_factory) -> dict[str, str]:
    """Variables of a process that can import nothing that trains or evaluates."""
    folder = tmp_path_factory.mktemp("wall")
    (folder / "sitecustomize.py").write_text(WALL % (BLOCKED,), "utf-8")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(SRC)])}


def test_the_wall_holds(walled):
    for name in BLOCKED:
        ended = subprocess.run([sys.executable, "-c", f"import {name}"], env=walled, capture_output=True, check=False)
        assert b"is not there where bundles are served" in ended.stderr


def test_bundles_of_every_task_answer_in_python_without_what_trains(walled):
    command = [sys.executable, "-W", "ignore", "-c", ANSWERS, str(BUNDLES)]
    ended = subprocess.run(command, env=walled, capture_output=True, check=False, text=True)
    assert ended.returncode == 0, ended.stderr
    assert {task for task in TASKS for name in ended.stdout.split() if name.startswith(f"{task}_")} == set(TASKS)


@pytest.fixture(scope="module")
def served_without(walled) -> Iterator[str]:
    """The address of a server of one bundle of every task that can import nothing that trains."""
    paths = [f"{task}={sorted(BUNDLES.glob(f'{task}_*.lamina'))[0]}" for task in TASKS]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-W", "ignore", "-m", "lamina", "serve", *paths, "--port", address.rpartition(":")[2]]
    server = subprocess.Popen(command, env=walled, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/ready", timeout=30).close()
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None, server.stderr and server.stderr.read()
                time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        server.communicate(timeout=30)


@pytest.mark.parametrize("task", TASKS)
def test_a_bundle_of_every_task_is_served_without_what_trains(served_without, task):
    path = sorted(BUNDLES.glob(f"{task}_*.lamina"))[0]
    request = json.loads(path.with_suffix(".json").read_text("utf-8"))[0]
    verb = request.pop("ask")
    body = json.dumps({name: value for name, value in request.items() if name != "answers"}).encode()
    url = f"{served_without}/models/{task}/{verb}"
    ask = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(ask, timeout=30) as answer:
        assert json.loads(answer.read())
