"""What a bundle is worth on clean rows with noise added, or on noisy rows with the clean one of each. No torch."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.config import Config as AnyConfig
from lamina.config import DataError, MissingColumn
from lamina.data._skipped_rows import with_row_numbers
from lamina.evaluate import metrics as registry
from lamina.experiment import Evaluation
from lamina.schema import Collected
from lamina.task import Session
from lamina.tasks.denoising import added_noise, collection, image_files, metrics, recordings, tiling
from lamina.tasks.denoising.collection import Pairs
from lamina.tasks.denoising.state import WHITE, State

LEVELS = (15.0, 25.0, 50.0)  # deviations at which images are usually compared
SHARES = (0.25, 0.5, 0.9)  # of the largest deviation, where those are not within
MOST, ROWS = 1 << 22, 100  # pixels or numbers that are evaluated, of all levels; images or recordings
LARGEST = {3: 512, 2: 16_384}  # pixels a side, or steps, of what is evaluated of one, by the axes of an array


class Case(NamedTuple):
    """One image (height, width, channels) of 0 to 1, or recording (steps, channels) in deviations: clean and with
    noise of deviation `sigma`, 0 where that is not known; the row it is of.
    """

    row: int
    sigma: float
    clean: np.ndarray
    noisy: np.ndarray


class Details(NamedTuple):
    """What was evaluated: cases, answers to them, and how many rows there were."""

    cases: list[Case]
    answers: list[np.ndarray]
    rows: int


def levels(state: State) -> tuple[float, ...]:
    """The deviations at which clean rows are evaluated, in the unit of the settings."""
    if state.sigma is None:
        return (0.0,)
    low, high = state.sigma
    if low == high:
        return (high,)
    usual = tuple(level for level in LEVELS if low <= level <= high) if state.form == "image" else ()
    return usual or tuple(low + (high - low) * share for share in SHARES)


def cases(session: Session, rows: pa.Table, most: int = MOST) -> list[Case]:
    """The first rows, of large ones the middle, each at every level of noise; the noise of a row is always the same."""
    state, every = session.task.state, list[Case]()
    unit = WHITE if state.form == "image" else 1.0
    for row, (clean, noisy) in enumerate(_values(session, rows)):
        if row == ROWS or (every and sum(case.clean.size for case in every) + clean.size * len(levels(state)) > most):
            break
        for number, sigma in enumerate(levels(state)):
            own = added_noise.add(clean, sigma / unit, row, number) if noisy is None else noisy
            every.append(Case(row, sigma, clean, own))
    return every


def _values(session: Session, rows: pa.Table) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Clean, and noisy where it is given, as the network is fed."""
    state: State = session.task.state
    target = session.target
    names = [target] if target is not None and target in rows.column_names else []
    if state.form == "image":
        columns = [image_files.column(session.schema, rows, name) for name in (*names, *state.columns)]
        for row in range(rows.num_rows):
            images = [image_files.read(column, row, image_files.most(session.prep)) for column in columns]
            sound = [one.pixels / np.float32(one.white) for one in images if not isinstance(one, str)]
            if len(sound) == len(columns) and len({one.shape[:2] for one in sound}) == 1:
                yield _pair([middle(one) for one in sound])
        return
    values = _recordings(session, rows, (*names, *state.columns), bool(names))
    yield from (_pair([middle(one) for one in own]) for own in values)


def _recordings(session: Session, rows: pa.Table, names: Sequence[str], paired: bool) -> Iterator[list[np.ndarray]]:
    """Recordings in deviations about the mean of the noisy one, clean first."""
    state: State = session.task.state
    if state.form == "table":
        sets = [names[:1], names[1:]] if paired else [names]
        every: Any = [[recordings.table(session.schema, rows, tuple(own))] for own in sets]
    else:
        every = [recordings.cells(session.schema, rows, name, state.channels) for name in names]
    for own in zip(*every, strict=True):
        values = [one.values for one in own if not isinstance(one, str)]
        if len(values) == len(own) and len({one.shape for one in values}) == 1:
            yield [((one - values[-1].mean(axis=0)) / np.array(state.std)).astype(np.float32) for one in values]


def _pair(values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    return values[0], values[1] if len(values) > 1 else None


def middle(values: np.ndarray) -> np.ndarray:
    """The middle of what is large."""
    most, place = LARGEST[values.ndim], list[slice]()
    for n in values.shape[:-1]:
        start = max(0, (n - most) // 2)
        place.append(slice(start, start + most))
    return np.ascontiguousarray(values[tuple(place)])


def restore(session: Session, noisy: np.ndarray) -> np.ndarray:
    """What the bundle answers, in the units of a case."""
    return (
        image_files.restored(session, noisy) if session.task.state.form == "image" else tiling.restore(session, noisy)
    )


def evaluate(session: Session, rows: pa.Table) -> Evaluation:
    """Scores over cases. Errors: DataError where there is none."""
    own = cases(session, rows)
    if not own:
        raise DataError("evaluate: there is no row that can be used. Look at it: lamina inspect DATA")
    answers = [restore(session, case.noisy) for case in own]
    return score(session.task.state, own, answers, rows.num_rows)


def score(state: State, own: list[Case], answers: list[np.ndarray], rows: int) -> Evaluation:
    """The scores of answers to cases."""
    names = metrics.names(state.form)
    scores = [metrics.of(state.form, case.clean, answer) for case, answer in zip(own, answers, strict=True)]
    arrays = metrics.columns(scores) | {"sigma": np.array([case.sigma for case in own])}
    target = np.zeros(len(own))
    interval = registry.bootstrap(names[0], target, arrays) if len({case.row for case in own}) > 1 else None
    details = Details(own, answers, rows)
    return Evaluation(registry.scores(names, target, arrays), interval, target, arrays, rows, details=details)


def evaluate_source(session: Any, rows: Pairs, collected: Collected, source: AnyConfig) -> Evaluation:
    """The same for rows of a source. Errors: MissingColumn where what is to be denoised is not there."""
    state: State = session.task.state
    table = session.with_bundle_names(rows.table)
    if rows.clean and rows.clean != session.target and session.target and session.target not in table.column_names:
        table = table.rename_columns([session.target if n == rows.clean else n for n in table.column_names])
    if absent := [name for name in state.columns if name not in table.column_names]:
        raise MissingColumn(f"evaluate: the rows have no column '{absent[0]}'.")
    if state.sigma is None and session.target not in table.column_names:
        raise MissingColumn(f"evaluate: the rows have no column '{session.target}', which is what is clean.")
    table = with_row_numbers(Collected(table, literal=session.schema.literal), session.schema.missing)
    names = [*state.columns[:1], *([session.target] if session.target in table.column_names else [])]
    table, broken = collection.sound(table, session.schema, state.form, names, source)
    skipped_rows = (*collected.skipped_rows, *rows.skipped_rows, *broken)
    return evaluate(session, table)._replace(skipped_rows=skipped_rows)
