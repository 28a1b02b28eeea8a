"""What a task is in training and evaluation: a recipe's data, split and understood, and every question about them.

`of(name)` is the class of a task; `choose` takes the one that a recipe names, or the one that fits its data best.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa

from lamina import models, preprocess, train
from lamina.config import Config, DataError, RecipeError, errors_with_notes
from lamina.data import Sources
from lamina.data._skipped_rows import position_notes
from lamina.data._splits import Splits
from lamina.plugins import Settings, available, kind, plugin, settings_of, sibling_module
from lamina.preprocess import Preprocessor, _literals
from lamina.recipe import Recipe
from lamina.schema import FOLD, Collected, Column, Row, Schema, SkippedRow, Spec
from lamina.task import Task
from lamina.train.settings import Config as TrainConfig
from lamina.train.settings import Examples, Preview

Arrays = Mapping[str, np.ndarray]
Place = Literal["scores", "comparison", "errors", "confidence", "training", "data", "design"]
LISTED, NEARLY = 3, 0.1  # columns that name a run without a target; how much worse a task may fit to be noted


class Suitability(NamedTuple):
    """How well a task fits some data, 0 to 1; what to say where it is taken, or nearly, and before any training."""

    score: float = 0.0
    note: str = ""
    advice: str = ""


class Evaluation(NamedTuple):
    """What a bundle is worth on rows: scores (primary first), the 95 % interval of the primary, the target and the
    answers (arrays by row) that plots are made of, how many rows were evaluated and which were skipped. `per_class` are
    rows of a table; `details` are the task's own, for its sections.
    """

    scores: dict[str, float | None]
    interval: tuple[float, float] | None
    target: np.ndarray
    answers: Arrays
    rows: int = 0
    skipped_rows: tuple[SkippedRow, ...] = ()
    per_class: tuple[Row, ...] = ()
    details: Any = None


class Baseline(NamedTuple):
    """What the network has to beat: scores on the same rows and the answers they are of."""

    scores: dict[str, float | None]
    answers: Arrays


class Section(NamedTuple):
    """A part of the report behind the general one named by `after`: HTML for people (none: no part of the page),
    `facts` for report.json, by key; a `script` of the package, which the page runs and which holds no data.
    """

    name: str
    title: str = ""
    after: Place = "comparison"
    html: str = ""
    facts: Mapping[str, Any] = {}
    script: str = ""


class Conclusion(NamedTuple):
    """What a report says in its own words: the verdict, the subject of the run, and what the general parts are called;
    what scores were `measured` on, and what `doubt` is added where a baseline is better, if that `warns` at all.
    """

    verdict: str
    subject: str
    measured: str = ""
    comparison: str = "Baselines"
    method: str = "method"
    doubt: str = ""
    warns: bool = True


class Summary(NamedTuple):
    """What the terminal shows beside scores, the first row of a table its title; `facts` go into the result."""

    tables: tuple[tuple[tuple[str, ...], ...], ...] = ()
    sentences: tuple[str, ...] = ()
    commands: Mapping[str, str] = {}
    facts: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Finding:
    """A trained run and what its bundle is worth: everything a report tells."""

    experiment: "Experiment"
    choices: Row  # plain values of a recipe that leaves nothing open
    spec: Spec
    cfg: TrainConfig
    layers: list[Row]
    end: Row  # the last row of training
    session: Any  # the Predictor of the bundle
    evaluation: Evaluation
    examples: Mapping[str, Examples]
    epochs: list[Row]
    folder: Path  # of the run, for files beside the report
    statistics: Sequence[Row] = ()  # of the columns in training rows, as `preprocess.statistics` has them


class Golden(NamedTuple):
    """Requests that travel with a bundle, and what each network is fed when its graph is compared with it."""

    requests: list[Row]
    inputs: Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Experiment(ABC):
    """A recipe's data, split and understood, with the task that was learned from its training rows only."""

    recipe: Recipe
    task: Any  # the Task of this experiment
    schema: Schema
    splits: Splits
    read: int
    skipped_rows: tuple[SkippedRow, ...]
    notes: tuple[str, ...]

    # 1 collect

    @classmethod
    def suits(cls, name: str, recipe: Recipe, sources: Sources) -> Suitability:
        """How well the task, the plug-in `name`, fits data without a task in their recipe; 0: it has to be named."""
        return Suitability()

    @classmethod
    @abstractmethod
    def collect(cls, recipe: Recipe, sources: Sources) -> Self:
        """Rows to an experiment: unusable ones skipped, the rest split and understood. The recipe says its task."""

    @property
    def target(self) -> Column | None:
        return self.schema.target

    @property
    def subject(self) -> str:
        """What a run is about, in a word: the column it predicts, or the columns there are."""
        names = [c.name for c in ([self.schema.target] if self.schema.target else self.schema.columns)]
        return ", ".join(names[:LISTED] + [f"{len(names) - LISTED} more"] * (len(names) > LISTED))

    def counts(self) -> Row:
        """Rows in = used + skipped."""
        sizes = {name: table.num_rows for name, table in self.splits._asdict().items()}
        return {"read": self.read, "used": sum(sizes.values()), "skipped": len(self.skipped_rows), **sizes}

    def settings(self) -> Config:
        """The task's settings, with what the data said in place of what was left open."""
        return self.task.cfg

    def fingerprint(self) -> str:
        """A hash of every training and validation cell, so that a resumed run can tell that its data changed."""
        digest = hashlib.sha256()
        for table in (self.splits.train, self.splits.validation):
            for name in table.column_names:
                digest.update(name.encode())
                for buffer in _contiguous(table[name]).buffers():
                    digest.update(buffer or b"-")
        return digest.hexdigest()

    def with_model(self, model: Config) -> Self:
        """The same for a recipe that names its model."""
        return replace(self, recipe=self.recipe.model_copy(update={"model": model}))

    def with_task(self, task: Task) -> Self:
        return replace(self, task=task)

    # 2 preprocess, 3 design

    @abstractmethod
    def examples(self, prep: Preprocessor) -> dict[str, Examples]:
        """Encoded inputs and target of each split, as a network is fed."""

    def spec(self, prep: Preprocessor) -> Spec:
        """What the network is built for."""
        return Spec(inputs=self.task.inputs(prep), output=self.task.output(), rows=self.splits.train.num_rows)

    # 4 train

    def fit(
        self, prep: Preprocessor, model: Any, examples: Mapping[str, Examples], cfg: TrainConfig, hooks: Any
    ) -> Iterator[Row]:
        """Rows of training, to be pulled; what cannot be is refused at once, before anything is written."""
        if cfg.augment_with is not None:
            raise RecipeError(["train.augment_with: is for tasks that predict a column of each row. Leave it out."])
        return train.fit.fit(models.learner(model), examples["train"], examples["validation"], cfg, hooks)

    def with_folds(self, examples: Mapping[str, Examples], count: int) -> dict[str, Examples]:
        """Training rows, and validation rows, with the input `fold` (rows,): the part of `count` that each is of."""
        train = examples["train"]
        return {"train": replace(train, inputs={**train.inputs, FOLD: np.arange(len(train.target)) % count})}

    @abstractmethod
    def validate(self, outputs: Arrays, target: np.ndarray) -> dict[str, float]:
        """Two cheap numbers on validation rows: the first is minimised, the second is shown."""

    def warning(self, scores: Mapping[str, float], best: float, epoch: int) -> str:
        """What is wrong with a run by what `validate` gave, in a sentence, or ""; `best`: the loss of `epoch`."""
        return ""

    def preview(self, model: Config) -> Preview | None:
        """What is drawn as the network learns; nothing by default."""
        return None

    def target_transform(self) -> Any:
        """How a target moves with an image: `f(target, affine, size) -> target`; None where it does not."""
        return None

    def calibrated(self, outputs: Arrays, validation: Examples) -> Self:
        """With what is learned from validation rows and the network's raw outputs for them."""
        return self

    # 5 evaluate

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of scores in the registry of `lamina.evaluate.metrics`; the first is primary."""

    @property
    def plots(self) -> tuple[str, ...]:
        """Names of the general plots that a report draws."""
        return ("comparison", "learning")

    @property
    def test(self) -> pa.Table:
        """The rows by which a network is evaluated."""
        return self.splits.test

    @classmethod
    @abstractmethod
    def evaluate(cls, session: Any, rows: pa.Table) -> Evaluation:
        """What a bundle is worth on usable rows. Needs no recipe; `session` is a Predictor."""

    @classmethod
    @abstractmethod
    def evaluate_source(cls, session: Any, collected: Collected, source: Config) -> Evaluation:
        """The same for rows as a source gives them: those of no use are skipped first, with the reason."""

    def examine(self, finding: Finding) -> Evaluation:
        """The evaluation of a fresh run, where training has left more to evaluate on than the bundle alone."""
        return finding.evaluation

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        """What the network has to beat, by name; what is to be said of them is added to `notes`."""
        return {}

    @abstractmethod
    def conclude(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
        """The verdict, and the words of this task in the report."""

    def sections(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Iterable[Section]:
        """The task's own parts of the report, in order."""
        return ()

    def summary(self, finding: Finding) -> Summary:
        """What the terminal shows beside scores and the verdict."""
        return Summary()

    # 6 deploy

    @abstractmethod
    def golden(self, prep: Preprocessor, model: Config) -> Golden:
        """Requests that every opening of the bundle repeats, and inputs to compare graphs by."""

    def exported(self, prep: Preprocessor, graphs: Mapping[str, Any]) -> Self:
        """With what is learned from the graphs that are served: functions from inputs to outputs, by name."""
        return self

    def assets(self, model: Any, prep: Preprocessor) -> dict[str, bytes]:
        """The task's own files in the bundle, by name."""
        return {}


