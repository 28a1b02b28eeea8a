"""The page of one run: how its training stands, its report, a place to try its bundle, and its service."""

import base64
import time
from pathlib import Path

import streamlit as st

from lamina.apps import theme
from lamina.apps.messages import plain, sentences
from lamina.apps.studio import curves, draft, ledger, places, processes, service
from lamina.apps.studio.ledger import Entry
from lamina.apps.try_app import page as try_page
from lamina.apps.try_app.model import opened
from lamina.deploy.bundle import open_bundle, save
from lamina.resources import disk
from lamina.run import name_of

TRAINING, REPORT, TRY, SERVE, RECIPE = "Training", "Report", "Try it", "Serve it", "Recipe"
EVERY = 1.0  # seconds between looks at a process
LARGEST = 1_500_000  # bytes of a report that browsers take as an address
LAST = 40  # lines of output


def show() -> None:
    name = st.query_params.get("name", "")
    one = ledger.entry(name)
    if one is None:
        theme.page("Run", f"Studio · {Path.cwd()}")
        st.write(f"There is no run {plain(name)} in this folder.")
        return
    row = ledger.comparison([one])[0]
    parts = [row["task"], f"target {row['target']}" if row["target"] else "", row["model"], one.state]
    theme.page(one.name, " · ".join(part for part in parts if part))
    finished = one.state == "finished"
    views = [TRAINING, *((REPORT, TRY, SERVE) if finished else ()), RECIPE]
    usual = REPORT if finished else TRAINING
    view = st.segmented_control(
        "View", views, default=usual, required=True, label_visibility="collapsed", key=f"view {one.name} {finished}"
    )
    if view == TRAINING:
        _training(one)
    elif view == REPORT:
        _report(one)
    elif view == TRY:
        with sentences():
            try_page.ask(opened(str(one.run.bundle)))
    elif view == SERVE:
        _serve(one)
    else:
        _recipe(one)


def _training(one: Entry) -> None:
    if one.state == "running":
        st.fragment(_watch, run_every=EVERY)(one.name)
        return
    if one.state == "stopped":
        for fault in one.faults() or ["It ended early, and without a word."]:
            st.warning(plain(fault))
        if st.button("Go on", type="primary"):
            with sentences():
                ledger.resume(one)
                st.rerun()
    curves.show(one.run.rows())
    _output(one)


def _watch(name: str) -> None:
    """A run that goes on, looked at again and again until its process ends."""
    one = ledger.entry(name)
    if one is None or one.process is None:
        st.rerun()
    number, rows = one.process, one.run.rows()
    stopping = processes.is_stopping(number)
    st.write(plain(curves.sentence(rows, one.run, stopping)))
    if rows:
        st.progress(curves.share(rows, one.run))
    if st.button("Stop training", disabled=stopping, help="It saves where it is, and can go on later."):
        processes.stop(number)
        st.rerun(scope="fragment")
    curves.show(rows)
    _output(one)


def _output(one: Entry) -> None:
    lines = processes.lines(one.run.folder / ledger.OUTPUT)
    if lines:
        with st.expander("What the command line says"):
            st.code("\n".join(lines[-LAST:]), language=None)


def _report(one: Entry) -> None:
    """The report as it was written, apart from this page; and everything to take away."""
    report = one.run.report
    if not report.exists():
        st.warning(plain(f"{report} is not there any more."))
        return
    body = report.read_bytes()
    left, right = st.columns(2)
    left.download_button("Download the report", body, f"{one.name}.html", on_click="ignore", width="stretch")
    right.download_button(
        "Download the bundle", lambda: _bundle(one), f"{one.name}.lamina", on_click="ignore", width="stretch"
    )
    if len(body) > LARGEST:
        st.caption(plain(f"The report is too large to be shown in here. Open the file: {report.resolve()}"))
        return
    st.iframe(f"data:text/html;base64,{base64.b64encode(body).decode()}", height=900)


def _bundle(one: Entry) -> bytes:
    """The bundle as one file."""
    folder = disk.temporary_folder()
    try:
        save(open_bundle(one.run.bundle), folder / "bundle.lamina")
        return (folder / "bundle.lamina").read_bytes()
    finally:
        disk.remove(folder)


def _serve(one: Entry) -> None:
    current = service.current(one)
    if current is None:
        for fault in service.faults(one):
            st.error(plain(fault))
        st.write("A process of its own answers requests over HTTP on this machine, also when this page is closed.")
        if st.button("Start the service", type="primary"):
            with sentences():
                service.start(one)
                st.rerun()
        return
    if not current.url:
        with st.spinner("Opening the bundle"):
            time.sleep(EVERY / 2)
        st.rerun()
    st.markdown(f"Serving on [{current.url}]({current.url}/docs) (process {current.process}).")
    with sentences():
        for name, line in service.requests(opened(str(one.run.bundle)), one, current.url).items():
            st.caption(plain(name))
            st.code(line, language="bash", wrap_lines=True)
    if st.button("Stop the service", disabled=processes.is_stopping(current.process)):
        processes.stop(current.process)
        with st.spinner("Finishing what was accepted"):
            while service.current(one):
                time.sleep(0.1)
        st.rerun()


def _recipe(one: Entry) -> None:
    text = one.recipe_file.read_text("utf-8")
    if st.button("Change it and train again"):
        draft.begin(ledger.values(one), name_of([one.name.rpartition("-")[0] or one.name]))
        places.go(places.RECIPE)
    st.code(text, language="yaml")
    st.caption(plain(f"{one.recipe_file.resolve()}"))
