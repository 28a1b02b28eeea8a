"""What is watched while a generator learns: two numbers, and a sentence where they tell that something is wrong."""

from collections.abc import Mapping

import numpy as np

from lamina.tasks.generation.metrics import frechet

COLLAPSED = 0.4  # of the spread of real ones' features, below which a generator has collapsed
AWAY = 10.0  # times the best distance, above which it has diverged


def validate(outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The loss of held-out rows where a network has one (`loss`, (rows, 1)) and the first of its parts, else the
    distance of `real` and `fake` features (rows, features).
    """
    if "loss" in outputs:
        loss, *parts = ((name, float(values.mean())) for name, values in outputs.items())
        return dict([loss, *(parts[:1] or [("nats", loss[1])])])
    distance = frechet(outputs["real"], outputs["fake"])
    spread = float(outputs["fake"].std(0).mean() / max(outputs["real"].std(0).mean(), 1e-12))
    return {"loss": distance, "frechet_distance": distance, "spread": spread}


def warning(scores: Mapping[str, float], best: float, epoch: int) -> str:
    """What is wrong by what `validate` gave, in a sentence, or ""; `best`: the loss of `epoch`."""
    if scores.get("spread", 1.0) < COLLAPSED:
        return (
            f"Samples are all alike: its spread is {scores['spread']:.0%} of that of real ones. The generator has "
            "collapsed: try train.lr lower, or model.penalty higher."
        )
    if "spread" in scores and scores["loss"] > AWAY * best > 0:
        return (
            f"Samples have moved away from real ones since epoch {epoch}, whose weights are kept: try train.lr "
            "lower, or model.penalty higher."
        )
    return ""
