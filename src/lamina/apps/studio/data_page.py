"""The page `Data`: bring a source, and see what its columns are before anything is chosen."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import streamlit as st

from lamina import preprocess, recipe
from lamina.apps import theme
from lamina.apps.messages import notes, plain, sentences
from lamina.apps.studio import analysis, bring, draft, places
from lamina.apps.try_app import gallery
from lamina.apps.try_app.look import STYLE
from lamina.config import parse
from lamina.data import toy
from lamina.evaluate import sections
from lamina.preprocess.image import cells
from lamina.recipe import Recipe
from lamina.run import name_of
from lamina.schema import Column, Row

UPLOAD, PATH, TOY = "Upload", "On this machine", "Toy data"
FILES, FOLDER = "Files", "A folder"
LARGEST = 2000  # MB of an upload, which is in memory for a while; what is larger is read where it is
FIRST = 20  # rows to look at
MOST_COLUMNS = 200
EXAMPLE = "data/churn.csv"


def show() -> None:
    theme.page("Data", f"Studio · {Path.cwd()}")
    with sentences():
        words = _words()
        if words and words != st.session_state.get("words"):
            st.session_state["words"] = words
    words = st.session_state.get("words")
    if not words:
        st.caption("A table in a file (CSV, Parquet, JSON, Excel ...), a folder of images, or a recipe.")
        return
    with sentences():
        settings = recipe.from_words(words, trains=False)
        _look(settings, words)


def _words() -> list[str]:
    """What a person says of where the data are, as words of a command line; empty until something is said."""
    how = st.segmented_control("Where are the data?", [UPLOAD, PATH, TOY], default=UPLOAD, required=True, key="where")
    if how == TOY:
        about = toy.Config.model_fields["name"].description or ""
        name = st.selectbox("Toy data", toy.names(), None, placeholder="Choose one", help=plain(about), key="toy")
        return [f"toy:{name}"] if name else []
    if how == PATH:
        text = st.text_area(
            "Path of a file, a folder or a recipe", key="path", placeholder=EXAMPLE, height="content",
            help="A pattern such as data/*.csv works, too. For one class of files in each line: NAME=PATH.",
        )  # fmt: skip
        return [line.strip() for line in text.splitlines() if line.strip()]
    what = st.segmented_control("What", [FILES, FOLDER], default=FILES, required=True, key="what")
    files = st.file_uploader(
        "Files to copy into the folder data", accept_multiple_files=True if what == FILES else "directory",
        key=f"upload {what}", max_upload_size=LARGEST,
    )  # fmt: skip
    return [bring.copy(files)] if files else []


def _look(settings: Recipe, words: list[str]) -> None:
    """What `lamina inspect` says, the first rows, and the way on."""
    look = analysis.look(settings)
    st.subheader(plain(" ".join(words)))
    st.write(f"{look['rows']:,} rows, {len(look['columns']):,} columns, {look['skipped']:,} rows skipped")
    first, second = st.columns([1, 3])
    if second.button("Read again", help="Where files were changed meanwhile."):
        analysis.forget()
        st.rerun()
    if first.button("Choose what to learn", type="primary", width="stretch"):
        is_recipe = len(words) == 1 and Path(words[0]).suffix in (".yaml", ".yml")
        draft.begin(recipe.plain(recipe.from_words(words)) if is_recipe else draft.source(words), name_of(words))
        places.go(places.RECIPE)
    notes(look["notes"])
    for reason in look["reasons"]:
        where = f"{reason['file']}:{reason['line']}" if reason["line"] else reason["file"]
        st.warning(plain(f"Skipped: {where} {reason['column']}: {reason['reason']} ({reason['count']:,} rows)"))
    columns_table(look["columns"], look["statistics"])
    for survey in look["surveys"]:
        _survey(survey)
    _first_rows(analysis.sources(settings).train.table.slice(0, FIRST), look["columns"])


def _first_rows(rows: pa.Table, columns: list[Row]) -> None:
    """Cells as they are in the source; files, such as images, as one sees them."""
    faults = list[str]()
    whole = [column for row in columns if (column := parse(Column, row, "column", faults))]
    files = preprocess.file_columns(column for column in whole if column.name in rows.column_names)
    rest = rows.drop_columns([column.name for column in files])
    st.subheader(f"The first {rows.num_rows} rows")
    if files:
        st.html(STYLE)
    for column in files:
        values = cells.cells(preprocess.parse_columns(rows, (column,))[column.name].combine_chunks())
        captions = [" ".join(str(cell) for cell in row.values() if cell is not None) for row in rest.to_pylist()]
        gallery.show([(cells.body(values, i)[0], caption) for i, caption in enumerate(captions)])
    if rest.num_columns and not files:
        st.dataframe(rest.to_pandas(), hide_index=True, width="stretch")


def columns_table(columns: list[Row], statistics: Sequence[Row] = ()) -> None:
    """Columns with their kinds and what they hold."""
    texts = {
        row["column"]: ", ".join(f"{name} {text}" for name, text in sections.statistics_pairs(row))
        for row in statistics
    }
    listed = [
        {
            "column": column["name"],
            "kind": column["kind"],
            "missing": column["missing"],
            "distinct": column["distinct"],
            **({"statistics": texts.get(column["name"], "")} if texts else {}),
            "examples": ", ".join(map(str, column["examples"])),
            "note": column["note"],
        }
        for column in columns[:MOST_COLUMNS]
    ]
    st.dataframe(listed, hide_index=True, width="stretch")
    if len(columns) > MOST_COLUMNS:
        st.caption(f"and {len(columns) - MOST_COLUMNS:,} more columns")


def _survey(facts: Row) -> None:
    """What the cells of a column hold beyond their values, as their kind tells it."""
    tables, lines = preprocess.summarize(facts)
    for heads, *rows in tables:
        st.dataframe([dict(zip(heads, row, strict=False)) for row in rows], hide_index=True, width="stretch")
    by_weight = {True: list[str](), False: list[str]()}
    for label, text, warns in lines:
        by_weight[bool(warns)].append(plain(f"{' '.join(str(label).split())}{text}"))
    for warning in by_weight[True]:
        st.warning(warning)
    st.caption("  \n".join(by_weight[False]))
