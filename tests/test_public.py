"""The public names, what importing costs, and what is never done: read from the source itself."""

import ast
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

import lamina

SOURCE = Path(lamina.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
HEAVY = ("torch", "sklearn", "matplotlib", "onnx", "polars", "scipy", "transformers")
TRAINS = (
    "models",
    "layers",
    "losses",
    "train",
    "deploy/onnx_export.py",
    "deploy/packaging.py",
    "deploy/exporting/torch_program.py",
)


def imported(code: str, *words: str) -> set[str]:
    """The top-level packages that a fresh process holds after some code."""
    reply = "import json, sys\n" + code + "\nprint(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    command = [sys.executable, "-W", "error", "-c", reply, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


# names


def test_the_public_names_are_these():
    assert lamina.__all__ == [
        "BundleError",
        "DataError",
        "Estimator",
        "LaminaError",
        "Predictor",
        "Recipe",
        "RecipeError",
        "TrainingError",
        "fit",
        "import_model",
        "load",
    ]
    assert dir(lamina) == lamina.__all__


@pytest.mark.parametrize("name", lamina.__all__)
def test_every_public_name_is_there_and_says_what_it_does(name):
    value = vars(sys.modules["lamina"]).get(name) or getattr(lamina, name)
    assert value.__name__ == name
    assert value.__doc__


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lamina' has no attribute 'fitt'"):
        _ = lamina.fitt


def test_the_users_errors_are_one_family():
    for name in ("BundleError", "DataError", "RecipeError", "TrainingError"):
        assert issubclass(getattr(lamina, name), lamina.LaminaError)


# imports


def test_importing_lamina_imports_nothing_heavy():
    result = imported("import lamina")
    assert not result & {*HEAVY, "pandas", "pyarrow", "numpy", "pydantic", "duckdb", "rich", "typer"}


def test_the_command_line_imports_nothing_heavy_before_it_is_needed():
    result = imported("import lamina.cli")
    assert not result & {*HEAVY, "pandas", "pyarrow", "duckdb", "numpy", "onnxruntime"}


def test_answering_needs_no_torch(churn_bundle):
    code = "from lamina.deploy.predictor import Predictor; Predictor(sys.argv[1]).predict([{'months': 3}, {}])"
    assert not imported(code, str(churn_bundle)) & {*HEAVY, "duckdb"}


def test_loading_from_the_public_door_needs_no_torch(churn_bundle):
    code = "import lamina; lamina.load(sys.argv[1]).predict([{'months': 3}])"
    assert not imported(code, str(churn_bundle)) & {*HEAVY, "duckdb"}


@pytest.mark.parametrize("verb", ["predict", "inspect", "inspect a bundle", "export", "doctor"])
def test_what_only_uses_a_bundle_or_looks_at_data_runs_where_torch_is_not_installed(
    churn_bundle, churn_csv, tmp_path, verb
):
    words = {
        "predict": ["predict", churn_bundle, churn_csv, "-o", tmp_path / "answers.csv"],
        "inspect": ["inspect", churn_csv],
        "inspect a bundle": ["inspect", churn_bundle],
        "export": ["export", churn_bundle, "-o", tmp_path / "one.lamina"],
        "doctor": ["doctor"],
    }[verb]
    absent = "; ".join(
        f"sys.modules['{name}'] = None" for name in ("torch", "sklearn", "matplotlib", "onnx", "onnxscript")
    )
    command = [sys.executable, "-c", f"import sys; {absent}; from lamina.cli import main; main()", *map(str, words)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_training_where_torch_is_not_installed_says_what_to_install(churn_csv, tmp_path):
    words = ["train", str(churn_csv), "--target", "left", "--out", str(tmp_path / "run")]
    command = [
        sys.executable,
        "-c",
        "import sys; sys.modules['torch'] = None; from lamina.cli import main; main()",
        *words,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "pip install 'lamina[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_serving_needs_no_torch(churn_bundle):
    pytest.importorskip("fastapi")
    code = """
import asyncio, httpx
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import app

async def ask(api):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://localhost") as client:
        return await client.post("/predict", json={"rows": [{"months": 3}]})

answer = asyncio.run(ask(app(Predictor(sys.argv[1]))))
assert answer.status_code == 200, answer.text
"""
    assert not imported(code, str(churn_bundle)) & {*HEAVY, "duckdb"}


# the source


@functools.cache
def trees() -> list[tuple[str, ast.Module]]:
    return [(path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text("utf-8"))) for path in FILES]


def packages(tree: ast.Module) -> set[str]:
    """Every package that is imported anywhere in a file."""
    result = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            result |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            result.add((node.module or "").split(".")[0])
    return result


def test_torch_is_imported_only_where_networks_are_made_and_trained():
    assert not {name for name, tree in trees() if "torch" in packages(tree) and not name.startswith(TRAINS)}


def called(node: ast.Call) -> str:
    """`eval`, `torch.load`, `x.extractall`: the name a call is written with."""
    return ast.unparse(node.func)


def test_nothing_from_data_is_ever_executed():
    bare = {"eval", "exec", "compile", "__import__"}
    dotted = (
        "torch.load",
        "yaml.load",
        "yaml.unsafe_load",
        "joblib.load",
        "os.system",
        "os.popen",
    )
    for name, tree in trees():
        assert not packages(tree) & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, name
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            word = called(node)
            assert word not in bare, f"{name}:{node.lineno} {word}"
            assert not word.endswith((".extractall", ".unpack_archive")), f"{name}:{node.lineno} {word}"
            if word in dotted:
                assert (name, word) == ("config/yaml.py", "yaml.load"), f"{name}:{node.lineno} {word}"
            if word in ("np.load", "numpy.load"):
                settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert settings.get("allow_pickle") == "False", f"{name}:{node.lineno} {word}"
            for keyword in node.keywords:
                pickles = keyword.arg in ("allow_pickle", "shell") and ast.unparse(keyword.value) == "True"
                assert not pickles, f"{name}:{node.lineno} {word}"


def test_yaml_is_read_and_written_by_the_safe_ones_only():
    uses = {name: tree for name, tree in trees() if packages(tree) & {"yaml", "ruamel"}}
    assert set(uses) == {"config/yaml.py", "recipe/text.py"}
    for tree in uses.values():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert {ast.unparse(node) for node in calls if called(node) == "YAML"} == {"YAML(typ='safe', pure=True)"}


def test_a_module_is_imported_by_name_where_plug_ins_are_found_and_where_names_are_given_out():
    modules = {
        name
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and called(node).endswith("import_module")
    }
    formats = {"deploy/exporting/__init__.py"}  # each a module, of which most no process needs
    assert modules == {
        "__init__.py",
        "train/__init__.py",
        "deploy/server/__init__.py",
        "plugins.py",
        "cli/group.py",
        *formats,
    }


def test_every_file_says_what_it_is_for():
    assert [name for name, tree in trees() if not ast.get_docstring(tree)] == []
