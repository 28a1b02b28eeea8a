"""The recipe that `lamina init` writes: every choice made from the data, with a line on why."""

import json
import re

from lamina import models, preprocess
from lamina.config import Config
from lamina.experiment import Case
from lamina.preprocess import UNUSED
from lamina.recipe import dump, load_yaml
from lamina.schema import Column
from lamina.tasks.forecasting.experiment import Ahead
from lamina.train.settings import Config as Train

PLAIN = re.compile(r"(?!(?i:null|true|false)$)[A-Za-z_][A-Za-z0-9_]*")  # names that YAML reads as text without quotes


def recipe(case: Case) -> str:
    """YAML text: data, target and task as found, a kind per column with what was seen, model and training."""
    prep = preprocess.fit(case.parts.train, case.schema)
    choice = models.choice(case.recipe.model, case.spec(prep))
    case = case.designed(choice)
    suggested = models.training(choice, case.spec(prep))
    train = Train.model_validate_json(json.dumps(suggested)).model_dump(mode="json", include=set(suggested))
    told = case.recipe.model_copy(
        update={
            "target": case.schema.target.name if case.schema.target else None,
            "task": _task(case),
            "columns": {},
            "train": train,
        }
    )
    values = dump(told)
    lines = [
        "# A Lamina recipe: the whole run in one file. Train by it with: lamina train FILE",
        f"# {case.counts()['used']:,} rows used, {case.counts()['quarantined']} set aside.",
        "",
    ]
    for line in values.splitlines():
        if line.startswith("split:"):
            lines += [
                "",
                "# Kinds found in the training rows; change one, or write ignore to leave a column out.",
                "columns:",
            ]
            lines += [_column(c) for c in case.schema.columns] + [""]
        lines.append(line)
    text = "\n".join(lines) + "\n"
    load_yaml(text, "recipe")
    return text


def _task(case: Case) -> Config:
    """The task with what was found in place of what was left open."""
    return case.chosen if isinstance(case, Ahead) else case.task_cfg


def _column(column: Column) -> str:
    """One line of `columns`; JSON strings are YAML strings too."""
    name = column.name if PLAIN.fullmatch(column.name) else json.dumps(column.name, ensure_ascii=False)
    value = column.kind
    if column.settings and column.kind not in UNUSED:
        settings = "".join(f", {key}: {json.dumps(setting)}" for key, setting in column.settings.items())
        value = f"{{kind: {column.kind}{settings}}}"
    seen = f"{column.distinct:,} distinct" + (f", {column.missing:,} missing" if column.missing else "")
    return f"  {name}: {value}  # {seen}{'; ' + column.note if column.note else ''}"
