"""Whether commas or points stand before decimals: one convention for a table, since one hand wrote it.

`1,5` in one column says what `1,234` means in all others. A column that proves the other mark keeps its own.
"""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import as_override
from lamina.preprocess import _number_text as text
from lamina.preprocess._number_notes import listed, says_missing
from lamina.preprocess._number_text import BLANKS, GAP, Decimal
from lamina.schema import Collected, Schema, clean, null_if_missing

SAMPLED = 1000
ENOUGH = 0.95


def _only_by(mark: str, other: str) -> str:
    """A pattern of what a number can hold only where `mark` is the decimal mark."""
    forms = (
        rf"\d+{mark}(?:\d{{1,2}}|\d{{4,}})",  # 1,5
        rf"(?:0\d*|\d{{4,}}){mark}\d+",  # 0,125
        rf"{mark}\d+",
        rf"[1-9]\d{{0,2}}(?:{other}\d{{3}})+{mark}\d+",  # 1.234,5
        rf"[1-9]\d{{0,2}}(?:{other}\d{{3}}){{2,}}",  # 1.234.567
        rf"[1-9]\d{{0,2}}(?:{GAP}\d{{3}})+{mark}\d+",  # 2 671,90
    )
    return rf"(?:^|[^\d.,])(?:{'|'.join(forms)})(?:$|[^\d.,])"


PROOFS: dict[Decimal, str] = {",": _only_by(",", r"\."), ".": _only_by(r"\.", ",")}
UNDECIDED = rf"(?:^|[^\d.,'’{BLANKS}])[1-9]\d{{0,2}},\d{{3}}(?:$|[^\d.,])"  # 1,234


def of_column(column: pa.Array, usual: Decimal | None) -> Decimal:
    """The mark that the cells of a column of numbers prove, else the usual one."""
    return _proof(column) or usual or "."


def _proof(column: pa.Array) -> Decimal | None:
    """The one mark that some cell needs; of most columns a sample tells."""
    for cells in (text.sample(column, SAMPLED), column):
        comma, point = (_matches(cells, PROOFS[mark]) for mark in (",", "."))
        if comma != point:
            return "," if comma else "."
        if not any(pc.any(pc.match_substring(column, mark)).as_py() for mark in ",."):
            return None
    return None


def with_decimal(collected: Collected) -> Collected:
    """The same with the mark of its numbers in text, as its source says, else by its cells; and a note where that
    needs one.
    """
    if collected.decimal is not None:
        return collected
    mark, note = of_table(collected.table, collected.delimiter)
    return replace(collected, decimal=mark, notes=(*collected.notes, *([note] if note else [])))


def of_table(table: pa.Table, delimiter: str = "") -> tuple[Decimal, str]:
    """The mark of a table, and what to say of it: what the most columns of numbers prove. Where none does, commas stand
    before thousands, but in a file with semicolons between its cells, which are there since commas are not free.
    """
    texts = {name: _texts(table[name]) for name in table.column_names}
    columns = {name: cells for name, cells in texts.items() if cells is not None and _has_numbers(cells)}
    if not any(pc.any(pc.match_substring(cells, ",")).as_py() or _has_groups(cells) for cells in columns.values()):
        return ".", ""
    proofs = {name: _proof(cells) for name, cells in columns.items()}
    commas, points = ([name for name, proof in proofs.items() if proof == mark] for mark in (",", "."))
    if commas and points:
        mark: Decimal = "," if len(commas) > len(points) else "."
        both = f"{listed(commas)} with decimal commas and {listed(points)} with decimal points"
        return mark, f"Numbers are written in two ways, {both}. {_cure(mark, delimiter)}"
    if commas:
        return ",", f"Numbers are read with decimal commas, as {listed(commas)} shows. {_cure(',', delimiter)}"
    undecided = [name for name, cells in columns.items() if _matches(cells, UNDECIDED)]
    if points or not undecided:
        return ".", ""
    mark = "," if delimiter == ";" else "."
    why = "decimals, since semicolons stand between cells" if mark == "," else "thousands"
    return (
        mark,
        f"Commas in {listed(undecided)} can mean thousands or decimals; read as {why}. {_cure(mark, delimiter)}",
    )


def _cure(mark: Decimal, delimiter: str) -> str:
    place = ("data", "decimal") if delimiter else ("columns", "NAME", "decimal")
    return f"To say otherwise: {as_override(place, '.' if mark == ',' else ',')}"


def _texts(column: pa.ChunkedArray) -> pa.Array | None:
    """The cells of a column of texts, however they are stored."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string()).combine_chunks().drop_null()
    return None


def _has_numbers(cells: pa.Array) -> bool:
    """Whether nearly all of some cells are numbers by any mark."""
    some = null_if_missing(text.sample(cells, SAMPLED)).drop_null()
    return text.share(some.filter(pc.invert(says_missing(some)))) >= ENOUGH


def _has_groups(cells: pa.Array) -> bool:
    """Whether some cells have more than one point, as 1.234.567."""
    return _matches(text.sample(cells, SAMPLED), r"\.\d+\.")


def _matches(cells: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(cells, pattern)).as_py())


def by_mark(table: pa.Table, schema: Schema, decimal: Decimal | None) -> pa.Table:
    """Raw rows, with the numbers of a file that is said to have another decimal mark than there was in training."""
    if decimal is None:
        return table
    for column in (*schema.columns, *([schema.target] if schema.target else [])):
        if column.kind != "number" or column.name not in table.column_names:
            continue
        if (column.settings.get("decimal") or ".") != decimal and pa.types.is_string(table[column.name].type):
            cells = clean(table.select([column.name]), schema.missing)[column.name].combine_chunks()
            numbers = text.to_floats(cells, decimal, column.settings.get("units") or {})
            table = table.set_column(table.column_names.index(column.name), column.name, numbers)
    return table


def doubts(table: pa.Table, schema: Schema) -> list[str]:
    """What to say of raw rows whose numbers show another decimal mark than there was in training."""
    notes = []
    for mark, name in ((",", "commas"), (".", "points")):
        usual = {c.name: c.settings.get("decimal") or "." for c in schema.columns if c.kind == "number"}
        others = [c for c in table.column_names if usual.get(c, mark) != mark and pa.types.is_string(table[c].type)]
        names = [c for c in others if _proof(table[c].combine_chunks().drop_null()) == mark]
        if names:
            how = as_override(("data", "decimal"), mark)
            notes.append(
                f"Numbers in {listed(names)} have decimal {name} here, and had others in training. To read: {how}"
            )
    return notes
