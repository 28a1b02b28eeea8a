"""Why an answer: drawn for the sort of cells that a bundle reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from lamina.config import DataError
from lamina.deploy import attributions
from lamina.evaluate import attribution_plot, row_attributions, series_occlusion
from lamina.evaluate.attribution_plot import RowAttributions, amount, heading
from lamina.evaluate.images import occlusion
from lamina.evaluate.plots import canvas
from lamina.evaluate.texts import explanation
from lamina.resources import disk
from lamina.schema import ROW_HEADS, Column
from lamina.task import Session

MOST_ROWS, MOST_BARS = 20, 8  # in one drawing, and of a series in a listing
ROWS = (
    "What each column adds to the prediction (Shapley values). The average is that of generated rows, whose columns "
    "are drawn as training had them, each by itself; from it the numbers of a row add up to its prediction."
)
HISTORIES = (
    "What each stretch of the past and each column adds to the forecast (Shapley values), compared with the forecast "
    "of a series that stands still: every column at its mean over the history. The numbers add up to the forecast."
)
SERIES = (
    "By how much the log-odds of the prediction, or a number, fall when a stretch is covered by the training mean: "
    "above 0 it speaks for the prediction. These numbers do not add up."
)


def column(session: Session) -> Column | None:
    """The column whose parts an answer can hang on, one of images or of texts; None where there is no such."""
    if session.spec.output.head not in ROW_HEADS:
        return None
    return next(iter((*session.prep.files, *(c for c in session.prep.columns if c.kind == "text"))), None)


def check(session: Session) -> None:
    """Errors: DataError where a bundle has no answers to rows."""
    if session.spec.output.head not in ROW_HEADS:
        cure = (
            "It is for bundles that predict each row with a label or a number; what this one is asked: lamina inspect"
        )
        raise DataError(
            f"explain: a bundle for {session.task.kind} has no prediction that depends on parts of a row. {cure}"
        )


def write(
    session: Session, files: Sequence[str | Path], output: Path, label: str | None = None, overwrite: bool = False
) -> Sequence[Any]:
    """Explain the answers to files, each with `name`, `label` and `top`: images in a PNG, texts in a page of HTML.

    Errors: DataError where the bundle reads neither, or a file cannot be used; StorageError where `output` cannot be
    written.
    """
    check(session)
    parts = column(session)
    texts = parts is not None and parts not in session.prep.files
    return (explanation if texts else occlusion).write(session, files, output, label, overwrite)


def rows(session: Session, table: pa.Table, label: str | None = None) -> list[Any]:
    """What each column adds to the answer to raw rows (`RowAttributions`), their cells in the names of the bars; of a
    bundle that reads a series alone, what its stretches speak for (`series_occlusion.Explanation`).

    Errors: DataError where the bundle has one column and no series, a label that it does not know, and cells of no use.
    """
    check(session)
    if not attributions.available(session):
        if series_occlusion.column(session) is None:
            cure = "Name files of it, and where to draw: -o FILE.png of images, -o FILE.html of texts."
            raise DataError(f"explain: this bundle reads one column, which adds everything. {cure}")
        return series_occlusion.explain(session, table, label)
    code = attributions.code_of(session.task.classes, label, "--label")
    names = [f"row {i + 1:,}" for i in range(table.num_rows)]
    own = row_attributions.of(session, session.encode(table), names, code)
    return [row._replace(bars=tuple(_with_cells(row, table.slice(i, 1)))) for i, row in enumerate(own)]


def of_answers(answers: pa.Table) -> list[RowAttributions]:
    """The answers of an operation `explain` of histories, `value`, `base_value` and `contributions` behind the series,
    as bars.
    """
    rows = list[RowAttributions]()
    for *names, value, base, bars in zip(*(column.to_pylist() for column in answers.columns), strict=True):
        name = ", ".join(["forecast", *map(str, names)])
        rows.append(RowAttributions(name, "", value, base, tuple(bars.items()), "standing still"))
    return rows


def draw_answers(answers: pa.Table, output: Path, overwrite: bool = False) -> None:
    """Draw these into a PNG, of at most 20 series. Errors: as `draw`."""
    _check_drawing(output, answers.num_rows, overwrite)
    with disk.new_file(output, overwrite) as file:
        attribution_plot.draw(of_answers(answers), file)


class Bar(NamedTuple):
    """What it is of, how much that adds, and the same as text."""

    name: str
    value: float
    text: str


def listing(one: Any) -> tuple[str, list[Bar]]:
    """The same as text: a heading and bars, those that count most first."""
    if isinstance(one, series_occlusion.Explanation):
        bars = sorted(series_occlusion.stretches(one), key=lambda bar: -abs(bar[1]))[:MOST_BARS]
        return series_occlusion.heading(one), [Bar(name, fall, amount(fall, "", signed=True)) for name, fall in bars]
    bars = attribution_plot.largest(one.bars)
    return heading(one), [Bar(name, value, amount(value, one.label, signed=True)) for name, value in bars]


def note(one: Any) -> str:
    """What the numbers are."""
    if isinstance(one, series_occlusion.Explanation):
        return SERIES
    return ROWS if one.reference == "on average" else HISTORIES


def draw(
    session: Session, table: pa.Table, output: Path, label: str | None = None, overwrite: bool = False
) -> Sequence[Any]:
    """Draw the same into a PNG, of a bundle that reads series these, on what speaks for the answer. At most 20 rows.

    Errors: as `rows`; StorageError where it cannot be written, or something is there and `overwrite` is not set.
    """
    check(session)
    _check_drawing(output, table.num_rows, overwrite)
    if series_occlusion.column(session) is not None:
        series = series_occlusion.explain(session, table, label)
        with disk.new_file(output, overwrite) as file:
            series_occlusion.draw(series, file)
        return series
    explanations = rows(session, table, label)
    with disk.new_file(output, overwrite) as file:
        attribution_plot.draw(explanations, file)
    return explanations


def _check_drawing(output: Path, rows: int, overwrite: bool) -> None:
    if output.suffix.lower() != ".png":
        raise DataError(f"-o: must end in .png, or in .csv, .parquet, .jsonl or .feather (got '{output}').")
    if rows > MOST_ROWS:
        raise DataError(f"explain: {rows:,} rows are too many to draw. Give at most {MOST_ROWS}, or -o FILE.csv")
    disk.refuse_existing(output, overwrite)


def _with_cells(row: RowAttributions, cells: pa.Table) -> list[tuple[str, float]]:
    """Bars under the name of a column and its cell, which is the caller's own."""
    raw = {name: cells[name][0].as_py() for name in cells.column_names}
    return [(f"{name} = {canvas.text(_cell(raw.get(name)), 20)}", value) for name, value in row.bars]


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
