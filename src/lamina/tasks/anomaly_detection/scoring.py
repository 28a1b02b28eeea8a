"""Raw rows to scores, flags and attributions, so many at a time that memory is bounded: what a bundle answers."""

import itertools
from collections.abc import Callable, Mapping
from time import monotonic
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError, MissingColumn
from lamina.preprocess import Broken, Preprocessor
from lamina.resources import memory
from lamina.schema import Input, clean
from lamina.task import Session, TooMuch
from lamina.tasks._unlabelled import row_layout
from lamina.tasks.anomaly_detection import detector, recording, tail_probability
from lamina.tasks.anomaly_detection.detector import Detector
from lamina.tasks.anomaly_detection.state import State

BATCH, BATCH_NUMBERS = 4096, 1 << 21  # rows at a time, and numbers of theirs
SEGMENTS = 8  # of a series, that a score is attributed to


class RowScores(NamedTuple):
    """Of rows, or steps of a recording: `score` (rows,), NaN where a window is not full yet; `flag`; and
    `attributions` (rows, owners), the share of each owner in the score.
    """

    score: np.ndarray
    flag: np.ndarray
    attributions: np.ndarray


class Pieces(NamedTuple):
    """Of rows or windows: both distances as surprise, together; the share of each owner; of windows how far the last
    step is from its forecast.
    """

    surprise: np.ndarray
    attributions: np.ndarray
    last: np.ndarray


def owners(state: State, feed: Input) -> tuple[list[str], np.ndarray]:
    """Names of what a score can be attributed to, and the number of the one that each place of a row is of."""
    if state.layout is not None:
        columns = row_layout.names(state.layout) * (state.recording.window if state.recording else 1)
        names = list(dict.fromkeys(columns))
        return names, np.array([names.index(column) for column in columns])
    if feed.kind != "series":
        return [], np.zeros(0, np.int64)
    steps, channels = feed.shape[0] or 1, feed.shape[1] or 1
    edges = np.linspace(0, steps, min(SEGMENTS, steps) + 1).astype(int)
    names = [f"steps {a + 1} to {b}" for a, b in itertools.pairwise(edges.tolist())]
    return names, np.repeat(np.searchsorted(edges, np.arange(steps), side="right") - 1, channels)


def restore(session: Session) -> Detector:
    return detector.restore(session.assets[detector.ASSET])


def score_rows(session: Session, rows: pa.Table, broken: list[Broken] | None = None) -> RowScores:
    """Raw rows, each by itself or as one recording. Errors: DataError where not one column is of the bundle, or a
    recording is shorter than a window.
    """
    _check_columns(session, rows)
    state: State = session.task.state
    assert state.tails is not None
    if state.recording is not None:
        return _recording(session, rows)
    pieces = _each(session, rows, [] if broken is None else broken)
    score = tail_probability.surprise(state.tails.joint, pieces.surprise)
    return RowScores(score, score >= state.threshold, pieces.attributions)


def _check_columns(session: Session, rows: pa.Table) -> None:
    if rows.num_columns and not set(rows.column_names) & {c.name for c in session.prep.columns}:
        expected = ", ".join(c.name for c in session.prep.columns[:5])
        got = ", ".join(filter(None, rows.column_names[:5])) or "none"
        cure = f"This bundle was trained on {expected} ..."
        raise MissingColumn(f"rows: not one of the columns is known (got {got}). {cure}")


def _each(session: Session, rows: pa.Table, broken: list[Broken]) -> Pieces:
    """Rows of which each is evaluated by itself."""
    rows = rows if rows.num_columns else pa.table({"": pa.nulls(0)})

    def answer(start: int, stop: int) -> Pieces:
        unusable = list[Broken]()
        inputs = row_layout.feed(session, session.task.state.layout, rows.slice(start, stop - start), unusable)
        broken.extend(cell._replace(row=start + cell.row) for cell in unusable)
        return compare(session, inputs)

    return _in_batches(session, rows.num_rows, answer)


def _in_batches(session: Session, count: int, answer: Callable[[int, int], Pieces]) -> Pieces:
    wide = sum(int(np.prod([n or 1 for n in one.shape])) for one in session.spec.inputs.values())
    size, began = max(1, min(BATCH, BATCH_NUMBERS // max(wide, 1))), monotonic()

    def timed(start: int, stop: int) -> Pieces:
        if session.limits and monotonic() - began > session.limits.seconds:
            done = f"{start:,} of {count:,} took {session.limits.seconds:g} seconds"
            raise TooMuch(f"rows: {done}. Send fewer at a time.")
        return answer(start, stop)

    parts = list(memory.halving(count, size, timed))
    return Pieces(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def compare(session: Session, inputs: Mapping[str, np.ndarray]) -> Pieces:
    """Encoded rows beside what the network rebuilds of them."""
    state: State = session.task.state
    assert state.tails is not None
    outputs = session.run(detector.within_limit(inputs, state.limit))
    ((name, values),) = inputs.items()
    residual, place = detector.features(values, outputs)
    scores = detector.score(restore(session), state.tails, residual, place)
    names, of = owners(state, session.spec.inputs[name])
    return Pieces(scores.surprise, by_owner(scores.attributions, of, len(names)), scores.last)


def by_owner(attributions: np.ndarray, of: np.ndarray, count: int) -> np.ndarray:
    """Shares of places (rows, places) summed for each owner, (rows, owners)."""
    total = np.zeros((len(attributions), count), np.float32)
    for owner in range(count):
        total[:, owner] = attributions[:, of == owner].sum(axis=1)
    return total


def _recording(session: Session, rows: pa.Table) -> RowScores:
    """Steps in order of time, in the order of the rows that they are of."""
    state: State = session.task.state
    assert state.recording is not None and state.tails is not None
    order = in_time(session.prep, clean(rows, session.schema.missing, session.schema.literal), state.recording.time)
    steps, window = encode(session, rows.take(pa.array(order))), state.recording.window
    count = len(steps) - window + 1
    if count < 1:
        few = f"{len(steps):,} steps are fewer than the {window:,} of a window"
        raise DataError(f"rows: {few}, by which this bundle scores a recording. Send {window:,} or more.")

    def answer(start: int, stop: int) -> Pieces:
        return compare(session, {"row": recording.windows(steps[start : stop + window - 1], window)})

    pieces = _in_batches(session, count, answer)
    score = np.full(len(steps), np.nan)
    score[window - 1 :] = recording.surprise(state.recording, pieces.surprise, pieces.last)
    attributions = np.concatenate(
        [np.zeros((window - 1, pieces.attributions.shape[1]), np.float32), pieces.attributions]
    )
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    score, attributions = score[back], attributions[back]
    return RowScores(score, np.nan_to_num(score) >= state.threshold, attributions)


def encode(session: Session, rows: pa.Table) -> np.ndarray:
    """The steps of a recording as vectors, (steps, places) float32."""
    return row_layout.feed(session, session.task.state.layout, rows)["row"]


def in_time(prep: Preprocessor, rows: pa.Table, name: str) -> np.ndarray:
    """The order of cleaned rows by a column of times; those without one stay behind the row before them."""
    if name not in rows.column_names:
        return np.arange(rows.num_rows)
    cells = prep.parse(rows, [name])[name]
    stamps = cells.cast(pa.int64()) if pa.types.is_timestamp(cells.type) else cells
    times = pc.fill_null(stamps.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)
    last = np.maximum.accumulate(np.where(np.isnan(times), -1, np.arange(len(times))))
    return np.argsort(np.where(last < 0, -np.inf, times[last]), kind="stable")
