"""What a recipe asks of its data where the next steps of series are to be forecast: rows become windows of history."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from lamina import frames, labelled, preprocess
from lamina.case import Case
from lamina.config import Config, DataError, RecipeError, kind, nearest, plugin
from lamina.data._split import Auto, Ordered, Parts, Split
from lamina.frames import Frames, Roles
from lamina.preprocess import Preprocessor
from lamina.recipe import Recipe
from lamina.schema import Collected, Column, Quarantined, Row, Schema, Spec, Windows
from lamina.tasks import forecasting
from lamina.train.settings import Data

USABLE = ("number", "boolean", "category")  # kinds of columns that help to forecast
SEASONS = {60: 60, 600: 144, 900: 96, 1800: 48, 3600: 24, 86_400: 7, 604_800: 52}  # by seconds of a step
MOST_CONTEXT = 336
MEASURED = 0.7  # of a history, at least, to be learned from
MOST_NUMBERS = 1 << 24  # of validation targets that are kept; more windows are thinned out evenly


def asked(task: Config) -> bool:
    """Whether a task wants rows as steps of series."""
    return bool(vars(plugin("tasks", kind(task))).get("framed"))


@dataclass(frozen=True)
class Ahead(Case):
    """Series cut in time. `cuts` (series, 6): where train, validation and test begin and end, as steps of `frames`; its
    rows are those of `table`.
    """

    frames: Frames
    cuts: np.ndarray
    table: pa.Table

    @property
    def judged(self) -> pa.Table:
        """The test rows and, before them, the history that the first forecast goes on from."""
        begin = np.maximum(self.cuts[:, 4] - self.state.context, self.frames.bounds[:-1])
        return _rows(self.table, self.frames, begin, self.cuts[:, 5])

    def windows(self, prep: Preprocessor) -> tuple[dict[str, Windows], Windows]:
        """Inputs and target of every window that some series holds, whatever its part."""
        state = self.state
        seen, known, target = frames.encoded(self.frames, prep, state)
        starts = np.arange(len(target) - state.context - state.horizon + 1)
        inputs = {"history": Windows(seen, starts, state.context)}
        if known.shape[1]:
            inputs["future"] = Windows(known, starts + state.context, state.horizon)
        return inputs, Windows(target, starts + state.context, state.horizon)

    def arrays(self, prep: Preprocessor) -> dict[str, Data]:
        """Windows of each part; those of training stay views of the series."""
        inputs, target = self.windows(prep)
        there = np.asarray(~np.isnan(target.values).all(axis=1))
        found = {}
        for i, name in enumerate(Parts._fields):
            origins = self.origins(i)
            if name != "test":
                kept = _share(there, origins, self.state.horizon) > 0
                if name == "train":
                    kept &= _share(there, origins - self.state.context, self.state.context) >= MEASURED
                origins = origins[kept]
            if name == "validation":
                origins = thinned(origins, target.length * target.shape[2])
            if not len(origins):
                raise DataError(
                    f"{name}: no window of {self.state.context:,} steps of history and {self.state.horizon:,} ahead "
                    "fits. Ask for a smaller task.horizon or task.context, or give longer series."
                )
            picked = {
                name: replace(w, starts=origins + (0 if name == "future" else -w.length)) for name, w in inputs.items()
            }
            aim = replace(target, starts=origins)
            found[name] = Data(picked, aim if name == "train" else aim[:])
        return found

    def origins(self, part: int) -> np.ndarray:
        """The first step ahead of each window of a part: history may begin in the part before."""
        found = []
        for begin, (start, stop) in zip(self.frames.bounds[:-1], self.cuts[:, 2 * part : 2 * part + 2], strict=True):
            first = max(start, begin + self.state.context)
            found.append(np.arange(first, max(stop - self.state.horizon + 1, first)))
        return np.concatenate(found)

    def spec(self, prep: Preprocessor) -> Spec:
        output = self.task.output(self.state, self.task_cfg)
        return Spec(inputs=frames.feeds(prep, self.state), output=output, rows=len(self.origins(0)))

    def counts(self) -> Row:
        """Rows in = used + quarantined; a gap between the parts is used in none of them."""
        sizes = {name: table.num_rows for name, table in self.parts._asdict().items()}
        used = int((self.frames.source >= 0).sum())
        return {"read": self.read, "used": used, "quarantined": len(self.quarantine), **sizes}

    def sample(self, prep: Preprocessor, count: int = 16) -> dict[str, np.ndarray]:
        """Inputs of a few windows of the training steps."""
        inputs, _ = self.windows(prep)
        origins = self.origins(0)
        picked = origins[np.linspace(0, len(origins) - 1, count).astype(int)]
        return {n: replace(w, starts=picked + (0 if n == "future" else -w.length))[:] for n, w in inputs.items()}

    def golden(self, prep: Preprocessor) -> list[Row]:
        """A made-up history: an even time, and in each other column values of training rows in any order."""
        rng = np.random.Generator(np.random.PCG64(0))
        count = min(self.state.context, 256) + 1
        rows = {c.name: _shuffled(self.parts.train[c.name], count, rng) for c in prep.used}
        stamps = frames.times(self.frames.index[0] + np.arange(count), self.state.step)
        for column in (c for c in prep.used if c.name in self.state.time):
            rows[column.name] = _written(stamps, column, len(self.state.time) > 1)
        if self.state.series:
            rows[self.state.series] = [self.frames.ids[0]] * count
        cells = [dict(zip(rows, cells, strict=True)) for cells in zip(*rows.values(), strict=True)]
        return [{k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()} for row in cells]


def _shuffled(column: pa.ChunkedArray, count: int, rng: np.random.Generator) -> list[Any]:
    known = column.drop_null()
    known = known if len(known) else column
    return known.take(pa.array(rng.integers(0, len(known), count))).to_pylist()


def _written(stamps: np.ndarray, column: Column, part: bool) -> list[Any]:
    """Times as the cells of a column have them: text by its format, or the part of a moment that it is named by."""
    moments = stamps.tolist()
    if part:
        return [getattr(moment, column.name.lower()) for moment in moments]  # a datetime's year, month, day, hour ...
    form = column.settings.get("format")
    return [moment.strftime(form) if form else moment for moment in moments]


def thinned(origins: np.ndarray, numbers: int) -> np.ndarray:
    """As many windows, evenly spread, as keep their numbers within bounds."""
    most = max(1, MOST_NUMBERS // numbers)
    return origins if len(origins) <= most else origins[np.linspace(0, len(origins) - 1, most).astype(int)]


def _share(there: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """The share of `length` steps from each start on that were measured."""
    total = np.concatenate([[0], np.cumsum(there)])
    return (total[starts + length] - total[starts]) / length


def _rows(table: pa.Table, found: Frames, begin: np.ndarray, end: np.ndarray) -> pa.Table:
    """The rows that some stretch of each series came from."""
    steps = np.concatenate([found.source[a:b] for a, b in zip(begin, end, strict=True)])
    return table.take(pa.array(steps[steps >= 0]))


def collect(recipe: Recipe, collected: Collected) -> Ahead:
    """Find time, series and targets, put the rows on a grid, cut it in time, learn what a forecast needs to know."""
    cfg: Any = recipe.task
    table = labelled.rows(collected, recipe.missing)
    bare = table.drop_columns([labelled.ROW])
    seen = preprocess.infer(
        bare, None, {k: v for k, v in recipe.columns.items() if k in bare.column_names}, recipe.missing
    )
    roles, notes = _roles(cfg, recipe, seen, bare)
    columns = _kinds(seen, roles, recipe)
    step = frames.read(cfg.step) if cfg.step else None
    found = frames.frames(bare, columns, roles, step)
    season = cfg.season or _season(found)
    horizon = cfg.horizon or max(1, min(season if season > 1 else 10, int(np.diff(found.bounds).max()) // 10))
    season, cuts, transform = _parted(found, roles.targets, recipe, (season, horizon))
    train = [found.values[a:b] for a, b in cuts[:, :2]]
    context = cfg.context or _context(max(len(one) for one in train), season, horizon)
    parts = Parts(*(_rows(bare, found, cuts[:, 2 * i], cuts[:, 2 * i + 1]) for i in range(3)))
    schema = _schema(columns, parts.train, roles, recipe)
    state = forecasting.State(
        **forecasting.understood(train, roles.targets, transform, season),
        time=roles.time,
        series=roles.series,
        known=_there(cfg.known, bare, "task.known"),
        past=tuple(
            c.name
            for c in schema.columns
            if c.kind in USABLE and c.name not in (*roles.time, roles.series, *roles.targets, *cfg.known)
        ),
        step=found.step,
        season=season,
        horizon=horizon,
        context=context,
        calendar=cfg.calendar,
        quantiles=cfg.quantiles if cfg.loss == "pinball" else (),
    )
    return Ahead(
        recipe=recipe.model_copy(update={"target": roles.targets[0]}),
        task=forecasting,
        task_cfg=cfg,
        state=state,
        schema=schema,
        parts=parts,
        read=collected.table.num_rows + len(collected.quarantine),
        quarantine=(*collected.quarantine, *_lost(found, table, roles, recipe.data)),
        notes=(*collected.notes, *notes, *found.notes, _told(state, len(found.ids), int(cuts[0, 2] - cuts[0, 1]))),
        frames=found,
        cuts=cuts,
        table=bare,
    )


def _parted(
    found: Frames, names: tuple[str, ...], recipe: Recipe, said: tuple[int, int]
) -> tuple[int, np.ndarray, forecasting.Transform]:
    """Season, cuts in time and transform; prices have no season, and a horizon is left out between two parts."""
    cfg: Any = recipe.task
    split, (season, horizon) = _split(recipe.split), said
    cuts = _cuts(found, split, horizon)
    sure = np.maximum(cuts[:, 1] - 2 * horizon, cuts[:, 0])  # what is of training with an embargo too
    transform = forecasting.moves([found.values[a:b] for a, b in zip(cuts[:, 0], sure, strict=True)], names, cfg)
    if transform == "none":
        return season, cuts, transform
    if split.embargo is None:
        gap = min(horizon, int(np.diff(found.bounds).min()) // 20)
        cuts = _cuts(found, split.model_copy(update={"embargo": gap}), horizon)
    return cfg.season or 1, cuts, transform


def _told(state: forecasting.State, series: int, gap: int) -> str:
    said = frames.said(state.step)
    many = f"{series:,} series of steps" if series > 1 else "Steps"
    kept = " Log-returns are forecast, as of prices." if state.transform != "none" else ""
    left = f" {gap:,} step{'s are' if gap > 1 else ' is'} left out between two parts." if gap else ""
    season = f", season {state.season:,}" if state.season > 1 else ""
    return f"{many} of one {said}: {state.horizon:,} ahead from {state.context:,} of history{season}.{kept}{left}"


def _there(names: tuple[str, ...], table: pa.Table, place: str) -> tuple[str, ...]:
    for name in names:
        if name not in table.column_names:
            raise DataError(f"{place}: the data has no column '{name}'. {nearest(name, table.column_names)}")
    return names


def _roles(cfg: Any, recipe: Recipe, seen: Schema, table: pa.Table) -> tuple[Roles, list[str]]:
    """What the recipe says, else the one column of times, or columns named year, month ... that make a time."""
    kinds = {column.name: column.kind for column in seen.columns}
    notes: list[str] = []
    time = _there(cfg.time or (), table, "task.time")
    if not time:
        moments = [name for name, found in kinds.items() if found == "time"]
        parts = [n for n in frames.CLOCK if n in {name.lower() for name in kinds}]
        if moments:
            time = (moments[0],)
            notes += [f"'{time[0]}' was taken as the time; say another with task.time."] if len(moments) > 1 else []
        elif parts[:3] == list(frames.CLOCK[:3]):
            time = tuple(name for part in parts for name in kinds if name.lower() == part)
            notes.append(f"The time was made of the columns {', '.join(time)}.")
    series = cfg.series
    if series is not None:
        _there((series,), table, "task.series")
    names: tuple[str, ...] = cfg.targets or ((recipe.target,) if recipe.target else ())
    if names == ("all",):
        names = tuple(n for n, found in kinds.items() if found == "number" and n not in (*time, series, *cfg.known))
    if not names:
        raise DataError("target: is required. Say which column is to be forecast with: --target COLUMN.")
    return Roles(time, series, tuple(labelled.column(table, name) for name in names)), notes


def _kinds(seen: Schema, roles: Roles, recipe: Recipe) -> tuple[Column, ...]:
    """The columns with the kinds that their roles ask for."""
    forced = dict.fromkeys(roles.targets, "number") | ({roles.series: "category"} if roles.series else {})
    if len(roles.time) > 1:
        forced |= dict.fromkeys(roles.time, "number")
    found = []
    for column in seen.columns:
        kind_of = forced.get(column.name, column.kind)
        if column.name in roles.time and kind_of not in ("time", "number"):
            kind_of = "number"
        changed = {} if kind_of == column.kind else {"kind": kind_of, "settings": {}}
        if kind_of in (*USABLE, "time"):
            found.append(column.model_copy(update=changed))
    return tuple(found)


def _schema(columns: tuple[Column, ...], train: pa.Table, roles: Roles, recipe: Recipe) -> Schema:
    """The columns as the training rows show them: one that never changes there is of no use."""
    held = (*roles.time, roles.series, *roles.targets)
    given = {c.name: preprocess.settings(c) for c in columns}
    again = preprocess.infer(train.select(list(given)), None, given, recipe.missing)
    notes = {c.name: c.note for c in columns}
    kept = tuple(
        c.model_copy(update={"note": notes[c.name]}) for c in again.columns if c.name in held or c.distinct > 1
    )
    aim = next(c for c in kept if c.name == roles.targets[0])
    return Schema(columns=kept, target=aim.model_copy(update={"note": "the target"}), missing=recipe.missing)


def _lost(found: Frames, table: pa.Table, roles: Roles, source: Config) -> list[Quarantined]:
    told = []
    for lost in found.lost:
        bad = np.isin(np.arange(table.num_rows), lost.rows)
        column = roles.time[0] if roles.time else roles.targets[0]
        told += labelled.lines(table, bad, column, [lost.reason] * int(bad.sum()), source)
    return told


def _split(said: Split) -> Ordered:
    if isinstance(said, Ordered):
        return said
    if isinstance(said, Auto):
        return Ordered(validation=said.validation, test=said.test)
    raise RecipeError([f"split.kind: a forecast is judged on what comes later, not on {said.kind} rows. Use time."])


def _cuts(found: Frames, said: Ordered, horizon: int) -> np.ndarray:
    """Where the parts of each series begin and end: at the same time in all, where they share most of it."""
    firsts, lasts = found.index[found.bounds[:-1]], found.index[found.bounds[1:] - 1]
    low, high = int(firsts.min()), int(lasts.max()) + 1
    shared = bool(((lasts - firsts + 1) >= 0.5 * (high - low)).all()) and found.step.unit != "row"
    cuts = []
    for span, first, last in zip(found.spans, firsts, lasts, strict=True):
        begin, length = (low, high - low) if shared else (first, int(last - first) + 1)
        train, validation, test = said.sizes(length, least=min(2 * horizon, max(horizon, length // 4)))
        edges = np.cumsum([0, train, said.gap, validation, said.gap, test]) + begin
        cuts.append(np.clip(edges - first, 0, span.stop - span.start) + span.start)
    return np.array(cuts)


def _season(found: Frames) -> int:
    """The usual cycle of a step: a day of hours, a week of days, a year of months."""
    step = found.step
    if step.unit == "second":
        return SEASONS.get(step.count, 1)
    return {"month": max(1, 12 // step.count), "business": 5}.get(step.unit, 1)


def _context(length: int, season: int, horizon: int) -> int:
    """Whole seasons up to 336 steps, and no more than a quarter of what there is to train on."""
    most = max(min(MOST_CONTEXT, length // 4, length - horizon - 8), 1)
    return most // season * season if most >= season else most
