"""What a recipe asks of its data where the next steps of series are to be forecast: rows become windows of history."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lamina import data, preprocess
from lamina.config import Config, DataError, RecipeError
from lamina.data._splits import Auto, Ordered, Parts, Split
from lamina.experiment import Case
from lamina.plugins import kind, plugin
from lamina.preprocess import Preprocessor
from lamina.recipe import Recipe
from lamina.schema import Collected, Column, Quarantined, Row, Schema, Spec, Windows
from lamina.tasks import forecasting
from lamina.tasks._supervised import target as labelled
from lamina.tasks.forecasting import column_roles as roles_of
from lamina.tasks.forecasting import explode as unrolled
from lamina.tasks.forecasting import panel as frames
from lamina.tasks.forecasting import seasonality as rhythm
from lamina.tasks.forecasting import time_index as grid
from lamina.tasks.forecasting.column_roles import USABLE
from lamina.tasks.forecasting.panel import Encoded, Frames, Roles
from lamina.tasks.forecasting.time_index import DAY
from lamina.train.settings import Data

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

    @property
    def chosen(self) -> Config:
        """The task's settings with what was found in place of what was left open."""
        names = ("horizon", "context", "season", "series", "transform")
        found = {name: vars(self.state)[name] for name in names} | {"time": self.state.time or None}
        return self.task_cfg.model_copy(update=found | {"step": grid.written(self.state.step)})

    def inputs(self, steps: Encoded, origins: np.ndarray) -> dict[str, Windows]:
        """What a network is fed to forecast from some first steps ahead, as views of the encoded steps."""
        seen, known, _ = steps
        context = self.state.context
        history = {"history": Windows(seen, origins - context, context)}
        return history | ({"future": Windows(known, origins, self.state.horizon)} if known.shape[1] else {})

    def arrays(self, prep: Preprocessor) -> dict[str, Data]:
        """Windows of each part; those of training stay views of the series."""
        steps = frames.encoded(self.frames, prep, self.state)
        target = steps[2]
        there = np.asarray(~np.isnan(target).all(axis=1))
        found = {}
        for i, name in enumerate(Parts._fields):
            origins = self.origins(i)
            if name != "test":
                kept = _share(there, origins, self.state.horizon) > 0
                if name == "train":
                    kept &= _share(there, origins - self.state.context, self.state.context) >= MEASURED
                origins = origins[kept]
            if name == "validation":
                origins = thinned(origins, self.state.horizon * target.shape[1])
            if not len(origins):
                raise DataError(
                    f"{name}: no window of {self.state.context:,} steps of history and {self.state.horizon:,} ahead "
                    "fits. Ask for a smaller task.horizon or task.context, or give longer series."
                )
            aim = Windows(target, origins, self.state.horizon)
            found[name] = Data(self.inputs(steps, origins), aim if name == "train" else aim[:])
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
        """Rows in = used + quarantined. Rows that share a step are used in its mean, of which a part has one; a gap
        between two parts is in none.
        """
        sizes = {name: table.num_rows for name, table in self.parts._asdict().items()}
        return {"read": self.read, "used": self.frames.used, "quarantined": len(self.quarantine), **sizes}

    def sample(self, prep: Preprocessor, count: int = 16) -> dict[str, np.ndarray]:
        """Inputs of a few windows of the training steps."""
        origins = self.origins(0)
        picked = origins[np.linspace(0, len(origins) - 1, count).astype(int)]
        steps = frames.encoded(self.frames, prep, self.state)
        return {name: windows[:] for name, windows in self.inputs(steps, picked).items()}

    def golden(self, prep: Preprocessor) -> list[Row]:
        """A made-up history: an even time, and in each other column values of training rows in any order."""
        rng = np.random.Generator(np.random.PCG64(0))
        count = min(self.state.context, 256) + 1
        rows = {c.name: _shuffled(self.parts.train[c.name], count, rng) for c in prep.used}
        stamps = grid.times(self.frames.index[0] + np.arange(count), self.state.step)
        moments = len(self.state.time) > 1 or any(c.kind == "time" and c.name in self.state.time for c in prep.used)
        if moments and stamps.dtype.kind != "M":  # the rows of uneven times
            stamps = np.datetime64("2000-01-01", "s") + DAY * np.arange(count)
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


