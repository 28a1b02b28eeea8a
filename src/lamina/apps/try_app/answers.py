"""Answers on the page: drawn by what their cells are, one large, or many in a table to take away."""

import html
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import streamlit as st

from lamina.apps import theme
from lamina.apps.messages import plain
from lamina.apps.try_app import cells, charts, downloads, gallery
from lamina.deploy.predictor import Predictor
from lamina.evaluate.markup import number
from lamina.schema import Row
from lamina.task import Chart, Operation

MOST_ROWS = 1000  # of a table on the page


def one(table: pa.Table, operation: Operation, predictor: Predictor, row: Row) -> None:
    """The answer to one row: the number or label first, then its other parts; what is given anew beside what it was."""
    flat = {name: table[name][0].as_py() for name in table.column_names}
    sorts = {name: cells.sort(table[name]) for name in table.column_names}
    scalars = {name: value for name, value in flat.items() if sorts[name] in ("plain", "labels")}
    intervals = _intervals(operation, predictor)
    inside = {end for ends in intervals.values() for end in ends}
    visible = {name: value for name, value in scalars.items() if name not in inside}
    if visible and _is_headed(visible, intervals, "shares" in sorts.values(), predictor):
        _headline(visible, {name: tuple(flat.get(end) for end in ends) for name, ends in intervals.items()})
    elif visible:
        st.html(_facts(visible, "lamina-facts lamina-even"))
    for name, value in flat.items():
        match sorts[name]:
            case "shares":
                charts.shares(value or {}, name)
            case "struct":
                st.caption(plain(name))
                st.json(value)
            case "image":
                before = cells.image(row.get(name))
                after = cells.image(value)
                gallery.show([(before, "before"), (after, "after")] if before else [(after, name)])
            case "series":
                before = row.get(name)
                charts.series(value or [], _is_channels_first(operation, predictor, name), before)
                st.caption("In grey what it was." if before else plain(name))


def many(table: pa.Table, name: str, key: str) -> None:
    """Answers as a table, images as a gallery, with files to take away."""
    images = [column for column in table.column_names if cells.sort(table[column]) == "image"]
    rest = table.drop_columns(images)
    if images:
        bodies = {column: [cells.image(cell) for cell in table[column].to_pylist()] for column in images}
        captions = [_caption(row) for row in rest.to_pylist()]
        for column in images:
            gallery.show(list(zip(bodies[column], captions or [""] * table.num_rows, strict=True)))
        zipped = partial(_zip, bodies, rest, name)
        st.download_button(
            "Download as a zip", zipped, f"{name}.zip", "application/zip", key=f"{key} zip", on_click="ignore"
        )
        return
    frame(rest)
    with st.container(horizontal=True):
        for suffix, (word, media) in downloads.FORMATS.items():
            body = partial(downloads.table, rest, suffix)
            label = f"Download {word}"
            st.download_button(label, body, f"{name}{suffix}", media, key=f"{key} {suffix}", on_click="ignore")


def _zip(images: Mapping[str, Sequence[bytes | None]], rest: pa.Table, name: str) -> bytes:
    """Images by column, numbered, and a table of what stands beside them."""
    files = {
        f"{i + 1:06}-{column}.{cells.ending(body)}": body
        for column, bodies in images.items()
        for i, body in enumerate(bodies)
        if body
    }
    if rest.num_columns:
        files[f"{name}.csv"] = downloads.table(rest, ".csv")
    return downloads.archive(files)


def chart_lines(table: pa.Table, chart: Chart | None, rows: pa.Table | None, predictor: Predictor) -> None:
    """The lines of answers that belong together, where the operation says which there are."""
    if chart and chart.lines:
        charts.lines(chart, table, rows, predictor.prep)


def frame(table: pa.Table) -> None:
    """A table, cut where it is long; times that are all at midnight as days."""
    rows = charts.flat(table.slice(0, MOST_ROWS)).to_pandas()
    for name, times in rows.select_dtypes("datetime").items():
        if (times == times.dt.normalize()).all():
            rows[name] = times.dt.date
    st.dataframe(rows, hide_index=True, width="stretch")
    if table.num_rows > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS:,} of {table.num_rows:,} rows.")


def _intervals(operation: Operation, predictor: Predictor) -> dict[str, tuple[str, str]]:
    """The columns of the interval of each number."""
    chart = operation.chart(predictor) if operation.chart else None
    return {line.value: (line.low, line.high) for line in chart.lines if line.low} if chart else {}


def _is_headed(values: Mapping[str, Any], intervals: Mapping[str, Any], shares: bool, predictor: Predictor) -> bool:
    """Whether the first value is the answer and others tell more of it; not so of a row, or of numbers side by side."""
    if shares or intervals or len(values) == 1:
        return True
    own = {column.name for column in predictor.prep.columns}
    return not own.issuperset(values) and not all(type(value) in (int, float) for value in values.values())


def _headline(values: Mapping[str, Any], intervals: Mapping[str, tuple[Any, ...]]) -> None:
    """The first value large, with its interval; the others small beside one another."""
    (name, value), *others = values.items()
    ends = intervals.get(name, ())
    between = f"between {number(ends[0])} and {number(ends[1])}" if len(ends) == 2 and None not in ends else ""
    colour = theme.colours()["accent"]
    st.html(
        f'<p class="lamina-quiet">{html.escape(name)}</p>'
        f'<p class="lamina-answer" style="color:{colour}">{html.escape(words(value))}</p>'
        + (f'<p class="lamina-quiet">{between}</p>' if between else "")
        + (_facts(dict(others), "lamina-facts") if others else "")
    )


def _facts(values: Mapping[str, Any], style: str) -> str:
    """Names and values beside one another, as HTML."""
    facts = "".join(f"<div><dt>{html.escape(n)}</dt><dd>{html.escape(words(v))}</dd></div>" for n, v in values.items())
    return f'<dl class="{style}">{facts}</dl>'


def words(value: Any) -> str:
    """A value as people write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(words, value)) or "none"
    return number(value) if isinstance(value, int | float) else str(value)


def _caption(row: Row) -> str:
    """What is told of an image, texts first."""
    texts = sorted(row.items(), key=lambda item: not isinstance(item[1], str))
    return ", ".join(f"{name} {value}" for name, value in texts)


def _is_channels_first(operation: Operation, predictor: Predictor, name: str) -> bool:
    """How the lists of a series stand, by its column among the rows."""
    prep = operation.prep(predictor)
    return name in {column.name for column in prep.columns} and prep.domain(name).channels_first
