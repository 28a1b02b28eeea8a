"""The documentation is true: its blocks run, its tables are those of the code, its links lead somewhere."""

import contextlib
import importlib
import io
import os
import pkgutil
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import huggingface_tools
import lamina
import warm_python
from conftest import experiment_of
from lamina import config, experiment, recipe
from lamina.cli import commands as cli
from lamina.cli.operations import installed
from lamina.data import arrays
from lamina.deploy import bundle
from lamina.deploy.server.openapi import FAULTS
from lamina.evaluate import baselines
from lamina.evaluate.metrics import HIGHER
from lamina.layers.basic import ACTIVATIONS
from lamina.layers.registry import LAYERS
from lamina.plugins import STAGES, available, plugin
from lamina.preprocess import UNUSED
from lamina.schema import Collected

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
README = ROOT / "README.md"
PAGES = [README, *DOCS]
LINKED = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
GOES_ON = {
    "3-design",
    "4-train",
    "5-evaluate",
    "6-deploy",
    "protocols",
    "recipes",
}  # pages that use what five-minutes made
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # the machine of the tests is a busy one
SHORT = "train.epochs=2"
NETWORK = "distilbert-sst2"  # a network that others trained, by its folder


class Block(NamedTuple):
    """A fenced block: its language, the words behind it, its text."""

    language: str
    words: list[str]
    text: str


def blocks(page: Path) -> list[Block]:
    result = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [Block((info.split() or [""])[0], info.split()[1:], text) for info, text in result]


def tables(page: Path) -> dict[str, list[list[str]]]:
    """Cells of the rows of each table that follows a comment, by the comment's text."""
    result = re.findall(r"^<!-- (.+?) -->\n((?:\|.*\n?)+)", page.read_text("utf-8"), re.MULTILINE)
    return {name: [cells(line) for line in text.splitlines()[2:]] for name, text in result}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def named(text: str) -> set[str]:
    """Everything between back-ticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text("utf-8")


# Blocks run


@pytest.fixture(scope="session")
def churn_home(tmp_path_factory) -> Path:
    """The two files and the run that five-minutes makes, trained for two epochs."""
    folder = tmp_path_factory.mktemp("five-minutes")
    with contextlib.chdir(folder):
        exec(next(b.text for b in blocks(ROOT / "docs" / "five-minutes.md") if b.language == "python"), {})
        out = ["--out", "runs/churn", "--set", SHORT, "--set", "train.threads=1"]
        assert command(["train", "customers.csv", "--target", "Churn", *out])[0] == 0
    return folder


def command(words: list[str]) -> tuple[int, str]:
    """Exit code and everything printed by the installed entry point, in this process."""
    printed, before = io.StringIO(), sys.argv
    sys.argv = ["lamina", *words]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    return code, printed.getvalue()


class Shell:
    """Runs the commands of one page in order; a server stays up to the end of the page."""

    def __init__(self) -> None:
        self.server: subprocess.Popen[str] | None = None
        self.port = 0

    def run(self, line: str) -> tuple[int, str]:
        words = shlex.split(line)
        env = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        words = [word for word in words if word not in [f"{k}={v}" for k, v in env.items()]]
        if words[0] == "curl":
            return self._curl(line)
        assert words[0] == "lamina", f"a console block may run lamina and curl, not {words[0]}"
        words = words[1:]
        if words[0] == "serve" and "--host" not in words:
            return self._serve(words)
        if words[0] == "train" and "train.epochs" not in line and "--resume" not in words:
            words += ["--set", SHORT]
        if not env:
            return command(words)
        # a process of its own, since a plug-in folder must not stay known to this one
        done = warm_python.run("-m", "lamina", *words, env=os.environ | env)
        return done.returncode, done.stdout + done.stderr

    def _serve(self, words: list[str]) -> tuple[int, str]:
        self.close()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        call = [sys.executable, "-m", "lamina", *words, "--port", str(self.port)]
        self.server = subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD)
        assert self.server.stdout is not None
        said = self.server.stdout.readline()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready") as answer:
                return 0 if answer.status == 200 else 1, said
            time.sleep(0.05)
        return 1, said

    def _curl(self, line: str) -> tuple[int, str]:
        if shutil.which("curl") is None:
            return 0, ""
        words = shlex.split(line.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}"))
        done = subprocess.run([*words, "--fail-with-body"], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def close(self) -> None:
        if self.server is not None:
            self.server.terminate()
            assert self.server.wait(30) == 0
            assert self.server.stdout is not None
            self.server.stdout.close()
            self.server = None


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block with the lines that it should print."""
    result: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            result.append((line[2:], []))
        else:
            result[-1][1].append(line)
    return result


