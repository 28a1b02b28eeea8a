"""A form with files (multipart/form-data) becomes rows: one for each file, other columns from plain fields.

The body is in memory already, within its limit; it is taken apart by python-multipart without a file on disk.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lamina.config import LaminaError
from lamina.deploy.server.content_types import BYTES, file_kinds, matches, media_type
from lamina.deploy.server.limits import Limits, RequestError, bare, quoted
from lamina.deploy.server.request_rows import ROWS, RequestRows, RowReader, check_plain
from lamina.preprocess import FileKind, Preprocessor

FIELDS = 1000  # plain fields in one form, beside its files
CURE = "Leave this header to your client, which knows the boundary."


@dataclass
class Part:
    """One field of a form: a file, or plain text."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    name: str = ""
    filename: str | None = None

    @property
    def media(self) -> str:
        return media_type(self.headers.get(b"content-type", b"").decode("latin-1"))


class FormReader:
    """How forms become rows of a bundle. `settings` are plain fields that are no columns."""

    def __init__(self, prep: Preprocessor, rows: RowReader, settings: Sequence[str] = ()):
        self.rows, self.limits = rows, rows.limits
        self.kinds: Mapping[str, FileKind] = file_kinds(prep)
        self.columns = {column.name: column.kind for column in prep.columns}
        self.settings = set(settings) - self.columns.keys()
        self._media = {media for kind in self.kinds.values() for media in kind.media} | {BYTES}

    def read(self, body: bytes | bytearray, content_type: str) -> RequestRows:
        """The rows of a form. Errors: RequestError with a sentence that names the field."""
        parts = [part for part in split(body, content_type, self.limits) if part.filename != "" or part.body]
        files = [part for part in parts if self._is_file(part)]
        plain = [part for part in parts if not self._is_file(part)]
        if name := next((part.name for part in plain if part.name in self.kinds), None):
            raise RequestError(400, f"{_place(name)}: came as text, and is a file. {self._curl(name)}")
        columns = self._files(files)
        count = len(next(iter(columns.values())))
        if count > self.rows.most:
            most = f"at most {self.rows.most:,} are taken"
            raise RequestError(413, f"form: has {count:,} files; {most}. Send several requests.")
        fields: dict[str, list[Any]] = {}
        for part in plain:
            fields.setdefault(part.name, []).append(self._text(part))
        settings = {name: fields.pop(name)[-1] for name in self.settings & fields.keys()}
        values, unknown = self._fields(fields, count)
        return RequestRows(values | columns, count, unknown=unknown, settings=settings)

    def _is_file(self, part: Part) -> bool:
        return part.filename is not None or matches(part.media, self._media)

    def _files(self, parts: Sequence[Part]) -> dict[str, list[Any]]:
        """Bytes of the files by column, as many for each."""
        first, columns = next(iter(self.kinds)), dict[str, list[Any]]()
        for part in parts:
            if part.name in self.columns and part.name not in self.kinds:
                fault = f"is a column of kind {self.columns[part.name]}, which takes a plain value and no file"
                raise RequestError(400, f"{_place(part.name)}: {fault}. {self._curl(first)}")
            columns.setdefault(part.name, []).append(bytes(part.body))
        if not columns:
            raise RequestError(400, f"form: holds no file. {self._curl(first)}")
        unknown = [name for name in columns if name not in self.kinds]
        if unknown and len(columns) == len(self.kinds) == 1:
            return {first: columns[unknown[0]]}  # there is nothing else it could be
        if unknown:
            nouns = {kind.noun for kind in self.kinds.values()}
            fault = f"no {nouns.pop() if len(nouns) == 1 else 'file'} goes by this name"
            names = " and ".join(quoted(name) for name in self.kinds)
            raise RequestError(400, f"{_place(unknown[0])}: {fault}. Name the files {names}.")
        if len({len(cells) for cells in columns.values()}) > 1:
            got = ", ".join(f"{quoted(name)}: {len(cells)}" for name, cells in columns.items())
            fault = f"form: must hold as many files for each column (got {got})"
            raise RequestError(400, f"{fault}. Send one for each row.")
        return columns

    def _fields(self, fields: dict[str, list[Any]], count: int) -> tuple[dict[str, list[Any]], tuple[str, ...]]:
        """Plain columns: one value for all rows, or one for each; or all of them in the field `rows`, as JSON. And the
        names that are no columns.
        """
        columns, unknown = dict[str, list[Any]](), list[str]()
        if ROWS in fields and ROWS not in self.columns:
            rows = self.rows.from_form_field("".join(fields.pop(ROWS)).encode())
            if rows.count != count:
                raise RequestError(400, f"rows: are {rows.count:,} for {count:,} files. Send one row for each file.")
            columns, unknown = dict(rows.values), list(rows.unknown)
        for name, values in fields.items():
            if len(values) not in (1, count):
                cure = "Send one for all rows, or one for each."
                raise RequestError(400, f"{_place(name)}: has {len(values):,} values for {count:,} files. {cure}")
            if name in self.columns:
                columns[name] = values if len(values) == count else values * count
            else:
                check_plain(name, values, self.limits)
                unknown.append(name)
        if name := next((name for name in self.kinds if name in columns), None):
            raise RequestError(400, f"rows: hold {quoted(name)}, which is a file of this form. Leave it out there.")
        return columns, tuple(unknown)

    def _text(self, part: Part) -> str:
        if len(part.body) > (self.limits.body if part.name == ROWS else 4 * self.limits.text):
            raise RequestError(413, f"{_place(part.name)}: has {len(part.body):,} bytes of text. Shorten it.")
        try:
            return part.body.decode()
        except UnicodeDecodeError as error:
            raise RequestError(400, f"{_place(part.name)}: is not UTF-8 (byte {error.start}). Send UTF-8.") from None

    def _curl(self, name: str) -> str:
        return f"With curl: -F {name}=@{self.kinds[name].file_name}"


