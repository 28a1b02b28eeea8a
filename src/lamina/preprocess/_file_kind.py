"""The second half of a column kind whose cells are files: what a server and a command line need to know of them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class FileKind:
    """One kind of files. A column kind of files has it as `FILE`.

    `media`: media types of one such file, as a body or a part of a form; `measure` counts `unit`s of a file by its
    header, before anything is decoded, of which a server takes `largest` in one file and `total` in one request.
    """

    noun: str
    plural: str
    media: tuple[str, ...]
    formats: str
    file_name: str
    suffixes: tuple[str, ...]
    unit: str
    largest: int
    total: int
    sample: Callable[[], bytes]
    measure: Callable[[bytes], int]
