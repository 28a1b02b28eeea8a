"""The recipe that `lamina init` writes: every choice made from the data, with a line on why."""

import json
import re
from urllib.parse import quote

from lamina import models
from lamina.config import load_yaml
from lamina.experiment import Experiment
from lamina.pipeline import design
from lamina.preprocess import UNUSED
from lamina.recipe import dump
from lamina.schema import Column
from lamina.train.settings import Config as Train

PLAIN = re.compile(r"(?!(?i:null|true|false)$)[A-Za-z_][A-Za-z0-9_]*")  # names that YAML reads as text without quotes


def text(experiment: Experiment, schema: str) -> str:
    """YAML: data, target and task as they are, a kind per column with what its cells hold, model and training.

    `schema`: the file name of the JSON schema beside it, by which editors complete and check it.
    """
    experiment, prep, choice = design(experiment)
    suggested = models.training(choice, experiment.spec(prep), experiment.recipe.preset)
    train = Train.model_validate_json(json.dumps(suggested)).model_dump(mode="json", include=set(suggested))
    target = experiment.target.name if experiment.target else None
    changes = {"target": target, "task": experiment.settings(), "columns": {}, "train": train}
    counts = experiment.counts()
    lines = [
        f"# yaml-language-server: $schema={quote(schema)}",
        "# A Lamina recipe: the whole run in one file. Train by it with: lamina train FILE",
        f"# {counts['used']:,} rows used, {counts['skipped']} skipped.",
        "",
    ]
    for line in dump(experiment.recipe.model_copy(update=changes)).splitlines():
        if line.startswith("split:"):
            lines += [
                "",
                "# Kinds found in the training rows; change one, or write ignore to leave a column out.",
                "columns:",
            ]
            lines += [_column(column) for column in experiment.schema.columns] + [""]
        lines.append(line)
    recipe = "\n".join(lines) + "\n"
    load_yaml(recipe, "recipe")
    return recipe


def _column(column: Column) -> str:
    """One line of `columns`; JSON strings are YAML strings too."""
    name = column.name if PLAIN.fullmatch(column.name) else json.dumps(column.name, ensure_ascii=False)
    value = column.kind
    if column.settings and column.kind not in UNUSED:
        settings = "".join(f", {key}: {json.dumps(setting)}" for key, setting in column.settings.items())
        value = f"{{kind: {column.kind}{settings}}}"
    cells = f"{column.distinct:,} distinct" + (f", {column.missing:,} missing" if column.missing else "")
    return f"  {name}: {value}  # {cells}{'; ' + column.note if column.note else ''}"
