"""One honest sentence: does the network beat the best baseline, and is the difference more than chance?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lamina.evaluate.baselines import is_constant, phrase
from lamina.evaluate.markup import number
from lamina.evaluate.metrics import higher, label

Scores = Mapping[str, float | None]


class Wording(NamedTuple):
    """How a task speaks of what its network does.

    `best` is said where the network is best, with `{subject}`, `{rival}` and `{facts}` to be filled in; `doubt` is
    added where there is no interval to tell a difference from chance by.
    """

    verb: str = "predicts"
    activity: str = "predicting"
    best: str = "The network predicts {subject} best: {facts} for {rival}"
    doubt: str = ""


PREDICTS = Wording()


def sentence(
    primary: str,
    scores: Scores,
    baselines: Mapping[str, Scores],
    subject: str,
    interval: Sequence[float] | None = None,
    wording: Wording = PREDICTS,
) -> str:
    """The verdict by the metric `primary`: `scores` of the network against those of each baseline, on the same rows."""
    value, name = scores.get(primary), label(primary)
    if value is None:
        return f"The network could not be evaluated: {name} is not defined on these test rows."
    values = {b: v for b, s in baselines.items() if (v := s.get(primary)) is not None}
    if not values:
        return f"The network {wording.verb} {subject} with {name} {number(value)} on rows it has never seen."
    sign = 1 if higher(primary) else -1
    best = max(values, key=lambda b: sign * values[b])
    if sign * (value - values[best]) > 0:
        facts = f"{name} {number(value)} against {number(values[best])}"
        return _better(facts, phrase(best), subject, _doubt(values[best], interval, wording), wording)
    facts = f"{name} {number(values[best])} against {number(value)} for the network"
    if is_constant(best):
        return f"The network has learned nothing useful: always predicting the {phrase(best)} gives {facts}."
    if value == values[best]:
        return f"The network and {phrase(best)} are equally good: {name} {number(value)} for both."
    rival, doubt = phrase(best), _doubt(values[best], interval, wording)
    slightly = "slightly " if doubt.within else ""
    return f"{rival[0].upper()}{rival[1:]} is {slightly}better here: {facts}{doubt.words}."


class _Doubt(NamedTuple):
    """Whether a difference is inside the interval, and what is to be said of it, after a comma."""

    within: bool
    words: str


def _doubt(rival: float, interval: Sequence[float] | None, wording: Wording) -> _Doubt:
    if interval is None:
        return _Doubt(False, f", {wording.doubt}" if wording.doubt else "")
    low, high = interval
    if not low <= rival <= high:
        return _Doubt(False, "")
    return _Doubt(True, f", a difference inside the 95 % interval ({number(low)} to {number(high)})")


def _better(facts: str, rival: str, subject: str, doubt: _Doubt, wording: Wording) -> str:
    if doubt.within:
        return f"The network is slightly better than {rival} at {wording.activity} {subject}: {facts}{doubt.words}."
    return wording.best.format(subject=subject, rival=rival, facts=facts) + f"{doubt.words}."
