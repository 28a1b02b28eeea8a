"""The training half of denoising: rows become windows, to which noise is added where no noisy ones are given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from lamina import experiment, preprocess
from lamina.config import Config as AnyConfig
from lamina.config import DataError
from lamina.data import Sources
from lamina.data._skipped_rows import ROW_NUMBER, with_row_numbers
from lamina.data._splits import Auto, Splits, split
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Golden, Section, Summary
from lamina.preprocess import Preprocessor
from lamina.recipe import Recipe
from lamina.schema import Collected, Row, Schema, SkippedRow
from lamina.tasks._supervised import external_data
from lamina.tasks._supervised.experiment import split_settings
from lamina.tasks.denoising import (
    added_noise,
    baselines,
    collection,
    evaluation,
    golden,
    metrics,
    report,
    training_windows,
)
from lamina.tasks.denoising.collection import Pairs
from lamina.tasks.denoising.state import Config, Form, State
from lamina.tasks.denoising.task import Task
from lamina.train.settings import Examples

SHARES = Auto()
VALIDATION = 12  # windows that are looked at after each epoch


@dataclass(frozen=True)
class Experiment(experiment.Experiment):
    """Clean rows, or pairs of noisy and clean ones, of which the target is the clean one."""

    task: Task
    used: int = 0

    # 1 collect

    @classmethod
    def collect(cls, recipe: Recipe, sources: Sources) -> Self:
        """Rows, with the clean one of each where noisy ones are given, in three parts."""
        cfg = recipe.task
        assert isinstance(cfg, Config)
        external_data.refuse(recipe)
        rows, test = _rows(recipe, sources, cfg)
        schema, form, notes = _schema(rows, rows.table, recipe, sources)
        if form == "image":
            metrics.require()
        shares, few = split_settings(recipe.split, sources.train), collection.are_few(rows, form)
        if few:
            used, bad = _sound(rows, rows.table, schema, form, sources.config)
            rows = rows._replace(table=used)
            prep = preprocess.fit(used, schema)
            shares = shares if isinstance(shares, Auto) else SHARES
            splits = collection.cut(rows, prep, _state(schema, form, prep, cfg, rows), (shares.validation, shares.test))
            notes = (*notes, _few(used.num_rows, form))
        else:
            shares, bad = collection.in_parts(shares, form), []
            splits = split(rows.table, shares, None, recipe.seed, test.table if test else None)
            schema, form, notes = _schema(rows, splits.train, recipe, sources)
        splits = splits._replace(test=test.table) if test else splits
        tables = []
        for part, table in splits._asdict().items():
            source = sources.test_config if part == "test" and sources.test_config else sources.config
            table, broken = _sound(rows, table, schema, form, source)
            tables.append(table)
            bad = [*bad, *broken]
        splits = Splits(*tables)
        prep = preprocess.fit(splits.train, schema)
        state = _state(schema, form, prep, cfg, rows._replace(table=splits.train))
        parts = Splits(*(table.drop_columns([ROW_NUMBER]) for table in splits))
        others = [source for source in (sources.train, sources.test) if source]
        skipped_rows = [row for source in others for row in source.skipped_rows]
        skipped_rows += [*rows.skipped_rows, *(test.skipped_rows if test else ()), *bad]
        count = sum(table.num_rows for table in parts) if not few else rows.table.num_rows + (
            parts.test.num_rows if test else 0
        )  # fmt: skip
        notes = (*(note for source in others for note in source.notes if "to train on them" not in note), *notes)
        return cls(
            recipe=recipe.model_copy(update={"target": rows.clean, "split": shares}),
            task=Task(cfg, state),
            schema=schema,
            splits=parts,
            read=count + len(skipped_rows),
            skipped_rows=tuple(skipped_rows),
            notes=tuple(dict.fromkeys((*notes, *rows.notes, *_guesses(state, cfg)))),
            used=count,
        )

    @property
    def subject(self) -> str:
        return ", ".join(self.task.state.columns[:3])

    def counts(self) -> Row:
        """Rows as they were read, also of those of which each is cut between the parts."""
        return super().counts() | {"used": self.used}

    # 2 preprocess, 3 design

    def examples(self, prep: Preprocessor) -> dict[str, Examples]:
        """Clean windows, to which the network adds noise as it learns, or noisy and clean ones; validation windows have
        noise that stays the same.
        """
        state, name = self.task.state, next(iter(self.task.inputs(prep)))
        columns = [(state.columns, "noisy"), ((self.recipe.target,), "clean")] if self.recipe.target else [
            (state.columns, "clean")
        ]  # fmt: skip
        arrays = {
            part: {sort: training_windows.values(prep, state, table, own) for own, sort in columns}
            for part, table in (("train", self.splits.train), ("validation", self.splits.validation))
        }
        size = training_windows.side(arrays["train"]["clean"])
        sets = {part: dict(zip(own, training_windows.cut([*own.values()], size, self.recipe.seed)[0], strict=True))
                for part, own in arrays.items()}  # fmt: skip
        train = {sort: training_windows.repeated(own) for sort, own in sets["train"].items()}
        held_out = {sort: _some(own) for sort, own in sets["validation"].items()}
        noisy = held_out.get("noisy")
        if noisy is None:
            low, high = self.task.output().settings["sigma"]  # pyrefly: ignore[not-iterable]
            noisy = added_noise.over(added_noise.unit(held_out["clean"]), float(low), float(high), self.recipe.seed)
        validation = Examples({name: added_noise.unit(noisy)}, added_noise.unit(held_out["clean"]))
        own = Examples({name: train.get("noisy", train["clean"])}, train["clean"])
        return {"train": own, "validation": validation, "test": validation}

    # 4 train

    def validate(self, outputs: Mapping[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        """Mean absolute error; and how far the noise lies below what is shown, in dB."""
        error = outputs["restoration"] - target
        axes = tuple(range(1, error.ndim))
        squared = np.maximum(np.square(error, dtype=np.float64).mean(axis=axes), 1e-12)
        if self.task.state.form == "image":
            return {"loss": float(np.abs(error).mean()), "psnr": float(-10 * np.log10(squared).mean())}
        power = np.maximum(
            np.square(target - target.mean(axis=1, keepdims=True), dtype=np.float64).mean(axis=axes), 1e-12
        )
        return {"loss": float(np.abs(error).mean()), "snr": float(10 * np.log10(power / squared).mean())}

    # 5 evaluate

    @property
    def metrics(self) -> tuple[str, ...]:
        return metrics.names(self.task.state.form)

    @classmethod
    def evaluate(cls, session: Any, rows: pa.Table) -> Evaluation:
        return evaluation.evaluate(session, rows)

    @classmethod
    def evaluate_source(cls, session: Any, collected: Collected, source: AnyConfig) -> Evaluation:
        target = session.target if session.target in collected.table.column_names else None
        rows = collection.pairs(collected.table, collected, session.task.cfg, target)
        return evaluation.evaluate_source(session, rows, collected, source)

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        return baselines.evaluate(finding, notes)

    def conclude(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
        return report.conclude(finding, baselines)

    def sections(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Iterable[Section]:
        return report.sections(finding, baselines)

    def summary(self, finding: Finding) -> Summary:
        return report.summary(finding)

    # 6 deploy

    def golden(self, prep: Preprocessor, model: AnyConfig) -> Golden:
        state = self.task.state
        return Golden(golden.requests(prep, state), golden.inputs(state))


def _rows(recipe: Recipe, sources: Sources, cfg: Config) -> tuple[Pairs, Pairs | None]:
    """Rows and separate test rows, with the clean one of each where there are noisy ones."""
    target = recipe.target
    rows = collection.pairs(with_row_numbers(sources.train, recipe.missing), sources.train, cfg, target)
    if sources.test is None:
        return rows, None
    test = collection.pairs(with_row_numbers(sources.test, recipe.missing), sources.test, cfg, target or rows.clean)
    if (rows.clean is None) != (test.clean is None):
        raise DataError("test: must have noisy and clean rows as the training rows do, or clean ones alone.")
    return rows, test


def _schema(rows: Pairs, table: pa.Table, recipe: Recipe, sources: Sources) -> tuple[Schema, Form, tuple[str, ...]]:
    schema, notes = collection.schema(rows, table, recipe, sources.train)
    kind = next(c.kind for c in schema.columns if c.kind in collection.FORMS)
    return schema, collection.FORMS[kind], notes


def _sound(
    rows: Pairs, table: pa.Table, schema: Schema, form: Form, source: AnyConfig
) -> tuple[pa.Table, list[SkippedRow]]:
    """Rows that can be used, and the others."""
    names = [*collection.of_kind(schema.columns)[:1], *([rows.clean] if rows.clean else [])]
    return collection.sound(table, schema, form, names, source)


def _state(schema: Schema, form: Form, prep: Preprocessor, cfg: Config, rows: Pairs) -> State:
    """What is learned of training rows before there is a network."""
    columns = collection.of_kind(schema.columns)
    sigma = None if rows.clean else cfg.levels(form)
    learned = prep.states[0].model_dump()
    if form == "image":
        return State(form=form, channels=learned["channels"], columns=columns, sigma=sigma)
    if form == "series":
        own = {name: tuple(learned[name]) for name in ("mean", "std")}
        return State(form=form, channels=learned["channels"], columns=columns, sigma=sigma, **own)
    mean, std = collection.moments(schema, rows.table, columns)
    return State(form=form, channels=len(columns), columns=columns, sigma=sigma, mean=mean, std=std)


def _few(count: int, form: Form) -> str:
    what = {"image": "images", "series": "recordings", "table": "rows"}[form]
    each = "It is" if count == 1 else f"These {count} {what} are few, so each is"
    return f"{each} cut into parts: one to learn from, one to choose the network by, one to evaluate it."


def _guesses(state: State, cfg: Config) -> list[str]:
    """What was taken for granted of the noise, and a setting of no use."""
    unused = state.form != "image" and cfg.test_time_augmentation > 1
    views = ["task.test_time_augmentation: is for images alone, and does nothing here."] if unused else []
    if state.sigma is None or cfg.sigma is not None:
        return views
    unit = "on the scale of 0 to 255" if state.form == "image" else "in deviations of each channel"
    low, high = state.sigma
    return [
        f"Rows are taken to be clean; noise of deviation {low:g} to {high:g} ({unit}) is added to learn from. Another: "
        "--set task.sigma='[LOW, HIGH]'",
        *views,
    ]


def _some(values: np.ndarray) -> np.ndarray:
    """Windows evenly spread over all."""
    return values[np.linspace(0, len(values) - 1, min(VALIDATION, len(values))).astype(int)]
