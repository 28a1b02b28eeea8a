"""What the discriminator of a generator is worth: whether it tells real ones from samples, and training rows from
others.

The second is how a discriminator that learns its training rows by heart gives itself away (Karras et al. 2020, ADA:
r_v). Test rows alone may differ from training rows for another reason, such as a file of their own; validation rows do
not.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina.evaluate.markup import facts, number
from lamina.schema import Row
from lamina.task import Session
from lamina.tasks.generation import discriminator_scores, evaluation, sampling
from lamina.train.settings import Examples

MOST = 2_000  # of each sort
SEED = 2  # of the samples
SURE = 1.96  # deviations that chance seldom reaches
OVERFIT = 0.6  # ROC AUC of training rows against others, from which it is more than a beginning


def score(session: Session, examples: Mapping[str, Examples]) -> Row | None:
    """ROC AUC of test rows against samples and of training rows against test and validation ones; None where there is
    no discriminator. `chance` is how far from 0.5 the latter are by chance, 19 times of 20 (Mann and Whitney 1947).
    """
    if discriminator_scores.graph(session) is None:
        return None
    discriminator, state = discriminator_scores.of(session), session.task.state
    rng, real = np.random.default_rng(0), dict[str, np.ndarray]()
    for split in ("train", "validation", "test"):
        rows = examples[split]
        some = np.sort(rng.permutation(len(rows.target))[:MOST])
        real[split] = discriminator.raw(
            np.asarray(rows.inputs[discriminator.name][some]), np.asarray(rows.target)[some]
        )
    codes = sampling.sample_codes(min(MOST, max(len(real["test"]), 100)), state, rng)
    labels = [state.classes[code] for code in codes] if state.classes else None
    samples = evaluation.encode(session, evaluation.generate(session, len(codes), SEED, labels))
    fake = discriminator.raw(samples, codes)
    train, few = len(real["train"]), min(len(real["validation"]), len(real["test"]))
    scores: Row = {
        "real_from_generated": _roc_auc(real["test"], fake),
        "training_from_test": _roc_auc(real["train"], real["test"]),
        "training_from_validation": _roc_auc(real["train"], real["validation"]),
        "chance": SURE * ((train + few + 1) / (12 * train * few)) ** 0.5,
        "rows": {**{split: len(values) for split, values in real.items()}, "generated": len(fake)},
    }
    return scores | {"sentence": _sentence(scores, state.samples)}


def _roc_auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """The chance that one of the first has a higher score than one of the second."""
    from sklearn.metrics import roc_auc_score

    hit = np.repeat([1, 0], [len(higher), len(lower)])
    return float(roc_auc_score(hit, np.concatenate([higher, lower])))


def _sentence(scores: Mapping[str, Any], of: str) -> str:
    """Both in a sentence: signs, and never proof."""
    test, validation, chance = (scores[name] for name in ("training_from_test", "training_from_validation", "chance"))
    start = (
        f"Its discriminator tells test {of} from generated ones with ROC AUC {scores['real_from_generated']:.3f} "
        "(0.5: not at all), and "
        f"training {of} from test {of} with {test:.3f}, from validation {of} with {validation:.3f}: "
    )
    lower = min(test, validation)
    if lower <= 0.5 + chance:
        return start + f"no sign that it has memorised them (0.5 ± {chance:.3f} is chance)."
    if lower < OVERFIT:
        return start + f"a sign that it begins to memorise them (0.5 ± {chance:.3f} is chance)."
    return (
        start + f"a sign that it has memorised training {of}, which a generator may then repeat. More {of} help, "
        f"{'model.diffaugment=true, ' if of == 'images' else ''}or fewer epochs."
    )


def html(scores: Mapping[str, Any]) -> str:
    """The same as a part of the page."""
    pairs = [
        ("test rows from generated ones, ROC AUC", number(scores["real_from_generated"])),
        ("training rows from test rows, ROC AUC", number(scores["training_from_test"])),
        ("training rows from validation rows, ROC AUC", number(scores["training_from_validation"])),
    ]
    return f'<h3>The discriminator</h3>{facts(pairs)}<p class="quiet">{scores["sentence"]}</p>'
