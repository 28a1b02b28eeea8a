"""What generated images are worth: how far from real ones, of which classes, and whether they are training images.

Where there are classes, a small classifier looks at them: it is trained on the run's training rows alone, and knows
nothing of the generator. Where there are none, fixed random filters do.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lamina import train
from lamina.deploy.predictor import Predictor
from lamina.evaluate import metrics
from lamina.schema import Row
from lamina.tasks.generation import evaluation, memorization, sampling
from lamina.tasks.generation.memorization import Memorization
from lamina.tasks.generation.metrics import NAMES
from lamina.tasks.generation.state import State
from lamina.train.settings import Config, Examples

COUNT, COMPARED = 1_000, 2_000  # samples whose classes are counted, and images of a cloud of features
FEWEST, MOST = (
    6_000,
    100_000,
)  # images of `SIDE` x `SIDE` that the classifier learns from: seconds, and a minute or so
SIDE, SMALL = 28, 0.25  # smaller images cost less, down to a share
TRUSTED = 0.6  # accuracy on test rows, below which what the classifier says is not worth telling
MOST_CLASSES = 200
COLLAPSED = 0.5  # of the spread of real ones' features
REPEATED = 0.02  # of samples are closer to a training image than any held-out one
STRIPS, STEPS = 4, 9  # ways from one sample to another, and images of each

Images = tuple[np.ndarray, np.ndarray]  # and their codes


class ImageFidelity(NamedTuple):
    """Facts for `report.json`, scores of samples and of held-out real images, and the images to show.

    `samples`, `real` (held out), `training`: (rows, height, width, channels) uint8; `codes` (rows,) of the samples;
    `strips` (ways, steps, height, width, channels).
    """

    facts: Row
    scores: dict[str, float | None]
    held_out: dict[str, float | None]
    samples: np.ndarray
    codes: np.ndarray
    real: np.ndarray
    training: np.ndarray
    memory: Memorization
    strips: np.ndarray


def measure(session: Predictor, examples: Mapping[str, Examples], cfg: Config, steps: int) -> ImageFidelity:
    """`cfg` and `steps`: how the generator was trained, of which the classifier's own training is a share."""
    ((name, feed),) = session.prep.inputs.items()
    real = {split: np.asarray(rows.inputs[name]) for split, rows in examples.items()}
    codes = {split: np.asarray(rows.target) for split, rows in examples.items()}
    state: State = session.task.state
    some = np.random.default_rng(0).permutation(len(real["test"]))[:COMPARED]
    classifier, facts = _classifier(feed, state, {part: (real[part], codes[part]) for part in real}, cfg, steps)
    count = max(COUNT, len(some))
    sample_codes = sampling.sample_codes(count, state, np.random.default_rng(0))
    labels = [state.classes[code] for code in sample_codes] if state.classes else None
    samples = evaluation.generate(session, count, 0, labels)
    predictions, test = classifier.predict(samples), classifier.predict(real["test"][some])
    validation = classifier.predict(real["validation"][:COMPARED])
    scores = metrics.scores(NAMES, test.features, {"features": predictions.features[: len(some)]})
    held_out = metrics.scores(NAMES, test.features, {"features": validation.features})
    facts |= _classes(predictions.probabilities, sample_codes, state.classes)
    facts["spread"] = _spread(predictions.features) / max(_spread(test.features), 1e-12)
    memory = memorization.measure(samples, real["test"][some], real["train"])
    facts["memory"] = {
        "searched": memory.searched,
        "generated": float(np.median(memory.samples)),
        "held_out": float(np.median(memory.held_out)),
        "closer_than_any_real": memory.closer,
        "closer_than_99_percent": memory.near,
    }
    return ImageFidelity(
        facts, scores, held_out, samples, sample_codes, real["test"][some], real["train"], memory, _strips(session)
    )


