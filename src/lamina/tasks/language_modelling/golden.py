"""Golden requests of a language model, seeds, and numbers of what its networks answer to made-up ids."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.config import DataError
from lamina.schema import Row
from lamina.task import Session, alike
from lamina.tasks.language_modelling import sampling
from lamina.tasks.language_modelling.state import State

COUNT, NUMBERS, STEPS = 4, 16, 4  # requests, numbers of an answer, tokens of the graph that writes
RELATIVE, ABSOLUTE = 2e-3, 2e-3  # between machines


def requests() -> list[Row]:
    return [{"seed": seed} for seed in range(COUNT)]


def tokens(seed: int, state: State) -> np.ndarray:
    """(context + 1,) made-up ids, none of which is padding."""
    usable = np.flatnonzero(~sampling.forbidden(state))
    return np.random.default_rng(seed).choice(usable, state.context + 1).astype(np.int64)


def inputs(state: State) -> dict[str, dict[str, np.ndarray]]:
    """What each graph is fed when it is compared with its network."""
    windows = np.stack([tokens(seed, state) for seed in range(COUNT)])
    rng = np.random.default_rng(0)
    step: dict[str, np.ndarray] = {"tokens": windows[:, :1]}
    for name, shape in state.step.items():
        if name == "position":
            step[name] = np.arange(COUNT)[:, None] * (state.context // COUNT)
        else:
            step[name] = (0.5 * rng.standard_normal((COUNT, *shape))).astype(np.float32)
    return {"model": {"tokens": windows}, sampling.GRAPH: step}


def answers(session: Session, rows: Sequence[Row]) -> list[Row]:
    """A few numbers of what each network gives."""
    state: State = session.task.state
    seeds = [_seed(row, i) for i, row in enumerate(rows)]
    windows = np.stack([tokens(seed, state) for seed in seeds])
    golden = [{"nll": _some(nll)} for nll in session.run({"tokens": windows})["nll"]]
    if sampling.GRAPH not in session.graphs:
        return golden
    cursor, logits = sampling.Cursor(session, len(seeds)), np.zeros((len(seeds), 0))
    for place in range(min(STEPS, state.context)):
        logits = cursor.feed(windows[:, place])
    return [row | {"logits": _some(logits[i])} for i, row in enumerate(golden)]


def _seed(row: Row, number: int) -> int:
    seed = row.get("seed")
    if set(row) != {"seed"} or type(seed) is not int or seed < 0:
        raise DataError(f"rows[{number}]: must be a seed, a whole number from 0 on (got {row!r}).")
    return seed


def _some(numbers: np.ndarray) -> list[float]:
    places = np.linspace(0, len(numbers) - 1, min(NUMBERS, len(numbers))).astype(int)
    return [round(float(v), 4) for v in numbers[places]]


def agree(mine: Any, theirs: Any) -> bool:
    """Whether answers are the same up to what arithmetic of another machine does to numbers."""
    return alike(mine, theirs, RELATIVE, ABSOLUTE)
