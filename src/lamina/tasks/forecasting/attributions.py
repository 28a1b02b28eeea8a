"""What a forecast hangs on: Shapley values of stretches of the past and of columns, whose sum is the forecast less that
of a series which stands still.

A series is compared with itself at rest: each column is at its own mean over the context, behind and ahead, so no other
series and no training row is needed. Along an order of the parts one after the other gets its own values back; what the
forecast changes by is the part's. Its mean over orders, each second one of which is the first backwards, is an estimate
of its Shapley value, and over all parts it adds up exactly. Strumbelj and Kononenko 2014; of series: Villani, Lockhart
and Magazzeni 2022, "Feature Importance for Time Series Data: Improving KernelSHAP" (stretches as players); Mitchell et
al. 2022, "Sampling Permutations for Shapley Value Estimation".
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina.config import DataError, nearest
from lamina.data.arrays import json_rows
from lamina.deploy.attributions import orders, shapley_values, without_metrics
from lamina.preprocess import Preprocessor
from lamina.task import CSV, Answers, Example, Operation, Request, Session, TooMuch
from lamina.tasks.forecasting import decoding, encoding
from lamina.tasks.forecasting.operation import histories_of, history_example
from lamina.tasks.forecasting.state import State

STRETCHES = 12  # of the past of a target
STEPS = 100  # to choose from, in the schema of a request
HALF = 8  # orders, and as many backwards
NUMBERS = 1 << 21  # of windows that are run at a time

Arrays = Mapping[str, np.ndarray]


class Explain(Request):
    """Settings of one explanation."""

    step: int | None = Field(default=None, ge=1, description="the step ahead to explain; the mean of all by default")
    target: str | None = Field(default=None, description="the target to explain; the first by default")


class Parts(NamedTuple):
    """Of a window: the name of each part, and which part each number is of: `history` (context, channels), `future`
    (horizon, channels of what is known beforehand).
    """

    names: tuple[str, ...]
    history: np.ndarray
    future: np.ndarray


def parts_of(prep: Preprocessor, state: State, target: int = 0) -> Parts:
    """Stretches of the past of one target, then each other column, then the calendar."""
    context, names = state.context, list[str]()
    widths = encoding.channel_counts(prep, state.known)
    calendar = encoding.calendar_channels(state)
    channels = len(state.targets) + sum(encoding.channel_counts(prep, state.past)) + sum(widths) + calendar
    history = np.zeros((context, channels), int)
    future = np.zeros((state.horizon, sum(widths) + calendar), int)
    edges = np.unique(np.linspace(0, context, min(STRETCHES, context) + 1).astype(int))
    for begin, end in zip(edges[::-1][1:], edges[::-1][:-1], strict=True):  # the latest first
        history[begin:end, target] = len(names)
        names.append(_stretch(state.names[target], context - end + 1, context - begin))
    at = 0
    columns = [(name, 1) for name in state.names]
    columns += zip(state.past, encoding.channel_counts(prep, state.past), strict=True)
    beforehand = [*zip(state.known, widths, strict=True), *([("calendar", calendar)] if calendar else [])]
    for i, (name, width) in enumerate(columns):
        if i != target:
            history[:, at : at + width] = len(names)
            names.append(name)
        at += width
    begin = at
    for name, width in beforehand:
        history[:, at : at + width] = future[:, at - begin : at - begin + width] = len(names)
        names.append(name)
        at += width
    return Parts(tuple(names), history, future)


def _stretch(name: str, first: int, last: int) -> str:
    steps = f"{first:,} to {last:,} steps" if last > first else f"{first:,} steps" if first > 1 else "1 step"
    return f"{name}, {steps} back"


def explain(session: Session, rows: pa.Table | None, request: Explain) -> Answers:
    """For each series the forecast, that of the series at rest, and what each part adds: a row each."""
    assert rows is not None
    state: State = session.task.state
    target = _target(state, request.target)
    if request.step is not None and request.step > state.horizon:
        raise DataError(f"step: this bundle forecasts {state.horizon:,} steps (got {request.step:,}).")
    histories, broken = histories_of(session, rows)
    parts, began = parts_of(session.prep, state, target), monotonic()
    values = np.empty((len(histories.end), len(parts.names) + 1))
    for i in range(len(values)):
        if i and session.limits and monotonic() - began > session.limits.seconds:
            raise TooMuch(f"rows: {i:,} of {len(values):,} series took {session.limits.seconds:g} seconds. Send fewer.")
        place = slice(i, i + 1)
        values[i] = attribute(session, histories.inputs(place), histories.last[place], parts, (request.step, target))
    columns: dict[str, pa.Array] = {} if state.series is None else {state.series: histories.ids}
    columns[decoding.free("value", columns)] = pa.array(values.sum(axis=1))
    columns[decoding.free("base_value", columns)] = pa.array(values[:, 0])
    contributions = [pa.array(column) for column in values.T[1:]]
    columns[decoding.free("contributions", columns)] = pa.StructArray.from_arrays(contributions, list(parts.names))
    return Answers(pa.table(columns), histories.notes, broken)


def attribute(
    session: Session, own: Arrays, last: np.ndarray, parts: Parts, what: tuple[int | None, int]
) -> np.ndarray:
    """(1 + parts,): the forecast of one series at rest, and what each part adds to it.

    `own`: its encoded windows (1, steps, channels), and `last` (1, targets) what was measured last; `what`: the step
    ahead, None for the mean of all, and the number of the target.
    """
    rest, quiet, count = _at_rest(own), without_metrics(session), len(parts.names)
    ranks = orders(np.random.Generator(np.random.PCG64(0)), HALF, count)
    between = ranks[:, None] < np.arange(1, count)[:, None]  # (orders, parts present, parts)
    present = np.concatenate([np.eye(2, 1, -1, bool).repeat(count, 1), between.reshape(-1, count)])  # none, all, ...
    size, forecasts = max(1, NUMBERS // max(1, sum(values.size for values in own.values()))), list[np.ndarray]()
    for start in range(0, len(present), size):
        some = present[start : start + size]
        owners = {"history": parts.history, "future": parts.future}
        windows = {name: np.where(some[:, owners[name]], values, rest[name]) for name, values in own.items()}
        forecasts.append(_forecast(quiet, windows, np.repeat(last, len(some), axis=0), what))
    values = np.concatenate(forecasts)
    steps = np.empty((1, len(ranks), count + 1))
    steps[..., 0], steps[..., -1] = values[0], values[1]
    steps[0, :, 1:-1] = values[2:].reshape(len(ranks), count - 1)
    return np.append(values[0], shapley_values(steps, ranks)[0])


def _at_rest(own: Arrays) -> dict[str, np.ndarray]:
    """The same window with each channel at its mean over the history, (1, steps, channels)."""
    mean = own["history"].mean(axis=1, keepdims=True)
    still = {"history": np.broadcast_to(mean, own["history"].shape)}
    if "future" in own:
        width = own["future"].shape[2]
        still["future"] = np.broadcast_to(mean[:, :, mean.shape[2] - width :], own["future"].shape)
    return still


def _forecast(session: Session, windows: Arrays, last: np.ndarray, what: tuple[int | None, int]) -> np.ndarray:
    """(rows,) the forecast of a step and a target, or the mean of all steps."""
    step, target = what
    with np.errstate(all="ignore"):
        forecasts = decoding.decode(session.run(windows), 0.0, last, session.task.state)["prediction"][:, :, target]
    return forecasts.mean(axis=1) if step is None else forecasts[:, step - 1]


def _target(state: State, name: str | None) -> int:
    if name is None:
        return 0
    if name not in state.names:
        raise DataError(f"target: '{name}' is not forecast. {nearest(name, state.names)}")
    return state.names.index(name)


def example(session: Session) -> Example:
    """The history of the example of forecasts, and what its parts add."""
    rows = history_example(session)
    return Example(rows, json_rows(explain(session, session.rows(rows), Explain()).table))


def schema(session: Session) -> dict[str, Any]:
    """The JSON schema of a request to this bundle: steps that it forecasts, and its targets if there are several."""
    own, state = Explain.model_json_schema(), session.task.state
    own["properties"]["step"] |= {"examples": list(range(1, min(state.horizon, STEPS) + 1))}
    if len(state.names) > 1:
        own["properties"]["target"]["examples"] = list(state.names)
    else:
        del own["properties"]["target"]
    return own


EXPLAIN = Operation(
    name="explain",
    summary="Send the history of one or several series, get what each stretch and column adds to the forecast: Shapley "
    "values, in all value less base_value, the forecast of a series that stands still.",
    answer=explain,
    example=example,
    request=Explain,
    rows="together",
    takes=(CSV,),
    items="explanations",
    schema=schema,
    faces=frozenset({"http", "python"}),
)
