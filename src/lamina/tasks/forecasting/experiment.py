"""The training half of forecasting: rows become series, which are cut in time; windows of them are learned from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from lamina import experiment
from lamina.config import Config as AnyConfig
from lamina.config import DataError, MissingColumn, nearest
from lamina.data import Sources
from lamina.data._skipped_rows import ROW_NUMBER, locate, with_row_numbers
from lamina.data._splits import Splits
from lamina.evaluate import metrics
from lamina.experiment import Arrays, Baseline, Conclusion, Evaluation, Finding, Golden, Section, Suitability, Summary
from lamina.preprocess import Preprocessor
from lamina.recipe import Recipe
from lamina.schema import Collected, Row, Schema, Spec, Windows
from lamina.tasks._supervised import external_data
from lamina.tasks._supervised.external_data import ExternalData
from lamina.tasks.forecasting import (
    backtest,
    collection,
    column_roles,
    encoding,
    explode,
    report,
    seasonality,
    time_index,
)
from lamina.tasks.forecasting.column_roles import USABLE, Assignment
from lamina.tasks.forecasting.golden import golden_rows
from lamina.tasks.forecasting.metrics import METRICS, POINT_METRICS, validation_loss
from lamina.tasks.forecasting.panel import Panel, build_panel
from lamina.tasks.forecasting.report import Details
from lamina.tasks.forecasting.state import Config, State
from lamina.tasks.forecasting.task import Task
from lamina.tasks.forecasting.time_splits import Cut, cut, in_order
from lamina.tasks.forecasting.transform import fit_targets
from lamina.train.settings import Examples

MEASURED = 0.7  # of a history, at least, to be learned from
GRAPH_WINDOWS = 16  # that a graph is compared with the network on


@dataclass(frozen=True)
class Experiment(experiment.Experiment):
    """Series cut in time. `cuts` (series, 6): where train, validation and test begin and end, as steps of `panel`; its
    rows are those of `table`. `also` are the other data that the network is to be evaluated by.
    """

    task: Task
    panel: Panel
    cuts: np.ndarray
    table: pa.Table
    also: tuple[ExternalData, ...] = field(default=(), kw_only=True)

    # 1 collect

    @classmethod
    def suits(cls, name: str, recipe: Recipe, sources: Sources) -> Suitability:
        return column_roles.suitability(recipe, sources.train)

    @classmethod
    def collect(cls, recipe: Recipe, sources: Sources) -> Self:
        """Find time, series and targets, put the rows on a grid, cut it in time, learn what a forecast needs."""
        rows, cfg = collection.join(sources, recipe.missing), recipe.task
        assert isinstance(cfg, Config)
        if explode.has_lists(rows.table, cfg.targets or (recipe.target or "",)):
            table, series, parent = explode.explode(rows.table, cfg.series)
            rows = rows._replace(table=table, test_row=int((parent < rows.test_row).sum()))
            cfg = cfg.model_copy(update={"series": series})
            recipe = recipe.model_copy(update={"task": cfg})
        table = rows.table.drop_columns([ROW_NUMBER])
        assignment = column_roles.assign(recipe, cfg, table, rows.decimal)
        panel, targets = build_panel(table, assignment.columns, assignment.roles, cfg.step), assignment.roles.targets
        season = cfg.season or seasonality.season(panel.frequency, _first_half(panel))
        horizon = cfg.horizon or max(1, min(season if season > 1 else 10, int(np.diff(panel.bounds).max()) // 10))
        test_row = rows.test_row if sources.test else None
        parts = cut(panel, targets, cfg, recipe.split, season, horizon, test_row)
        tables = [collection.rows_between(table, panel, *parts.edges[:, 2 * i : 2 * i + 2].T) for i in range(3)]
        schema = collection.make_schema(assignment, tables[0], recipe, sources.train.literal)
        state = _state(cfg, assignment, panel, parts, schema, horizon)
        collected = [source for source in (sources.train, sources.test) if source]
        experiment = cls(
            recipe=recipe.model_copy(update={"target": targets[0], "split": in_order(recipe.split)}),
            task=Task(cfg, state),
            schema=schema,
            splits=Splits(*tables),
            read=rows.table.num_rows + sum(len(source.skipped_rows) for source in collected),
            skipped_rows=(
                *(row for source in collected for row in source.skipped_rows),
                *collection.skipped_rows(panel, rows, assignment, sources),
            ),
            notes=(
                *(note for source in collected for note in source.notes),
                *assignment.notes,
                *panel.notes,
                *collection.notes(panel, parts.edges, cfg, state),
            ),
            panel=panel,
            cuts=parts.edges,
            table=table,
        )
        return replace(experiment, also=external_data.load(recipe.also, experiment)) if recipe.also else experiment

    def counts(self) -> Row:
        """Rows in = used + skipped. Rows that share a step are used in its mean, of which a part has one; a gap
        between two parts is in none.
        """
        return super().counts() | {"used": self.panel.row_count}

    def settings(self) -> Config:
        state = self.task.state
        names = ("horizon", "context", "season", "series", "transform")
        changes = {name: vars(state)[name] for name in names}
        step = time_index.to_text(state.step)
        return self.task.cfg.model_copy(update={**changes, "time": state.time or None, "step": step})

    # 2 preprocess, 3 design

    def origins(self, part: int) -> np.ndarray:
        """The first step ahead of each window of a part: history may begin in the part before."""
        state, starts = self.task.state, list[np.ndarray]()
        for begin, (start, stop) in zip(self.panel.bounds[:-1], self.cuts[:, 2 * part : 2 * part + 2], strict=True):
            first = max(start, begin + state.context)
            starts.append(np.arange(first, max(stop - state.horizon + 1, first)))
        return np.concatenate(starts)

    def examples(self, prep: Preprocessor) -> dict[str, Examples]:
        """Windows of each part; those of training stay views of the series."""
        state = self.task.state
        steps = encoding.encode(self.panel, prep, state)
        measured = np.asarray(~np.isnan(steps.target).all(axis=1))
        examples = {}
        for i, name in enumerate(Splits._fields):
            origins = self.origins(i)
            if name != "test":
                usable = _share(measured, origins, state.horizon) > 0
                if name == "train":
                    usable &= _share(measured, origins - state.context, state.context) >= MEASURED
                origins = origins[usable]
            if name == "validation":
                origins = encoding.thin(origins, state.horizon * steps.target.shape[1])
            if not len(origins):
                raise DataError(
                    f"{name}: no window of {state.context:,} steps of history and {state.horizon:,} ahead "
                    "fits. Ask for a smaller task.horizon or task.context, or give longer series."
                )
            target = Windows(steps.target, origins, state.horizon)
            examples[name] = Examples(steps.windows(origins, state), target if name == "train" else target[:])
        return examples

    def spec(self, prep: Preprocessor) -> Spec:
        return super().spec(prep).model_copy(update={"rows": len(self.origins(0))})

    # 4 train

    def validate(self, outputs: Arrays, target: np.ndarray) -> dict[str, float]:
        return validation_loss(outputs, target, self.task.state)

    def calibrated(self, outputs: Arrays, validation: Examples) -> Self:
        """With the half widths of intervals."""
        state = self.task.state
        widths, last = backtest.half_widths(outputs, validation, state), backtest.last_half_widths(validation, state)
        return self.with_task(self.task.with_state(half_widths=widths, last_half_widths=last))

    # 5 evaluate

    @property
    def metrics(self) -> tuple[str, ...]:
        return METRICS

    @property
    def test(self) -> pa.Table:
        """The test rows and, before them, the history that the first forecast goes on from."""
        begin = np.maximum(self.cuts[:, 4] - self.task.state.context, self.panel.bounds[:-1])
        return collection.rows_between(self.table, self.panel, begin, self.cuts[:, 5])

    @classmethod
    def evaluate(cls, session: Any, rows: pa.Table) -> Evaluation:
        return backtest.evaluate(session, rows)

    @classmethod
    def evaluate_source(cls, session: Any, collected: Collected, source: AnyConfig) -> Evaluation:
        """A backtest over all rows that belong to a series."""
        target = session.target
        rows = session.with_bundle_names(collected.table, collected.target)
        rows = replace(collected, table=rows, literal=session.schema.literal)
        table = with_row_numbers(rows, session.schema.missing)
        if target not in table.column_names:
            names = table.column_names[:-1]
            raise MissingColumn(f"evaluate: the rows have no column '{target}'. {nearest(target, names)}")
        evaluation = cls.evaluate(session, table.drop_columns([ROW_NUMBER]))
        skipped_rows = [*collected.skipped_rows]
        for exclusion in evaluation.details.panel.exclusions:
            bad = np.isin(np.arange(table.num_rows), exclusion.rows)
            skipped_rows += locate(table, bad, target, [exclusion.reason] * len(exclusion.rows), source)
        return evaluation._replace(skipped_rows=tuple(skipped_rows))

    def examine(self, finding: Finding) -> Evaluation:
        return report.examine(finding, self.also)

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        """Naive and straight-line forecasts from the same origins."""
        details: Details = finding.evaluation.details
        baselines = {}
        for name, test in details.baselines.items():
            target, answers = backtest.flat(test)
            baselines[name] = Baseline(metrics.scores(POINT_METRICS, target, answers), answers)
        return baselines

    def conclude(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
        return report.conclude(finding, baselines)

    def sections(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Iterable[Section]:
        return report.sections(finding)

    def summary(self, finding: Finding) -> Summary:
        return report.summary(finding)

    # 6 deploy

    def golden(self, prep: Preprocessor, model: AnyConfig) -> Golden:
        """A synthetic history, and a few windows of the training steps."""
        origins, state = self.origins(0), self.task.state
        origins = origins[np.linspace(0, len(origins) - 1, GRAPH_WINDOWS).astype(int)]
        steps = encoding.encode(self.panel, prep, state)
        windows = {name: views[:] for name, views in steps.windows(origins, state).items()}
        return Golden(golden_rows(self.splits.train, self.panel, prep, state), {"model": windows})


def _state(cfg: Config, assignment: Assignment, panel: Panel, parts: Cut, schema: Schema, horizon: int) -> State:
    """What is learned from the training steps."""
    roles, columns = assignment.roles, schema.columns
    train = [panel.values[a:b] for a, b in parts.edges[:, :2]]
    others = (*roles.time, roles.series, *roles.targets, *cfg.known)
    context = cfg.context or seasonality.context(max(len(values) for values in train), parts.season, horizon)
    return State(
        targets=fit_targets(train, roles.targets, parts.transform, parts.season),
        transform=parts.transform,
        time=roles.time,
        series=roles.series,
        known=tuple(c.name for c in columns if c.name in cfg.known),
        past=tuple(c.name for c in columns if c.kind in USABLE and c.name not in others),
        step=panel.frequency,
        season=parts.season,
        horizon=horizon,
        context=context,
        calendar=cfg.calendar,
        quantiles=cfg.quantiles if cfg.loss == "pinball" else (),
        effects=True,
    )


def _share(measured: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """The share of `length` steps from each start on that were measured."""
    total = np.concatenate([[0], np.cumsum(measured)])
    return (total[starts + length] - total[starts]) / length


def _first_half(panel: Panel) -> np.ndarray:
    """The first target of the longest series, as far as no test row can lie."""
    longest = max(panel.spans, key=lambda span: span.stop - span.start)
    return panel.values[longest, 0][: (longest.stop - longest.start) // 2]
