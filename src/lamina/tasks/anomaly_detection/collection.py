"""What is understood of rows before they are learned: whether they are a recording, and what was assumed of labels."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import preprocess
from lamina.config import DataError, RecipeError
from lamina.data import Sources
from lamina.data._skipped_rows import column_name
from lamina.data._splits import Auto, Splits, TimeSplit
from lamina.plugins import kind
from lamina.preprocess import time
from lamina.recipe import Recipe
from lamina.schema import Collected, Column, Schema, clean
from lamina.tasks._series.seasonal_cycle import cycle
from lamina.tasks._unlabelled import row_layout
from lamina.tasks.anomaly_detection import recording
from lamina.tasks.anomaly_detection.recording import Recording
from lamina.tasks.anomaly_detection.state import Config, State

SAMPLE, FEWEST = 2_000, 50  # rows that are looked at, and that a recording has at least
EVEN, SORTED = 0.6, 0.95  # of times, from which on they are the order of the rows
NUMERIC = ("number", "boolean")
WITHOUT = "none"


class Order(NamedTuple):
    """Sources in order of time, the recipe with a split that suits it, the column of times, and what to say of it."""

    sources: Sources
    recipe: Recipe
    time: str | None = None
    notes: tuple[str, ...] = ()


def check(cfg: Config) -> None:
    """Refuse settings that contradict one another. Errors: RecipeError."""
    if cfg.contamination is not None and cfg.training == "clean":
        raise RecipeError(
            ["task.contamination: clean training rows have no anomalies. Leave it out, or say training: contaminated."]
        )
    if cfg.window is not None and cfg.time == WITHOUT:
        raise RecipeError(["task.window: rows that are each scored by itself have none. Leave it out, or name time."])


def in_order(recipe: Recipe, sources: Sources, label: str | None) -> Order:
    """Whether rows are one recording, in order of time. Errors: DataError for a column of no times."""
    cfg, source = recipe.task, sources.train
    assert isinstance(cfg, Config)
    if cfg.time == WITHOUT:
        return Order(sources, recipe)
    named = None if cfg.time is None else column_name(source.table, cfg.time)
    name = named or _guess(recipe, source, label)
    if name is None:
        return Order(sources, recipe)
    if not isinstance(recipe.split, Auto | TimeSplit):
        if named is None:
            return Order(sources, recipe)
        raise RecipeError([f"split: a recording is split in time, and not by {kind(recipe.split)}. Leave it out."])
    note = f"The rows are one recording in order of '{name}', scored by windows of steps. If not: --set task.time=none"
    ordered, moved = _sorted(recipe, source, name)
    test = sources.test and _sorted(recipe, sources.test, name)[0]
    notes = ((note,) if named is None else ()) + ((f"Rows were put in order of '{name}'.",) if moved else ())
    parts = recipe.split.model_dump(exclude={"kind"}) if isinstance(recipe.split, Auto) else {}
    split = TimeSplit(**parts) if isinstance(recipe.split, Auto) else recipe.split
    return Order(sources._replace(train=ordered, test=test), recipe.model_copy(update={"split": split}), name, notes)


def _guess(recipe: Recipe, source: Collected, label: str | None) -> str | None:
    """The only column of times, where these are in order and even, and all that is learned beside them are numbers."""
    table = source.table.slice(0, SAMPLE)
    if source.part or table.num_rows < FEWEST:
        return None
    cells = clean(table, recipe.missing, source.literal)
    named = {name: cfg for name, cfg in recipe.columns.items() if name in cells.column_names}
    columns = preprocess.infer(cells, None, named, recipe.missing, source.decimal).columns
    columns = [one for one in columns if one.name != label and one.kind not in ("ignore", "constant")]
    times = [one for one in columns if one.kind == "time"]
    if len(times) != 1 or len(columns) < 2 or any(one.kind not in NUMERIC for one in columns if one.kind != "time"):
        return None
    stamps = _stamps(cells, times[0])
    present = stamps[~np.isnan(stamps)].astype(np.int64)
    even = len(present) >= FEWEST and time.regularity(present) >= EVEN and time.sortedness(present) >= SORTED
    return times[0].name if even else None


def _stamps(cells: pa.Table, column: Column) -> np.ndarray:
    """Times, or numbers that count steps, (rows,) float64, NaN where there is none."""
    values = preprocess.parse_columns(cells, (column,))[column.name].combine_chunks()
    values = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
    return pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)


def _sorted(recipe: Recipe, source: Collected, name: str) -> tuple[Collected, bool]:
    """Rows of a source in order of time. Errors: DataError for a column of neither times nor numbers."""
    cells = clean(source.table.select([name]), recipe.missing, source.literal)
    kinds = {name: recipe.columns[name]} if name in recipe.columns else {}
    column = preprocess.infer(cells, None, kinds, recipe.missing, source.decimal).columns[0]
    if column.kind not in ("time", "number", "identifier"):
        raise DataError(f"task.time: column '{name}' holds no times (it is of kind {column.kind}). Name another.")
    if column.kind == "identifier":
        column = column.model_copy(update={"kind": "number", "settings": {}})
    stamps = _stamps(cells, column)
    order = np.argsort(np.nan_to_num(stamps, nan=np.inf), kind="stable")
    if (np.diff(order) > 0).all():
        return source, False
    return replace(source, table=source.table.take(pa.array(order))), True


def assumptions(
    cfg: Config, labels: pa.Array | None, target: Column | None, is_recording: bool
) -> tuple[Config, tuple[str, ...]]:
    """The settings with what was left open, and what was assumed. Errors: DataError where no row has a label."""
    notes, what = list[str](), "steps" if is_recording else "rows"
    if cfg.training == "auto":
        cfg = cfg.model_copy(update={"training": "contaminated"})
        notes.append(
            f"Training {what} were taken to have a few anomalies among them. If there are none: "
            "--set task.training=clean"
        )
    if labels is None or target is None:
        return cfg, tuple(notes)
    counts = labels.drop_null().value_counts().to_pylist()
    names = [str(one["values"]) for one in sorted(counts, key=lambda one: -one["counts"])]
    if not names:
        raise DataError(f"target: no training row has a label in '{target.name}'. Leave the target out.")
    if cfg.normal is None:
        cfg = cfg.model_copy(update={"normal": names[0]})
        others = ", ".join(repr(name) for name in names[1:4]) or "every other one"
        notes.append(
            f"Of '{target.name}', {names[0]!r} is the label of normal rows and {others} of anomalies, since most rows "
            "are normal. If not: --set task.normal=LABEL"
        )
    anomalies = sum(one["counts"] for one in counts if str(one["values"]) != cfg.normal)
    if cfg.training == "clean" and anomalies:
        notes.append(
            f"{anomalies:,} training {what} are labelled as anomalies, although training is clean; labels are "
            "for evaluation, "
            "so these were learned as normal. Take them out, or: --set task.training=contaminated"
        )
    return cfg, tuple(notes)


def as_recording(cfg: Config, state: State, name: str, splits: Splits, schema: Schema) -> State:
    """The state with windows; the column of times is no part of them. Errors: DataError for too few rows."""
    assert state.layout is not None
    columns = tuple(place for place in state.layout.columns if place.name != name)
    if not columns:
        raise DataError(f"task.time: beside '{name}' there is no column to learn from.")
    layout = state.layout.model_copy(update={"columns": columns})
    sizes = [table.num_rows for table in splits]
    most = min(sizes[0] // recording.PARTS, sizes[1], sizes[2] // 2)
    if most < 2:
        raise DataError(f"rows: {sum(sizes):,} steps are too few for windows. Give {FEWEST:,} or more.")
    window = cfg.window or recording.length(_period(layout, splits.train, schema), most * recording.PARTS)
    if window > min(sizes):
        raise DataError(f"task.window: {window:,} steps are more than a part of the rows has ({min(sizes):,}).")
    plan = Recording(time=name, window=window)
    return state.model_copy(update={"layout": layout, "recording": plan})


def _period(layout: row_layout.Layout, train: pa.Table, schema: Schema) -> int:
    """The period of the number that comes back most surely: of several the first that has one."""
    prep = preprocess.fit(train, schema)
    values = row_layout.encode(layout, prep, train)
    periods = (cycle(values[:, i].astype(np.float64)) for i in range(min(values.shape[1], 8)))
    return next((period for period in periods if period > 1), 1)


def window_note(cfg: Config, state: State) -> str:
    assert state.recording is not None
    if cfg.window is not None:
        return f"Windows are of {cfg.window:,} steps."
    steps = f"{state.recording.window:,} steps"
    return f"Windows are of {steps}, by the period that training rows show. Another: --set task.window=STEPS"
