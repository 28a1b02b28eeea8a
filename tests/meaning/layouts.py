"""What stands beside a table: headers that are numbers, titles, comments, units, totals, merged cells, indexes."""

import gzip
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meaning.corpus import ROWS, Case, day, label, number, table, text

GROUPS = ("a", "b", "c")
KINDS = {"x": "number", "g": "category"}
FRESH_ROWS = [{"x": 1000.0, "g": "a"}]
TWO_LEVELS = pd.MultiIndex.from_tuples([("x", "low"), ("g", ""), ("y", "")])
GROWING = [100.0 + i for i in range(ROWS)]
DAYS = pd.date_range("2023-01-01", periods=ROWS)
NAMES = ["x", "g", "y"]


def row(i: int, mark: str = ",") -> str:
    return mark.join((str(number(i)), GROUPS[i % 3], label(i)))


def lines(*above: str, header: str = "x,g,y", mark: str = ",", end: str = "", below: Sequence[str] = ()) -> str:
    """A table of `ROWS` rows with lines above and below."""
    rows = [row(i, mark) + end for i in range(ROWS)]
    return "\n".join([*above, header, *rows, *below]) + "\n"


def cells(count: int = ROWS) -> list[list[Any]]:
    return [[number(i), GROUPS[i % 3], label(i)] for i in range(count)]


def frame() -> pd.DataFrame:
    return pd.DataFrame(cells(), columns=pd.Index(NAMES))


def layout(name: str, content: str | bytes, file: str = "data.csv", **expected: Any) -> Case:
    """A case of a file whose table is x, g and y."""
    expected = {"target": "y", "kinds": KINDS, "task": "classification", "used": ROWS} | expected
    return Case(name, text(content, file), answer={"prediction": "no"}, **expected)


def memory(name: str, build: Callable[[], Any], **expected: Any) -> Case:
    expected = {"target": "y", "task": "classification", "used": ROWS, "answer": {"prediction": "no"}} | expected
    return Case(name, lambda folder: build(), **expected)


def book(*sheets: tuple[str, Sequence[Sequence[Any]]], merge: Sequence[str] = ()) -> Callable[[Path], Path]:
    """A workbook; ranges of its last sheet are merged."""

    def build(folder: Path) -> Path:
        import openpyxl

        workbook = openpyxl.Workbook()
        workbook.remove(workbook.worksheets[0])
        for title, rows in sheets:
            sheet = workbook.create_sheet(title)
            for cells_of_row in rows:
                sheet.append(list(cells_of_row))
        for span in merge:
            workbook.worksheets[-1].merge_cells(span)
        workbook.save(folder / "data.xlsx")
        return folder / "data.xlsx"

    return build


def sheet(name: str, build: Callable[[Path], Path], **expected: Any) -> Case:
    expected = {"target": "y", "kinds": KINDS, "task": "classification", "used": ROWS} | expected
    return Case(name, build, answer={"prediction": "no"}, **expected)


def merged_rows() -> list[list[Any]]:
    """Groups of twelve rows of which only the first says its name."""
    return [[number(i), f"group {i // 12}" if i % 12 == 0 else None, label(i)] for i in range(ROWS)]


def ods(folder: Path) -> Path:
    """A sheet whose cells span four rows each, as LibreOffice writes it."""

    def cell(value: Any, attributes: str = "") -> str:
        number_of = f'office:value-type="float" office:value="{value}"'
        kind = number_of if isinstance(value, float) else 'office:value-type="string"'
        return f"<table:table-cell {attributes} {kind}><text:p>{value}</text:p></table:table-cell>"

    rows = ["".join(map(cell, NAMES))]
    for i in range(ROWS):
        first = cell(f"group {i // 12}", 'table:number-rows-spanned="12"')
        rows.append(cell(number(i)) + ("<table:covered-table-cell/>" if i % 12 else first) + cell(label(i)))
    body = "".join(f"<table:table-row>{one}</table:table-row>" for one in rows)
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    with zipfile.ZipFile(folder / "data.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml",
            f'<?xml version="1.0"?><office:document-content {spaces}><office:body><office:spreadsheet>'
            f'<table:table table:name="S">{body}</table:table></office:spreadsheet></office:body>'
            "</office:document-content>",
        )
        archive.writestr(
            "META-INF/manifest.xml",
            '<?xml version="1.0"?><m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
            '<m:file-entry m:full-path="/" m:media-type="application/vnd.oasis.opendocument.spreadsheet"/>'
            "</m:manifest>",
        )
    return folder / "data.ods"


