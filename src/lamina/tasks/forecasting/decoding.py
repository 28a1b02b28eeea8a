"""A network's numbers as forecasts with their intervals, and forecasts as the table that is answered."""

from collections.abc import Container, Mapping

import numpy as np
import pyarrow as pa

from lamina.task import Chart, Line, Session
from lamina.tasks.forecasting import transform
from lamina.tasks.forecasting.state import State

Arrays = Mapping[str, np.ndarray]
PARTS = ("prediction", "low", "high")


def widths(history: np.ndarray, share: np.ndarray, state: State) -> np.ndarray:
    """Half widths (rows, horizon, targets) in own units: those of whole histories, the nearer to those of a forecast
    that knows the last value alone, the smaller the `share` (rows, targets) that was measured.
    """
    whole = np.array(state.half_widths) if state.half_widths else np.zeros((state.horizon, len(state.targets)))
    whole = whole * transform.scale(history, state)
    if not state.last_half_widths:
        return whole
    least = np.array(state.last_half_widths) * transform.magnitude(history, state)
    share = share[:, None]
    return np.maximum(whole, share * whole + (1 - share) * least)


def decode(outputs: Arrays, half: np.ndarray | float, last: np.ndarray, state: State) -> dict[str, np.ndarray]:
    """Raw `target` (rows, size) to `prediction`, `low` and `high` (rows, horizon, targets), and with quantiles
    `quantiles` (rows, horizon, targets, quantiles). `half`: the half widths that `widths` gives; `last`: the values
    measured last (rows, targets), which log-returns move.
    """
    target = outputs["target"].astype(np.float64)
    low, high = transform.interval(target, state)
    middle = transform.invert(transform.levels(transform.point(target, state), state), last, state)
    answers = {
        "prediction": middle,
        "low": np.minimum(transform.invert(low - half, last, state), middle),
        "high": np.maximum(transform.invert(high + half, last, state), middle),
    }
    if state.quantiles and state.transform == "none":
        numbers = transform.reshape(target, state)
        quantiles = [transform.levels(numbers[..., i], state) for i in range(numbers.shape[3])]
        answers["quantiles"] = np.stack(quantiles, axis=3)
    return answers


def to_table(answers: Arrays, state: State, ids: pa.Array, times: pa.Array | None) -> pa.Table:
    """One row per series and step ahead: the series, the time or the step, then the forecast; several targets have each
    a column of their own name. `ids`: of the series; `times`: of all steps, series by series, None where
    they have none.
    """
    rows = len(answers["prediction"])
    columns: dict[str, pa.Array] = {}
    if state.series is not None:
        columns[state.series] = ids.take(pa.array(np.repeat(np.arange(rows), state.horizon)))
    columns[_steps(state)] = pa.array(np.tile(np.arange(1, state.horizon + 1), rows) if times is None else times)
    names = _columns_of_targets(list(columns), state)
    for i, target in enumerate(state.targets):
        parts = {part: pa.array(answers[part][..., i].ravel()) for part in PARTS}
        if "quantiles" in answers:
            quantiles = {
                f"q{100 * q:g}": pa.array(answers["quantiles"][..., i, k].ravel())
                for k, q in enumerate(sorted(state.quantiles))
            }
            parts["quantiles"] = pa.StructArray.from_arrays(list(quantiles.values()), list(quantiles))
        if len(state.targets) == 1:
            columns |= {free(part, columns): values for part, values in parts.items()}
        else:
            columns[names[target.name]] = pa.StructArray.from_arrays(list(parts.values()), list(parts))
    return pa.table(columns)


def chart(session: Session) -> Chart:
    """Each target goes on along the times, or the steps ahead, with its interval; each series by itself."""
    state: State = session.task.state
    x = _steps(state)
    columns = [name for name in (state.series, x) if name]
    if len(state.targets) == 1:
        lines = [Line(*(free(part, columns) for part in PARTS), source=state.names[0])]
    else:
        columns_of = _columns_of_targets(columns, state)
        lines = [Line(*(f"{c}.{part}" for part in PARTS), source=t) for t, c in columns_of.items()]
    return Chart(tuple(lines), x, state.series or "")


def _columns_of_targets(columns: list[str], state: State) -> dict[str, str]:
    """The column of each of several targets; `columns` are those before."""
    names = dict[str, str]()
    for name in state.names:
        names[name] = free(name, {*columns, *names.values()})
    return names


def _steps(state: State) -> str:
    """The column of the times, or of the steps ahead where rows have none."""
    name = "step" if state.step.unit == "row" else state.time_column or "time"
    return free(name, [state.series] if state.series else [])


def free(name: str, names: Container[str]) -> str:
    """A name of a column that is not taken yet."""
    return name if name not in names else free(f"{name}_", names)
