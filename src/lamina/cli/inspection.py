"""What there is to see before anything is trained: a data source, a bundle, this machine."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa

from lamina import __version__, data, preprocess
from lamina.deploy.bundle import ROLES, open_bundle
from lamina.recipe import Recipe, Unused, by_words
from lamina.schema import Column, Row
from lamina.tasks._supervised import target as labelled
from lamina.tasks.forecasting import column_roles as roles

EXTRAS = {
    "train": ("torch", "sklearn", "matplotlib", "onnx", "onnxscript"),
    "serve": ("fastapi", "uvicorn"),
    "images": ("cv2",),
    "huggingface": ("transformers",),
    "excel": ("python_calamine",),
}
SHOWN = 20


def at(source: list[str], target: str | None, sets: list[str]) -> Row:
    """Plain values about a bundle, or about the columns and unusable rows of a data source."""
    path = Path(source[0])
    inside = path / "bundle"
    if len(source) == 1 and (inside.is_dir() or path.suffix == ".lamina" or (path / "manifest.json").exists()):
        return _bundle(inside if inside.is_dir() else path)
    recipe = by_words(source, sets, trains=False)
    collected = data.load(recipe.data)
    table = labelled.rows(collected, recipe.missing).drop_columns([labelled.ROW])
    target = target or recipe.target
    aim = labelled.column(table, target) if target else None
    beside = (*collected.beside, *([collected.part] if collected.part else []))
    given = {name: Unused(kind="ignore") for name in beside} | recipe.columns
    schema = preprocess.infer(table, aim, given, recipe.missing)
    columns = [*schema.columns, *([schema.target] if schema.target else [])]
    label = aim or collected.target
    labels = table[label].to_pylist() if label and label in table.column_names else []
    parts = table[collected.part].to_pylist() if collected.part else []
    return {
        "source": " ".join(source),
        "rows": table.num_rows,
        "quarantined": len(collected.quarantine),
        "quarantine": [q._asdict() for q in collected.quarantine[:SHOWN]],
        "notes": [*collected.notes, *_in_time(recipe, table, aim)],
        "target": aim,
        "columns": [_column(c) for c in columns],
        "pictures": preprocess.surveyed(table, schema.columns, labels, parts),
    }


def _in_time(recipe: Recipe, table: pa.Table, target: str | None) -> list[str]:
    """What to say of a table whose rows look like steps in time."""
    found = roles.meant(recipe, table, target)
    if found is None:
        return []
    name = target or "COLUMN"
    return [f"{found.told()} Learn from the past with: lamina train DATA --task forecasting --target {name}"]


def _column(column: Column) -> Row:
    return column.model_dump(mode="json")


def _bundle(path: Path) -> Row:
    opened = open_bundle(path)
    aim = opened.schema.target
    return {
        "bundle": str(path),
        "id": opened.id,
        "task": opened.task.kind,
        "model": opened.model.kind,
        "runtime": opened.model.runtime,
        "target": aim.name if aim else None,
        "classes": list(map(str, opened.task.state.get("classes", ()))),
        "scores": opened.training.get("scores", {}),
        "columns": [_column(c) for c in opened.schema.columns],
        "files": [{"path": name, "bytes": len(body), "role": ROLES[name]} for name, body in opened.files.items()],
    }


def machine() -> Row:
    """Versions, cores, memory, devices, and which extras are complete."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    extras = {name: [m for m in modules if find_spec(m) is None] for name, modules in EXTRAS.items()}
    found: dict[str, Any] = {
        "lamina": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 1e9, 1),
        "versions": {name: _version(name) for name in ("torch", "onnxruntime", "pyarrow", "duckdb", "numpy")},
        "missing": {name: gone for name, gone in extras.items() if gone},
        "devices": _devices() if not extras["train"] else [],
    }
    found["ready"] = [f"{name}" for name, gone in extras.items() if not gone]
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> list[str]:
    from lamina.train.device import present

    return present()
