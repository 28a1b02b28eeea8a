"""What each column of a row adds to its answer: Shapley values, whose sum is the answer less the mean answer.

A row is compared with rows that are made up of what the bundle knows of each column (`Preprocessor.background`), since
no training row is in it: columns are drawn independently of one another. Along an order of the columns the cells of
such a row are replaced one after the other by the row's own; what the answer changes by is the column's. Its mean over
orders, of which each second one is the first backwards, is an estimate of its Shapley value, and over all columns it
adds up exactly. Strumbelj and Kononenko 2014, "Explaining prediction models and individual predictions with feature
contributions"; Mitchell et al. 2022, "Sampling Permutations for Shapley Value Estimation".
"""

from collections.abc import Mapping, Sequence
from copy import copy
from math import prod
from time import monotonic
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina.config import DataError, nearest
from lamina.deploy.session import Session as Opened
from lamina.preprocess import Broken, Preprocessor
from lamina.schema import ROW_HEADS
from lamina.task import Answers, Request, Session, TooMuch

FEWEST, MOST = 8, 32  # orders
ANSWERS = 2_048  # for a row, unless the fewest orders need more
NUMBERS = 1 << 21  # of inputs that are run at a time, and of a row unless the fewest orders need more
PIECE = 256  # rows that are encoded at a time

Arrays = Mapping[str, np.ndarray]


class Explain(Request):
    """Settings of one explanation."""

    label: str | None = Field(
        default=None, description="the label to explain; of each row the most probable by default"
    )


