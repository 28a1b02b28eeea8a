"""A form with files (multipart/form-data) becomes rows: one for each picture, other columns from plain fields.

The body is in memory already, within its limit; it is taken apart by python-multipart without a file on disk.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lamina.config import LaminaError
from lamina.deploy.server.limits import Limits, RequestError, shown
from lamina.deploy.server.request_rows import Question, read_rows
from lamina.preprocess import Preprocessor

ROWS = "rows"
FIELDS = 1000  # plain fields in one form, beside its files
BROWSER = "Leave this header to your client, which knows the boundary."
HOW = "With curl: -F {}=@picture.jpg"
AS_FILE = ("image/", "application/octet-stream")


@dataclass
class Part:
    """One field of a form: a file, or plain text."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    name: str = ""
    filename: str | None = None

    @property
    def is_file(self) -> bool:
        kind = self.headers.get(b"content-type", b"").decode("latin-1").lower()
        return self.filename is not None or kind.startswith(AS_FILE)


def read(body: bytes | bytearray, kind: str, prep: Preprocessor, limits: Limits) -> Question:
    """The rows of a form. Raises `RequestError` with a sentence that names the field."""
    sent = [part for part in _parts(body, kind, limits) if part.filename != "" or part.body]
    text = next((part.name for part in sent if not part.is_file and part.name in {c.name for c in prep.files}), None)
    if text:
        raise RequestError(400, f"{_named(text)}: came as text, and is a file. {HOW.format(text)}")
    files = _files([part for part in sent if part.is_file], prep)
    count = len(next(iter(files.values())))
    if count > limits.rows:
        raise RequestError(413, f"form: has {count:,} files; at most {limits.rows:,} are taken. Send several requests.")
    fields: dict[str, list[Any]] = {}
    for part in sent:
        if not part.is_file:
            fields.setdefault(part.name, []).append(_text(part, limits))
    plain = _fields(fields, count, prep, limits)
    return Question(plain | files, count, True)


def _files(parts: Sequence[Part], prep: Preprocessor) -> dict[str, list[Any]]:
    """Bytes of the pictures by column, as many for each."""
    pictures, kinds = [column.name for column in prep.files], {column.name: column.kind for column in prep.used}
    found: dict[str, list[Any]] = {}
    for part in parts:
        if part.name in kinds and part.name not in pictures:
            told = f"is a column of kind {kinds[part.name]}, which takes a plain value and no file"
            raise RequestError(400, f"{_named(part.name)}: {told}. {HOW.format(pictures[0])}")
        found.setdefault(part.name, []).append(bytes(part.body))
    if not found:
        raise RequestError(400, f"form: holds no file. {HOW.format(pictures[0])}")
    strange = [name for name in found if name not in pictures]
    if strange and len(found) == len(pictures) == 1:
        return {pictures[0]: found[strange[0]]}  # there is nothing else it could be
    if strange:
        wanted = " and ".join(shown(name) for name in pictures)
        raise RequestError(400, f"{_named(strange[0])}: no picture goes by this name. Name the files {wanted}.")
    if len({len(cells) for cells in found.values()}) > 1:
        told = ", ".join(f"{shown(name)}: {len(cells)}" for name, cells in found.items())
        raise RequestError(400, f"form: must hold as many files for each column (got {told}). Send one for each row.")
    return found


def _fields(fields: dict[str, list[Any]], count: int, prep: Preprocessor, limits: Limits) -> dict[str, list[Any]]:
    """Plain columns: one value for all rows, or one for each; or all of them in the field `rows`, as JSON."""
    found: dict[str, list[Any]] = {}
    if ROWS in fields and ROWS not in {column.name for column in prep.used}:
        asked = read_rows("".join(fields.pop(ROWS)).encode(), limits)
        if asked.rows != count:
            raise RequestError(400, f"rows: are {asked.rows:,} for {count:,} files. Send one row for each file.")
        found = dict(asked.values)
    for name, values in fields.items():
        if len(values) not in (1, count):
            cure = "Send one for all rows, or one for each."
            raise RequestError(400, f"{_named(name)}: has {len(values):,} values for {count:,} files. {cure}")
        found[name] = values if len(values) == count else values * count
    if text := next((column.name for column in prep.files if column.name in found), None):
        raise RequestError(400, f"rows: hold {shown(text)}, which is a file of this form. Leave it out there.")
    return found


def _text(part: Part, limits: Limits) -> str:
    if len(part.body) > (limits.body if part.name == ROWS else 4 * limits.text):
        raise RequestError(413, f"{_named(part.name)}: has {len(part.body):,} bytes of text. Shorten it.")
    try:
        return part.body.decode()
    except UnicodeDecodeError as error:
        raise RequestError(400, f"{_named(part.name)}: is not UTF-8 (byte {error.start}). Send UTF-8.") from None


def _named(name: str) -> str:
    return f"form.{shown(name)[1:-1]}"


def _parts(body: bytes | bytearray, kind: str, limits: Limits) -> list[Part]:
    """All fields of a form, in order; no more than the limits allow are kept."""
    multipart = library()
    boundary = multipart.parse_options_header(kind)[1].get(b"boundary")
    if not boundary:
        raise RequestError(400, f"Content-Type: names no boundary. {BROWSER}")
    parts, ended = list[Part](), list[bool]()
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
        told = multipart.parse_options_header(parts[-1].headers.get(b"content-disposition", b""))[1]
        if b"name" not in told:
            raise RequestError(400, "form: has a field without a name. Write its Content-Disposition with name=...")
        parts[-1].name = told[b"name"].decode("utf-8", "replace")
        parts[-1].filename = told[b"filename"].decode("utf-8", "replace") if b"filename" in told else None

    calls = {
        "on_part_begin": begin,
        "on_part_data": lambda data, start, end: parts[-1].body.extend(data[start:end]),
        "on_header_field": lambda data, start, end: header.extend(data[start:end]),
        "on_header_value": lambda data, start, end: value.extend(data[start:end]),
        "on_header_end": header_end,
        "on_headers_finished": headers_finished,
        "on_end": lambda: ended.append(True),
    }
    try:
        multipart.MultipartParser(boundary, calls).write(bytes(body))
    except multipart.FormParserError as error:
        raise RequestError(400, f"form: is not multipart/form-data ({error}). {BROWSER}") from None
    if not ended:
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
