"""What there is to know before anything is trained: of a data source, a bundle, this machine. Plain values only."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from lamina import __version__, data, experiment, preprocess
from lamina.config import Config, LaminaError, errors_with_notes
from lamina.data import Sources
from lamina.data._skipped_rows import ROW_NUMBER, column_name, position_notes, reasons, with_row_numbers
from lamina.deploy.bundle import locate
from lamina.deploy.predictor import Predictor, summary
from lamina.plugins import kind, plugin
from lamina.recipe import Recipe, Unused, from_words
from lamina.schema import Collected, Row
from lamina.task import Operation

EXTRAS = {
    "train": ("torch", "sklearn", "matplotlib", "onnx", "onnxscript"),
    "serve": ("fastapi", "uvicorn"),
    "app": ("streamlit",),
    "images": ("cv2",),
    "huggingface": ("transformers",),
    "excel": ("python_calamine",),
}
EXAMPLES = 20


def inspect(source: Sequence[str], target: str | None, sets: Sequence[str]) -> Row:
    """A bundle, or the columns and unusable rows of a data source, which is words of a command line."""
    path = locate(source[0])
    if len(source) == 1 and is_bundle(path):
        return _bundle(path)
    recipe = from_words(source, [*sets, *([f"target={json.dumps(target)}"] if target else [])], trains=False)
    return {"source": " ".join(source), **describe(recipe, data.load(recipe.data))}


def is_bundle(path: Path) -> bool:
    """Whether a bundle is there, sound or not."""
    return path.suffix == ".lamina" or (path / "manifest.json").exists()


def describe(recipe: Recipe, collected: Collected) -> Row:
    """What rows hold, before any training: columns with their kinds, rows of no use and why, notes, and the task."""
    sources = experiment.with_conventions(recipe, Sources(collected, recipe.data))
    collected = sources.train
    table = with_row_numbers(collected, recipe.missing).drop_columns([ROW_NUMBER])
    with errors_with_notes(collected.notes):
        target = column_name(table, recipe.target) if recipe.target else None
    ignored = (*collected.metadata, *([collected.part] if collected.part else []))
    kinds = {name: Unused(kind="ignore") for name in ignored} | recipe.columns
    notes = position_notes(table, recipe.target)
    recipe = recipe.model_copy(update={"target": target})
    task, target_kinds, remarks = _task(recipe, sources)
    kinds = target_kinds | kinds
    schema = preprocess.infer(table, target, kinds, recipe.missing, collected.decimal)
    columns = [*schema.columns, *([schema.target] if schema.target else [])]
    columns = [c.model_copy(update={"note": "the target"}) if c.name in target_kinds else c for c in columns]
    label = target or collected.target
    labels = table[label].to_pylist() if label and label in table.column_names else []
    parts = table[collected.part].to_pylist() if collected.part else []
    return {
        "rows": table.num_rows,
        "skipped": len(collected.skipped_rows),
        "skipped_rows": [row._asdict() for row in collected.skipped_rows[:EXAMPLES]],
        "reasons": reasons(collected.skipped_rows),
        "notes": _once([*experiment.advice(recipe, sources), *notes, *remarks, *collected.notes]),
        "task": task,
        "target": target,
        "columns": [column.model_dump(mode="json") for column in columns],
        "statistics": preprocess.statistics(table, schema, schema.target),
        "surveys": preprocess.survey(table, schema.columns, labels, parts),
    }


def _once(notes: Sequence[str]) -> list[str]:
    """Notes without those that begin with the same sentence as one before."""
    first = {note.partition(". ")[0]: note for note in reversed(notes)}
    return [note for note in dict.fromkeys(notes) if first[note.partition(". ")[0]] == note]


def _task(recipe: Recipe, sources: Sources) -> tuple[str | None, dict[str, Config], tuple[str, ...]]:
    """The task of a recipe with a target, the kind by which it reads that, by its name, and what training would say."""
    target = recipe.target or sources.train.target
    if target is None:
        return None, {}, ()
    try:
        _, choice, notes = experiment.choose(recipe, sources)
    except LaminaError as error:
        return None, {}, (str(error),)
    assert choice.task is not None
    name = kind(choice.task)
    read_as = plugin("tasks", name).Task.target_kind
    return name, {target: plugin("preprocess", read_as).Config()} if read_as else {}, notes


def _bundle(path: Path) -> Row:
    predictor = Predictor(path)
    bundle, roles = predictor.bundle, predictor.bundle.roles
    return {
        "bundle": str(path),
        "id": bundle.id,
        "task": predictor.task.kind,
        "model": bundle.model.kind,
        "runtime": bundle.model.runtime,
        "target": predictor.target,
        "classes": list(predictor.task.classes),
        "operations": [_operation(operation, predictor, path) for operation in predictor.operations],
        "scores": bundle.training.get("scores", {}),
        "columns": [column.model_dump(mode="json") for column in bundle.schema.columns],
        "files": [{"path": name, "bytes": len(body), "role": roles[name]} for name, body in bundle.files.items()],
    }


def _operation(operation: Operation, predictor: Predictor, path: Path) -> Row:
    """One thing that can be asked, and the command to ask it with."""
    source = "" if operation.rows == "none" else " SOURCE"
    command = f"lamina {operation.name} {path}{source} -o OUTPUT"
    return {"name": operation.name, "summary": summary(operation, predictor), "command": command}


def machine() -> Row:
    """Versions, cores, memory, devices, and which extras are complete."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    extras = {name: [m for m in modules if find_spec(m) is None] for name, modules in EXTRAS.items()}
    return {
        "lamina": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 1e9, 1),
        "versions": {name: _version(name) for name in ("torch", "onnxruntime", "pyarrow", "duckdb", "numpy")},
        "missing": {name: modules for name, modules in extras.items() if modules},
        "devices": _devices() if not extras["train"] else [],
        "ready": [name for name, modules in extras.items() if not modules],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> list[str]:
    from lamina.train.device import present

    return present()
