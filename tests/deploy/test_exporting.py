"""What a bundle is exported as: others open it without Lamina, and a container's environment starts and answers."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
import urllib.request
import venv
from pathlib import Path

import pytest

import lamina
from lamina.deploy.exporting import docker
from lamina.deploy.server import app
from service_tools import command

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "tests" / "bundles"
TABLE = BUNDLES / "classification_fnn.lamina"
IMAGES = BUNDLES / "generation_gan_images.lamina"
MOST = 400_000_000  # bytes of all that is installed beside Python and pip


def exported(bundle, form: str, output: Path) -> Path:
    code, _, errors = command("export", bundle, "--format", form, "-o", output)
    assert code == 0, errors
    return output


def test_the_openapi_document_is_the_one_that_the_server_gives(tmp_path):
    document = json.loads(exported(TABLE, "openapi", tmp_path / "api.json").read_text("utf-8"))
    assert document == json.loads(json.dumps(app(lamina.Predictor(TABLE)).openapi()))


def test_a_card_has_scores_beside_baselines_with_the_interval_and_what_the_report_warned_of(churn_run, tmp_path):
    card = exported(churn_run.result["run"], "card", tmp_path / "card.md").read_text("utf-8")
    report = json.loads((Path(churn_run.result["run"]) / "report.json").read_text("utf-8"))
    low, high = report["interval"]
    assert f"95 % interval of {report['primary']}: {low:.4g} to {high:.4g}." in card
    assert report["verdict"] in card
    for name, scores in {"this network": report["scores"], **report["baselines"]}.items():
        assert name in card
        assert f"{scores[report['primary']]:.4g}" in card
    for note in report["data"]["notes"]:
        assert f"- {note}" in card
    for column in lamina.Predictor(churn_run.result["bundle"]).prep.columns:
        assert f"| {column.name} | {column.kind} |" in card


def test_a_card_of_a_bundle_alone_says_that_intervals_are_elsewhere(tmp_path):
    card = exported(TABLE, "card", tmp_path / "card.md").read_text("utf-8")
    assert "which was not beside the bundle" in card
    assert "interval of" not in card
    assert "license: unknown" in card


CHECK = """
import sys

one = network({name: values[:1] for name, values in inputs.items()})
for name, values in outputs.items():
    assert torch.allclose(one[name], values[:1], atol=1e-4)