def parquet(folder: Path) -> Path:
    frame().set_index("x").to_parquet(folder / "data.parquet")
    return folder / "data.parquet"


def of_times(folder: Path) -> Path:
    frame = pd.DataFrame({"y": GROWING}, index=DAYS)
    frame.to_parquet(folder / "data.parquet")
    return folder / "data.parquet"


def of_two_levels() -> pd.DataFrame:
    index = pd.MultiIndex.from_product([["p", "q"], DAYS])
    return pd.DataFrame({"y": [100.0 + i for i in range(2 * ROWS)]}, index=index.set_names(["item_id", "timestamp"]))


def fixed(i: int) -> str:
    return f"{number(i):>8}  {f'New {GROUPS[i % 3]}':<8}  {label(i):<4}"


def years(i: int) -> str:
    return f"{GROUPS[i % 3]},{(i * 37) % 90 + 10},{1000 * (i % 3) + i % 7}"


HEADERS = [
    Case(
        "years_as_names",
        table("country,2019,2020", years),
        target="2020",
        kinds={"country": "category", "2019": "number"},
        task="regression",
        used=ROWS,
        notes=("holds '2020'", "data.header=false"),
    ),
    Case(
        "numbers_that_count_up",
        table("0,1,2,target", lambda i: f"{number(i)},{i * 7 % 11},{i * 5 % 13},{label(i)}"),
        target="target",
        kinds={"0": "number", "1": "number"},
        used=ROWS,
        answer={"prediction": "no"},
    ),
    Case(
        "a_target_called_3",
        table("0,1,2,3", lambda i: f"{number(i)},{i * 7 % 11},{i * 5 % 13},{label(i)}"),
        target="3",
        kinds={"0": "number"},
        used=ROWS,
        silent=("counted from 0",),
        answer={"prediction": "no"},
    ),
    Case(
        "a_target_by_position_is_said",
        table("", lambda i: f"{number(i)},{i * 7 % 11},{i * 5 % 13},{label(i)}"),
        target="3",
        kinds={"column1": "number", "column4": "category"},
        used=ROWS,
        notes=("no column is called '3'", "no header found"),
        answer={"prediction": "no"},
    ),
    Case(
        "an_error_has_the_cure",
        table("", lambda i: f"{number(i)},{i * 7 % 11},{label(i)}"),
        target="income",
        error=("no column 'income'", "no header found", "--set data.header=true"),
    ),
    Case(
        "days_as_names",
        table(
            "shop,2023-01-01,2023-01-02,2023-01-03,y",
            lambda i: f"{GROUPS[i % 3]},{number(i)},{i},{i * 3 % 7},{label(i)}",
        ),
        target="y",
        kinds={"shop": "category", "2023-01-01": "number"},
        used=ROWS,
        answer={"prediction": "no"},
    ),
    layout("names_with_blanks_around", lines(header=" x , g , y ")),
    layout("a_header_of_words_only", lines(header="x,g,y"), silent=("header",)),
    Case(
        "two_rows_of_names",
        table("x,x,y\nlow,high,", lambda i: f"{number(i)},{i * 5 % 13},{label(i)}"),
        target="y",
        kinds={"x.low": "number", "x.high": "number"},
        used=ROWS,
        notes=("two rows name the columns", "data.skip=1"),
        answer={"prediction": "no"},
    ),
    layout("units_below_the_header", lines(header="x,g,y\nkg,,"), aside=1, notes=("units", "data.header=true")),
    layout("joined_files", lines() + lines(), used=2 * ROWS, aside=1),
    layout("joined_files_with_marks", lines() + "\ufeff" + lines(), used=2 * ROWS, aside=1),
    layout(
        "labels_of_rows_without_a_name",
        "\n".join(["x;g;y", *(f"r{i};{row(i, ';')}" for i in range(ROWS))]),
        notes=("one cell more than the header",),
    ),
    Case(
        "dots_in_names",
        table("sepal.length,g,y", row),
        target="y",
        sets=('columns."sepal.length"=number', "columns.g=ignore"),
        kinds={"sepal.length": "number", "g": "ignore"},
        answer={"prediction": "no"},
    ),
]

