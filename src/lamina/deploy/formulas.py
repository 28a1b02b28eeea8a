"""Cells of CSV files that a spreadsheet would take for a formula and compute.

Such a cell begins with one of = + - @, a tab or a line break, and is no number. A name of a column can be one too.
https://owasp.org/www-community/attacks/CSV_Injection
"""

import pyarrow as pa
import pyarrow.compute as pc

FORMULA = r"(?s)^[=+\-@\t\r\n＝＋－＠]."  # full-width signs count in some locales
NUMBER = r"^[+-]?(\d+([.,]\d+)*[.,]?|[.,]\d+)([eE][+-]?\d+)?\s*%?$"
ESCAPE = "'"  # in front of a cell: what follows is text


class Formulas:
    """Counts such cells in tables on their way into a file; with `escape` it also makes them text."""

    def __init__(self, escape: bool = False):
        self.escape = escape
        self.counts = dict[str, int]()  # of cells, by column
        self.names = dict[str, None]()  # of columns, that are formulas themselves

    def __call__(self, table: pa.Table) -> pa.Table:
        """The table that is to be written: the same one, unless cells are to be text."""
        for i, field in enumerate(table.schema):
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
                table = table.set_column(i, field, self._cells(field.name, table.column(i)))
        self.names |= dict.fromkeys(name for name in table.column_names if _are_formulas(pa.array([name]))[0].as_py())
        if not (self.escape and self.names):
            return table
        return table.rename_columns([ESCAPE + name if name in self.names else name for name in table.column_names])

    def _cells(self, name: str, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        formulas = _are_formulas(cells)
        count = pc.sum(formulas).as_py() or 0
        self.counts[name] = self.counts.get(name, 0) + count
        if not (self.escape and count):
            return cells
        text = pc.binary_join_element_wise(pa.scalar(ESCAPE, cells.type), cells, pa.scalar("", cells.type))
        return pc.if_else(formulas, text, cells)

    def notes(self) -> list[str]:
        """Where there were some, and what was done or can be."""
        places = [f"{count:,} of '{name}'" for name, count in self.counts.items() if count]
        places += [f"the name of column '{name}'" for name in self.names]
        if not places:
            return []
        done = f"They have {ESCAPE} in front, so that a spreadsheet shows them as text."
        choice = f"They are as they were; --escape-formulas puts {ESCAPE} in front of them."
        what = "Cells that a spreadsheet would compute as formulas"
        return [f"{what}: {', '.join(places)}. {done if self.escape else choice}"]


def _are_formulas(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return pc.and_not(pc.match_substring_regex(cells, FORMULA), pc.match_substring_regex(cells, NUMBER))