def check(block: Block, shell: Shell) -> None:
    expected = next((int(word.removeprefix("exit=")) for word in block.words if word.startswith("exit=")), 0)
    for line, shown in commands(block.text):
        code, printed = shell.run(line)
        assert code == expected, f"$ {line}\nended with {code}\n{printed}"
        if "exact" in block.words or expected:
            assert_shown(shown, printed)


def assert_shown(shown: list[str], printed: str) -> None:
    """Each line stands in what was printed, in this order; `...` stands for any lines."""
    rest = iter(line.rstrip() for line in printed.splitlines())
    for line in shown:
        assert line == "..." or line.rstrip() in rest, f"'{line}' is not printed here:\n{printed}"


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # a run without `out` is temporary
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_block_of_a_page_runs(path, tmp_path, monkeypatch, request) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    if path.stem in GOES_ON:
        shutil.copytree(request.getfixturevalue("churn_home"), tmp_path, dirs_exist_ok=True)
    if NETWORK in "".join(block.text for block in blocks(path) if block.language == "console"):
        huggingface_tools.write(tmp_path / NETWORK, "distilbert", "AutoModelForSequenceClassification")
    namespace: dict[str, Any] = {"__name__": path.stem}
    shell = Shell()
    try:
        for block in blocks(path):
            first = block.text.partition("\n")[0]
            if first.startswith("# file: "):
                target = tmp_path / first.removeprefix("# file: ")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text.partition("\n")[2], "utf-8")
            elif block.language == "python" and not first.startswith("def run("):
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(block.text, str(path), "exec"), namespace)
            elif block.language == "console":
                check(block, shell)
            elif block.language == "yaml":
                recipe.build(config.load_yaml(block.text, str(path)))
    finally:
        shell.close()


def test_blocks_say_what_they_are() -> None:
    for path in LINKED:
        assert path.read_text("utf-8").count("\n```") % 2 == 0, path.name
        for block in blocks(path):
            assert block.language in ("python", "console", "yaml", "text", "sh"), f"{path.name}: {block.text[:60]}"


# README


def test_the_pipeline_page_in_the_readme_is_the_file() -> None:
    source = (ROOT / "src" / "lamina" / "pipeline.py").read_text("utf-8")
    text = next(b.text for b in blocks(README) if b.text.startswith("def run("))
    assert text.strip() == source[source.index("def run(") :].strip()


