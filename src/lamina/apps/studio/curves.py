"""The curves of a training, and in words how it stands; made of the rows that it wrote."""

import time
from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd
import streamlit as st

from lamina.apps import theme
from lamina.evaluate.markup import number, seconds
from lamina.evaluate.metrics import label
from lamina.run import Run
from lamina.schema import Row

HEIGHT, LEGEND = 290, 60  # of a chart, and of the names below one
FEW, MOST = 24, 400  # points up to which each is marked, and of a line
LOSSES = {"loss": "training", "validation_loss": "validation"}
EMPTY = "no epoch has ended yet"


def _remaining(rows: Sequence[Row], run: Run) -> float:
    """Seconds to go, by the last row and the time since."""
    return max(0.0, rows[-1]["left"] - (time.time() - run.rows_file.stat().st_mtime))


def share(rows: Sequence[Row], run: Run) -> float:
    """How much of the training is done, 0 to 1."""
    left = _remaining(rows, run)
    return min(1.0, max(0.0, 1 - left / max(rows[-1]["seconds"] + rows[-1]["left"], 1e-9)))


def sentence(rows: Sequence[Row], run: Run, stopping: bool) -> str:
    """How a run that goes on stands."""
    if stopping:
        return "Stopping: it saves where it is."
    if not rows:
        return "Training has begun." if run.recipe_file.exists() else "Reading and preparing the rows."
    last = rows[-1]
    score = f"{label(last['score_name'])} {number(last['score'])}"
    if last["left"] <= 0:
        return f"Epoch {last['epoch']:,}, {score}. Trained; evaluating it beside baselines."
    times = f"{seconds(last['seconds'])} so far, ETA {seconds(_remaining(rows, run))}"
    return f"Epoch {last['epoch']:,}, {score}, {times}."


def show(rows: Sequence[Row]) -> None:
    """Losses and the validation score by epoch."""
    if not rows:
        st.caption(f"The curves come here; {EMPTY}.")
        return
    every, rows = rows, _thin(rows)
    losses = [
        {"epoch": row["epoch"], "loss": row[column], "of": name} for row in rows for column, name in LOSSES.items()
    ]
    scores = [{"epoch": row["epoch"], "value": row["score"]} for row in rows]
    colours = theme.colours()
    left, right = st.columns(2)
    shades = alt.Scale(domain=list(LOSSES.values()), range=[colours["quiet"], colours["accent"]])
    legend = alt.Legend(title=None, orient="bottom")
    losses_chart = _lines(losses, "loss", "loss", HEIGHT + LEGEND)
    left.altair_chart(losses_chart.encode(color=alt.Color("of:N", scale=shades, legend=legend)), width="stretch")
    scores_chart = _lines(scores, "value", f"{label(rows[-1]['score_name'])} on validation rows", HEIGHT)
    right.altair_chart(scores_chart.encode(color=alt.value(colours["accent"])), width="stretch")
    best = next((row for row in reversed(every) if row["best"]), None)
    if best:
        st.caption(f"Best after epoch {best['epoch']:,}: validation loss {number(best['validation_loss'])}.")


def compare(runs: Mapping[str, Sequence[Row]]) -> None:
    """The validation loss of several runs by epoch."""
    points = [
        {"epoch": row["epoch"], "value": row["validation_loss"], "run": name}
        for name, rows in runs.items()
        for row in _thin(rows)
    ]
    if points:
        legend = alt.Legend(title=None, orient="bottom", columns=2)
        chart = _lines(points, "value", "validation loss", HEIGHT + LEGEND)
        st.altair_chart(chart.encode(color=alt.Color("run:N", legend=legend)), width="stretch")


def _thin(rows: Sequence[Row]) -> Sequence[Row]:
    """Not more rows than can be seen; the last one always."""
    step = max(1, -(-len(rows) // MOST))
    return rows[::-1][::step][::-1]


def _lines(points: list[Row], value: str, title: str, height: int) -> alt.Chart:
    return (
        alt.Chart(pd.DataFrame(points), title=alt.Title(title, anchor="start", fontWeight=600))
        .mark_line(strokeWidth=1.8, point=len(points) < FEW)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(format="d", tickMinStep=1)),
            y=alt.Y(f"{value}:Q", title=None, scale=alt.Scale(zero=False)),
            tooltip=["epoch:Q", alt.Tooltip(f"{value}:Q", format=".4g")],
        )
        .properties(height=height)
    )
