"""What a person said of the layout of a file, and which names are to be looked for in it."""

from typing import Literal, NamedTuple


class Options(NamedTuple):
    """Settings of `lamina.data.files.Config` that several formats share; `expect` are names of columns to look for."""

    delimiter: str | None = None
    header: bool | None = None
    names: tuple[str, ...] | None = None
    skip: int | None = None
    footer: int = 0
    comment: str | None = None
    sheet: str | None = None
    decimal: Literal[".", ","] | None = None
    expect: tuple[str, ...] = ()
