"""What the critic of a generator is worth: whether it tells real ones from made ones, and training rows from test rows.

The second is how a critic that learns its training rows by heart gives itself away (Karras et al. 2020, ADA: r_v).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina import rows
from lamina.deploy.predictor import Predictor
from lamina.evaluate._html import facts, number
from lamina.schema import Row
from lamina.tasks.generation import labels
from lamina.train.settings import Data

MOST = 2_000  # of each sort
SEED = 2  # of those that are made
SURE = 1.96  # deviations that chance seldom reaches
LEARNED = 0.6  # ROC AUC of training rows against test rows, from which it is more than a beginning


def judged(predictor: Predictor, arrays: Mapping[str, Data]) -> Row | None:
    """ROC AUC of test rows against made ones and of training rows against test ones; None where there is no critic.

    `chance` is how far from 0.5 the second is by chance, 19 times of 20 (Mann and Whitney 1947).
    """
    critic, state = predictor.critic, predictor.state
    if critic is None:
        return None
    rng, real = np.random.default_rng(0), dict[str, np.ndarray]()
    for part in ("train", "test"):
        data = arrays[part]
        some = np.sort(rng.permutation(len(data.target))[:MOST])
        originals = np.asarray(data.inputs[critic.name][some])
        real[part] = critic.raw(originals, np.asarray(data.target)[some])
    asked = labels(None, min(MOST, max(len(real["test"]), 100)), state, rng)
    named = [state.classes[code] for code in asked] if state.classes else None
    made = predictor.generate(len(asked), SEED, named)
    if state.columns:
        made = rows.encode(made, predictor.bundle.schema, state.columns)
    fake = critic.raw(made, asked)
    test, train = real["test"], real["train"]
    found = {
        "real_from_made": _auc(test, fake),
        "training_from_test": _auc(train, test),
        "chance": SURE * ((len(train) + len(test) + 1) / (12 * len(train) * len(test))) ** 0.5,
        "rows": {"train": len(train), "test": len(test), "made": len(fake)},
    }
    return found | {"told": _told(found, "rows" if state.columns else "pictures")}


def _auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """The chance that one of the first has a higher score than one of the second."""
    from sklearn.metrics import roc_auc_score

    hit = np.repeat([1, 0], [len(higher), len(lower)])
    return float(roc_auc_score(hit, np.concatenate([higher, lower])))


def _told(found: Mapping[str, Any], of: str) -> str:
    """Both in a sentence each: signs, and never proof."""
    own, again, chance = found["real_from_made"], found["training_from_test"], found["chance"]
    told = f"Its critic tells test {of} from made ones with ROC AUC {own:.3f} (0.5: not at all), "
    told += f"and training {of} from test {of} with {again:.3f}: "
    if again <= 0.5 + chance:
        return told + f"within chance (0.5 ± {chance:.3f}), no sign that it has learned them by heart."
    if again < LEARNED:
        return told + "more than by chance, a sign that it begins to learn them by heart."
    return (
        told + f"a sign that it has learned training {of} by heart, which a generator may then repeat. More {of} help, "
        f"{'model.diffaugment=true, ' if of == 'pictures' else ''}or fewer epochs."
    )


def piece(found: Mapping[str, Any]) -> str:
    """The same as HTML."""
    known = [
        ("test rows from made ones, ROC AUC", number(found["real_from_made"])),
        ("training rows from test rows, ROC AUC", number(found["training_from_test"])),
    ]
    return f'<h3>The critic</h3>{facts(known)}<p class="quiet">{found["told"]}</p>'
