"""The recipe that `lamina init` writes: every choice made from the data, with a line on why."""

from lamina import models, preprocess
from lamina.cases import Case
from lamina.preprocess import UNUSED
from lamina.recipe import dump, load_yaml
from lamina.train.settings import Config as Train


def recipe(case: Case) -> str:
    """YAML text: data, target and task as found, a kind per column with what was seen, model and training."""
    prep = preprocess.fit(case.parts.train, case.schema)
    suggested = models.training(case.recipe.model, case.spec(prep))
    train = Train.model_validate_json(_json(suggested)).model_dump(mode="json", include=set(suggested))
    told = case.recipe.model_copy(
        update={"target": case.target.name, "task": case.task_cfg, "columns": {}, "train": train}
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


def _json(values: dict) -> str:
    import json

    return json.dumps(values)


def _column(column) -> str:
    name = (
        column.name
        if column.name.replace("_", "").isalnum() and not column.name[0].isdigit()
        else f'"{_escaped(column.name)}"'
    )
    value = column.kind
    if column.settings and column.kind not in UNUSED:
        value = "{kind: " + column.kind + "".join(f', {k}: "{v}"' for k, v in column.settings.items()) + "}"
    seen = f"{column.distinct:,} distinct" + (f", {column.missing:,} missing" if column.missing else "")
    return f"  {name}: {value}  # {seen}{'; ' + column.note if column.note else ''}"


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