class _Task(Protocol):
    """What is asked of a task: (rows, labels) `probabilities` where it has labels, else (rows,) `prediction`."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    def decode(self, outputs: Arrays) -> Arrays: ...


class Attributions(NamedTuple):
    """Of rows: the code of the label that is explained (0 of a number), its probability or the number, the mean answer
    to synthetic rows, and what each column adds, (rows, columns): `values` less `bases` is their sum.
    """

    codes: np.ndarray
    values: np.ndarray
    bases: np.ndarray
    contributions: np.ndarray


class _Background(NamedTuple):
    """Synthetic rows (orders, ...), whose column each number of an input is, the place of each column in each order
    (orders, columns), and the answers to the rows (orders, labels).
    """

    inputs: Arrays
    owners: Arrays
    ranks: np.ndarray
    answers: np.ndarray


def available(session: Session) -> bool:
    """Whether each row has an answer of its own, and several columns that it hangs on."""
    return session.spec.output.head in ROW_HEADS and len(session.prep.columns) > 1


def explain(session: Session, rows: pa.Table | None, request: Explain) -> Answers:
    """For each row the label (where there are some), its probability or the number, and what each column adds to it."""
    assert rows is not None
    classes = _task(session).classes
    code = code_of(classes, request.label)
    background, began = background_of(session), monotonic()
    parts, broken = list[Attributions](), list[Broken]()
    for start in range(0, max(rows.num_rows, 1), PIECE):
        if start and session.limits and monotonic() - began > session.limits.seconds:
            raise TooMuch(f"rows: {start:,} of {rows.num_rows:,} took {session.limits.seconds:g} seconds. Send fewer.")
        unusable = list[Broken]()
        inputs = session.encode(rows.slice(start, PIECE), unusable)
        parts.append(attribute(session, inputs, background, code))
        broken += [cell._replace(row=start + cell.row) for cell in unusable]
    codes, values, bases, contributions = map(np.concatenate, zip(*parts, strict=True))
    names = [c.name for c in session.prep.columns]
    return Answers(table_of(session, Attributions(codes, values, bases, contributions), names), (), tuple(broken))


def table_of(session: Session, own: Attributions, names: Sequence[str]) -> pa.Table:
    """The label (where there are some), `value`, `base_value` and `contributions` under their names."""
    classes = _task(session).classes
    columns = {"label": pa.array(classes, pa.string()).take(pa.array(own.codes))} if classes else {}
    columns |= {"value": pa.array(own.values), "base_value": pa.array(own.bases)}
    columns["contributions"] = pa.StructArray.from_arrays([pa.array(c) for c in own.contributions.T], list(names))
    return pa.table(columns)


def attribute(session: Session, inputs: Arrays, background: _Background, code: int | None = None) -> Attributions:
    """The same of encoded rows: of their most probable label, or `code`."""
    own, quiet = answers_of(session, inputs), without_metrics(session)  # (rows, labels)
    codes = own.argmax(axis=1) if code is None else np.full(len(own), code)
    rows, columns = np.arange(len(own)), background.ranks.shape[1]
    steps = np.empty((len(own), len(background.ranks), columns + 1))  # answers as an order goes on
    steps[:, :, 0] = background.answers[:, codes].T
    steps[:, :, -1] = own[rows, codes][:, None]
    width = max(1, sum(prod(v.shape[1:]) for v in inputs.values()) * (columns - 1))
    orders = max(1, min(len(background.ranks), NUMBERS // width))
    some = max(1, NUMBERS // (width * len(background.ranks)))
    for row in range(0, len(own), some):
        for order in range(0, len(background.ranks), orders):
            place = slice(row, row + some), slice(order, order + orders)
            mixed = _mixed(session.prep, inputs, background, *place)
            answers = answers_of(quiet, mixed).reshape(*steps[place].shape[:2], columns - 1, -1)
            own_code = codes[place[0]][:, None, None, None]
            steps[(*place, slice(1, -1))] = np.take_along_axis(answers, own_code, axis=3)[..., 0]
    contributions = shapley_values(steps, background.ranks)
    return Attributions(codes, steps[:, 0, -1], steps[:, :, 0].mean(axis=1), contributions)


def background_of(session: Session) -> _Background:
    """Synthetic rows to compare with, and orders of the columns; the same each time."""
    prep, rng = session.prep, np.random.Generator(np.random.PCG64(0))
    names = [c.name for c in prep.columns]
    empty = session.encode(pa.table({name: pa.nulls(1) for name in names}))
    between = max(1, len(names) - 1)
    most = min(ANSWERS, NUMBERS // max(1, sum(prod(v.shape[1:]) for v in empty.values()))) // between
    half = max(FEWEST, min(MOST, most)) // 2
    inputs = {name: np.repeat(values, 2 * half, axis=0) for name, values in empty.items()}
    for name in names:
        cells, (place, part) = prep.background(name, rng, 2 * half), prep.places[name]
        if cells is not None and part.stop > part.start:
            inputs[place][:, part] = cells
    ranks = orders(rng, half, len(names))
    return _Background(inputs, _owners(prep), ranks, answers_of(without_metrics(session), inputs))


def orders(rng: np.random.Generator, half: int, count: int) -> np.ndarray:
    """The place of each of `count` players in orders drawn at random and in each backwards, (2 half, count)."""
    ranks = np.argsort(rng.random((half, count)), axis=1)
    return np.concatenate([ranks, count - 1 - ranks])


def shapley_values(steps: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """(rows, players) from values as each order goes on, (rows, orders, players + 1), and places (orders, players)."""
    return np.take_along_axis(np.diff(steps, axis=2), ranks[None], axis=2).mean(axis=1)


def without_metrics(session: Session) -> Session:
    """The same, where the rows that are run are not counted, since nobody sent them."""
    if not isinstance(session, Opened):
        return session
    other = copy(session)
    other.watch = None
    return other


def _owners(prep: Preprocessor) -> dict[str, np.ndarray]:
    """By input, the column that each of its numbers is of, or the one that it is all of."""
    owners = dict[str, list[int]]()
    for i, column in enumerate(prep.columns):
        name, part = prep.places[column.name]
        owners.setdefault(name, []).extend([i] * max(1, part.stop - part.start))
    return {name: np.array(columns) for name, columns in owners.items()}


def _mixed(prep: Preprocessor, inputs: Arrays, background: _Background, rows: slice, orders: slice) -> Arrays:
    """Rows (rows x orders x steps, ...) whose first columns of an order, one more at each step, are the row's."""
    ranks, mixed = background.ranks[orders], dict[str, np.ndarray]()
    own = ranks[:, None] < np.arange(1, ranks.shape[1])[:, None]  # (orders, steps, columns)
    for name, values in inputs.items():
        mask = own[:, :, background.owners[name]]  # (orders, steps, numbers of the input, or 1 of a column of its own)
        mask = mask.reshape(*mask.shape, *(1,) * (values.ndim - 2))
        other = _padded(background.inputs[name][orders], values, prep.padding.get(name, 0))
        both = np.where(mask[None], values[rows][:, None, None], other[None, :, None])
        mixed[name] = both.reshape(-1, *values.shape[1:])
    return mixed


def _padded(values: np.ndarray, like: np.ndarray, padding: int) -> np.ndarray:
    """With as many steps as other rows of the same input."""
    short = like.shape[1] - values.shape[1]
    edges = [(0, 0), (0, max(short, 0))] + [(0, 0)] * (values.ndim - 2)
    return np.pad(values, edges, constant_values=padding)[:, : like.shape[1]] if short else values


def answers_of(session: Session, inputs: Arrays) -> np.ndarray:
    """(rows, labels) probabilities, or (rows, 1) numbers."""
    task = _task(session)
    with np.errstate(all="ignore"):
        answers = task.decode(session.run(inputs))
    return answers["probabilities"] if task.classes else np.asarray(answers["prediction"], np.float64)[:, None]


def _task(session: Session) -> Any:
    task: _Task = session.task  # type: ignore[assignment] - `available` says it has these
    return task


def code_of(classes: tuple[str, ...], label: str | None, setting: str = "label") -> int | None:
    """The place of a label, None of none. Errors: DataError, naming the setting, for one that is not there."""
    if label is None:
        return None
    if not classes:
        raise DataError(f"{setting}: this bundle predicts a number, not labels. Leave {setting} out.")
    if label not in classes:
        raise DataError(f"{setting}: there is no label '{label}'. {nearest(label, classes)}")
    return classes.index(label)
