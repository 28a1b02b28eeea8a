"""Drawings: lines with their intervals after what came before, series over one another, shares as bars."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa
import streamlit as st

from lamina.apps import theme
from lamina.apps.messages import plain
from lamina.preprocess import Preprocessor
from lamina.schema import clean
from lamina.task import Chart, Line

MOST_POINTS = 5000  # of one line
MOST_LINES = 12  # drawn below one another
MOST_BARS = 12
HEIGHT = 280


def lines(chart: Chart, answers: pa.Table, rows: pa.Table | None, prep: Preprocessor) -> None:
    """Each line of a chart, after or over the rows it goes on from; of several groups, one that a person chooses."""
    if chart.group and chart.group in answers.column_names:
        groups = pd.unique(answers[chart.group].to_pandas().astype(str))
        group = st.selectbox(plain(chart.group), groups) if len(groups) > 1 else groups[0]
        answers = _of_group(answers, chart.group, group)
        rows = _of_group(rows, chart.group, group) if rows is not None and chart.group in rows.column_names else rows
    parts = flat(answers)
    for line in chart.lines[:MOST_LINES]:
        before = _before(chart, line, rows, prep)
        after = _after(chart, line, parts, before)
        title = line.source or line.value
        st.altair_chart(_layers(after, before, title, fresh=bool(chart.x)), width="stretch")
    if len(chart.lines) > MOST_LINES:
        st.caption(f"and {len(chart.lines) - MOST_LINES:,} more, which are in the table.")


def series(after: Sequence[Any], channels_first: bool, before: Sequence[Any] | None = None) -> None:
    """A series, a list of numbers or of lists, a drawing for each channel; over what it was, in a quiet colour."""
    channels, olds = _channels(after, channels_first), _channels(before or [], channels_first)
    for i, channel in enumerate(channels[:MOST_LINES]):
        line = _steps(channel).assign(low=None, high=None)
        old = _steps(olds[i] if i < len(olds) else [])
        title = f"channel {i + 1}" if len(channels) > 1 else ""
        drawing = _layers(line, old, title, fresh=False)
        st.altair_chart(drawing.properties(height=HEIGHT // 2 if title else HEIGHT * 2 // 3), width="stretch")
    if len(channels) > MOST_LINES:
        st.caption(f"and {len(channels) - MOST_LINES:,} more channels.")


def shares(chances: Mapping[str, float | None], label: str) -> None:
    """Shares by name as bars, the largest first."""
    colours = theme.colours()
    largest = sorted(((share or 0.0, name) for name, share in chances.items()), reverse=True)
    bars = "".join(
        f'<div class="lamina-bar"><span>{html.escape(name)}</span><i><b style="width:{100 * share:.2f}%;'
        f'background:{colours["accent"]}"></b></i><span>{share:.1%}</span></div>'
        for share, name in largest[:MOST_BARS]
    )
    more = f'<p class="lamina-quiet">and {len(largest) - MOST_BARS:,} more</p>' if len(largest) > MOST_BARS else ""
    st.html(f'<div role="group" aria-label="{html.escape(label)}">{bars}{more}</div>')


def _of_group(table: pa.Table, column: str, group: str) -> pa.Table:
    return table.filter(pa.array(table[column].to_pandas().astype(str) == group))


def flat(table: pa.Table) -> pa.Table:
    """Parts of columns as columns, with a dot in their names."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def _before(chart: Chart, line: Line, rows: pa.Table | None, prep: Preprocessor) -> pd.DataFrame:
    """The rows that a line goes on from or gives anew: `x` and `value`."""
    if rows is None or line.source not in rows.column_names:
        return pd.DataFrame({"x": [], "value": []})
    numbers = _numbers(rows, line.source, prep)
    if chart.x and chart.x in rows.column_names:
        places = _places(rows[chart.x].to_pandas())
    else:
        places = pd.Series(range(1, len(numbers) + 1)) - (len(numbers) if chart.x else 0)
    frame = pd.DataFrame({"x": places.to_numpy(), "value": numbers.to_numpy()}).dropna()
    return frame.sort_values("x").tail(MOST_POINTS)


