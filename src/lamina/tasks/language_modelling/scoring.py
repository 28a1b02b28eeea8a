"""How likely a network finds texts, token by token, from as much of what was before as it learned with."""

from collections.abc import Iterator
from time import monotonic
from typing import NamedTuple

import numpy as np

from lamina.preprocess.text.ragged import Ragged
from lamina.task import Session, TooMuch
from lamina.tasks.language_modelling import sequences

AT_ONCE = 1 << 15  # tokens that go through the network at once


class Likelihoods(NamedTuple):
    """For each token but the first of each sequence: its negative log likelihood in nats `nll`, that of the most likely
    token `best` where the network says it, and where those of each sequence begin, `offsets` (sequences + 1,).
    """

    nll: np.ndarray
    best: np.ndarray | None
    offsets: np.ndarray


def likelihoods(session: Session, texts: Ragged) -> Likelihoods:
    """Errors: TooMuch where that takes too long for strangers who ask."""
    lengths = texts.lengths
    offsets = np.concatenate([[0], np.cumsum(np.maximum(lengths - 1, 0))])
    parts = list(_run(session, texts.ids, sequences.windows(lengths, session.task.state.context)))
    nll = np.concatenate([np.zeros(0, np.float32), *(nll for nll, _ in parts)])
    bests = [best for _, best in parts if best is not None]
    return Likelihoods(nll, np.concatenate(bests) if bests else None, offsets)


def by_position(session: Session, ids: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(context,) mean nats of a token by how many were before it in a window; windows of one text from `starts` on."""
    context = session.task.state.context
    total, count = np.zeros(context), 0
    size = max(1, AT_ONCE // context)
    for first in range(0, len(starts), size):
        rows = starts[first : first + size]
        total += session.run({"tokens": _gather(ids, rows, context)})["nll"].sum(axis=0, dtype=np.float64)
        count += len(rows)
    return total / max(count, 1)


def _gather(ids: np.ndarray, starts: np.ndarray, context: int) -> np.ndarray:
    return ids[starts[:, None] + np.arange(context + 1)].astype(np.int64)  # (rows, context + 1)


def _run(
    session: Session, ids: np.ndarray, windows: sequences.Window
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """What windows have to say, in their order."""
    state, limits, began = session.task.state, session.limits, monotonic()
    context = state.context
    size = max(1, AT_ONCE // context)
    places = np.arange(context + 1)
    for first in range(0, len(windows.starts), size):
        if limits and monotonic() - began > limits.seconds:
            raise TooMuch(f"rows: their texts took {limits.seconds:g} seconds. Send fewer, or shorter ones, at a time.")
        starts, skip, stop = (values[first : first + size] for values in windows)
        where = starts[:, None] + places
        inside = where < stop[:, None]
        tokens = np.where(inside, ids[np.minimum(where, len(ids) - 1)], state.tokenizer.padding).astype(np.int64)
        outputs = session.run({"tokens": tokens})
        mask = inside[:, 1:] & (places[:-1] >= skip[:, None])
        yield outputs["nll"][mask], outputs["best"][mask] if "best" in outputs else None
