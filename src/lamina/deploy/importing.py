"""A network of Hugging Face that others trained to the end, as a bundle: nothing is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lamina import preprocess
from lamina.config import RecipeError, nearest
from lamina.data._checkpoint import Checkpoint
from lamina.data._splits import Splits
from lamina.deploy import bundle, packaging
from lamina.deploy.bundle import archive
from lamina.evaluate.versions import versions
from lamina.experiment import Experiment, of
from lamina.models.pretrained import checkpoint as checkpoints
from lamina.models.pretrained.settings import Config
from lamina.plugins import available, plugin
from lamina.recipe import build
from lamina.resources import disk
from lamina.schema import Column, Row, Schema, Spec

LABEL = "label"


@dataclass(frozen=True)
class Names:
    """Of the column that is read, `text` or `image` when unset, and of the labels in rows that have some."""

    column: str | None = None
    target: str = LABEL


def write(path: str, out: Path, task: str | None = None, names: Names | None = None, overwrite: bool = False) -> Row:
    """Write the bundle of a folder, or of a name on the hub: where it is, the task, and what was guessed.

    Errors: RecipeError where the network cannot be read or does another task; StorageError where there is something.
    """
    if out.suffix in (".lamina", *bundle.NO_BUNDLE):
        raise disk.StorageError(f"-o: {out}: must be a folder. Make one file of it with: lamina export BUNDLE")
    disk.refuse_existing(out, overwrite, folder=True)
    if out.is_dir() and any(out.iterdir()) and not archive.is_bundle(out):
        raise disk.StorageError(f"-o: {out} holds other files than a bundle. Name a new folder.")
    checkpoint = checkpoints.read(path)
    kind, notes = _task(checkpoint, task)
    experiment = _experiment(checkpoint, kind, names or Names())
    prep = preprocess.fit(experiment.splits.train, experiment.schema)
    spec = Spec(inputs=experiment.task.inputs(prep), output=experiment.task.output())
    choice = Config(name=checkpoint.name)
    network = checkpoints.model(checkpoint, spec)
    experiment, files = packaging.files(network, choice, prep, spec, experiment.with_model(choice))
    files |= _papers(checkpoint, experiment, sum(p.numel() for p in network.parameters()))
    bundle.write(out, files, type(experiment.task))
    return {"bundle": str(out), "task": kind, "labels": list(experiment.task.classes), "notes": notes}


def _task(checkpoint: Checkpoint, name: str | None) -> tuple[str, list[str]]:
    """The task that a network does, and a note where nobody named it."""
    able = [kind for kind in available("tasks") if plugin("tasks", kind).Task.imported(checkpoint) is not None]
    if name is None and able:
        sentence = f"The task is {able[0]}, by its architecture {checkpoint.architecture}. Another: --task NAME"
        return able[0], [sentence]
    kind = (name or "").replace("-", "_")
    if kind in able:
        return kind, []
    if name is not None and kind not in available("tasks"):
        raise RecipeError([f"task: there is no '{name}'. {nearest(kind, available('tasks'))}"])
    cure = (
        f"Say --task {able[0]}" if able else f"Train a head on it: lamina train DATA --model pretrained ({name or ''})"
    )
    what = (
        f"{checkpoint.architecture} of {len(checkpoint.labels)} labels"
        if checkpoint.labels
        else checkpoint.architecture
    )
    raise RecipeError([f"task: {checkpoint.name} is {what}, and does not do {name or 'any task here'}. {cure}."])


def _experiment(checkpoint: Checkpoint, kind: str, names: Names) -> Experiment:
    """The experiment of a network that is there already: its rows are made up."""
    task = plugin("tasks", kind).Task.imported(checkpoint)
    name = names.column or checkpoint.reads
    if name == names.target:
        raise RecipeError([f"target: '{name}' is the column that is read. Name another with --target."])
    column = Column(name=name, kind=checkpoint.reads, settings=checkpoint.settings)
    target = Column(name=names.target, kind=task.target_kind, note="the target") if task.target_kind else None
    rows = pa.table({name: pa.array(_cells(checkpoint.reads))})
    recipe = build({"data": {"kind": "arrays"}, "task": kind})
    schema = Schema(columns=(column,), target=target)
    splits = Splits(rows, rows, rows)
    return of(kind)(recipe=recipe, task=task, schema=schema, splits=splits, read=0, skipped_rows=(), notes=())


def _cells(kind: str) -> list[Any]:
    """Cells of which a kind learns nothing but what its settings say."""
    module = vars(plugin("preprocess", kind))
    return [module["FILE"].sample()] if "FILE" in module else ["a text"]


def _papers(checkpoint: Checkpoint, experiment: Experiment, parameters: int) -> dict[str, bytes]:
    """How the bundle was made, for programs and for people."""
    facts = {"imported": {"name": Path(checkpoint.name).name, "architecture": checkpoint.architecture}}
    labels = f", for the labels {', '.join(experiment.task.classes[:20])}" if experiment.task.classes else ""
    lines = [
        f"# {Path(checkpoint.name).name}",
        "",
        f"A network that others trained ({checkpoint.architecture}, {parameters:,} parameters){labels}.",
        "It was imported, not trained here, and nothing here has evaluated it: lamina evaluate BUNDLE DATA.",
        "",
        "Open it with `lamina predict`, `lamina serve`, or `lamina.load` in Python. The files are data only.",
    ]
    training = bundle.encode({**facts, "scores": {}, "versions": versions()})
    return {"training.json": training, "CARD.md": ("\n".join(lines) + "\n").encode()}
