"""Generated rows or images beside the real ones to learn from, and whether that helped: `train.augment_with`.

Only training rows are added to; columns are understood from real rows, and validation and test rows are real ones. The
network is trained twice from the same start, without and with the rows; the second is kept where validation rows
say that it is better, and not by chance.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import data, models, preprocess, train
from lamina.config import DataError
from lamina.data import files
from lamina.deploy.predictor import Predictor
from lamina.experiment import Experiment
from lamina.preprocess import Preprocessor, parse_columns
from lamina.preprocess.image.codec import as_png
from lamina.schema import Row, clean
from lamina.train.settings import Config, Examples, concat

DRAWS, SURE = 400, 0.95


def rows(experiment: Experiment, prep: Preprocessor, cfg: Config) -> Examples:
    """The rows of `train.augment_with`, encoded, as many as `train.augment_share` says.

    Errors: DataError where they do not fit the data.
    """
    target = experiment.target
    assert cfg.augment_with is not None and target is not None
    count = max(1, round(cfg.augment_share * experiment.splits.train.num_rows))
    schema = experiment.schema
    table = clean(_table(experiment, cfg.augment_with, count), schema.missing, schema.literal)
    used = {column.name for column in (*prep.columns, target)}
    if absent := sorted(used - set(table.column_names)):
        raise DataError(
            f"train.augment_with: the rows of {cfg.augment_with} have no column '{absent[0]}'. Make them from the same "
            "data, with the same target."
        )
    values = parse_columns(table, (target,))[target.name].combine_chunks()
    usable = pc.is_valid(values).to_numpy(zero_copy_only=False)
    usable[usable] = ~experiment.task.unknown(values.drop_null())
    if not usable.any():
        raise DataError(f"train.augment_with: no row of {cfg.augment_with} has a target that the data has.")
    table = table.filter(pa.array(usable))
    values = parse_columns(table, (target,))[target.name].combine_chunks()
    return Examples(prep.encode(table), experiment.task.encode(values), padding=prep.padding)


def _table(experiment: Experiment, path: str, count: int) -> pa.Table:
    """Rows out of a bundle that generates them, or the first ones of a file."""
    folder = Path(path) / "bundle" if (Path(path) / "bundle").is_dir() else Path(path)
    if not (folder.is_dir() or folder.suffix == ".lamina"):
        return data.load(files.Config(path=path)).table.slice(0, count)
    predictor, target = Predictor(folder), experiment.subject
    if predictor.target not in (None, target):
        raise DataError(
            f"train.augment_with: {path} is asked for '{predictor.target}', the recipe predicts '{target}'. "
            "Train it with the same target."
        )
    labels = _labels(experiment, count) if predictor.target else None
    conditions = {} if labels is None else {"label": labels}
    samples = predictor.ask("generate", count=count, seed=experiment.recipe.seed, **conditions)
    return samples if isinstance(samples, pa.Table) else _images(experiment, samples, labels)


def _labels(experiment: Experiment, count: int) -> list[str]:
    """As often as the training rows have them."""
    assert experiment.target is not None
    values = parse_columns(experiment.splits.train, (experiment.target,))[experiment.target.name].combine_chunks()
    indices = np.random.Generator(np.random.PCG64(experiment.recipe.seed)).integers(0, len(values), count)
    return [str(value) for value in values.take(pa.array(indices)).to_pylist()]


def _images(experiment: Experiment, images: np.ndarray, labels: list[str] | None) -> pa.Table:
    """Images as cells of the one column of files there is."""
    columns = [column.name for column in preprocess.file_columns(experiment.schema.columns)]
    if len(columns) != 1 or labels is None:
        raise DataError(
            "train.augment_with: images can be added where there is one column of them, and the bundle makes them by "
            "class. Train it with the same target."
        )
    cells = pa.array([as_png(image) for image in images], pa.binary())
    return pa.table({columns[0]: cells, experiment.subject: labels})


def fit(
    model: Any, examples: Mapping[str, Examples], added: Examples, cfg: Config, hooks: "train.fit.Hooks"
) -> Iterator[Row]:
    """Train twice: the better network by validation is left in `model`.

    The last row then has `augmented`: a sentence on what the rows were worth, and the numbers it is made of.
    """
    network, validation = models.learner(model), examples["validation"]
    added, test = (models.precompute(model, rows, cfg.device) for rows in (added, examples["test"]))
    first, epochs, end = copy.deepcopy(network), list[Row](), dict[str, Any]()
    folder = hooks.folder.with_name(f"{hooks.folder.name}-without") if hooks.folder else None
    for row in train.fit.fit(first, examples["train"], validation, cfg, replace(hooks, folder=folder)):
        epochs, end = ([*epochs, row], end) if row["at"] == "epoch" else (epochs, row)
        if row["at"] == "step":
            yield row
    without, end = end, {}
    cfg = cfg.with_plan(without["plan"]) if cfg.budget else cfg  # the same steps for both
    for row in train.fit.fit(network, concat([examples["train"], added]), validation, cfg, hooks):
        if row["at"] != "end":
            yield row
        end = row
    outputs, both = train.fit.outputs, (first, network)
    certainty = _certainty([outputs(one, validation) for one in both], validation, hooks)
    helped = math.isfinite(end["best"]) and end["best"] < without["best"] and certainty >= SURE
    scores = [hooks.validate(outputs(one, test), np.asarray(test.target)) for one in both]
    facts: Row = {"real": len(examples["train"].target), "generated": len(added.target), "helped": helped}
    facts |= {"validation": [without["best"], end["best"]], "certainty": certainty}
    facts |= {"test": {name: [value, scores[1][name]] for name, value in scores[0].items()}}
    facts["sentence"] = sentence(facts)
    if helped:
        yield end | {"augmented": facts}
        return
    network.load_state_dict(first.state_dict())
    yield from epochs
    yield without | {"augmented": facts}


def _certainty(outputs: Sequence[dict[str, np.ndarray]], rows: Examples, hooks: "train.fit.Hooks") -> float:
    """The share of draws of validation rows, with replacement, on which the second network is the better one.

    Few rows have a loss by chance: the mean alone would often keep a network that the added rows have harmed.
    """
    target, rng, better = np.asarray(rows.target), np.random.default_rng(0), 0
    for _ in range(DRAWS):
        draw = rng.integers(0, len(target), len(target))
        scores = [hooks.validate({name: v[draw] for name, v in raw.items()}, target[draw]) for raw in outputs]
        first, second = (next(iter(one.values())) for one in scores)
        better += second < first
    return better / DRAWS


def sentence(facts: Row) -> str:
    """Whether generated rows helped, by validation rows and by test rows."""
    without, augmented = facts["validation"]
    outcome = "they helped, and the network that learned from them was kept"
    if not facts["helped"]:
        chance = f"they may have helped by chance (they do in {facts['certainty']:.0%} of draws of these rows)"
        outcome = f"{'they did not help' if augmented >= without else chance}, and the network without them was kept"
    scores = ", ".join(f"{name.replace('_', ' ')} {a:.4g} and {b:.4g}" for name, (a, b) in facts["test"].items())
    return (
        f"Validation loss {without:.4g} without and {augmented:.4g} with {facts['generated']:,} generated rows beside "
        f"{facts['real']:,} real ones: {outcome}. On test rows, without and with: {scores}."
    )
