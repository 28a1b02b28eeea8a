"""What made pictures are worth: how far from real ones, of which classes, and whether they are training pictures again.

Where there are classes, a small classifier looks at them: it is trained on the run's training rows alone, and knows
nothing of the generator. Where there are none, fixed random filters do.
"""

from typing import Any, NamedTuple

import numpy as np

from lamina.deploy.predictor import Predictor
from lamina.evaluate import metrics
from lamina.schema import Row
from lamina.tasks.generation import labels
from lamina.tasks.generation import memorization as _memory
from lamina.tasks.generation import sampling as requested
from lamina.tasks.generation.image_classifier import Examiner, Seen
from lamina.train.settings import Data

COUNTED, COMPARED = 1_000, 2_000  # made pictures whose classes are counted, and pictures of a cloud of features
SHORTEST, LONGEST = 3.0, 60.0  # seconds for the classifier
TRUSTED = 0.6  # accuracy on test rows, below which what the classifier says is not worth telling
MOST_CLASSES = 200
COLLAPSED = 0.5  # of the spread of real ones' features
RECALLED = 0.02  # of made pictures are closer to a training picture than any held-out one


class Made(NamedTuple):
    """Facts for `report.json`; scores of the made and of held-out real pictures, and the pictures to show."""

    facts: Row
    scores: dict[str, Any]
    held: dict[str, Any]
    pictures: np.ndarray
    asked: np.ndarray
    real: np.ndarray
    memory: _memory.Memory
    training: np.ndarray
    strips: np.ndarray


def judged(predictor: Predictor, arrays: dict[str, Data], elapsed: float) -> Made:
    """`elapsed`: seconds of training, a quarter of which the classifier may take."""
    ((name, feed),) = predictor.bundle.prep.inputs.items()
    real = {part: np.asarray(data.inputs[name]) for part, data in arrays.items()}
    codes = {part: np.asarray(data.target) for part, data in arrays.items()}
    state = predictor.state
    examiner = Examiner(feed, len(state.classes))
    some = np.random.default_rng(0).permutation(len(real["test"]))[:COMPARED]
    facts: Row = {"judge": "fixed random filters"}
    if 2 <= len(state.classes) <= MOST_CLASSES:
        seconds = min(LONGEST, max(SHORTEST, elapsed / 4))
        examiner.fit((real["train"], codes["train"]), (real["validation"], codes["validation"]), seconds)
        right = float((_codes(examiner.look(real["test"])) == codes["test"]).mean())
        if right >= TRUSTED:
            facts = {"judge": "classifier", "judge_accuracy": right, "judge_seconds": round(examiner.seconds, 1)}
        else:
            examiner = Examiner(feed, 0)
    count = max(COUNTED, len(some))
    asked = labels(None, count, state, np.random.default_rng(0))
    named = [state.classes[code] for code in asked] if state.classes else None
    pictures = predictor.generate(count, 0, named)
    seen, test = examiner.look(pictures), examiner.look(real["test"][some])
    names = predictor.task.metrics
    held = examiner.look(real["validation"][:COMPARED])
    scores = metrics.scores(names, test.features, {"features": seen.features[: len(some)]})
    beside = metrics.scores(names, test.features, {"features": held.features})
    facts |= _classes(seen, asked, state.classes) | {"spread": _spread(seen) / max(_spread(test), 1e-12)}
    memory = _memory.recalled(pictures, real["test"][some], real["train"])
    facts["memory"] = {
        "searched": memory.searched,
        "made": float(np.median(memory.made)),
        "held_out": float(np.median(memory.held)),
        "closer_than_any_real": memory.closer,
        "closer_than_99_percent": memory.near,
    }
    shown, training = real["test"][some], real["train"]
    return Made(facts, scores, beside, pictures, asked, shown, memory, training, _strips(predictor))


def _codes(seen: Seen) -> np.ndarray:
    assert seen.probabilities is not None
    return seen.probabilities.argmax(1)


def _spread(seen: Seen) -> float:
    return float(seen.features.std(0).mean())


def _classes(seen: Seen, asked: np.ndarray, classes: tuple[str, ...]) -> Row:
    """How often each class appears, how evenly, and how often it is the one that was asked for."""
    if seen.probabilities is None:
        return {}
    found = _codes(seen)
    counts = np.bincount(found[:COUNTED], minlength=len(classes))
    shares = counts[counts > 0] / counts.sum()
    return {
        "counted": int(counts.sum()),
        "counts": {name: int(n) for name, n in zip(classes, counts, strict=True)},
        "wanted": {name: int((asked[:COUNTED] == i).sum()) for i, name in enumerate(classes)},
        "covered": int((counts > 0).sum()),
        "evenly": float(np.exp(-(shares * np.log(shares)).sum())),
        "as_asked": float((found == asked).mean()),
    }


def _strips(predictor: Predictor, count: int = 4, steps: int = 9) -> np.ndarray:
    """Ways from one picture to another of its class: (count, steps, height, width, channels), uint8."""
    latent, classes = int(predictor.bundle.model.config["latent"]), predictor.state.classes
    ends = requested.noise(range(2 * count), latent).astype(np.float64)
    found = []
    for i in range(count):
        first, last = ends[2 * i], ends[2 * i + 1]
        angle = np.arccos(np.clip(first @ last / np.linalg.norm(first) / np.linalg.norm(last), -1, 1))
        at = np.linspace(0, 1, steps)[:, None]
        way = (np.sin((1 - at) * angle) * first + np.sin(at * angle) * last) / max(np.sin(angle), 1e-6)
        inputs = {"noise": way.astype(np.float32)}
        if classes:
            inputs["condition"] = np.full((steps, 1), i * len(classes) // count, np.int64)
        found.append(next(iter(predictor.fed(inputs).values())))
    return np.clip(np.rint(np.stack(found)), 0, 255).astype(np.uint8)


def verdict(found: Made) -> str:
    """Classes, distance and memory in a sentence or two; what is wrong comes first."""
    facts, own, held = found.facts, found.scores.get("frechet_distance"), found.held.get("frechet_distance")
    told = []
    if "counts" in facts:
        covered, of = facts["covered"], len(facts["counts"])
        some = "All" if covered == of else f"Only {covered} of"
        told.append(
            f"{some} {of} classes appear in {facts['counted']:,} made pictures, and {facts['as_asked']:.1%} are of the "
            f"class asked for, says a classifier that is right on {facts['judge_accuracy']:.1%} of real ones."
        )
    if own is not None and held is not None:
        told.append(f"They are {own:.3g} away from real ones (Frechet distance); held-out real ones are {held:.2g}.")
    if facts["spread"] < COLLAPSED:
        told.insert(0, f"The pictures are all alike: their spread is {facts['spread']:.0%} of that of real ones.")
    if facts["memory"]["closer_than_any_real"] > max(RECALLED, 5 / len(found.memory.held)):
        told.append(
            f"{facts['memory']['closer_than_any_real']:.0%} of them are closer to a training picture than any held-out "
            "one is: some may be training pictures again."
        )
    return " ".join(told)
