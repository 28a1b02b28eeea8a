"""Evaluated on people that training has never seen: pairs of their rows."""

from collections.abc import Mapping

import numpy as np
from lamina.tasks.toy_gallery import pairs

from lamina.evaluate.metrics import metric
from lamina.experiment import Baseline, Finding
from lamina.tasks._supervised import experiment


@metric(True, "points", label="area under the ROC curve of pairs")
def toy_pairs(target: np.ndarray, answers: Mapping[str, np.ndarray]) -> float | None:
    """Area under the ROC curve of pairs: the same person, or not."""
    return pairs(answers["points"], target)


class Experiment(experiment.Experiment):
    """Rows of people, split so that nobody is in two parts."""

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        """Rows as they are, standardised."""
        inputs = finding.examples["test"].inputs
        points = np.concatenate([np.asarray(v, np.float64).reshape(len(v), -1) for v in inputs.values()], 1)
        answers = {"points": points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)}
        return {"toy_raw": Baseline({"toy_pairs": toy_pairs(finding.evaluation.target, answers)}, answers)}
