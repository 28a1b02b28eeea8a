"""A text column read as one stream of characters, and learned from in windows."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from lamina import experiment, preprocess
from lamina.config import Config, DataError
from lamina.data import Sources
from lamina.data._splits import split
from lamina.evaluate.metrics import metric, scores
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Golden, Section, Suitability
from lamina.plugins import plugin
from lamina.preprocess import Preprocessor
from lamina.recipe import Recipe
from lamina.schema import Collected, clean
from lamina.train.settings import Examples


@metric(False, "probability", label="bits per character")
def toy_bits(target: np.ndarray, answers: Mapping[str, np.ndarray]) -> float | None:
    """Mean information of each next character, given what was before it."""
    return float(-np.log2(np.maximum(answers["probability"], 1e-12)).mean()) if len(target) else None


@dataclass(frozen=True)
class Experiment(experiment.Experiment):
    """Rows of text in three splits; a row is never cut."""

    @classmethod
    def suits(cls, name: str, recipe: Recipe, sources: Sources) -> Suitability:
        return Suitability()

    @classmethod
    def collect(cls, recipe: Recipe, sources: Sources) -> Self:
        table = clean(sources.train.table, recipe.missing)
        splits = split(table, recipe.split, None, recipe.seed)
        schema = preprocess.infer(splits.train, None, recipe.columns, recipe.missing)
        module: Any = plugin("tasks", "toy_text")
        characters = tuple(sorted(set("".join(_texts(splits.train)))))
        return cls(
            recipe=recipe,
            task=module.Task(recipe.task, module.State(characters=characters)),
            schema=schema,
            splits=splits,
            read=table.num_rows + len(sources.train.skipped_rows),
            skipped_rows=sources.train.skipped_rows,
            notes=sources.train.notes,
        )

    def examples(self, prep: Preprocessor) -> dict[str, Examples]:
        steps, examples = self.task.cfg.steps, {}
        for name, table in self.splits._asdict().items():
            stream = self.task.encode("".join(_texts(table)))
            if len(stream) <= steps:
                raise DataError(f"{name}: needs more than {steps} characters.")
            windows = np.lib.stride_tricks.sliding_window_view(stream, steps + 1)[:: steps // 2]
            examples[name] = Examples({"tokens": windows[:, :-1].copy()}, windows[:, 1:].copy())
        return examples

    def validate(self, outputs: Mapping[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        logits = outputs["target"].astype(np.float64)
        own = np.take_along_axis(logits, target[..., None], 2)[..., 0]
        top = logits.max(2)
        nats = float((top + np.log(np.exp(logits - top[..., None]).sum(2)) - own).mean())
        return {"loss": nats, "nats": nats}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("toy_bits",)

    @property
    def plots(self) -> tuple[str, ...]:
        return ("learning",)

    @classmethod
    def evaluate(cls, session: Any, rows: pa.Table) -> Evaluation:
        stream = session.task.encode("".join(_texts(rows)))
        state, chances = np.zeros((1, session.config["width"]), np.float32), []
        for before, after in itertools.pairwise(stream):
            outputs = session.run({"token": np.array([[before]]), "state": state})
            state, logits = outputs["state"], outputs["target"][0].astype(np.float64)
            chances.append(np.exp(logits[after] - logits.max()) / np.exp(logits - logits.max()).sum())
        target, answers = stream[1:], {"probability": np.array(chances)}
        return Evaluation(scores(("toy_bits",), target, answers), None, target, answers, rows.num_rows)

    @classmethod
    def evaluate_source(cls, session: Any, collected: Collected, source: Config) -> Evaluation:
        return cls.evaluate(session, clean(collected.table, session.schema.missing))

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        """Each character as often as in training, whatever was before it."""
        counts = np.bincount(
            self.task.encode("".join(_texts(self.splits.train))), minlength=len(self.task.state.characters)
        )
        target = finding.evaluation.target
        answers = {"probability": (counts / counts.sum())[target]}
        return {"toy_unigram": Baseline(scores(self.metrics, target, answers), answers)}

    def conclude(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
        bits = finding.evaluation.scores["toy_bits"]
        return Conclusion(f"The network needs {bits:.2f} bits for a character.", self.subject)

    def sections(self, finding: Finding, baselines: Mapping[str, Baseline]) -> list[Section]:
        return [
            Section("toy_text", "The text", "comparison", "<section id='toy'>text</section>", {"toy_text": {"rows": 1}})
        ]

    def golden(self, prep: Preprocessor, model: Config) -> Golden:
        width = model.model_dump()["width"]
        inputs = {
            "token": np.array([[0], [1]]),
            "state": np.linspace(-1, 1, 2 * width, dtype=np.float32).reshape(2, -1),
        }
        return Golden([{"prompt": self.task.state.characters[-1], "length": 4}], {"model": inputs})


def _texts(table: pa.Table) -> list[str]:
    return [text or "" for text in table[table.column_names[0]].to_pylist()]