def test_the_tree_in_the_readme_is_the_package() -> None:
    tree = next(b.text for b in blocks(README) if b.text.startswith("src/lamina/"))
    listed, folders = set(), [""]
    for line in tree.splitlines()[1:]:
        names, _, meaning = line.strip().partition("  ")
        assert meaning.strip(), f"{names} has no meaning"
        folders = folders[: (len(line) - len(line.lstrip())) // 2]
        paths = [folders[-1] + name for name in names.split(", ")]
        assert not [path for path in paths if path in listed]
        listed |= set(paths)
        folders.append(paths[-1])
    package = ROOT / "src" / "lamina"
    assert not [name for name in listed if not (package / name).exists()]
    modules = [p.relative_to(package) for p in package.rglob("*.py")]
    folders = [f"{m.parent.as_posix()}/" for m in modules if m.name == "__init__.py" and m.parent.name]
    public = [m.as_posix() for m in modules if len(m.parts) == 1 or not m.name.startswith("_")]
    assert {*folders, *public} <= listed, {*folders, *public} - listed


def test_the_recipe_in_the_readme_is_the_classic_one() -> None:
    text = next(b.text for b in blocks(README) if b.language == "yaml")
    assert recipe.build(config.load_yaml(text, "README")) == recipe.read(ROOT / "recipes" / "classic_fnn.yaml")


# Tables are those of the code


def default(value: Any) -> str:
    """A default as the tables write it."""
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return value.model_dump()["kind"]
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


SETTINGS = [(path, name, rows) for path in DOCS for name, rows in tables(path).items() if name.startswith("settings: ")]


@pytest.mark.parametrize(("path", "name", "rows"), SETTINGS, ids=[name for _, name, _ in SETTINGS])
def test_a_table_of_settings_is_its_class(path, name, rows) -> None:
    module, _, cls = name.removeprefix("settings: ").rpartition(".")
    fields = {n: f for n, f in vars(importlib.import_module(module))[cls].model_fields.items() if n != "kind"}
    assert [row[0] for row in rows] == [f"`{name}`" for name in fields]
    for row, field in zip(rows, fields.values(), strict=True):
        assert row[1] == default(field.default), row[0]
        assert row[2].startswith(field.description or ""), row[0]
        if get_origin(field.annotation) is Literal and "below" not in row[2]:
            missing = [word for word in get_args(field.annotation) if str(word) not in f"{row[1]} {row[2]}"]
            assert not missing, f"{row[0]} does not tell of {missing}"


def test_every_plugin_with_settings_has_its_table() -> None:
    shown = {name.removeprefix("settings: ") for _, name, _ in SETTINGS}
    for folder in STAGES:
        for name in builtin(folder):
            own = set(plugin(folder, name).Config.model_fields) - {"kind"}
            assert not own or f"lamina.{folder}.{name}.Config" in shown, f"{folder}/{name}"
    assert "lamina.train.settings.Config" in shown


def builtin(folder: str) -> list[str]:
    """Plug-ins of the package itself."""
    package = importlib.import_module(f"lamina.{folder}")
    inside = [m.name for m in pkgutil.iter_modules([str(ROOT / "src" / "lamina" / folder)])]
    return [name for name in available(folder) if name in inside and package]


@pytest.mark.parametrize("name", ["settings.Optimizer", "settings.Schedule", "augmentation.Step"])
def test_tables_of_choices_are_their_classes(name) -> None:
    rows = tables(ROOT / "docs" / "4-train.md")[f"choices: lamina.train.{name}"]
    module, _, choice = name.partition(".")
    classes = get_args(get_args(vars(importlib.import_module(f"lamina.train.{module}"))[choice])[0])
    assert [row[0] for row in rows] == [f"`{cls.model_fields['kind'].default}`" for cls in classes]
    for row, cls in zip(rows, classes, strict=True):
        expected = ", ".join(f"`{n}: {said(f.default)}`" for n, f in cls.model_fields.items() if n != "kind")
        assert row[1] == (expected or "none")
        assert row[2] == cls.__doc__


def said(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value).lower()


def test_the_table_of_layers_is_the_code() -> None:
    rows = {row[0].strip("`"): row for row in tables(ROOT / "docs" / "3-design.md")["layers"]}
    assert list(rows) == list(LAYERS)
    for name, cls in LAYERS.items():
        assert rows[name][2] == cls.__doc__
        for field, info in cls.model_fields.items():
            expected = f"`{field}` (required)" if info.is_required() else f"`{field}: {said(info.default)}`"
            assert expected in rows[name][1]


def test_the_layers_of_imports_are_those_that_are_checked() -> None:
    rows = tables(ROOT / "docs" / "design.md")["layers of imports"]
    written = [sorted(name.strip("` ") for name in row[1].split(",")) for row in rows]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    assert written == [sorted(re.findall(r"lamina\.([\w.]+)", layer)) for layer in reversed(layers)]


# Nothing is left out


ROWS = [{"month": i, "size": float(i % 9), "sort": "ab"[i % 2], "tags": ["a", "b", "c"][i % 3 :]} for i in range(90)]
ASKED: dict[str, dict[str, Any]] = {
    "classification": {"target": "sort"},
    "multilabel": {"target": "tags"},
    "regression": {"target": "size"},
    "forecasting": {"target": "size"},
    "generation": {},
    "language_modelling": {"target": "sort"},
    "anomaly_detection": {"target": "sort"},
    "dimensionality_reduction": {"target": "sort"},
    "denoising": {},
}


def test_every_metric_is_documented() -> None:
    for task in builtin("tasks"):
        experiment.of(task)  # which registers the task's own
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (higher|lower) \|", page("5-evaluate"), re.MULTILINE)
    assert {name: better == "higher" for name, _, better in rows} == HIGHER
    for task in {task for _, task, _ in rows}:
        result = recipe.build({"data": {"kind": "arrays"}, "task": task, **ASKED[task]})
        scores = experiment_of(result, Collected(arrays.table(ROWS))).metrics
        assert {name for name, of, _ in rows if of == task} <= set(scores)


def test_every_kind_task_architecture_and_source_is_documented() -> None:
    kinds = re.findall(r"^\| `(\w+)` \|.*\|.*\|.*\|.*\|.*\|", page("2-preprocess"), re.MULTILINE)
    assert set(kinds) == set(builtin("preprocess"))
    assert set(UNUSED) <= named(page("2-preprocess"))
    assert set(builtin("models")) <= set(re.findall(r"^\| `(\w+)`", page("3-design"), re.MULTILINE))
    assert set(builtin("tasks")) <= named(page("5-evaluate"))
    assert set(builtin("data")) <= set(re.findall(r"\w+", page("1-collect")))
    assert set(ACTIVATIONS) <= named(page("3-design"))
    assert set(builtin("losses")) <= named(page("3-design"))
    assert set(baselines.LABELS) <= named(page("5-evaluate"))


def test_every_verb_is_documented() -> None:
    verbs = {c.name or getattr(c.callback, "__name__", "") for c in cli.app.registered_commands}
    verbs |= {operation.name for operation in installed()}
    assert verbs == set(re.findall(r"^\| `lamina (\w+)` \|", page("6-deploy"), re.MULTILINE))
    assert not [verb for verb in verbs if f"lamina {verb}" not in README.read_text("utf-8")]


def test_every_bundle_file_is_documented_in_the_words_of_the_code() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+?) \|", page("6-deploy").split("## Predictor")[0], re.MULTILINE))
    roles = {name: role for task in builtin("tasks") for name, role in bundle.roles(plugin("tasks", task).Task).items()}
    assert set(rows) == {*roles, "manifest.json"}
    assert not [name for name, role in roles.items() if not rows[name].startswith(role)]