def collect(recipe: Recipe, collected: Collected, tested: Collected | None = None) -> Ahead:
    """Find time, series and targets, put the rows on a grid, cut it in time, learn what a forecast needs to know.

    `tested`: rows in memory to judge by, which come after the others; those of the recipe's `data.test` else.
    """
    cfg: Any = recipe.task
    sources, table, first = _rows_given(recipe, collected, tested)
    if unrolled.is_rolled(table, cfg.targets or (recipe.target or "",)):
        table, series, parent = unrolled.unrolled(table, cfg.series)
        first = int((parent < first).sum())
        cfg = cfg.model_copy(update={"series": series})
        recipe = recipe.model_copy(update={"task": cfg})
    bare = table.drop_columns([labelled.ROW])
    roles, columns, notes = roles_of.find(recipe, cfg, bare)
    found = frames.frames(bare, columns, roles, cfg.step)
    season = cfg.season or rhythm.season(found.step, _first_half(found))
    horizon = cfg.horizon or max(1, min(season if season > 1 else 10, int(np.diff(found.bounds).max()) // 10))
    known_from = first if len(sources) > 1 else None
    season, cuts, transform = _parted(found, roles.targets, recipe, (season, horizon, known_from))
    train = [found.values[a:b] for a, b in cuts[:, :2]]
    context = cfg.context or rhythm.context(max(len(one) for one in train), season, horizon)
    parts = Parts(*(_rows(bare, found, cuts[:, 2 * i], cuts[:, 2 * i + 1]) for i in range(3)))
    schema = _schema(columns, parts.train, roles, recipe)
    known = tuple(c.name for c in schema.columns if c.name in cfg.known)
    state = forecasting.State(
        **forecasting.understood(train, roles.targets, transform, season),
        time=roles.time,
        series=roles.series,
        known=known,
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
        read=table.num_rows + sum(len(source.quarantine) for _, source in sources),
        quarantine=(
            *(row for _, source in sources for row in source.quarantine),
            *_lost(found, table, first, roles, [said for said, _ in sources]),
        ),
        notes=(
            *(note for _, source in sources for note in source.notes),
            *notes,
            *found.notes,
            *_uncut(cuts, found),
            *(
                f"'{n}' is not used: it is no number or category, or always the same."
                for n in cfg.known
                if n not in known
            ),
            _told(state, len(found.ids), int((cuts[:, 2] - cuts[:, 1]).max())),
        ),
        frames=found,
        cuts=cuts,
        table=bare,
    )


def _parted(
    found: Frames, names: tuple[str, ...], recipe: Recipe, said: tuple[int, int, int | None]
) -> tuple[int, np.ndarray, forecasting.Transform]:
    """Season, cuts in time and transform; prices have no season, and a horizon is left out between two parts."""
    cfg: Any = recipe.task
    split, (season, horizon, known) = _split(recipe.split), said
    cuts = _cuts(found, split, horizon, known)
    sure = np.maximum(cuts[:, 1] - 2 * horizon, cuts[:, 0])  # what is of training with an embargo too
    transform = forecasting.moves([found.values[a:b] for a, b in zip(cuts[:, 0], sure, strict=True)], names, cfg)
    if transform == "none":
        return season, cuts, transform
    if split.embargo is None:
        gap = min(horizon, int(np.median(np.diff(found.bounds))) // 20)
        cuts = _cuts(found, split.model_copy(update={"embargo": gap}), horizon, known)
    return cfg.season or 1, cuts, transform


def _rows_given(
    recipe: Recipe, collected: Collected, tested: Collected | None
) -> tuple[list[tuple[Config, Collected]], pa.Table, int]:
    """The sources read, the rows of all of them, and how many are of the first."""
    table = labelled.rows(collected, recipe.missing)
    sources = [(recipe.data, collected)]
    path = recipe.data.model_dump().get("test")
    if tested is None and path is None:
        return sources, table, table.num_rows
    said = recipe.data if tested else recipe.data.model_copy(update={"path": path, "test": None})
    sources.append((said, tested or data.load(said)))
    later = labelled.rows(sources[1][1], recipe.missing)
    later = later.select([name for name in later.column_names if name in table.column_names])
    for name in later.column_names:
        if later[name].type != table[name].type:  # such as whole numbers here and fractions there
            place = table.column_names.index(name)
            table = table.set_column(place, name, _as_text(table[name]))
            later = later.set_column(later.column_names.index(name), name, _as_text(later[name]))
    return sources, pa.concat_tables([table, later], promote_options="default"), table.num_rows


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_null(column.type) else column.cast(pa.string())


def _uncut(cuts: np.ndarray, found: Frames) -> list[str]:
    short = int((cuts[:, 5] - cuts[:, 4] == 0).sum())
    told = (
        f"{short:,} of {len(found.ids):,} series have no steps to judge by; they are learned from, as far as they go."
    )
    return [told] if short else []


def _told(state: forecasting.State, series: int, gap: int) -> str:
    said = frames.said(state.step)
    many = f"{series:,} series of steps" if series > 1 else "Steps"
    kept = " Log-returns are forecast, as of prices." if state.transform != "none" else ""
    left = f" {gap:,} step{'s are' if gap > 1 else ' is'} left out between two parts." if gap else ""
    season = f", season {state.season:,}" if state.season > 1 else ""
    return f"{many} of one {said}: {state.horizon:,} ahead from {state.context:,} of history{season}.{kept}{left}"


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


def _lost(found: Frames, table: pa.Table, known: int, roles: Roles, sources: list[Config]) -> list[Quarantined]:
    """Where the rows that no series can take stand in their source; the first `known` are of the first."""
    told = []
    column = roles.time[0] if roles.time else roles.series or roles.targets[0]
    for lost in found.lost:
        for source, begin, end in zip(sources, (0, known), (known, table.num_rows), strict=False):
            bad = np.zeros(end - begin, bool)
            bad[lost.rows[(lost.rows >= begin) & (lost.rows < end)] - begin] = True
            told += labelled.lines(table.slice(begin, end - begin), bad, column, [lost.reason] * int(bad.sum()), source)
    return told


def _split(said: Split) -> Ordered:
    if isinstance(said, Ordered):
        return said
    if isinstance(said, Auto):
        return Ordered(validation=said.validation, test=said.test)
    raise RecipeError([f"split.kind: a forecast is judged on what comes later, not on {said.kind} rows. Use time."])


def _cuts(found: Frames, said: Ordered, horizon: int, known: int | None = None) -> np.ndarray:
    """Where the parts of each series begin and end: at the same time in all, where they share most of it.

    Of a series too short for three parts all is for training. With separate test rows, which are those from row `known`
    on, the others are cut in two.
    """
    firsts, lasts = found.index[found.bounds[:-1]], found.index[found.bounds[1:] - 1]
    low, high = int(firsts.min()), int(lasts.max()) + 1
    shared = bool(((lasts - firsts + 1) >= 0.5 * (high - low)).all()) and found.step.unit != "row" and known is None
    cuts, faults = [], list[DataError]()
    for span, first, last in zip(found.spans, firsts, lasts, strict=True):
        begin, length = (low, high - low) if shared else (first, int(last - first) + 1)
        end = length if known is None else _first_test(found.source[span], known)
        least = min(2 * horizon, max(horizon, length // 4))
        try:
            train, validation, test = said.sizes(end, least=least) if known is None else said.halves(end, least)
        except DataError as error:
            faults.append(error)
            train, validation, test = end, -said.gap, length - end - said.gap
        test = test if known is None else length - end - said.gap
        edges = np.cumsum([0, train, said.gap, validation, said.gap, test]) + begin
        cuts.append(np.clip(edges - first, 0, span.stop - span.start) + span.start)
    if faults and len(faults) == len(cuts):
        raise faults[0]
    return np.array(cuts)


def _first_test(source: np.ndarray, known: int) -> int:
    """The first step of a series whose row is one to judge by."""
    tests = np.flatnonzero(source >= known)
    first = int(tests[0]) if len(tests) else len(source)
    if (source[first:][source[first:] >= 0] < known).any():
        raise DataError("test: its rows must come after those to learn from. Give later ones, or let the data be cut.")
    return first


def _first_half(found: Frames) -> np.ndarray:
    """The first target of the longest series, as far as no test row can lie."""
    longest = max(found.spans, key=lambda span: span.stop - span.start)
    return found.values[longest, 0][: (longest.stop - longest.start) // 2]
