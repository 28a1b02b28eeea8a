"""The training half of tasks that predict one column, each row by itself."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import experiment, models, preprocess, privacy
from lamina.config import Config, DataError, MissingColumn, RecipeError
from lamina.data import Sources
from lamina.data._skipped_rows import ROW_NUMBER, column_name, locate, with_row_numbers
from lamina.data._splits import Auto, ByColumn, Random, Split, Splits, Stratified, explicit, split
from lamina.deploy.golden import golden_rows
from lamina.deploy.session import from_json
from lamina.evaluate import baselines, calibration, metrics
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Golden, Section, Suitability, Summary
from lamina.plugins import kind as kind_of
from lamina.plugins import plugin
from lamina.preprocess import Decimal, Preprocessor, _spellings, category, parse_columns
from lamina.recipe import Recipe, Unused
from lamina.resources import memory
from lamina.schema import FOLD, Collected, Column, Row, Schema, SkippedRow, clean
from lamina.tasks._supervised import evaluation, external_data, report, shortfall, synthetic_data, time_order
from lamina.tasks._supervised.external_data import ExternalData
from lamina.tasks._supervised.target import split_off, with_known_labels
from lamina.tasks._supervised.task import SupervisedTask
from lamina.train.settings import Config as TrainConfig
from lamina.train.settings import Examples, concat

FEW = 20  # different numbers, which may be labels
BYTES_EACH = 32  # of a row and a label, where answers are evaluated: logits, probabilities and what scores sort


@dataclass(frozen=True)
class Experiment(experiment.Experiment):
    """Rows with a usable target, in three splits; `also` are the other data that the network is to be evaluated by."""

    task: SupervisedTask
    also: tuple[ExternalData, ...] = field(default=(), kw_only=True)
    shuffled: bool = field(default=True, kw_only=True)  # whether validation rows were drawn from the training rows

    # 1 collect

    @classmethod
    def suits(cls, name: str, recipe: Recipe, sources: Sources) -> Suitability:
        """As well as the raw target column fits the task."""
        target = sources.train.target if recipe.target is None else recipe.target
        if target is None:
            return Suitability()
        return Suitability(plugin("tasks", name).Task.suits(_target_cells(recipe, sources.train, target)))

    @classmethod
    def collect(cls, recipe: Recipe, sources: Sources) -> Self:
        """Skip the rows without a usable target, split, learn the target, look at the columns."""
        collected, cfg = sources.train, recipe.task
        assert cfg is not None
        task_class = plugin("tasks", kind_of(cfg)).Task
        target = collected.target if recipe.target is None else recipe.target
        if target is None:
            notes = "".join(f" {note}" for note in collected.notes)
            raise DataError(f"target: is required. Say which column is to be predicted with: --target COLUMN.{notes}")
        table = with_row_numbers(collected, recipe.missing)
        name = column_name(table, target)
        settings = _target_settings(recipe, table[name], name, task_class, collected.decimal)
        column = Column(name=name, kind=task_class.target_kind, settings=settings)
        table, unusable = split_off(table, column, sources.config)
        if unusable and not table.num_rows:
            raise DataError(
                f"target: no row of column '{name}' can be used: {unusable[0].reason}. Look at it: lamina inspect DATA"
            )
        test, unusable_test = _test(recipe, column, sources)
        unusable += unusable_test
        parts = split_settings(recipe.split, collected)
        table, order_notes = time_order.arrange(table, parts, name, recipe, test is not None)
        parts = explicit(parts, table, name)
        splits = split(table, parts, name, recipe.seed, test)
        values = parse_columns(splits.train, (column,))[name].combine_chunks()
        task = task_class(cfg, task_class.fit(values, cfg))
        splits, unknown = _with_known_labels(splits, column, task, sources)
        _check_memory(splits, column, task)
        schema = _schema(recipe, splits.train, column, collected)
        splits, broken = usable(splits, schema, sources)
        test_source = sources.test or Collected(pa.table({}))
        collection = cls(
            recipe=recipe.model_copy(update={"target": name, "split": parts}),
            task=task,
            schema=schema,
            splits=Splits(*(t.drop_columns([ROW_NUMBER]) for t in splits)),
            shuffled=isinstance(parts, Random | Stratified),
            read=sum(c.table.num_rows + len(c.skipped_rows) for c in (collected, test_source)),
            skipped_rows=(*collected.skipped_rows, *test_source.skipped_rows, *unusable, *unknown, *broken),
            notes=(
                *collected.notes,
                *test_source.notes,
                *order_notes,
                *(time_order.unread(splits.test, schema) if sources.test else ()),
                *_spelled(column),
                *task.notes(),
                *_relabelled(splits.test, column, task),
            ),
        )
        return replace(collection, also=external_data.load(recipe.also, collection)) if recipe.also else collection

    # 2 preprocess, 3 design

    def encoded(self, table: pa.Table) -> np.ndarray:
        """The target of some rows as the loss wants it."""
        assert self.target is not None
        return self.task.encode(parse_columns(table, (self.target,))[self.target.name].combine_chunks())

    def examples(self, prep: Preprocessor) -> dict[str, Examples]:
        splits = self.splits._asdict().items()
        return {
            name: Examples(prep.encode(table, cache=True), self.encoded(table), padding=prep.padding)
            for name, table in splits
        }

    def with_model(self, model: Config) -> Self:
        columns = models.columns_for(model, self.schema.columns)
        named = super().with_model(model)
        return replace(named, schema=self.schema.model_copy(update={"columns": columns}))

    # 4 train

    def fit(
        self, prep: Preprocessor, model: Any, examples: Mapping[str, Examples], cfg: TrainConfig, hooks: Any
    ) -> Iterator[Row]:
        if cfg.augment_with is None:
            return super().fit(prep, model, examples, cfg, hooks)
        if FOLD in examples["train"].inputs:
            cure = "Name one network, such as --model fnn"
            raise RecipeError([f"train.augment_with: an ensemble leaves rows out, and takes none added. {cure}."])
        rows = synthetic_data.rows(self, prep, cfg)
        return synthetic_data.fit(model, examples, rows, cfg, hooks)

    def with_folds(self, examples: Mapping[str, Examples], count: int) -> dict[str, Examples]:
        """Folds with about the same targets in each. Validation rows drawn at random are learned from as well, and are
        evaluated with all others by what has not learned from them; those of other groups, times or files stay apart.
        """
        parts = ("train", "validation") if self.shuffled else ("train",)
        rows = concat([examples[part] for part in parts])
        target = np.asarray(rows.target)
        key = target.reshape(len(target), -1)[:, 0]
        order = np.lexsort((np.random.default_rng(self.recipe.seed).permutation(len(key)), key))
        fold = np.empty(len(key), np.int64)
        fold[order] = np.arange(len(key)) % count
        return dict.fromkeys(parts, replace(rows, inputs={**rows.inputs, FOLD: fold}))

    def validate(self, outputs: Mapping[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        return self.task.validate(outputs, target)

    def calibrated(self, outputs: Mapping[str, np.ndarray], validation: Examples) -> Self:
        changes = calibration.fit(self.task, outputs, np.asarray(validation.target))
        return self.with_task(self.task.with_state(**changes))

    # 5 evaluate

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.task.metrics

    @property
    def plots(self) -> tuple[str, ...]:
        return self.task.plots

    @classmethod
    def evaluate(cls, session: Any, rows: pa.Table) -> Evaluation:
        return evaluation.score(session, rows)

    @classmethod
    def evaluate_source(cls, session: Any, collected: Collected, source: Config) -> Evaluation:
        return evaluation.score_source(session, collected, source)

    def examine(self, finding: Finding) -> Evaluation:
        return report.examine(finding, self.also)

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        """Naive and classical predictors, fitted on the network's own inputs; of texts on their words."""
        task, examples, prep = self.task, finding.examples, finding.session.prep
        notes += report.notes(finding)
        train, test = (examples[part] for part in ("train", "test"))
        table = self.splits.train
        if models.folds(self.recipe.model):
            train = self.with_folds(examples, 1)["train"]
            table = pa.concat_tables([table, self.splits.validation]) if self.shuffled else table
        target = task.truth(np.asarray(train.target))
        inputs = {n: np.asarray(train.inputs[n]) for n in finding.spec.inputs} | prep.encode_classical(table)
        spec = finding.spec.model_copy(update={"inputs": finding.spec.inputs | prep.classical_inputs()})
        predictors = baselines.fit(task.baselines, inputs, target, spec, len(task.classes), notes)
        rows = {n: np.asarray(v) for n, v in test.inputs.items()} | prep.encode_classical(self.splits.test)
        answers = {name: predict(rows) for name, predict in predictors.items()}
        truth = finding.evaluation.target
        scores = {n: metrics.scores(metrics.defined(task.metrics, a), truth, a) for n, a in answers.items()}
        rivals = {n: Baseline(scores[n], a) for n, a in answers.items()}
        notes += shortfall.sentences(finding, rivals, predictors)
        return rivals

    def conclude(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
        return report.conclude(finding, baselines)

    def sections(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Iterable[Section]:
        return report.sections(finding)

    def summary(self, finding: Finding) -> Summary:
        return report.summary(finding)

    # 6 deploy

    def golden(self, prep: Preprocessor, model: Config) -> Golden:
        """Values of training rows, shuffled within each column, so that nobody's row leaves with the bundle."""
        rows = golden_rows(self.splits.train, prep)
        schema = prep.schema
        return Golden(rows, {"model": prep.encode(clean(from_json(rows, prep), schema.missing, schema.literal))})


def split_settings(settings: Split, collected: Collected) -> Split:
    """The split the source knows, where the recipe says nothing of its own."""
    return ByColumn(name=collected.part) if collected.part and isinstance(settings, Auto) else settings


def usable(splits: Splits, schema: Schema, sources: Sources) -> tuple[Splits, list[SkippedRow]]:
    """Without the rows whose cells a kind can tell to be broken, such as images that do not decode."""
    broken: list[SkippedRow] = []
    for column in filter(preprocess.can_have_faults, schema.columns):
        tables = []
        for name, table, faults in zip(Splits._fields, splits, preprocess.faults(splits, column), strict=True):
            bad = np.array([fault is not None for fault in faults])
            reasons = [fault for fault in faults if fault]
            source = sources.config if name != "test" else sources.test_config or sources.config
            broken += locate(table, bad, column.name, reasons, source)
            tables.append(table.filter(pa.array(~bad)) if bad.any() else table)
            if bad.all():
                raise DataError(f"{name}: no usable row is left; the first was skipped: {broken[0].reason}.")
        splits = Splits(*tables)
    return splits, broken


def _target_cells(recipe: Recipe, collected: Collected, target: str) -> pa.Array:
    """The target's cells as what they are: amounts as numbers, names and codes as text, else as they came."""
    name = column_name(collected.table, target)
    cells = clean(collected.table.select([name]), recipe.missing, collected.literal)
    kinds = {name: recipe.columns[name]} if name in recipe.columns else {}
    (column,) = preprocess.infer(cells, None, kinds, recipe.missing, collected.decimal).columns
    raw = cells[name].combine_chunks()
    if column.kind == "category" and not pa.types.is_nested(raw.type):
        return category.as_text(raw)
    if column.kind in preprocess.UNUSED and preprocess.suits(raw.drop_null(), "number") > 0:
        column = column.model_copy(update={"kind": "number", "settings": {}})
    if column.kind != "number" or not pa.types.is_string(raw.type):
        return raw
    numbers = parse_columns(cells, (column,))[name].combine_chunks()
    unread = pc.and_(pc.is_null(numbers), pc.is_valid(raw))
    return raw if _are_labels(raw.filter(unread), len(pc.unique(numbers))) else numbers


def _are_labels(words: pa.Array, different: int) -> bool:
    """Whether words among few different numbers are labels as these are, such as 'other' among 1, 2 and 3."""
    return different <= FEW and len(privacy.shared(words)) > 0


def _target_settings(
    recipe: Recipe, column: pa.ChunkedArray, name: str, task: type[SupervisedTask], decimal: Decimal | None
) -> dict[str, Any]:
    """What the recipe says of the target's cells, over what its kind finds out by looking at them."""
    kind = task.target_kind
    detected = preprocess.look(column.combine_chunks().drop_null(), kind, decimal) | dict(task.target_settings)
    cfg = recipe.columns.get(name)
    values = cfg.model_dump(mode="json", exclude_unset=True) if cfg else {}
    own = {k: v for k, v in values.items() if k != "kind"} if cfg and kind_of(cfg) == kind else {}
    return detected | own


def _test(recipe: Recipe, column: Column, sources: Sources) -> tuple[pa.Table | None, list[SkippedRow]]:
    """The separate test rows with a usable target, if there are any, and those skipped."""
    if sources.test is None:
        return None, []
    table = with_row_numbers(sources.test, recipe.missing)
    if column.name not in table.column_names:
        notes = "".join(f" {note}" for note in sources.test.notes)
        raise MissingColumn(f"test: the test rows have no column '{column.name}', so they cannot be evaluated.{notes}")
    return split_off(table, column, sources.test_config or sources.config)


def _with_known_labels(
    splits: Splits, column: Column, task: SupervisedTask, sources: Sources
) -> tuple[Splits, list[SkippedRow]]:
    validation, bad = with_known_labels(splits.validation, column, task, sources.config)
    test, worse = with_known_labels(splits.test, column, task, sources.test_config or sources.config)
    for name, rows in (("validation", validation), ("test", test)):
        if not rows.num_rows:
            why = (
                f" Its labels are unknown: {(bad + worse)[0].reason}. Give each label more rows." if bad + worse else ""
            )
            raise DataError(f"{name}: no usable row is left.{why}")
    return Splits(splits.train, validation, test), bad + worse


def _check_memory(splits: Splits, column: Column, task: SupervisedTask) -> None:
    """Errors: DataError where a number for each label of each row is more than there is memory for."""
    first = parse_columns(splits.train.slice(0, 1), (column,))[column.name].combine_chunks()
    dense = splits.train.num_rows if task.encode(first).ndim > 1 else 0  # rows whose target is a number for each label
    answers = max(splits.validation.num_rows, splits.test.num_rows)
    needed = len(task.classes) * (BYTES_EACH * answers + 4 * dense)
    if needed > memory.available():
        free = memory.available() / 1e9
        raise DataError(
            f"target: {len(task.classes):,} labels for each of {dense or answers:,} rows need {needed / 1e9:,.1f} GB, "
            f"and {free:,.1f} GB are free. Give fewer rows, or rare labels one name."
        )


def _spelled(column: Column) -> tuple[str, ...]:
    """A note where labels have several spellings."""
    spellings = column.settings.get("spellings")
    return (f"{_spellings.sentence(column.name, column.kind, spellings)}.",) if spellings else ()


def _relabelled(test: pa.Table, column: Column, task: SupervisedTask) -> tuple[str, ...]:
    """A note where test labels are written otherwise than in training."""
    if not task.classes:
        return ()
    labels = parse_columns(test, (column,))[column.name].combine_chunks()
    labels = labels.flatten() if pa.types.is_list(labels.type) else labels
    new = sorted(set(labels.unique().to_pylist()) - set(task.classes))
    return (f"Test labels {', '.join(map(repr, new))} were read as the class they resemble.",) if new else ()


def _schema(recipe: Recipe, train: pa.Table, target: Column, collected: Collected) -> Schema:
    """Kinds of all columns from training rows; the target's kind is the task's."""
    metadata = [name for name in collected.metadata if name in train.column_names]
    settings: dict[str, Config] = {name: Unused(kind="ignore") for name in metadata}
    settings |= {name: cfg for name, cfg in recipe.columns.items() if name != target.name}
    table = train.drop_columns([ROW_NUMBER])
    features = preprocess.infer(table.drop_columns([target.name]), None, settings, recipe.missing, collected.decimal)
    inferred = preprocess.infer(table.select([target.name]), None, {}, recipe.missing, collected.decimal).columns[0]
    own = inferred.note if inferred.kind == target.kind == "number" else ""
    note = "; ".join(filter(None, ("the target", own)))
    return Schema(
        columns=models.columns_for(recipe.model, features.columns),
        target=inferred.model_copy(update={"kind": target.kind, "settings": target.settings, "note": note}),
        missing=recipe.missing,
        literal=collected.literal,
    )