ABOVE = [
    layout("sep_line", lines("sep=;", header="x;g;y", mark=";"), notes=("set off by ';'",)),
    layout(
        "sep_line_of_excel", b"\xef\xbb\xbf" + lines('"sep=;"', header="x;g;y", mark=";").replace("\n", "\r\n").encode()
    ),
    layout("sep_line_packed", gzip.compress(lines("sep=|", header="x|g|y", mark="|").encode()), "data.csv.gz"),
    layout("a_title", lines("Sales by group", ""), notes=("a line above the header", "data.skip=0")),
    layout("a_title_with_commas", lines("Sales, by group", "made today"), notes=("2 lines above the header",)),
    layout("titles_padded", lines("Sales,,", "made:,2023,"), notes=("2 lines above the header",)),
    layout(
        "comments", lines("# made by a program", "# on a day, by hand"), notes=("2 lines begin with '#'", "data.skip=0")
    ),
    layout("a_header_in_a_comment", lines(header="# x,g,y"), notes=("'#' before the names",)),
    layout("skip_as_told", lines("a,b,c", "1,2,3"), sets=("data.skip=2",), rows=FRESH_ROWS),
    layout(
        "comments_anywhere",
        lines("// x,y", below=["// the end,,"]),
        sets=("data.comment=//",),
        rows=FRESH_ROWS,
    ),
    layout("blank_lines_and_a_mark", "\ufeff\n\n" + lines()),
]

AROUND = [
    layout("commas_at_the_end", lines(header="x,g,y,", end=","), notes=("begins no column",), silent=("column4",)),
    layout("commas_at_the_end_of_rows_only", lines(end=","), notes=("begins no column",)),
    layout("blanks", lines(header="x g y", mark=" "), "data.txt", notes=("set off by blanks", "data.delimiter=,")),
    layout("runs_of_blanks", lines(header="  x    g  y", mark="    "), "data.txt", notes=("set off by blanks",)),
    layout("blanks_as_told", lines(header="x  g   y", mark="  "), "data.txt", sets=("data.delimiter= ",)),
    layout(
        "fixed_width",
        "\n".join([f"{'x':>8}  {'g':<8}  y", *map(fixed, range(ROWS))]),
        "data.txt",
        notes=("two blanks or more",),
    ),
    layout("a_comment_and_blanks", lines(header="# x g y", mark=" "), "data.txt", notes=("'#' before the names",)),
    layout(
        "fixed_width_with_gaps",
        "\n".join(
            [
                f"{'x':>8}  {'g':<8}  y",
                *(fixed(i) if i % 7 else f"{number(i):>8}{'':12}{label(i)}" for i in range(ROWS)),
            ]
        ),
        "data.txt",
        notes=("by their place in the line",),
    ),
    layout("labels_and_blanks", "\n".join(['"x" "g" "y"', *(f'"{i}" {row(i, " ")}' for i in range(ROWS))]), "data.txt"),
    layout("a_delimiter_as_told", lines(header="x;g;y", mark=";"), sets=("data.delimiter=;",)),
    Case(
        "a_total_is_said",
        table("g,x,y", lambda i: f"{GROUPS[i % 3]},{i * 7 % 11},{100 * (i % 3) + i % 5}", more=["Total,240,4896"]),
        target="y",
        task="regression",
        used=ROWS + 1,
        notes=("sum up the others ('Total')", "data.footer=1"),
    ),
    Case(
        "a_total_left_out",
        table("g,x,y", lambda i: f"{GROUPS[i % 3]},{i * 7 % 11},{100 * (i % 3) + i % 5}", more=["Total,240,4896"]),
        target="y",
        sets=("data.footer=1",),
        task="regression",
        used=ROWS,
        silent=("sum up",),
        rows=[{"g": "a", "x": 0}],
    ),
]