assert not any(name.partition(".")[0] == "lamina" for name in sys.modules)
"""


def test_a_program_of_pytorch_opens_without_lamina_and_answers_as_the_bundle(tmp_path):
    folder = exported(TABLE, "torch", tmp_path / "program")
    assert (folder / "MODEL_CARD.md").read_text("utf-8").startswith("---\nlibrary_name: lamina\n")
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code[1] + CHECK], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_network_that_is_a_graph_only_is_refused_as_a_program(tmp_path):
    bundle = BUNDLES / "classification_pretrained.lamina"
    code, _, error = command("export", bundle, "--format", "torch", "-o", tmp_path / "program")
    assert code == 1
    assert error.endswith("is served by its graph only. Export with --format onnx.")
    assert not (tmp_path / "program").exists()


@pytest.mark.parametrize(
    ("form", "name", "sentence"),
    [
        ("tar", "m.tar", "--format: must be one of lamina, onnx, openapi, card, torch, docker (got 'tar')."),
        ("openapi", "m.txt", "-o: openapi is a file named .json (got 'm.txt'). Name one."),
        ("docker", "m.onnx", "-o: docker is a folder (got 'm.onnx'). Name one."),
    ],
)
def test_a_form_that_does_not_fit_is_said(form, name, sentence):
    code, _, error = command("export", TABLE, "--format", form, "-o", name)
    assert (code, error) == (1, sentence)


def test_what_is_there_is_not_replaced_without_being_told_to(tmp_path):
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "mine").write_text("mine")
    code, _, _ = command("export", TABLE, "--format", "docker", "-o", tmp_path / "image")
    assert code == 1
    assert [file.name for file in (tmp_path / "image").iterdir()] == ["mine"]


def test_a_container_has_exact_versions_of_what_serves_and_no_more(tmp_path):
    folder = exported(TABLE, "docker", tmp_path / "table")
    lines = (folder / "requirements.txt").read_text("utf-8").splitlines()
    names = {line.partition("==")[0] for line in lines}
    assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9][0-9A-Za-z.]*", line) for line in lines)
    assert names.isdisjoint({"torch", "pandas", "scikit-learn", "rich", "typer", "opencv-python-headless"})
    dockerfile = (folder / "Dockerfile").read_text("utf-8")
    assert "\nUSER lamina\n" in dockerfile
    assert "\nHEALTHCHECK " in dockerfile
    assert {file.name for file in folder.iterdir()} >= {"MODEL_CARD.md", "lamina.tar", "model.lamina", "serve.py"}


def test_a_container_has_the_plug_ins_that_a_bundle_may_need(tmp_path, monkeypatch):
    own = tmp_path / "own" / "preprocess" / "colour.py"
    own.parent.mkdir(parents=True)
    own.write_text("# a kind of ours\n", "utf-8")
    monkeypatch.setenv("LAMINA_PLUGINS", str(tmp_path / "own"))
    folder = exported(TABLE, "docker", tmp_path / "table")
    with tarfile.open(folder / "lamina.tar") as tar:
        assert {"plugins/preprocess/colour.py", "lamina/__init__.py"} <= set(tar.getnames())
    assert " LAMINA_PLUGINS=/app/plugins\n" in (folder / "Dockerfile").read_text("utf-8")


@pytest.mark.slow
def test_a_container_of_images_has_what_reads_them(tmp_path):
    folder = exported(IMAGES, "docker", tmp_path / "images")
    assert "opencv-python-headless==" in (folder / "requirements.txt").read_text("utf-8")


def test_what_every_container_has_is_what_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    serve = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    names = {re.match(r"[\w.-]+", line)[0] for line in serve}
    assert set(docker.SERVER) == names - {"rich", "ruamel.yaml", "typer"}  # those of the command line and of recipes


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_environment_of_a_container_is_small_starts_and_answers(tmp_path):
    folder = exported(TABLE, "docker", tmp_path / "table")
    subprocess.run(["tar", "-xf", "lamina.tar"], cwd=folder, check=True)  # as ADD of a Dockerfile does
    python = _environment(folder, tmp_path / "venv")
    size = _trimmed_size(tmp_path / "venv")
    print(f"{size / 1e6:.0f} MB")
    assert size < MOST
    predictor = lamina.Predictor(TABLE)
    row = {"months": 3, "plan": "pro"}
    seconds, answer = _first_answer(python, folder, row)
    print(f"{seconds:.2f} s from start to first answer")
    assert answer["predictions"][0]["prediction"] == predictor.predict([row])[0]["prediction"]


def _environment(folder: Path, place: Path) -> Path:
    """An interpreter that has what the requirements of a folder say and nothing else."""
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", folder / "requirements.txt"]
    subprocess.run(pip, check=True)
    return python


def _trimmed_size(place: Path) -> int:
    """Bytes of what is installed, without what the Dockerfile leaves out, and pip, which every image of Python has."""
    (site,) = place.glob("lib/python*/site-packages")
    for pattern in docker.UNUSED:
        for path in (site / "pyarrow").glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("pip", "setuptools", "pkg_resources"):
        shutil.rmtree(site / name, ignore_errors=True)
    return sum(file.stat().st_size for file in site.rglob("*") if file.is_file() and not file.is_symlink())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _first_answer(python: Path, folder: Path, row: dict) -> tuple[float, dict]:
    """Seconds from the start of a process to its first answer, and that answer."""
    port = _free_port()
    code = (folder / "serve.py").read_text("utf-8")
    (folder / "serve.py").write_text(code.replace("8000", str(port)), "utf-8")
    start = time.monotonic()
    environment = {"PATH": os.environ["PATH"], "LAMINA_TOKEN": "secret"}
    server = subprocess.Popen([python, "serve.py"], cwd=folder, env=environment, stdout=subprocess.PIPE)
    try:
        assert b"Serving" in server.stdout.readline()
        body = json.dumps({"rows": [row]}).encode()
        headers = {"Content-Type": "application/json", "Authorization": "Bearer secret"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, headers)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return time.monotonic() - start, json.load(reply)
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()
