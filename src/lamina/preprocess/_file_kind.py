"""What there is to know of a kind whose cells are files, so that no server, command or report names the kind."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class FileKind:
    """The second half of a column kind's contract: how its files are called, sent, counted and bounded.

    `media`: media types of one such file, as a whole body or a part of a form (`image/*`). `file_name` and `suffixes`:
    a name for examples of commands, and the endings by which a folder is searched. `measure` counts `unit`s of one file
    by its header, before anything is decoded; a server takes `largest` of them in one file, `total` in one request.
    `sample` gives a tiny file, so that examples work as they stand.
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
