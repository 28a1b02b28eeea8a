"""The files of a request: base64 in JSON becomes bytes, sizes are bounded, and what cannot be used is refused.

A file is never a path here, and nothing is decoded before its size is known.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lamina.deploy.server.content_types import a, file_kinds
from lamina.deploy.server.limits import Limits, RequestError, quoted
from lamina.deploy.server.request_rows import RequestRows
from lamina.preprocess import Broken, FileKind, Preprocessor, cells_from_json

DAMAGED = ("cut short", "cannot be decoded")  # of a file that is of its kind by its first bytes, and yet of no use
UNREADABLE = b"?"  # what a file kind gives for a cell that is no base64


class RequestFiles:
    """How the columns of files of a bundle are read out of requests, within limits."""

    def __init__(self, prep: Preprocessor, limits: Limits):
        self.prep, self.limits = prep, limits
        self.kinds: Mapping[str, FileKind] = file_kinds(prep)

    def from_base64(self, rows: RequestRows) -> RequestRows:
        """The same with the bytes of its files. Sizes are looked at before anything is decoded."""
        names = [name for name in self.kinds if name in rows.values] if self.kinds else ()
        if not names:
            return rows
        for name in names:
            for row, cell in enumerate(rows.values[name]):
                self._check_text(name, cell, rows, row)
        texts = {name: rows.values[name] for name in names}
        decoded = {name: cells.to_pylist() for name, cells in cells_from_json(self.prep.files, texts).items()}
        for name, cells in decoded.items():
            if UNREADABLE in cells:
                row = cells.index(UNREADABLE)
                got = quoted(rows.values[name][row])
                raise RequestError(400, f"{rows.place(name, row)}: is not base64 (got {got}). {self._base64(name)}")
        return replace(rows, values={**rows.values, **decoded})

    def _check_text(self, name: str, cell: Any, rows: RequestRows, row: int) -> None:
        if cell is None:
            return
        if not isinstance(cell, str):
            got = {list: "a list", dict: "an object"}.get(type(cell), quoted(cell))
            sentence = f"{rows.place(name, row)}: must be text in base64 (got {got}). {self._base64(name)}"
            raise RequestError(400, sentence)
        if len(cell) > self.limits.file * 3 // 2 + 1000:  # base64 with its line breaks
            raise self._too_large(name, rows.place(name, row))

    def check(self, rows: RequestRows) -> None:
        """Errors: RequestError for an empty file, one of too many bytes, or many of too many units together."""
        if not self.kinds:
            return
        units = Counter[str]()
        for name, kind in self.kinds.items():
            cells = rows.values.get(name, ())
            self._check_sizes(name, cells, rows)
            units[kind.unit] += self.prep.measure(name, cells) if rows.count > 1 else 0
            most = self.limits.request_units or kind.total
            if units[kind.unit] > most:
                many = f"the {kind.plural} of a request have {units[kind.unit]:,} {kind.unit}"
                raise RequestError(413, f"{many}; at most {most:,} are taken. Send several requests.")

    def _check_sizes(self, name: str, cells: Sequence[bytes | None], rows: RequestRows) -> None:
        for row, cell in enumerate(cells):
            if cell is not None and len(cell) > self.limits.file:
                raise self._too_large(name, rows.place(name, row))
            if cell == b"":
                cure = f"Send one that holds {a(self.kinds[name].noun)}."
                raise RequestError(400, f"{rows.place(name, row)}: the file is empty. {cure}")

    def refusal(self, rows: RequestRows, broken: Broken) -> RequestError:
        """Why a cell cannot be used: 413 for too many units, 400 for a damaged file, 415 for one of no such kind."""
        place = f"{rows.place(broken.column, broken.row)}: {broken.reason}"
        kind = self.kinds.get(broken.column)
        if kind is None:
            return RequestError(400, f"{place}. Send a list of numbers; null stands for a gap.")
        if kind.unit in broken.reason:
            return RequestError(413, f"{place}. Send a smaller one.")
        if any(word in broken.reason for word in DAMAGED):
            return RequestError(400, f"{place}. Send the whole file.")
        return RequestError(415, f"{place}. Send {a(kind.formats)} file.")

    def _too_large(self, name: str, place: str) -> RequestError:
        cure = f"Send a smaller {self.kinds[name].noun}."
        return RequestError(413, f"{place}: is larger than {self.limits.file:,} bytes. {cure}")

    def _base64(self, name: str) -> str:
        return f"Send the bytes of {a(self.kinds[name].noun)} in base64; null means missing."
