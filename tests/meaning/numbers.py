"""Numbers as people write them: one decimal mark for a table, and what is left out is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from meaning.corpus import ROWS, Case, day, label, table

NARROW, THIN, NBSP = "\u202f", "\u2009", "\u00a0"


def column(*texts: str, cut: str = ",", name: str = "data.csv") -> Callable[[Path], Path]:
    """A file with the column `x`, in which these texts come again in turn, and labels."""
    return table(f"x{cut}y", lambda i: f"{quoted(texts[i % len(texts)], cut)}{cut}{label(i)}", name=name)


def columns(cut: str = ",", **texts: tuple[str, ...]) -> Callable[[Path], Path]:
    """A file with several such columns."""
    return table(
        cut.join([*texts, "y"]),
        lambda i: cut.join([*(quoted(cells[i % len(cells)], cut) for cells in texts.values()), label(i)]),
    )


def quoted(text: str, cut: str) -> str:
    return f'"{text}"' if cut in text else text


def rows(cells: Callable[[int], Any]) -> Callable[[Path], Path]:
    """JSON lines."""
    return table("", lambda i: json.dumps({"x": cells(i), "y": label(i)}), name="data.jsonl")


def typed(cells: pa.Array) -> Callable[[Path], Path]:
    """A Parquet file."""

    def build(folder: Path) -> Path:
        pq.write_table(pa.table({"x": cells, "y": [label(i) for i in range(ROWS)]}), folder / "data.parquet")
        return folder / "data.parquet"

    return build


def frame(folder: Path) -> Any:
    import pandas as pd

    texts = ["1,5", "1,234", "0,75"]
    return pd.DataFrame({"x": [texts[i % 3] for i in range(ROWS)], "y": [label(i) for i in range(ROWS)]})


def number_case(name: str, *texts: str, cells: list[float | None], notes: tuple[str, ...] = ()) -> Case:
    """A column of numbers, whose first cells mean these."""
    return Case(name, column(*texts), "y", kinds={"x": "number"}, cells={"x": cells}, notes=notes, used=ROWS)


def names_case(name: str, **texts: tuple[str, ...]) -> Case:
    """Columns that look like numbers, and hold names."""
    cells = {header: list(some) for header, some in texts.items()}
    return Case(name, columns(**texts), "y", kinds=dict.fromkeys(texts, "category"), cells=cells)


CASES = [
    # one decimal mark for a table
    Case(
        "commas_shown_by_another_column",
        columns(";", a=("6,143", "1,234", "2,500"), b=("1,5", "2,25", "3")),
        "y",
        kinds={"a": "number", "b": "number"},
        cells={"a": [6.143, 1.234, 2.5], "b": [1.5, 2.25, 3.0]},
        notes=("decimal commas, as b shows", "--set data.decimal=."),
    ),
    Case(
        "commas_in_quotes",
        columns(a=("6,143", "1,234"), b=("1,5", "2,25", "3")),
        "y",
        kinds={"a": "number", "b": "number"},
        cells={"a": [6.143, 1.234], "b": [1.5, 2.25, 3.0]},
        notes=("decimal commas",),
    ),
    number_case("zero_before_a_comma", "0,125", "1,234", cells=[0.125, 1.234], notes=("as x shows",)),
    number_case("groups_of_points", "1.234.567", "12.345", cells=[1234567.0, 12345.0], notes=("decimal commas",)),
    number_case("thousands_alone", "1,234", "5,678", cells=[1234.0, 5678.0], notes=("can mean thousands or decimals",)),
    Case(
        "commas_between_semicolons",
        column("1,234", "5,678", cut=";"),
        "y",
        kinds={"x": "number"},
        cells={"x": [1.234, 5.678]},
        notes=("can mean thousands or decimals; read as decimals", "--set data.decimal=."),
    ),
    Case(
        "thousands_shown_by_another_column",
        columns(";", a=("1,234", "5,678"), b=("12.5", "3.25")),
        "y",
        cells={"a": [1234.0, 5678.0], "b": [12.5, 3.25]},
        notes=("a: thousands marks left out",),
        silent=("can mean", "decimal commas"),
    ),
    Case(
        "a_mark_that_is_said",
        column("1,234", "5,678"),
        "y",
        sets=("data.decimal=,",),
        cells={"x": [1.234, 5.678]},
        silent=("can mean",),
    ),
    Case(
        "a_mark_that_is_said_of_a_column",
        column("1,234", "5,678"),
        "y",
        sets=("columns.x.kind=number", "columns.x.decimal=,"),
        cells={"x": [1.234, 5.678]},
    ),
    Case(
        "two_marks",
        columns(";", a=("1,5", "2,25"), b=("12.5", "3.25"), c=("0,5", "1,75"), d=("1,234", "4,321")),
        "y",
        cells={"a": [1.5, 2.25], "b": [12.5, 3.25], "d": [1.234, 4.321]},
        notes=("Numbers are written in two ways, a, c with decimal commas and b with decimal points",),
    ),
    Case(
        "a_target_with_commas",
        table("x;y", lambda i: f"{i % 7};{100 + i % 7},{i % 7}5"),
        "y",
        task="regression",
        used=ROWS,
        cells={"y": [100.05, 101.15]},
        answer={"prediction": (95, 110)},
    ),
    Case(
        "a_target_with_a_unit",
        table("x,y", lambda i: f"{i % 7},{100 + i % 7} kg"),
        "y",
        task="regression",
        used=ROWS,
        cells={"y": [100.0, 101.0]},
        notes=("y: the target; 'kg' (34 cells) left out",),
        answer={"prediction": (95, 110)},
    ),
    Case(
        "a_target_whose_mark_another_column_shows",
        table("x;y", lambda i: f"0,{1 + i % 7};{1 + i % 7},{100 + 9 * (i % 7)}"),
        "y",
        task="regression",
        cells={"x": [0.1, 0.2], "y": [1.1, 2.109]},
        answer={"prediction": (0, 9)},
    ),
    Case(
        "a_history_with_commas",
        table("day;y", lambda i: f"{day(i)};{4 + i % 7},{125 + i % 3}"),
        "y",
        sets=("task.kind=forecasting", "task.horizon=3", "task.context=7"),
        model="linear",
        task="forecasting",
        cells={"y": [4.125, 5.126]},
        answer={"prediction": (0, 14)},
    ),
    Case("a_frame_with_commas", frame, "y", kinds={"x": "number"}, cells={"x": [1.5, 1.234, 0.75]}),
    Case(
        "lines_of_json_with_commas",
        rows(lambda i: ["1,5", "1,234", "0,75"][i % 3]),
        "y",
        kinds={"x": "number"},
        cells={"x": [1.5, 1.234, 0.75]},
    ),
    Case(
        "typed_texts_with_commas",
        typed(pa.array([["1,5", "1,234", "0,75"][i % 3] for i in range(ROWS)])),
        "y",
        kinds={"x": "number"},
        cells={"x": [1.5, 1.234, 0.75]},
    ),
    Case(
        "steps_with_commas",
        table("x,y", lambda i: f'"{"; ".join(f"{k + i % 2},{k}5" for k in range(9))}",{label(i)}'),
        "y",
        kinds={"x": "series"},
        cells={"x": [{"values": [k + (k + 0.5) / 10 for k in range(9)], "channels": 1, "reason": None}]},
        model="cnn",
    ),
    Case(
        "columns_of_steps_with_commas",
        table(
            f"{';'.join(f't{k}' for k in range(9))};y",
            lambda i: ";".join([*("-" if k == 3 else f"{k + i % 2},{k}5" for k in range(9)), label(i)]),
        ),
        "y",
        sets=("data.series.x=t*",),
        kinds={"x": "series"},
        notes=("9 steps",),
        rows=[{"x": [k + (k + 0.5) / 10 for k in range(9)]}],
        model="cnn",
    ),
    # what is beside a number; counts are those of the training rows
    number_case("brackets", "(800.00)", "12.50", cells=[-800.0, 12.5], notes=("mean below zero (17 cells)",)),
    number_case("minus_behind", "800.00-", "12.50", cells=[-800.0, 12.5], notes=("mean below zero (17 cells)",)),
    number_case("minus_of_print", "\u22125", "12", "\u22123.5", cells=[-5.0, 12.0, -3.5]),
    number_case(
        "kilograms", "479 kg", "12 kg", "83 kg", cells=[479.0, 12.0, 83.0], notes=("'kg' (34 cells) left out",)
    ),
    number_case("grams_and_kilograms", "479 g", "1.2 kg", "83 g", cells=[479.0, 1200.0, 83.0], notes=("kg is 1,000",)),
    number_case("thousands_and_millions", "12.8K", "3M", "950", cells=[12800.0, 3e6, 950.0], notes=("K is 1,000",)),
    number_case("singular_and_plural", "1 bath", "2 baths", "3 baths", cells=[1.0, 2.0, 3.0], notes=("'baths' (",)),
    number_case(
        "narrow_blanks",
        *(f"2{NARROW}671,90", f"1{NBSP}234,50", f"12{THIN}000,25", "1 000"),
        cells=[2671.9, 1234.5, 12000.25, 1000.0],
        notes=("decimal commas; thousands marks left out (34 cells)",),
    ),
    number_case("swiss", "1'234.50", "12.25", "2\u2019000.00", cells=[1234.5, 12.25, 2000.0]),
    number_case("lakhs", "12,34,567", "1,23,456", cells=[1234567.0, 123456.0], notes=("thousands marks",)),
    Case(
        "money",
        columns(
            euros=("\u20ac 5", "\u20ac 12", "\u20ac7.50"),
            behind=("5 \u20ac", "12.50 \u20ac", "7 EUR"),
            mixed=("$5", "\u20ac7", "$9"),
            codes=("USD 5", "USD 1,200.50"),
            accounts=("$(1,200.00)", "($5)", "$7"),
        ),
        "y",
        kinds=dict.fromkeys(("euros", "behind", "mixed", "codes", "accounts"), "number"),
        cells={
            "euros": [5.0, 12.0, 7.5],
            "behind": [5.0, 12.5, 7.0],
            "mixed": [5.0, 7.0, 9.0],
            "codes": [5.0, 1200.5],
            "accounts": [-1200.0, -5.0, 7.0],
        },
        notes=("euros: '\u20ac' (34 cells) left out", "left out, not converted", "'USD' (34 cells) left out"),
    ),
    number_case(
        "euro_behind_commas", "5 \u20ac", "12,50 \u20ac", cells=[5.0, 12.5], notes=("decimal commas; '\u20ac' (34",)
    ),
    number_case("percent", "12 %", "5%", "7.5 %", cells=[12.0, 5.0, 7.5], notes=("'%' (34 cells) left out",)),
    number_case("percent_beside_shares", "12%", "0.07", "5%", cells=[12.0, 0.07, 5.0], notes=("9 cells have none",)),
    number_case("no_cents", "5,-", "12,-", "7,50", cells=[5.0, 12.0, 7.5], notes=("decimal commas",)),
    number_case("at_least", "10,000+", "500+", "1,000+", cells=[10000.0, 500.0, 1000.0]),
    Case(
        "a_unit_that_is_said",
        column("5 ft", "60 in", "72 in"),
        "y",
        sets=("columns.x={kind: number, units: {ft: 12, in: 1}}",),
        kinds={"x": "number"},
        cells={"x": [60.0, 60.0, 72.0]},
    ),
    # cells that say that there is no number
    number_case("dash", "-", "5", "12.5", cells=[None, 5.0, 12.5], notes=("'-' (13 cells) read as missing",)),
    number_case("not_available", "n.a.", "5", "12", cells=[None, 5.0, 12.0], notes=("'n.a.' (13 cells)",)),
    number_case("point", ".", "5.5", "12", "7", cells=[None, 5.5, 12.0], notes=("'.' (10 cells) read as missing",)),
    number_case(
        "unknown", "unknown", "5", "--", "7", cells=[None, 5.0, None, 7.0], notes=("'unknown' (10 cells), '--'",)
    ),
    Case(
        "infinity_and_errors_of_a_sheet",
        columns(a=("inf", "5", "-Infinity", "7"), b=("#DIV/0!", "5", "12")),
        "y",
        kinds={"a": "number", "b": "number"},
        cells={"a": [None, 5.0, None, 7.0], "b": [None, 5.0, 12.0]},
        notes=("'inf' (10 cells), '-Infinity' (7 cells) read as missing", "'#DIV/0!' (13 cells) read as missing"),
    ),
    Case(
        "a_target_with_dashes",
        table("x,y", lambda i: f"{i % 7},{'-' if i % 12 == 5 else 100.5 + i % 7}"),
        "y",
        task="regression",
        used=44,
        aside=4,
        answer={"prediction": (95, 112)},
    ),
    # names that look like numbers
    names_case(
        "versions_addresses_fractions",
        versions=("1.2.3", "1.10.0", "2.0.1"),
        addresses=("10.0.0.1", "10.0.0.2", "192.168.1.1"),
        fractions=("1/2", "3/4", "2/3"),
        digests=("4e10", "9f3a", "12ab"),
    ),
    names_case("codes_with_zeros", x=("01234", "90210", "12345")),
    names_case("codes_by_name", zip_code=("90210", "12345", "60601"), phone=("5551234", "5559876")),
    Case(
        "numbers_below_a_limit",
        column("1.5", "2.5", "<0.01", "3.5", "0.7"),
        "y",
        kinds={"x": "category"},
        notes=(
            "26 of 34 cells are numbers; to read them as such, and the others as missing: --set columns.x.kind=number",
        ),
    ),
    names_case("seats_and_phones", seats=("12A", "3A", "14A"), numbers=("555-1234", "555-9876")),
    names_case("more_digits_than_a_float", x=("9007199254740993", "9007199254740995", "9007199254740997")),
    number_case("powers_of_ten", "1e5", "2.5E-3", "7e0", cells=[1e5, 0.0025, 7.0]),
]
