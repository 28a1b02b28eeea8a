"""The training half of anomaly detection: normal rows are learned, then what distances from them mean."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from lamina import preprocess
from lamina.config import Config as AnyConfig
from lamina.data import Sources
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Golden, Section, Summary
from lamina.preprocess import Preprocessor
from lamina.recipe import Recipe
from lamina.schema import Collected
from lamina.tasks._unlabelled import experiment as unlabelled
from lamina.tasks.anomaly_detection import (
    baselines,
    collection,
    detector,
    detector_fit,
    evaluation,
    metrics,
    recording,
    report,
    tail_probability,
)
from lamina.tasks.anomaly_detection.detector import LIMIT, Detector
from lamina.tasks.anomaly_detection.detector_fit import Rows
from lamina.tasks.anomaly_detection.state import Config, State
from lamina.tasks.anomaly_detection.task import Task
from lamina.train.settings import Examples

EXPLAINED, LEAST, MOST = 0.9, 1, 64  # share of the variance that latent numbers explain, and how many they are
IMAGE_SIZE = 32  # latent numbers of images and series
SAMPLE_ROWS = 2_000  # rows by which latent numbers are chosen
FITTED = 20_000  # rows of a part that distances are fitted on, and windows to train on
BATCH_NUMBERS = 1 << 22


@dataclass(frozen=True)
class Experiment(unlabelled.Experiment):
    """Normal rows, perhaps with anomalies among them; `detector` is fitted of what the trained network gives."""

    task: Task
    detector: Detector | None = field(default=None, kw_only=True)

    # 1 collect

    @classmethod
    def collect(cls, recipe: Recipe, sources: Sources) -> Self:
        """Rows as for any task without a target; a recording in order of time; which label is the normal one."""
        cfg = recipe.task
        assert isinstance(cfg, Config)
        collection.check(cfg)
        label = sources.train.target if recipe.target is None else recipe.target
        order = collection.in_order(recipe, sources, label)
        own = super().collect(order.recipe, order.sources)
        cfg, notes = collection.assumptions(cfg, own.labels(own.splits.train), own.target, order.time is not None)
        state: State = own.task.state
        if order.time is not None:
            state = collection.as_recording(cfg, state, order.time, own.splits, own.schema)
            notes = (*notes, collection.window_note(cfg, state))
        own = replace(own, recipe=own.recipe.model_copy(update={"task": cfg}), task=Task(cfg, state))
        size = cfg.dimensions or own._size()
        own = own.with_task(own.task.with_state(size=size, normal=cfg.normal))
        return replace(own, notes=(*own.notes, *order.notes, *notes))

    def _size(self) -> int:
        """As many latent numbers as explain nine tenths of the variance of training rows."""
        if self.task.state.layout is None:
            return IMAGE_SIZE
        table = self.splits.train
        rows = table if self.task.state.recording else table.take(pa.array(_some(table.num_rows, SAMPLE_ROWS)))
        prep = preprocess.fit(rows, self.schema)
        vectors = next(iter(self.vectors(prep, rows).values()))
        vectors = vectors[_some(len(vectors), SAMPLE_ROWS)]
        if self.task.cfg.trim:
            vectors = vectors[detector_fit.trimmed(vectors, self.task.cfg.trim)]
        singular = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
        explained = np.cumsum(np.square(singular)) / max(float(np.square(singular).sum()), 1e-12)
        size = int(np.searchsorted(explained, EXPLAINED)) + 1
        return int(np.clip(size, LEAST, max(LEAST, min(MOST, vectors.shape[1] - 1))))

    def settings(self) -> AnyConfig:
        """With what the data said of a recording."""
        plan = self.task.state.recording
        return self.task.cfg if plan is None else self.task.cfg.model_copy(update={"window": plan.window})

    # 2 preprocess, 3 design

    def vectors(self, prep: Preprocessor, table: pa.Table, before: pa.Table | None = None) -> dict[str, np.ndarray]:
        """Rows as a network is fed; of a recording its windows, with those that begin in the rows `before`."""
        steps = self.inputs(prep, table, cache=True)
        plan = self.task.state.recording
        if plan is None:
            return steps
        values = steps["row"]
        if before is not None:
            tail = self.inputs(prep, before.slice(max(0, before.num_rows - plan.window + 1)))["row"]
            values = np.concatenate([tail, values])
        return {"row": recording.windows(values, plan.window)}

    def part(self, prep: Preprocessor, name: str) -> dict[str, np.ndarray]:
        """Rows or windows of a part, those of validation right behind training rows."""
        before = self.splits.train if name == "validation" else None
        return self.vectors(prep, self.splits._asdict()[name], before)

    def examples(self, prep: Preprocessor) -> dict[str, Examples]:
        """What a network is fed: of contaminated training rows those that are most alike, of windows some."""
        parts = {name: self.part(prep, name) for name in self.splits._asdict()}
        if self.task.state.recording is not None:
            parts["train"] = {n: v[_some(len(v), FITTED)] for n, v in parts["train"].items()}
        if self.task.cfg.trim:
            parts["train"] = _trim(parts["train"], self.task.cfg.trim)
        return {name: Examples(inputs, _zeros(inputs)) for name, inputs in parts.items()}

    # 4 train

    def validate(self, outputs: Mapping[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        """The error of validation rows; of contaminated ones without the worst, which may be anomalies."""
        trim, error = self.task.cfg.trim, outputs["error"].ravel()
        if not trim or len(error) < 2:
            return super().validate(outputs, target)
        best = np.argsort(error, kind="stable")[: max(1, len(error) - int(trim * len(error)))]
        return super().validate({name: values[best] for name, values in outputs.items()}, target)

    # 5 evaluate

    @property
    def metrics(self) -> tuple[str, ...]:
        return metrics.names(self.task.state)

    @property
    def plots(self) -> tuple[str, ...]:
        return ("comparison", "learning") if self.target is not None else ("learning",)

    @classmethod
    def evaluate(cls, session: Any, rows: pa.Table) -> Evaluation:
        return evaluation.score(session, rows)

    @classmethod
    def evaluate_source(cls, session: Any, collected: Collected, source: AnyConfig) -> Evaluation:
        return evaluation.score_source(session, collected, source)

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        prep = finding.session.prep
        rest = [finding.examples[name].inputs for name in ("validation", "test")]
        matrices = [np.asarray(next(iter(one.values()))) for one in (self.part(prep, "train"), *rest)]
        return baselines.fit(finding, matrices, notes)

    def conclude(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
        return report.conclude(finding, baselines)

    def sections(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Iterable[Section]:
        return report.sections(finding, baselines)

    def summary(self, finding: Finding) -> Summary:
        return report.summary(finding)

    # 6 deploy

    def golden(self, prep: Preprocessor, model: AnyConfig) -> Golden:
        """Rows that are made up; of a recording they are its steps, again and again. The decoder is not served."""
        golden = super().golden(prep, model)
        plan, inputs = self.task.state.recording, golden.inputs["model"]
        if plan is not None:
            steps = inputs["row"]
            steps = steps[np.arange(plan.window + len(steps) - 1) % len(steps)]
            inputs = {"row": recording.windows(steps, plan.window)}
        return golden._replace(inputs={"model": inputs})

    def exported(self, prep: Preprocessor, graphs: Mapping[str, Any]) -> Self:
        """With what the errors of the network that is served mean, by training and validation rows."""
        cfg, state = self.task.cfg, self.task.state.model_copy(update={"limit": LIMIT})
        train, validation = (self._rows(prep, graphs["model"], name) for name in ("train", "validation"))
        plan = state.recording
        channels = state.layout.width if plan is not None and state.layout is not None else 0
        fitted, tails = detector_fit.fit(train, validation, cfg.trim, channels)
        distances = detector.score(fitted, tails, *validation)
        scores = tail_probability.surprise(tails.joint, distances.surprise)
        if plan is not None:
            whole = recording.fit(distances.surprise, plan.memory, cfg.trim)
            last = recording.fit(distances.last, plan.memory, 0.0) if fitted.forecast.shape[1] else plan.last
            plan = plan.model_copy(update={"whole": whole, "last": last})
            scores = recording.surprise(plan, distances.surprise, distances.last)
            state = state.model_copy(update={"recording": plan})
        threshold = -float(np.log10(cfg.false_alarm_rate))
        if cfg.contamination is not None:
            threshold = float(np.quantile(scores, 1 - cfg.contamination))
        state = state.model_copy(update={"tails": tails, "threshold": round(threshold, 4)})
        return replace(self, task=Task(cfg, state), detector=fitted)

    def _rows(self, prep: Preprocessor, run: Any, name: str) -> Rows:
        """What the network leaves of rows of a part, of contaminated training rows those that are most alike."""
        inputs = self.part(prep, name)
        ((key, values),) = inputs.items()
        values = values if self.task.state.recording and name == "validation" else values[_some(len(values), FITTED)]
        if name == "train" and self.task.cfg.trim:
            values = _trim({key: values}, self.task.cfg.trim)[key]
        size = max(1, BATCH_NUMBERS // max(int(np.prod(values.shape[1:])), 1))
        parts = [
            detector.features(values[i : i + size], run(detector.within_limit({key: values[i : i + size]}, LIMIT)))
            for i in range(0, len(values), size)
        ]
        return Rows(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def assets(self, model: Any, prep: Preprocessor) -> dict[str, bytes]:
        assert self.detector is not None
        return {detector.ASSET: self.detector.dump()}


def _some(count: int, most: int) -> np.ndarray:
    """At most so many places, evenly spread."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def _trim(inputs: Mapping[str, np.ndarray], share: float) -> dict[str, np.ndarray]:
    """Without the rows that are least like the others."""
    ((name, values),) = inputs.items()
    return {name: np.asarray(values)[detector_fit.trimmed(detector_fit.small(np.asarray(values)), share)]}


def _zeros(inputs: Mapping[str, Any]) -> np.ndarray:
    return np.zeros(len(next(iter(inputs.values()))), np.float32)
