"""Made rows or pictures beside the real ones to learn from, and whether that helped: `train.augment_with`.

Only training rows are added to; columns are understood from real rows, and validation and test rows are real ones. The
network is trained twice from the same start, without and with the made rows; the second is kept where validation rows
say that it is better, and not by chance.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import data, models
from lamina.config import DataError, RecipeError
from lamina.data import files
from lamina.deploy.predictor import Predictor
from lamina.experiment import Case
from lamina.preprocess import Preprocessor, typed
from lamina.schema import Row, clean
from lamina.tasks.forecasting.experiment import Ahead
from lamina.tasks.generation.experiment import Originals
from lamina.train import fit as training
from lamina.train import settings
from lamina.train.settings import Data

DRAWS, SURE = 400, 0.95


class More(NamedTuple):
    """Made rows to add to the training rows, and test rows on which both networks are compared in the end."""

    rows: Data
    test: Data


class Rows(NamedTuple):
    """Encoded rows to train on, those to add to them if any, and those to judge by."""

    train: Data
    more: More | None
    validation: Data


def made(case: Case, prep: Preprocessor, cfg: settings.Config, model: Any, test: Data) -> More | None:
    """The rows of `train.augment_with` as the network takes them, as many as `train.augment_share` says.

    Errors: RecipeError for a task without rows to add to, DataError where the rows made do not fit the data.
    """
    if cfg.augment_with is None:
        return None
    if isinstance(case, Ahead | Originals):
        raise RecipeError(["train.augment_with: is for tasks that predict a column of each row. Leave it out."])
    count = max(1, round(cfg.augment_share * case.parts.train.num_rows))
    table = clean(_table(case, cfg.augment_with, count), case.schema.missing)
    used = {column.name for column in (*prep.used, case.target)}
    if absent := sorted(used - set(table.column_names)):
        raise DataError(
            f"train.augment_with: the rows of {cfg.augment_with} have no column '{absent[0]}'. Make them from the same "
            "data, with the same target."
        )
    values = typed(table, (case.target,))[case.target.name].combine_chunks()
    sound = pc.is_valid(values).to_numpy(zero_copy_only=False)
    sound[sound] = ~case.task.unknown(values.drop_null(), case.state)
    if not sound.any():
        raise DataError(f"train.augment_with: no row of {cfg.augment_with} has a target that the data has.")
    table = table.filter(pa.array(sound))
    found = Data(prep.encode(table), case.encoded(table))
    return More(models.prepared(model, found), models.prepared(model, test))


def _table(case: Case, path: str, count: int) -> pa.Table:
    """Rows out of a bundle that makes them, or the first ones of a file."""
    folder = Path(path) / "bundle" if (Path(path) / "bundle").is_dir() else Path(path)
    if not (folder.is_dir() or folder.suffix == ".lamina"):
        return data.load(files.Config(path=path)).table.slice(0, count)
    predictor = Predictor(folder)
    if predictor.target not in (None, case.target.name):
        raise DataError(
            f"train.augment_with: {path} is asked for '{predictor.target}', the recipe predicts '{case.target.name}'. "
            "Train it with the same target."
        )
    labels = _labels(case, count) if predictor.target else None
    found = predictor.generate(count, case.recipe.seed, labels)
    if isinstance(found, pa.Table):
        return found
    return _pictured(case, found, labels)


def _labels(case: Case, count: int) -> list[str]:
    """As often as the training rows have them."""
    values = typed(case.parts.train, (case.target,))[case.target.name].combine_chunks()
    picked = np.random.Generator(np.random.PCG64(case.recipe.seed)).integers(0, len(values), count)
    return [str(value) for value in values.take(pa.array(picked)).to_pylist()]


def _pictured(case: Case, pictures: np.ndarray, labels: list[str] | None) -> pa.Table:
    """Pictures as cells of the one column of pictures there is."""
    from lamina.preprocess.image.codec import as_png

    columns = [column.name for column in case.schema.columns if column.kind == "image"]
    if len(columns) != 1 or labels is None:
        raise DataError(
            "train.augment_with: pictures can be added where there is one column of them, and the bundle makes them by "
            "class. Train it with the same target."
        )
    return pa.table({columns[0]: pa.array([as_png(p) for p in pictures], pa.binary()), case.target.name: labels})


def fit(model: Any, rows: Rows, cfg: settings.Config, home: training.Home) -> Iterator[Row]:
    """`train.fit`, and where there are rows to add, twice: the better network by validation is left in `model`.

    The last row then has `augmented`: a sentence on what the made rows were worth, and the numbers it is made of.
    """
    if rows.more is None:
        yield from training.fit(model, rows.train, rows.validation, cfg, home)
        return
    alone, epochs, end = copy.deepcopy(model), list[Row](), dict[str, Any]()
    aside = home.folder.with_name(f"{home.folder.name}-without") if home.folder else None
    for row in training.fit(alone, rows.train, rows.validation, cfg, replace(home, folder=aside)):
        epochs, end = ([*epochs, row], end) if row["at"] == "epoch" else (epochs, row)
        if row["at"] == "step":
            yield row
    without, end = end, {}
    for row in training.fit(model, _joined(rows.train, rows.more.rows), rows.validation, cfg, home):
        if row["at"] != "end":
            yield row
        end = row
    both, test = (alone, model), rows.more.test
    sure = _sure([training.outputs(network, rows.validation) for network in both], rows.validation, home)
    helped = math.isfinite(end["best"]) and end["best"] < without["best"] and sure >= SURE
    tested = [home.score(training.outputs(network, test), np.asarray(test.target)) for network in both]
    facts: Row = {"real": len(rows.train.target), "made": len(rows.more.rows.target), "helped": helped}
    facts |= {"validation": [without["best"], end["best"]], "sure": sure}
    facts |= {"test": {name: [value, tested[1][name]] for name, value in tested[0].items()}}
    if helped:
        yield end | {"augmented": {**facts, "told": told(facts)}}
        return
    model.load_state_dict(alone.state_dict())
    yield from epochs
    yield without | {"augmented": {**facts, "told": told(facts)}}


def _sure(raws: Sequence[dict[str, np.ndarray]], rows: Data, home: training.Home) -> float:
    """The share of draws of validation rows, with replacement, on which the second network is the better one.

    Few rows have a loss by chance: the mean alone would often keep a network that made rows have harmed.
    """
    target, rng, better = np.asarray(rows.target), np.random.default_rng(0), 0
    for _ in range(DRAWS):
        drawn = rng.integers(0, len(target), len(target))
        scored = [home.score({name: v[drawn] for name, v in raw.items()}, target[drawn]) for raw in raws]
        first, second = (next(iter(found.values())) for found in scored)
        better += second < first
    return better / DRAWS


def told(facts: Row) -> str:
    """Whether made rows helped, by validation rows and by test rows, in two sentences."""
    without, beside = facts["validation"]
    kept = "they helped, and the network that learned from them was kept"
    if not facts["helped"]:
        unsure = f"they may have helped by chance (they do in {facts['sure']:.0%} of draws of these rows)"
        kept = f"{'they did not help' if beside >= without else unsure}, and the network without them was kept"
    tested = ", ".join(f"{name.replace('_', ' ')} {a:.4g} and {b:.4g}" for name, (a, b) in facts["test"].items())
    return (
        f"Validation loss {without:.4g} without and {beside:.4g} with {facts['made']:,} made rows beside "
        f"{facts['real']:,} real ones: {kept}. On test rows, without and with: {tested}."
    )


def _joined(first: Data, second: Data) -> Data:
    """The rows of both."""
    inputs = {
        name: np.concatenate([np.asarray(v), np.asarray(second.inputs[name])]) for name, v in first.inputs.items()
    }
    return Data(inputs, np.concatenate([np.asarray(first.target), np.asarray(second.target)]))