def _classifier(feed: Any, state: State, examples: Mapping[str, Images], cfg: Config, steps: int) -> tuple[Any, Row]:
    """What looks at images, and what is to be said of it: fixed filters where no classifier can be trusted."""
    classifier = train.image_classifier.ImageClassifier(feed, len(state.classes))
    if 2 <= len(state.classes) <= MOST_CLASSES:
        cost = max(SMALL, math.prod(feed.shape[:2]) / SIDE**2)
        count = min(MOST / cost, max(FEWEST / cost, steps * cfg.batch_size / 2))
        classifier.fit(examples["train"], examples["validation"], round(count), cfg)
        images, codes = examples["test"]
        predictions = np.asarray(classifier.predict(images).probabilities).argmax(1)
        accuracy = float((predictions == codes).mean())
        if accuracy >= TRUSTED:
            seconds = round(classifier.seconds, 1)
            return classifier, {
                "features": "classifier",
                "classifier_accuracy": accuracy,
                "classifier_seconds": seconds,
            }
        classifier = train.image_classifier.ImageClassifier(feed, 0)
    return classifier, {"features": "fixed random filters"}


def _spread(features: np.ndarray) -> float:
    return float(features.std(0).mean())


def _classes(probabilities: np.ndarray | None, codes: np.ndarray, classes: tuple[str, ...]) -> Row:
    """How often each class appears, how evenly, and how often it is the one that was asked for."""
    if probabilities is None:
        return {}
    predictions = probabilities.argmax(1)
    counts = np.bincount(predictions[:COUNT], minlength=len(classes))
    shares = counts[counts > 0] / counts.sum()
    return {
        "counted": int(counts.sum()),
        "counts": {name: int(n) for name, n in zip(classes, counts, strict=True)},
        "wanted": {name: int((codes[:COUNT] == i).sum()) for i, name in enumerate(classes)},
        "covered": int((counts > 0).sum()),
        "evenly": float(np.exp(-(shares * np.log(shares)).sum())),
        "as_asked": float((predictions == codes).mean()),
    }


def _strips(session: Predictor) -> np.ndarray:
    """Ways from one image to another of its class: (ways, steps, height, width, channels), uint8."""
    latent, classes = int(session.config["latent"]), session.task.classes
    ends = sampling.noise(range(2 * STRIPS), latent).astype(np.float64)
    strips = list[np.ndarray]()
    for i in range(STRIPS):
        first, last = ends[2 * i], ends[2 * i + 1]
        angle = np.arccos(np.clip(first @ last / np.linalg.norm(first) / np.linalg.norm(last), -1, 1))
        at = np.linspace(0, 1, STEPS)[:, None]
        way = (np.sin((1 - at) * angle) * first + np.sin(at * angle) * last) / max(np.sin(angle), 1e-6)
        inputs = {"noise": way.astype(np.float32)}
        if classes:
            inputs["condition"] = np.full((STEPS, 1), i * len(classes) // STRIPS, np.int64)
        strips.append(next(iter(session.run(inputs).values())))
    return np.clip(np.rint(np.stack(strips)), 0, 255).astype(np.uint8)


def verdict(fidelity: ImageFidelity) -> str:
    """Classes, distance and memory in a sentence or two; what is wrong comes first."""
    facts, own, real = fidelity.facts, fidelity.scores["frechet_distance"], fidelity.held_out["frechet_distance"]
    sentences = list[str]()
    if "counts" in facts:
        covered, of = facts["covered"], len(facts["counts"])
        some = "All" if covered == of else f"Only {covered} of"
        sentences.append(
            f"{some} {of} classes appear in {facts['counted']:,} generated images, and {facts['as_asked']:.1%} are of "
            f"the class asked for, says a classifier that is right on {facts['classifier_accuracy']:.1%} of real ones."
        )
    if own is not None and real is not None:
        sentences.append(
            f"They are {own:.3g} away from real ones (Frechet distance); held-out real ones are {real:.2g}."
        )
    if facts["spread"] < COLLAPSED:
        sentences.insert(0, f"The images are all alike: their spread is {facts['spread']:.0%} of that of real ones.")
    if facts["memory"]["closer_than_any_real"] > max(REPEATED, 5 / len(fidelity.memory.held_out)):
        sentences.append(
            f"{facts['memory']['closer_than_any_real']:.0%} of them are closer to a training image than any held-out "
            "one is: some may be training images again."
        )
    return " ".join(sentences)