def _place(name: str) -> str:
    return f"form.{bare(name)}"


def split(body: bytes | bytearray, content_type: str, limits: Limits) -> list[Part]:
    """All fields of a form, in order; no more than the limits allow are kept."""
    multipart = library()
    boundary = multipart.parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise RequestError(400, f"Content-Type: names no boundary. {CURE}")
    parts, ends = list[Part](), list[bool]()
    header, value = bytearray(), bytearray()

    def begin() -> None:
        if len(parts) >= limits.rows + FIELDS:
            raise RequestError(413, f"form: has more than {limits.rows + FIELDS:,} fields. Send several requests.")
        parts.append(Part())

    def header_end() -> None:
        parts[-1].headers[bytes(header).lower()] = bytes(value)
        header.clear()
        value.clear()

    def headers_finished() -> None:
        options = multipart.parse_options_header(parts[-1].headers.get(b"content-disposition", b""))[1]
        if b"name" not in options:
            raise RequestError(400, "form: has a field without a name. Write its Content-Disposition with name=...")
        parts[-1].name = options[b"name"].decode("utf-8", "replace")
        parts[-1].filename = options[b"filename"].decode("utf-8", "replace") if b"filename" in options else None

    calls = {
        "on_part_begin": begin,
        "on_part_data": lambda data, start, end: parts[-1].body.extend(data[start:end]),
        "on_header_field": lambda data, start, end: header.extend(data[start:end]),
        "on_header_value": lambda data, start, end: value.extend(data[start:end]),
        "on_header_end": header_end,
        "on_headers_finished": headers_finished,
        "on_end": lambda: ends.append(True),
    }
    try:
        multipart.MultipartParser(boundary, calls).write(bytes(body))
    except multipart.FormParserError as error:
        raise RequestError(400, f"form: is not multipart/form-data ({error}). {CURE}") from None
    if not ends:
        raise RequestError(400, "form: ends before its last boundary. Send the whole body, with the boundary named.")
    return parts


def library() -> Any:
    """python-multipart, or a sentence on how to get it."""
    try:
        from python_multipart import multipart
    except ImportError:
        raise LaminaError("serve: python-multipart is not installed. Install it: pip install 'lamina[serve]'") from None
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # what a client sent wrong is told to the client
    return multipart