BOOKS = [
    sheet("merged_cells", book(("S", [NAMES, *merged_rows()]), merge=("B2:B13", "B14:B25", "B26:B37", "B38:B49")),
          notes=("4 ranges of merged cells",)),
    sheet("merged_cells_of_ods", ods, notes=("4 ranges of merged cells",)),
    sheet("a_title_of_a_sheet", book(("S", [["Sales 2023"], [], NAMES, *cells()]), merge=["A1:C1"]),
          notes=("a row above the header",)),
    sheet("a_cover", book(("Cover", [["A report"], ["by me"]]), ("Data", [NAMES, *cells()])),
          notes=("sheet 'Data' of 2", "data.sheet=Cover")),
    Case("a_cover_alone", book(("Cover", [["A report"]]), ("Data", [NAMES, *cells()])), target="z",
         error=("'Data'", "data.sheet=Data")),
    sheet("a_sheet_as_told", book(("Cover", [["A report"]]), ("1", [NAMES, *cells()])), sets=("data.sheet=1",)),
    sheet("units_of_a_sheet", book(("S", [NAMES, ["kg", None, None], *cells()])), aside=1, notes=("units",)),
    Case(
        "years_of_a_sheet",
        book(("S", [["g", 2019, 2020], *([GROUPS[i % 3], i * 37 % 90, 1000 * (i % 3)] for i in range(ROWS))])),
        target="2020",
        kinds={"g": "category", "2019": "number"},
        used=ROWS,
    ),
    Case(
        "a_total_of_a_sheet",
        book(("S", [["g", "y"], *([GROUPS[i % 3], 100.5 * (i % 3) + i] for i in range(ROWS)), ["Total", 5952.0]])),
        target="y",
        task="regression",
        used=ROWS + 1,
        notes=("sum up the others ('Total')", "data.footer=1"),
    ),
]  # fmt: skip

DOCUMENTS = [
    layout("json_of_columns", frame().to_json(), "data.json"),
    layout("json_of_split", frame().to_json(orient="split"), "data.json"),
    layout("json_of_index", frame().to_json(orient="index"), "data.json"),
    layout("json_of_a_table", frame().to_json(orient="table"), "data.json"),
    layout("json_of_arrays", json.dumps([NAMES, *cells()]), "data.json"),
    layout("json_of_columns_filtered", frame().set_axis(range(7, 7 + ROWS)).to_json(), "data.json",
         notes=("labels of its rows, such as '7', are not used",)),
    Case(
        "json_of_days",
        text(pd.DataFrame({"y": GROWING}, index=[f"{day(i)}" for i in range(ROWS)]).to_json(),
             "data.json"),
        target="y",
        task="forecasting",
        notes=("column 'index'",),
    ),
    Case("parquet_with_an_index", parquet, target="y", kinds=KINDS, used=ROWS, answer={"prediction": "no"}),
    Case("parquet_of_times", of_times, target="y", task="forecasting", notes=("the column 'time'",)),
]  # fmt: skip

FRAMES = [
    memory("a_named_index", lambda: frame().set_index("x"), kinds=KINDS),
    memory("an_index_without_a_name", lambda: frame().set_axis([f"r{i}" for i in range(ROWS)]), kinds=KINDS),
    memory("two_levels", of_two_levels, task="forecasting", used=None, answer=None),
    memory("names_of_two_levels", lambda: frame().set_axis(TWO_LEVELS, axis=1),
           kinds={"x.low": "number", "g": "category"}),
    memory("nullable_types", lambda: frame().convert_dtypes(), kinds=KINDS),
    memory("categories", lambda: frame().astype({"g": "category"}), kinds=KINDS),
    memory("records_with_names", lambda: frame().to_records(index=False), kinds=KINDS),
    memory("a_series_of_times", lambda: pd.Series(GROWING, DAYS, name="y"), task="forecasting", used=None, answer=None),
    memory("an_array_of_numbers", lambda: np.array([[number(i), i % 7, i % 2] for i in range(ROWS)]), target="column3",
           kinds={"column1": "number"}, task=None, answer=None),
]  # fmt: skip

CASES = [*HEADERS, *ABOVE, *AROUND, *BOOKS, *DOCUMENTS, *FRAMES]
