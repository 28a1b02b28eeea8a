"""The script that Streamlit runs, once for every touch of a widget. The folder it works in is the current one."""

import streamlit as st

from lamina.apps.studio import data_page, places, recipe_page, run_page, runs_page

STYLE = '<style>[data-testid="stStatusWidget"] { display: none; }</style>'  # it says Stop, and means the page

pages = {
    places.DATA: st.Page(data_page.show, title="Data", url_path=places.DATA, default=True),
    places.RECIPE: st.Page(recipe_page.show, title="Recipe", url_path=places.RECIPE),
    places.RUNS: st.Page(runs_page.show, title="Runs", url_path=places.RUNS),
    places.RUN: st.Page(run_page.show, title="Run", url_path=places.RUN, visibility="hidden"),
}
places.remember(pages)
st.html(STYLE)
st.navigation(list(pages.values()), position="top").run()
