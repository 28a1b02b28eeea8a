"""What each stretch of a series adds to its answer, where a bundle reads nothing but that series: Shapley values.

A series is compared with the training mean at every step, which is what a missing series is to a network. Along an
order of its stretches one after the other gets its own values back, in all channels; see `attributions`.
"""

from time import monotonic

import numpy as np
import pyarrow as pa

from lamina.deploy.attributions import (
    Attributions,
    Explain,
    answers_of,
    code_of,
    orders,
    shapley_values,
    table_of,
    without_metrics,
)
from lamina.preprocess import Broken
from lamina.schema import ROW_HEADS
from lamina.task import Answers, Session, TooMuch

STRETCHES, HALF = 20, 4  # of a series; orders, and as many backwards
NAMES = tuple(f"{100 * i // STRETCHES} to {100 * (i + 1) // STRETCHES} %" for i in range(STRETCHES))
NUMBERS = 1 << 21  # of inputs that are run at a time


def available(session: Session) -> bool:
    """Whether each row has an answer of its own, which hangs on one column of series."""
    prep = session.prep
    one = session.spec.output.head in ROW_HEADS and len(prep.columns) == 1
    return one and prep.feed(prep.columns[0].name).kind == "series"


def explain(session: Session, rows: pa.Table | None, request: Explain) -> Answers:
    """For each row the label (where there are some), its probability or the number, and what each twentieth of the
    series adds to the answer to the training mean.
    """
    assert rows is not None
    code, broken, began = code_of(session.task.classes, request.label), list[Broken](), monotonic()
    ((name, series),) = session.encode(rows, broken).items()
    parts, quiet = np.empty((len(series), STRETCHES + 1)), without_metrics(session)
    own = answers_of(session, {name: series})  # (rows, labels)
    codes = own.argmax(axis=1) if code is None else np.full(len(own), code)
    for row in range(len(series)):
        if row and session.limits and monotonic() - began > session.limits.seconds:
            raise TooMuch(f"rows: {row:,} of {len(series):,} took {session.limits.seconds:g} seconds. Send fewer.")
        parts[row] = _attribute(quiet, name, series[row], int(codes[row]))
    attributions = Attributions(codes, own[np.arange(len(own)), codes], parts[:, 0], parts[:, 1:])
    return Answers(table_of(session, attributions, NAMES), (), tuple(broken))


def _attribute(session: Session, name: str, series: np.ndarray, code: int) -> np.ndarray:
    """(1 + stretches,): the answer to the training mean, and what each stretch of a series (steps, channels) adds."""
    ranks = orders(np.random.Generator(np.random.PCG64(0)), HALF, STRETCHES)
    present = ranks[:, None] < np.arange(STRETCHES + 1)[:, None]  # (orders, stretches present, stretches)
    present = present.reshape(-1, STRETCHES)
    length = max(1, int((~np.isnan(series).all(axis=1)).sum()))
    owners = np.minimum(np.arange(len(series)) * STRETCHES // length, STRETCHES - 1)
    rest = np.where(np.isnan(series), series, 0.0).astype(series.dtype)  # the mean; behind the end there is nothing
    size, answers = max(1, NUMBERS // series.size), list[np.ndarray]()
    for start in range(0, len(present), size):
        mixed = np.where(present[start : start + size, owners, None], series, rest)
        answers.append(answers_of(session, {name: mixed})[:, code])
    steps = np.concatenate(answers).reshape(1, len(ranks), STRETCHES + 1)
    return np.append(steps[0, 0, 0], shapley_values(steps, ranks)[0])
