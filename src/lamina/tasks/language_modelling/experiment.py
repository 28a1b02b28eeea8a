"""The training half of language modelling: a column of texts becomes one long array of ids, learned from in windows."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import experiment, models
from lamina.config import Config as AnyConfig
from lamina.config import DataError
from lamina.data import Sources
from lamina.data._splits import Auto, Split, Splits, TimeSplit, explicit, in_time, split
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Golden, Section, Summary
from lamina.plugins import Settings, plugin
from lamina.preprocess import Preprocessor
from lamina.preprocess.text import tokenizers
from lamina.preprocess.text.tokenizers import TokenizerState
from lamina.recipe import Recipe
from lamina.schema import Collected, Column, Row, Schema, Spec, Windows
from lamina.tasks._supervised import external_data
from lamina.tasks._supervised.experiment import split_settings
from lamina.tasks.language_modelling import corpus, evaluation, golden, metrics, report, sequences
from lamina.tasks.language_modelling.corpus import Ids
from lamina.tasks.language_modelling.state import Config, State
from lamina.tasks.language_modelling.task import Task
from lamina.train.settings import Examples

CONTEXT = 128  # tokens of a window, when none is set
FEWEST, PARTS = 64, 8  # tokens to learn from at least, and windows that a short text is cut into
VALIDATION = 100_000  # tokens of validation texts that are looked at after each epoch
CHARACTERS = ("character", "byte")
SAMPLE_TOKENS = 1_000_000  # tokens


@dataclass(frozen=True)
class Experiment(experiment.Experiment):
    """`texts` by part, of which `splits` have the first characters alone; `ids` of those of training and of validation,
    the bytes for each token of the latter, how many rows are `empty`, and what a text by itself is, its `sort`.
    """

    task: Task
    texts: Mapping[str, pa.ChunkedArray] = field(default_factory=dict)
    ids: Mapping[str, Ids] = field(default_factory=dict)
    bytes_per_token: float = 1.0
    empty: int = 0
    sort: str = "rows"

    # 1 collect

    @classmethod
    def collect(cls, recipe: Recipe, sources: Sources) -> Self:
        """Texts in three parts; what a token is, by the training texts; ids of training and validation."""
        cfg = recipe.task
        assert isinstance(cfg, Config)
        external_data.refuse(recipe)
        cfg = _with_network(cfg, recipe.model)
        table = sources.train.table
        name = corpus.column_name(table, recipe.target)
        texts, empty = _texts(table, name)
        sort = corpus.sort_of(texts, cfg)
        notes = [*sources.train.notes, *_notes(name, table, sort, cfg, empty)]
        parts, how = _split(recipe, sources, name, texts, sort)
        del texts
        tokenizer, guess = corpus.tokenizer(parts["train"], cfg, sort != "none")
        notes += [how] if how else []
        notes += [guess] if guess else []
        end = _end(tokenizer) if sort != "none" else None
        size = max(tokenizer.size, (end or 0) + 1)
        ids = {part: corpus.encode(parts[part], tokenizer, end, size) for part in ("train", "validation")}
        context = _context(cfg, ids["train"], sort != "none")
        state = State(
            tokenizer=tokenizer, context=context, start=_start(ids["train"], tokenizer) if end is None else end, end=end
        )
        held_out = parts["validation"]
        size = int(sequences.sizes(held_out).sum()) + (len(held_out) if end is not None else 0)
        settings = {"tokenizer": "byte", "length": tokenizers.LONGEST}
        schema = Schema(columns=(Column(name=name, kind="text", settings=settings),), literal=(name,))
        collected = [source for source in (sources.train, sources.test) if source]
        return cls(
            recipe=recipe.model_copy(update={"target": name, "task": cfg, "split": _parts(recipe, sources, sort)}),
            task=Task(cfg, state),
            schema=schema,
            splits=Splits(**{part: pa.table({name: corpus.initials(column)}) for part, column in parts.items()}),
            read=sum(source.table.num_rows + len(source.skipped_rows) for source in collected),
            skipped_rows=tuple(row for source in collected for row in source.skipped_rows),
            notes=tuple(dict.fromkeys(notes)),
            texts=parts,
            ids=ids,
            bytes_per_token=size / max(int(ids["validation"].lengths.sum()), 1),
            empty=empty,
            sort=sort,
        )

    def counts(self) -> Row:
        """Rows as they were read; those of one text may be cut between two parts."""
        return super().counts() | {"used": self.read - len(self.skipped_rows) - self.empty}

    @property
    def subject(self) -> str:
        return self.schema.columns[0].name

    def settings(self) -> AnyConfig:
        state = self.task.state
        changes = {"tokenizer": state.tokenizer.tokenizer, "context": state.context, "documents": self.sort}
        return self.task.cfg.model_copy(update=changes)

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.task.state.tokenizer.model_dump_json().encode())
        for part in self.ids.values():
            digest.update(part.digest())
        return digest.hexdigest()

    def with_model(self, model: AnyConfig) -> Self:
        """With what the graph of one step takes."""
        spec = Spec(inputs=self.task.inputs(None), output=self.task.output())  # pyrefly: ignore[bad-argument-type]
        task = self.task.with_state(step=models.step_inputs(model, spec))
        return replace(self, recipe=self.recipe.model_copy(update={"model": model}), task=task)

    # 2 preprocess, 3 design

    def examples(self, prep: Preprocessor) -> dict[str, Examples]:
        """Windows over the ids: of short documents one for each, of other texts one behind the other."""
        state, train = self.task.state, self.ids["train"]
        if self._short:
            windows = _padded(train, state)
            own = Examples({"tokens": windows}, np.zeros(len(windows), np.int8))
        else:
            count, context = len(train.ids) - 1, state.context
            shift = context - 1 if count >= 4 * context else 0
            starts = np.arange(0, count - context - shift + 1, context)
            windows = Windows(train.ids, starts, context + 1, shift)
            own = Examples({"tokens": windows}, np.zeros(len(windows), np.int8), contiguous=True)
        held_out = _validation(self.ids["validation"], state, self._short)
        return {"train": own, "validation": held_out, "test": held_out}

    @property
    def _short(self) -> bool:
        """Whether each text fits into a window."""
        return self.task.state.documents and int(self.ids["train"].lengths.max(initial=0)) <= self.task.state.context

    def spec(self, prep: Preprocessor) -> Spec:
        train, context = self.ids["train"], self.task.state.context
        rows = len(train.lengths) if self._short else max(1, (len(train.ids) - 1) // context)
        return super().spec(prep).model_copy(update={"rows": rows})

    # 4 train

    def validate(self, outputs: Mapping[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        """Nats of a token, and what that comes to: bits of a byte for small tokens, perplexity for others."""
        nats = float(outputs["nll"].sum(dtype=np.float64)) / max(int(target.sum()), 1)
        if self.task.state.tokenizer.tokenizer in CHARACTERS:
            return {"loss": nats, "bits_per_byte": nats / np.log(2) / self.bytes_per_token}
        return {"loss": nats, "perplexity": float(np.exp(min(nats, metrics.MOST_NATS)))}

    # 5 evaluate

    @property
    def metrics(self) -> tuple[str, ...]:
        return metrics.NAMES

    @property
    def test(self) -> pa.Table:
        return pa.table({self.subject: self.texts["test"]})

    @classmethod
    def evaluate(cls, session: Any, rows: pa.Table) -> Evaluation:
        return evaluation.evaluate(session, rows)

    @classmethod
    def evaluate_source(cls, session: Any, collected: Collected, source: AnyConfig) -> Evaluation:
        return evaluation.evaluate_source(session, collected)

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        return evaluation.baselines(finding, self.ids["train"], notes)

    def conclude(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
        return report.conclude(finding, baselines)

    def sections(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Iterable[Section]:
        return report.sections(finding)

    def summary(self, finding: Finding) -> Summary:
        return report.summary(finding)

    # 6 deploy

    def golden(self, prep: Preprocessor, model: AnyConfig) -> Golden:
        return Golden(golden.requests(), golden.inputs(self.task.state))


def _with_network(cfg: Config, model: Any) -> Config:
    """The settings with the tokenizer that a network brings, where none is named."""
    if cfg.tokenizer != "auto" or model is None or isinstance(model, Settings):
        return cfg
    module = vars(plugin("models", model.kind))
    own = module["column_settings"](model).get("text", {}) if "column_settings" in module else {}
    if own.get("tokenizer") != "pretrained":
        return cfg
    return cfg.model_copy(update={"tokenizer": "pretrained", "file": own["file"]})


def _texts(table: pa.Table, name: str) -> tuple[pa.ChunkedArray, int]:
    """The texts there are, and how many rows have none."""
    column = table[name]
    empty = int((sequences.sizes(column) == 0).sum())
    if empty == len(column):
        raise DataError(f"target: column '{name}' holds no text. Name another with --target COLUMN.")
    return column.filter(pc.greater(pc.binary_length(column), 0)) if empty else column, empty


def _notes(name: str, table: pa.Table, sort: str, cfg: Config, empty: int) -> list[str]:
    """What was guessed of the texts."""
    notes = []
    others = [column for column in table.column_names if column != name]
    if others:
        notes.append(f"Texts are the column '{name}'; {', '.join(others[:5])} are not learned from (--target COLUMN).")
    if empty:
        notes.append(f"{empty:,} rows hold no text and are left out.")
    if cfg.documents == "auto":
        what, other = {
            "rows": ("Each row is a text by itself", "none"),
            "none": ("All rows are one text, in their order", "rows, or lines"),
        }[sort]
        notes.append(f"{what}. If not: --set task.documents={other}")
    return notes


def _parts(recipe: Recipe, sources: Sources, sort: str) -> Split:
    """How texts are given to parts: one text is cut, others are drawn."""
    settings = split_settings(recipe.split, sources.train)
    return in_time(settings) if sort == "none" and isinstance(settings, Auto) else explicit(settings)


def _split(
    recipe: Recipe, sources: Sources, name: str, texts: pa.ChunkedArray, sort: str
) -> tuple[dict[str, pa.ChunkedArray], str]:
    """Texts of training, validation and test, and a sentence on how one text was told apart."""
    settings = _parts(recipe, sources, sort)
    test = None if sources.test is None else _texts(sources.test.table, _test_name(sources.test.table, name))[0]
    if sort == "none":
        parts, how = _by_position(texts, settings, test)
        return dict(zip(Splits._fields, parts, strict=True)), how
    table = sources.train.table
    if sort == "lines":
        table, test = pa.table({name: corpus.by_line(texts)}), None if test is None else corpus.by_line(test)
    elif len(texts) < table.num_rows:
        table = table.filter(pc.greater(pc.fill_null(pc.binary_length(table[name]), 0), 0))
    splits = split(table, settings, None, recipe.seed, None if test is None else pa.table({name: test}))
    return {part: rows[name] for part, rows in splits._asdict().items()}, ""


def _test_name(table: pa.Table, name: str) -> str:
    return corpus.column_name(table, name if name in table.column_names else None)


def _by_position(texts: pa.ChunkedArray, settings: Any, test: Any) -> tuple[list[pa.ChunkedArray], str]:
    if not isinstance(settings, TimeSplit):
        raise DataError(
            f"split.kind: {settings.kind} draws rows, and these are one text, whose parts follow one another. "
            "Use time, or say that each row is a text: --set task.documents=rows"
        )
    validation, tests = float(settings.validation), float(settings.test) if test is None else 0.0
    if validation >= 1 or tests >= 1 or validation + tests >= 1:
        raise DataError("split: of one text, validation and test are shares below 1, and less than 1 together.")
    shares = (1 - validation - tests, validation, tests)
    parts = corpus.cut(texts, shares[:2] if test is not None else shares)
    return [*parts, *([] if test is None else [test])], (
        f"The first {shares[0]:.0%} of the text are learned from, the next {validation:.0%} choose the network"
        + (f", the last {tests:.0%} are the test set" if test is None else "")
        + ". Others: --set split.validation=SHARE --set split.test=SHARE"
    )


def _end(tokenizer: TokenizerState) -> int:
    """The id that stands between documents: the one that a pretrained tokenizer has for that, else one of its own."""
    if tokenizer.pretrained is None:
        return tokenizer.size
    names = ("<|endoftext|>", "</s>", "<eos>", "[SEP]", "<|end_of_text|>", "[EOS]")
    ids = [tokenizer.backend.token_to_id(name) for name in names]
    return next((one for one in ids if one is not None), tokenizer.padding)


def _start(train: Ids, tokenizer: TokenizerState) -> int:
    """The id that one text goes on from: the end of a line, else the token that comes most often."""
    some = np.bincount(train.ids[:SAMPLE_TOKENS], minlength=tokenizer.size)
    line = tokenizers.encode(pa.array(["\n"]), tokenizer).ids
    return int(line[0]) if len(line) == 1 and some[line[0]] else int(some.argmax())


def _context(cfg: Config, train: Ids, documents: bool) -> int:
    """Tokens of a window. Errors: DataError for a text that is too short to learn from."""
    count, longest = len(train.ids) - 1, int(train.lengths.max(initial=0))
    if count < FEWEST:
        raise DataError(f"train: {max(count, 0)} tokens are too few to learn from. Give {FEWEST} or more.")
    if documents and longest <= (cfg.context or CONTEXT):
        return longest
    if cfg.context and cfg.context > count:
        raise DataError(f"task.context: {cfg.context:,} is more than there are training tokens ({count:,}).")
    return cfg.context or min(CONTEXT, max(8, count // PARTS))


def _padded(part: Ids, state: State) -> Windows:
    """A window for each document, padded behind its end."""
    width, rows = state.context + 1, len(part.lengths)
    flat = np.full(rows * width, state.tokenizer.padding, sequences.smallest(state.size))
    lengths = part.lengths + 1
    place = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    owner = np.repeat(np.arange(rows), lengths)
    flat[owner * width + place] = part.ids[part.offsets[owner] + place]
    return Windows(flat, np.arange(rows) * width, width)


def _validation(part: Ids, state: State, short: bool) -> Examples:
    """Windows for the loss while the network learns; the target is how many tokens each has."""
    if short and int(part.lengths.max(initial=0)) <= state.context:
        rows = max(1, VALIDATION // max(1, int(part.lengths.mean()))) if len(part.lengths) else 1
        few = Ids(part.ids, part.offsets[: rows + 1])
        return Examples({"tokens": _padded(few, state)}, few.lengths)
    ids, context = np.asarray(part.ids[: VALIDATION + 1]), state.context
    count = -(-(len(ids) - 1) // context)
    if count < 1:
        raise DataError("validation: there is no token to look at. Give more text, or a larger split.validation.")
    flat = np.full(count * context + 1, state.tokenizer.padding, ids.dtype)
    flat[: len(ids)] = ids
    lengths = np.full(count, context)
    lengths[-1] = len(ids) - 1 - (count - 1) * context
    return Examples({"tokens": Windows(flat, np.arange(count) * context, context + 1)}, lengths)
