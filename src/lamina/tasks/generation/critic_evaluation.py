"""What the critic of a generator is worth: whether it tells real ones from made ones, and training rows from others.

The second is how a critic that learns its training rows by heart gives itself away (Karras et al. 2020, ADA: r_v). Test
rows alone may differ from training rows for another reason, such as a file of their own; validation rows do not.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina.deploy.predictor import Predictor
from lamina.evaluate.markup import facts, number
from lamina.schema import Row
from lamina.tasks.generation import labels
from lamina.tasks.generation import table_transformer as rows
from lamina.train.settings import Data

MOST = 2_000  # of each sort
SEED = 2  # of those that are made
SURE = 1.96  # deviations that chance seldom reaches
LEARNED = 0.6  # ROC AUC of training rows against others, from which it is more than a beginning


def judged(predictor: Predictor, arrays: Mapping[str, Data]) -> Row | None:
    """ROC AUC of test rows against made ones and of training rows against test and validation ones; None where there is
    no critic. `chance` is how far from 0.5 the latter are by chance, 19 times of 20 (Mann and Whitney 1947).
    """
    critic, state = predictor.critic, predictor.state
    if critic is None:
        return None
    rng, real = np.random.default_rng(0), dict[str, np.ndarray]()
    for part in ("train", "validation", "test"):
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
    train, few = len(real["train"]), min(len(real["validation"]), len(real["test"]))
    found = {
        "real_from_made": _auc(real["test"], fake),
        "training_from_test": _auc(real["train"], real["test"]),
        "training_from_validation": _auc(real["train"], real["validation"]),
        "chance": SURE * ((train + few + 1) / (12 * train * few)) ** 0.5,
        "rows": {**{part: len(values) for part, values in real.items()}, "made": len(fake)},
    }
    return found | {"told": _told(found, "rows" if state.columns else "pictures")}


def _auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """The chance that one of the first has a higher score than one of the second."""
    from sklearn.metrics import roc_auc_score

    hit = np.repeat([1, 0], [len(higher), len(lower)])
    return float(roc_auc_score(hit, np.concatenate([higher, lower])))


def _told(found: Mapping[str, Any], of: str) -> str:
    """Both in a sentence: signs, and never proof."""
    test, validation, chance = (found[name] for name in ("training_from_test", "training_from_validation", "chance"))
    told = (
        f"Its critic tells test {of} from made ones with ROC AUC {found['real_from_made']:.3f} (0.5: not at all), and "
        f"training {of} from test {of} with {test:.3f}, from validation {of} with {validation:.3f}: "
    )
    again = min(test, validation)
    if again <= 0.5 + chance:
        return told + f"no sign that it has learned them by heart (0.5 ± {chance:.3f} is chance)."
    if again < LEARNED:
        return told + f"a sign that it begins to learn them by heart (0.5 ± {chance:.3f} is chance)."
    return (
        told + f"a sign that it has learned training {of} by heart, which a generator may then repeat. More {of} help, "
        f"{'model.diffaugment=true, ' if of == 'pictures' else ''}or fewer epochs."
    )


def piece(found: Mapping[str, Any]) -> str:
    """The same as HTML."""
    known = [
        ("test rows from made ones, ROC AUC", number(found["real_from_made"])),
        ("training rows from test rows, ROC AUC", number(found["training_from_test"])),
        ("training rows from validation rows, ROC AUC", number(found["training_from_validation"])),
    ]
    return f'<h3>The critic</h3>{facts(known)}<p class="quiet">{found["told"]}</p>'
