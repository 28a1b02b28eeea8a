"""What a body may be, by its `Content-Type`: JSON, CSV, a form with files, or one file as it is."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lamina.deploy.server.limits import RequestError, quoted
from lamina.deploy.server.request_rows import RequestRows
from lamina.preprocess import FileKind, Preprocessor
from lamina.task import CSV, JSON, Operation

FORM, BYTES = "multipart/form-data", "application/octet-stream"
NAMES = {CSV: "CSV"}
PLAIN = ("", "identity")  # encodings of a body
PLACEHOLDER = "\0"  # where a sentence holds what was sent


class Reply(NamedTuple):
    """The bytes of an answer, how many rows it has, and headers that go with it."""

    body: bytes
    rows: int
    headers: Mapping[str, str] = {}


Write = Callable[..., Reply]  # of answers as plain values of JSON, notes, and warnings where there are some


class Message(NamedTuple):
    """What a body asks: its rows, and how the answers to them are written."""

    rows: RequestRows
    write: Write


@dataclass(slots=True, eq=False)
class Body:
    """A body as it came, the `Content-Type` and settings of the URL it came with, and how another protocol reads it."""

    content: bytes | bytearray
    content_type: str = JSON
    query: str = ""
    read: "Callable[[Body], Message] | None" = None

    def __len__(self) -> int:
        return len(self.content)


def check_encoding(encoding: str) -> None:
    """Errors: RequestError where a body is compressed."""
    if encoding.strip().lower() not in PLAIN:
        cure = "Send the body uncompressed."
        raise RequestError(415, f"Content-Encoding: must be none (got {quoted(encoding)}). {cure}")


def media_type(content_type: str) -> str:
    """`text/csv` of `Text/CSV; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()


def matches(media: str, patterns: Iterable[str]) -> bool:
    """Whether a media type is one of those, of which some may be families: `image/*`."""
    return any(media.startswith(p[:-1]) if p.endswith("/*") else media == p for p in patterns)


def a(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def file_kinds(prep: Preprocessor) -> dict[str, FileKind]:
    """What the files of each column of files are."""
    return {column.name: prep.file_kind(column.name) for column in prep.files}


def is_single_file(prep: Preprocessor) -> bool:
    """Whether a file is all that a row holds, so that it may be the whole body."""
    return len(prep.files) == len(prep.columns) == 1


def own_types(operation: Operation, prep: Preprocessor) -> tuple[str, ...]:
    """What an operation takes beside JSON and files: no CSV where a column is files, which no text can hold."""
    return tuple(media for media in operation.takes if media != CSV or not prep.files)


class ContentTypes:
    """The content types that an operation takes from clients of a bundle."""

    def __init__(self, operation: Operation, prep: Preprocessor):
        kinds: Mapping[str, FileKind] = {} if operation.rows == "none" else file_kinds(prep)
        single = bool(kinds) and is_single_file(prep)
        whole = next(iter(kinds.values())).media if single else ()
        takes = own_types(operation, prep)
        self._takes = (JSON, *takes, *([FORM] if kinds else []), *whole, *([BYTES] if single else []))
        self._sentence = _file_sentence(kinds, single) if kinds else _plain_sentence(takes)

    def check(self, content_type: str) -> None:
        """Errors: RequestError for one that is not taken, before the body is read."""
        if content_type != JSON and not matches(media_type(content_type), self._takes):
            raise RequestError(415, self._sentence.replace(PLACEHOLDER, quoted(content_type)))


def _plain_sentence(takes: tuple[str, ...]) -> str:
    cure = "Send JSON with the header Content-Type: application/json."
    if takes:
        others = " or ".join(f"{NAMES.get(media, media)} with Content-Type: {media}" for media in takes)
        cure = f"Send JSON with that header, or {others}."
    return f"Content-Type: must be {JSON} (got {PLACEHOLDER}). {cure}"


def _file_sentence(kinds: Mapping[str, FileKind], single: bool) -> str:
    name, kind = next(iter(kinds.items()))
    choices = f"{JSON}, {FORM}, or {' or '.join(kind.media)} for one {kind.noun}" if single else f"{JSON} or {FORM}"
    cure = f"Send a file with: curl -F {name}=@{kind.file_name}"
    return f"Content-Type: must be {choices} (got {PLACEHOLDER}). {cure}."