def test_every_section_and_status_is_documented() -> None:
    sections = re.findall(r"^\| `(\w+)` \|", page("recipes").split("## Overrides")[0], re.MULTILINE)
    assert set(sections) == set(recipe.Recipe.model_fields)
    statuses = {int(code) for code in re.findall(r"^\|[ \d,]*?(\d{3})[ ,|]", page("6-deploy"), re.MULTILINE)}
    assert {int(code) for code in FAULTS} <= statuses


def test_public_names_are_in_the_changelog_or_the_pages() -> None:
    text = "".join(path.read_text("utf-8") for path in LINKED)
    errors = [name for name in lamina.__all__ if name.endswith("Error")]
    assert not [name for name in lamina.__all__ if name not in text and name not in errors]


# Links


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.stem)
def test_links_lead_somewhere(path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_index() -> None:
    index = page("index")
    assert not [path.name for path in DOCS if path.stem != "index" and f"({path.name})" not in index]


# Recipes


def promise(path: Path) -> tuple[str, float, float]:
    result = re.search(r"^# promise +(\w+) ([\d.]+) \+/- ([\d.]+)", path.read_text("utf-8"), re.MULTILINE)
    assert result, f"{path.name} promises nothing"
    return result[1], float(result[2]), float(result[3])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_reads_and_says_what_it_promises(path) -> None:
    result = recipe.read(path)
    name, value, spread = promise(path)
    for task in available("tasks"):  # metrics of their own are known once their room is open
        experiment.of(task)
    assert name in HIGHER and value > spread > 0
    assert f"lamina train recipes/{path.name}" in path.read_text("utf-8")
    assert recipe.build(config.load_yaml(recipe.dump(result), path.name)) == result


def test_the_classic_recipe_keeps_its_promise(tmp_path) -> None:
    path = ROOT / "recipes" / "classic_fnn.yaml"
    code, printed = command(["train", str(path), "--out", str(tmp_path / "run"), "--json"])
    assert code == 0, printed
    result = config.load_yaml(printed[printed.index('{"run"') :], "result")
    name, value, spread = promise(path)
    assert abs(result["scores"][name] - value) <= spread


def test_samples_are_credited() -> None:
    source = (files("lamina.data") / "samples" / "SOURCE.md").read_text("utf-8")
    assert all(word in source and word in README.read_text("utf-8") for word in ("Telco", "Wine Quality", "CC BY 4.0"))


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch) -> Iterator[None]:
    """Threads that wait for one another are slow where others work too; put back for the tests that follow."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