def _contiguous(column: pa.ChunkedArray) -> pa.Array:
    """One array without offset, so that equal values have equal bytes."""
    array = column.combine_chunks()
    return pa.concat_arrays([array.take(pa.array(np.arange(len(array))))])


def of(name: str) -> type[Experiment]:
    """The training half of a task: `experiment.Experiment` of its package, else that of tasks that predict a column."""
    return sibling_module(plugin("tasks", name), "experiment", "lamina.tasks._supervised.experiment").Experiment


def choose(recipe: Recipe, sources: Sources) -> tuple[type[Experiment], Recipe, tuple[str, ...]]:
    """What a recipe, its source or else its data ask for, the recipe with it, and notes. Errors: DataError for none."""
    cfg, target = recipe.task, sources.train.target if recipe.target is None else recipe.target
    if cfg is not None and not isinstance(cfg, Settings):
        return of(kind(cfg)), recipe, ()
    source = sources.train.task if recipe.target in (None, sources.train.target) else None
    if target is None and source is None:
        cure = "Say which column is to be predicted with: --target COLUMN."
        raise DataError(" ".join(["target: is required.", cure, *sources.train.notes]))
    fitness = {n: of(n).suits(n, recipe, sources) for n in (available("tasks") if target is not None else ())}
    best = source or max(fitness, key=lambda name: fitness[name].score)
    if not source and fitness[best].score <= 0:
        raise DataError(f"target: no task fits column '{target}'. Say what is asked with: --task NAME")
    notes = [f.note for f in fitness.values() if f.note and not source and f.score >= fitness[best].score - NEARLY]
    other = "Another: --task " + next((n for n, fit in fitness.items() if n != best and fit.score > 0), "NAME")
    of_target = f" of '{target}'" if target else ""
    sentence = f"The task is {best}{of_target}, by its {'source' if source else 'cells'}. {other}"
    notes += [] if best in fitness and fitness[best].note in notes else [sentence]
    update = {"task": settings_of("tasks", best, cfg, "task", lambda: sentence)}
    return of(best), recipe.model_copy(update=update), tuple(notes)


