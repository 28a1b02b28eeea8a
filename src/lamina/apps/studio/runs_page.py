"""The page `Runs`: all runs of the folder beside one another."""

from pathlib import Path

import streamlit as st

from lamina.apps import theme
from lamina.apps.studio import curves, ledger, places
from lamina.evaluate.markup import number, seconds
from lamina.evaluate.metrics import label
from lamina.resources import disk
from lamina.schema import Row

MOST_CURVES = 6


def show() -> None:
    theme.page("Runs", f"Studio · {Path.cwd()}")
    entries = ledger.entries()
    if not entries:
        st.write("There are no runs yet.")
        if st.button("Bring data", type="primary"):
            places.go(places.DATA)
        return
    rows = ledger.comparison(entries)
    event = st.dataframe(
        [_cells(row) for row in rows], hide_index=True, width="stretch", key="runs", on_select="rerun",
        selection_mode="multi-row",
    )  # fmt: skip
    selection = [entries[i] for i in event["selection"]["rows"]]
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    name = left.selectbox("Run", [one.name for one in selection or entries], key="run to open")
    if right.button("Open the run", type="primary", width="stretch") and name:
        places.go(places.RUN, name)
    if selection:
        curves.compare({one.name: one.run.rows() for one in selection[:MOST_CURVES]})
    else:
        st.caption("Mark runs in the table to lay their curves over one another.")


def _cells(row: Row) -> Row:
    """A row as people read it."""
    interval = "" if row["low"] is None else f"{number(row['low'])} to {number(row['high'])}"
    return {
        "run": row["run"],
        "state": row["state"],
        "task": row["task"],
        "target": row["target"],
        "network": row["model"],
        "score": label(row["score"]) if row["score"] else "",
        "value": number(row["value"]) if row["value"] is not None else "",
        "95 % interval": interval,
        "best baseline": number(row["baseline"]) if row["baseline"] is not None else "",
        "time": seconds(row["seconds"]) if row["seconds"] is not None else "",
        "bundle": disk.amount(row["size"]) if row["size"] else "",
        "changed": f"{row['changed']:%Y-%m-%d %H:%M}",
    }
