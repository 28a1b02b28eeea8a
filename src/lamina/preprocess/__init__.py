"""Stage 2: raw columns become the arrays a network is fed; the same code in training and in serving.

A column kind is one file here, named by the kind, with

- `Config`: its settings, with `kind: Literal["<name>"]`; a class on `ColumnConfig`, so that it takes an input policy;
- `State`: what was learned from the training rows, plain JSON values only;
- `detect(column) -> (score, settings)`: how well raw cells fit this kind, 0 to 1, and settings found on the way; where
  `Config` has `decimal`, the decimal mark of the table is a second argument;
- `parse(column, cfg) -> pa.Array`: raw cells to one Arrow type, each by itself; a malformed cell becomes null;
- `fit(values, cfg) -> State`: sees parsed training rows only;
- `encode(values, state) -> np.ndarray`: (rows, width), never fails on a new value;
- `feed(state) -> Input`: what the network must be ready for;

and, where it has more to say,

- `encode_columns(columns, states)`: several columns at once, side by side, as `encode` would give one by one;
- `encode_memmap(values, state)`: as `encode`, from a file on disk when there is one, where encoding is long;
- `encode_with_reasons(values, state) -> (array, reasons)`: as `encode`, and why cells are of no use (None: sound);
- `faults(values, state) -> reasons`: the same alone, for rows to skip in training;
- `rare(values, state) -> mask`: which cells have a value that the state does not know, where all such get one code;
- `outside(numbers, state) -> mask`: which parsed cells, as numbers, are beyond all that training had;
- `reference(state) -> Reference | None`: how often training had what, in pieces of the column; and with it
  `pieces(encoded, state)`, (rows,) in which of them encoded cells are: drift is told by both;
- `background(state, rng, count) -> np.ndarray`: (count, width) encoded cells, as training had them as far as the state
  tells: what a row is compared with to say what its cells add to an answer; without it, with a missing cell;
- `golden(state, cfg, rng, count) -> cells`: made-up ones, plain JSON, the first without gaps; without it, only what
  many training rows share leaves with a bundle;
- `domain(state, cfg) -> Domain`: how a form asks for a cell, such as by a choice; as a text without it;
- `from_json(cells) -> pa.Array`: what `parse` takes, out of JSON, where JSON has no plain value for cells;
- `describe(column, cfg) -> note`: a few words on a column beyond its values;
- `survey(column, cfg, labels, parts) -> facts`: plain values for `lamina inspect`, by class and part, and
  `summarize(facts) -> (tables, lines)`, the same for people: texts by row, and label, text, whether it warns;
- `statistics(values) -> facts`: plain values of parsed cells for people: `missing`, numbers, texts, `counts` of rows by
  value; `single` names those that are cells of a few rows, which no report stores;
- `classical(state) -> State`: how methods that are no networks read the same values; itself where there is no other;
- `notes(values, state, name) -> sentences`: what to say of training values as they are encoded;
- `agree(columns, table, kinds) -> columns`: settings of some columns by what others prove; `kinds` are those told;
- `zone(column, cfg) -> name`: the zone of raw cells, which parsed ones have not, None for none;
- `hint(column, cfg) -> text`: how cells look to be written of which some cannot be read;
- `ALIASES`, other names that recipes may have for it;
- `NAMED`, a pattern: a name of a column that speaks for this kind, where its cells may be of it;
- `PRIVATE = True`: no cell is shown as an example, since it may name a person;
- `FILE`, a `FileKind`: cells are files; and `bounded(state, largest)`, the state that refuses files of more units;
  `encode_bytes(bodies, state)`, as `encode`, of a few files in memory, None where one is of no use.

Arrays of kind `number` and of kind `category` are laid side by side into one input each; others stay apart.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from lamina.config import Config, MissingColumn, nearest
from lamina.plugins import plugin
from lamina.preprocess._cells import Cells
from lamina.preprocess._column_config import POLICIES, ColumnConfig, Policy
from lamina.preprocess._columns import UNUSED, module_of, parse_cells, parse_columns, parsers, settings
from lamina.preprocess._decimal_mark import by_mark, doubts, with_decimal
from lamina.preprocess._decimal_mark import of_table as decimal_mark
from lamina.preprocess._domain import Domain
from lamina.preprocess._file_kind import FileKind
from lamina.preprocess._inference import column as infer_column
from lamina.preprocess._inference import columns as infer_columns
from lamina.preprocess._inference import detect
from lamina.preprocess._number_text import Decimal
from lamina.preprocess._preprocessor import Broken, Preprocessor, fit, restore
from lamina.preprocess._reference import Reference
from lamina.schema import MISSING, Column, Schema, clean


def infer(
    table: pa.Table,
    target: str | None,
    kinds: Mapping[str, Config],
    missing: tuple[str, ...],
    decimal: Decimal | None = None,
) -> Schema:
    """Decide the kind of every column from the training rows; `kinds` that a recipe sets win over what cells say.

    `decimal`: the mark of the numbers in text, by all columns when None.
    """
    absent = [name for name in (*kinds, target) if name is not None and name not in table.column_names]
    if absent:
        raise MissingColumn(f"columns: the data has no column '{absent[0]}'. {nearest(absent[0], table.column_names)}")
    decimal = decimal or decimal_mark(table)[0]
    columns = infer_columns(table.drop_columns([target] if target else []), kinds, decimal)
    target_column = infer_column(table[target], target, kinds.get(target), decimal) if target else None
    return Schema(columns=columns, target=target_column, missing=missing)


def look(values: pa.Array, kind: str, decimal: Decimal | None = None) -> dict[str, Any]:
    """The settings that a kind finds out by looking at some cells, such as how times are written."""
    return detect(kind, values, decimal)[1]


def suits(values: pa.Array, kind: str, decimal: Decimal | None = None) -> float:
    """How well raw cells fit a kind, 0 to 1."""
    return detect(kind, values, decimal)[0] if len(values) else 0.0


def can_have_faults(column: Column) -> bool:
    """Whether cells of this kind can be there and yet be of no use, such as images that do not decode."""
    return column.kind not in UNUSED and "faults" in vars(module_of(column))


def faults(tables: Iterable[pa.Table], column: Column) -> Iterator[list[str | None]]:
    """Why each cell of a column cannot be used, table by table; what is needed to tell comes from the first."""
    (parser,) = parsers([column])
    state = None
    for table in tables:
        (values,) = parse_cells(table, [parser])
        state = state or parser.module.fit(values, parser.settings)
        yield parser.module.faults(values, state)


def survey(table: pa.Table, columns: tuple[Column, ...], labels: list[Any], parts: list[Any]) -> list[dict[str, Any]]:
    """What columns hold beyond their values, where their kind can tell; `labels` and `parts` may be empty."""
    tellers = [p for p in parsers(c for c in columns if c.kind not in UNUSED) if "survey" in vars(p.module)]
    cells = parse_cells(table, tellers)
    return [
        {"column": p.column.name, "kind": p.column.kind, **p.module.survey(values, p.settings, labels, parts)}
        for p, values in zip(tellers, cells, strict=True)
    ]


def statistics(table: pa.Table, schema: Schema, target: Column | None = None) -> list[dict[str, Any]]:
    """What the cells of raw columns are like, where their kind can tell; those of `target` last."""
    every = [*(c for c in schema.columns if target is None or c.name != target.name), *([target] if target else [])]
    table = clean(table, schema.missing, schema.literal)
    tellers = [p for p in parsers(c for c in every if c.kind not in UNUSED) if "statistics" in vars(p.module)]
    return [
        {
            "column": p.column.name,
            "kind": p.column.kind,
            "target": p.column is target,
            "rows": table.num_rows,
            "single": [],
            **p.module.statistics(values),
        }
        for p, values in zip(tellers, parse_cells(table, tellers), strict=True)
    ]


def summarize(facts: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """What `survey` gave of a column, for people: tables, and lines of label, text and whether it warns."""
    return plugin("preprocess", facts["kind"]).summarize(facts)


def file_columns(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Those whose cells are files, such as images."""
    return tuple(c for c in columns if c.kind not in UNUSED and "FILE" in vars(module_of(c)))


def cells_from_json(columns: tuple[Column, ...], cells: Mapping[str, list[Any]]) -> dict[str, pa.Array]:
    """What a kind's `parse` takes for the cells of those columns that JSON writes in its own way: base64, lists."""
    modules = {c.name: vars(module_of(c)) for c in columns if c.kind not in UNUSED and c.name in cells}
    return {name: module["from_json"](cells[name]) for name, module in modules.items() if "from_json" in module}


__all__ = [
    "MISSING",
    "POLICIES",
    "UNUSED",
    "Broken",
    "Cells",
    "ColumnConfig",
    "Decimal",
    "Domain",
    "FileKind",
    "Policy",
    "Preprocessor",
    "Reference",
    "by_mark",
    "can_have_faults",
    "cells_from_json",
    "decimal_mark",
    "doubts",
    "faults",
    "file_columns",
    "fit",
    "infer",
    "look",
    "parse_columns",
    "restore",
    "settings",
    "statistics",
    "suits",
    "summarize",
    "survey",
    "with_decimal",
]