def evaluate_source(session: Any, collected: Collected, source: Config) -> Evaluation:
    """What a bundle is worth on rows as a source gives them, evaluated as its task is."""
    rows = preprocess.by_mark(collected.table, session.schema, collected.decimal)
    return of(session.task.kind).evaluate_source(session, replace(collected, table=rows), source)


def with_conventions(recipe: Recipe, sources: Sources) -> Sources:
    """The sources with what texts such as NA and marks before decimals mean: as the recipe says, else by all cells."""
    train = _literals.with_literals(preprocess.with_decimal(sources.train), recipe.literal, recipe.missing)
    test = sources.test and replace(sources.test, literal=train.literal, decimal=train.decimal)
    return sources._replace(train=train, test=test)


def collect(recipe: Recipe, sources: Sources) -> Experiment:
    """What a recipe asks of its data, understood by its task."""
    sources = with_conventions(recipe, sources)
    with errors_with_notes(sources.train.notes):
        experiment, recipe, notes = choose(recipe, sources)
        collected = experiment.collect(recipe, sources)
    return replace(collected, notes=(*position_notes(sources.train.table, recipe.target), *notes, *collected.notes))


def advice(recipe: Recipe, sources: Sources) -> list[str]:
    """What tasks say of data that have not been trained on yet."""
    return [s for name in available("tasks") if (s := of(name).suits(name, recipe, sources).advice)]