def _numbers(rows: pa.Table, name: str, prep: Preprocessor) -> pd.Series:
    """Raw cells as numbers, as their kind reads them where the bundle has it."""
    if name in {column.name for column in prep.columns if prep.domain(column.name).sort == "number"}:
        cells = clean(rows.select([name]), prep.schema.missing, prep.schema.literal)
        return pd.Series(prep.parse(cells, [name])[name].to_pandas())
    return pd.Series(pd.to_numeric(rows[name].to_pandas(), errors="coerce"))


def _after(chart: Chart, line: Line, answers: pa.Table, before: pd.DataFrame) -> pd.DataFrame:
    """The answers of a line: `x`, `value`, `low` and `high`; it begins where the rows end."""
    names = {"value": line.value, "low": line.low or line.value, "high": line.high or line.value}
    columns = {part: answers[name].to_pandas().to_numpy() for part, name in names.items()}
    has_x = chart.x in answers.column_names and (before.empty or _same_axis(chart, before, answers))
    places = _places(answers[chart.x].to_pandas()) if has_x else pd.Series(range(1, answers.num_rows + 1))
    frame = pd.DataFrame({"x": places.to_numpy(), **columns})
    if chart.x and not before.empty:
        last = before.iloc[-1]
        frame = pd.concat([pd.DataFrame([{"x": last["x"], **dict.fromkeys(names, last["value"])}]), frame])
    return frame


def _same_axis(chart: Chart, before: pd.DataFrame, answers: pa.Table) -> bool:
    """Whether rows and answers have places of one type."""
    times = pd.api.types.is_datetime64_any_dtype
    return times(before["x"]) == times(_places(answers[chart.x].to_pandas()))


def _places(values: pd.Series) -> pd.Series:
    """Times, numbers, or what can be read as such."""
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.tz_localize(None) if isinstance(values.dtype, pd.DatetimeTZDtype) else values
    times = pd.to_datetime(values, errors="coerce", utc=True, format="mixed").dt.tz_localize(None)
    return times if times.notna().any() else pd.Series(range(1, len(values) + 1))


def _layers(after: pd.DataFrame, before: pd.DataFrame, title: str, fresh: bool) -> Any:
    """The rows in a quiet colour, answers over them or after them, with a band where they have an interval."""
    colours = theme.colours()
    temporal = pd.api.types.is_datetime64_any_dtype(after["x"])
    x = alt.X("x:T" if temporal else "x:Q", title=None)
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
    tooltip = [alt.Tooltip("x:T" if temporal else "x:Q", title="at"), alt.Tooltip("value:Q", format=",.6g")]
    layers = [alt.Chart(before).mark_line(color=colours["quiet"], strokeWidth=1.5).encode(x, y, tooltip=tooltip)]
    if not after["low"].equals(after["high"]):
        ends = [alt.Tooltip(f"{end}:Q", format=",.6g") for end in ("low", "high")]
        band = alt.Chart(after).mark_area(color=colours["accent"], opacity=0.22)
        layers.append(band.encode(x, alt.Y("low:Q", title=None), alt.Y2("high:Q"), tooltip=[*tooltip, *ends]))
    line = alt.Chart(after).mark_line(color=colours["accent"], strokeWidth=2, point=fresh and len(after) < 60)
    return alt.layer(*layers, line.encode(x, y, tooltip=tooltip)).properties(title=title, height=HEIGHT)


def _channels(cell: Sequence[Any], channels_first: bool) -> list[Sequence[Any]]:
    """The numbers of each channel of a series."""
    if not cell or not isinstance(cell[0], list):
        return [cell] if cell else []
    return list(cell) if channels_first else [list(channel) for channel in zip(*cell, strict=False)]


def _steps(numbers: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame({"x": range(1, len(numbers) + 1), "value": numbers})
