"""The pages, by their address, and ways from one to another."""

from collections.abc import Mapping

import streamlit as st

PAGES = "pages"
DATA, RECIPE, RUNS, RUN = "data", "recipe", "runs", "run"


def remember(pages: Mapping[str, st.Page]) -> None:
    """What `go` leads to, for this run of the script."""
    st.session_state[PAGES] = pages


def go(page: str, name: str = "") -> None:
    """Show another page; `name` is that of a run."""
    st.switch_page(st.session_state[PAGES][page], query_params={"name": name} if name else None)
