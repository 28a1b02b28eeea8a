"""What a recipe comes to before any training: rows read once, the task and the network that suit them, and why."""

import glob
import json
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from lamina import data, experiment, inspection, models, pipeline, recipe
from lamina.config import LaminaError
from lamina.data import Sources
from lamina.experiment import Experiment
from lamina.plugins import available, kind, plugin
from lamina.recipe import Recipe
from lamina.schema import Row, Spec

FEW = 2  # data sets that stay in memory


class Analysis(NamedTuple):
    """A recipe with its data: how well each task suits, the network that was chosen, how well each one does, and the
    settings by which that one trains where the recipe says nothing.
    """

    experiment: Experiment
    tasks: dict[str, float]
    model: str
    models: dict[str, float]
    training: Row


def sources(settings: Recipe) -> Sources:
    """All rows of a recipe, read once as long as its files stay as they are. Errors: LaminaError."""
    values = settings.data.model_dump(mode="json")
    return _sources(json.dumps(values), _stamp(values), settings)


@st.cache_resource(max_entries=FEW, show_spinner="Reading the rows")
def _sources(key: str, stamp: str, _settings: Recipe) -> Sources:
    return data.read(_settings.data)


def _stamp(values: Any) -> str:
    """Changes when a file, or the list of files of a folder or a pattern, does that settings name."""
    if isinstance(values, dict | list):
        return " ".join(_stamp(value) for value in (values.values() if isinstance(values, dict) else values))
    paths = [Path(path) for path in glob.glob(values, recursive=True)] if isinstance(values, str) else []
    return " ".join(f"{path.stat().st_mtime_ns} {path.stat().st_size}" for path in paths)


def forget() -> None:
    """Read everything again that is read from now on."""
    for function in (_sources, _look, _analyse):
        function.clear()


def look(settings: Recipe) -> Row:
    """What `lamina inspect` says of its data. Errors: LaminaError."""
    rows = sources(settings)
    key = json.dumps({**recipe.plain(settings), "train": None, "model": None, "seed": 0})
    return _look(key, _stamp(settings.data.model_dump(mode="json")), settings, rows)


@st.cache_resource(max_entries=2 * FEW, show_spinner="Looking at the columns")
def _look(key: str, stamp: str, _settings: Recipe, _rows: Sources) -> Row:
    return inspection.describe(_settings, _rows.train)


def analyse(settings: Recipe) -> Analysis:
    """What the recipe comes to. Errors: LaminaError, as training would have it."""
    rows = sources(settings)
    key = json.dumps({**recipe.plain(settings), "train": None, "name": None, "also": None})
    return _analyse(key, _stamp(settings.data.model_dump(mode="json")), settings, rows)


@st.cache_resource(max_entries=FEW, show_spinner="Looking for what suits these data")
def _analyse(key: str, stamp: str, _settings: Recipe, _rows: Sources) -> Analysis:
    collected = experiment.collect(_settings, _rows)
    designed, prep, choice = pipeline.design(collected)
    spec = designed.spec(prep)
    models.check_inputs(choice, spec)
    return Analysis(
        designed,
        _tasks(_settings, _rows),
        kind(choice),
        _models(spec),
        models.training(choice, spec, _settings.preset),
    )


def _tasks(settings: Recipe, rows: Sources) -> dict[str, float]:
    """The tasks there are, the one that suits best first."""
    free, rows = settings.model_copy(update={"task": None}), experiment.with_conventions(settings, rows)
    fitness = {name: experiment.of(name).suits(name, free, rows).score for name in available("tasks")}
    return dict(sorted(fitness.items(), key=lambda item: -item[1]))


def _models(spec: Spec) -> dict[str, float]:
    """The networks that can take these inputs and answer, the one that suits best first."""
    fitness = {name: models.suits(name, spec) for name in available("models")}
    return {name: score for name, score in sorted(fitness.items(), key=lambda item: -item[1]) if score}


def column_names(values: Row) -> list[str]:
    """The columns of a recipe's data, whatever else is wrong with it; none where they cannot be read."""
    try:
        return list(sources(recipe.build({"data": values.get("data")})).train.table.column_names)
    except LaminaError:
        return []


def sentence(folder: str, name: str) -> str:
    """What a plug-in says of itself, in its first line."""
    return (plugin(folder, name).__doc__ or "").strip().partition("\n")[0]
