"""Tables in files: CSV, TSV, JSON, JSON lines, Parquet, Arrow IPC (Feather) and spreadsheets, one or many.

Cells of delimited text stay text: what a column is, and which texts mean missing, is decided later and once.
"""

import difflib
import glob
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BeforeValidator, Field

from lamina.config import Config as Settings
from lamina.config import DataError, RecipeError, as_text, nearest
from lamina.data import _image_cells as _images
from lamina.data import _series_cells as _series
from lamina.data._formats import columnar as _columnar
from lamina.data._formats import delimited as _delimited
from lamina.data._formats import json_documents, workbook
from lamina.data._formats.delimited_layout import layout
from lamina.data._formats.options import Options
from lamina.data._formats.pieces import TableFile, common_schema, conform
from lamina.data._formats.text import COMPRESSED, readable
from lamina.schema import Collected, SkippedRow, text_columns

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "feather", "excel"]

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
    ".arrows": "feather",
    ".ipc": "feather",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xlsb": "excel",
    ".xls": "excel",
    ".ods": "excel",
}
USED_BY: dict[str, tuple[Format, ...]] = {
    "delimiter": ("csv", "tsv"),
    "header": ("csv", "tsv", "excel", "json"),
    "names": ("csv", "tsv", "excel", "json"),
    "skip": ("csv", "tsv", "excel"),
    "footer": ("csv", "tsv", "excel"),
    "comment": ("csv", "tsv"),
    "sheet": ("excel",),
}


def _tab(value: Any) -> Any:
    """A tab as it is typed."""
    return "\t" if value == "\\t" else value


class Reading(Settings):
    """Which files hold a table, and how they are read."""

    path: str | tuple[str, ...] = Field(description="A file, a pattern such as data/*.csv, or a list of these.")
    test: str | tuple[str, ...] | None = Field(default=None, description="A separate test file, pattern or list.")
    format: Literal["auto"] | Format = Field(default="auto", description="Found from name and content when auto.")
    delimiter: Annotated[str, Field(pattern=r'^[^"\r\n]$'), BeforeValidator(_tab)] | None = Field(
        default=None, description="One character; ' ' for any number of blanks."
    )
    header: bool | None = Field(
        default=None, description="Whether the first row names the columns; found out when unset."
    )
    names: tuple[Annotated[str, BeforeValidator(as_text)], ...] | None = Field(
        default=None, description="Names of the columns of a file without a header."
    )
    skip: int | None = Field(
        default=None, ge=0, description="Lines above the table that are no rows of it; found out when unset."
    )
    footer: int = Field(default=0, ge=0, description="Lines at the end that are no rows, such as totals.")
    comment: str | None = Field(default=None, min_length=1, description="What lines that are no rows begin with.")
    encoding: str = Field(default="auto", description="auto, or a text encoding such as utf-8 or cp1252.")
    sheet: Annotated[str | None, BeforeValidator(as_text)] = Field(
        default=None, description="Name of the sheet of a workbook; the first when unset."
    )
    decimal: Literal[".", ","] | None = Field(
        default=None, description="Decimal mark of numbers in text; found out when unset."
    )


FEW = 5  # names of a folder that are listed


class Config(Reading):
    """Which files hold the table. What is not set is found out from the files."""

    kind: Literal["files"] = "files"
    series: dict[str, str] | None = Field(
        default=None, description="Columns that are the steps of one series: a name for it, and a pattern such as t*."
    )


class Expectation(Config):
    """The same, and names of columns that are looked for in the files; they are no setting of a recipe."""

    expect: tuple[str, ...] = Field(default=(), exclude=True)


def expecting(cfg: Config, names: Iterable[str]) -> Config:
    """The settings with names of columns that say which row is the header, where it is to be found out."""
    return Expectation.model_validate({**dict(cfg), "expect": tuple(names)})


def load(cfg: Config) -> Collected:
    """Read all files into one table, files in sorted order, rows in file order.

    Rows that cannot be used are in `skipped_rows` with file, line and reason: rows in = rows out + skipped rows.
    Errors: DataError when a file is missing, unreadable, or there is no usable row.
    """
    with ExitStack() as stack:
        files = _open_all(cfg, stack, whole=True)
        schema, notes = common_schema(files)
        pieces = [piece for one in files for piece in one.read(None)]
        tables = [conform(piece.table, schema) for piece in pieces]
    bad = tuple(row for piece in pieces for row in piece.skipped_rows)
    table = pa.concat_tables([schema.empty_table(), *tables])
    _refuse_nothing(files, table.num_rows, bad)
    all_notes = (*(note for one in (*files, *pieces) for note in one.notes), *notes)
    if cfg.series is None:
        all_notes = (*all_notes, *_series.hint(table.column_names))
    return Collected(
        _series.group_columns(table, cfg.series or {}),
        bad,
        all_notes,
        literal=text_columns(table) if all(one.has_types for one in files) else (),
        decimal=cfg.decimal,
        delimiter=files[0].delimiter,
    )


def stream(cfg: Config, rows: int = 65_536) -> Iterator[Collected]:
    """The rows of `load` in pieces of at most `rows`, in constant memory; notes come with the first piece.

    Workbooks and JSON documents are read whole; delimited text and JSON lines are read twice, because one
    bad quote or one odd type further down would change what came before.
    """
    with ExitStack() as stack:
        files = _open_all(cfg, stack, whole=False)
        schema, more = common_schema(files)
        notes = (*(note for one in files for note in one.notes), *more)
        good, last = 0, ()
        for one in files:
            for piece in one.read(rows):
                good, last = good + piece.table.num_rows, piece.skipped_rows or last
                if piece.table.num_rows or piece.skipped_rows:
                    table = _series.group_columns(conform(piece.table, schema), cfg.series or {})
                    yield Collected(table, piece.skipped_rows, (*notes, *piece.notes), decimal=cfg.decimal)
                    notes = ()
        _refuse_nothing(files, good, last)


def source_line(cfg: Config, row_numbers: Sequence[int]) -> list[tuple[str, int | None]]:
    """File and line, from 1, of rows of the loaded table given by their index, from 0. Reads the files again.

    The line is where the record begins. Parquet and Arrow IPC give the row number in the file, workbooks the
    row of the sheet, and JSON documents other than arrays the row number.
    """
    numbers = sorted(set(row_numbers))
    places: dict[int, tuple[str, int | None]] = {}
    with ExitStack() as stack:
        rows = ((str(one.file), line) for one in _open_all(cfg, stack, whole=False) for line in one.lines())
        for index, place in enumerate(rows):
            if len(places) == len(numbers):
                break
            if index == numbers[len(places)]:
                places[index] = place
    assert len(places) == len(numbers), f"row {numbers[len(places)]} is not in the table"
    return [places[index] for index in row_numbers]


def paths(path: str | tuple[str, ...]) -> list[Path]:
    """The files a path, a pattern or a list of these stands for, sorted, each once.

    Errors: DataError for a missing file, a directory, or a pattern that nothing matches.
    """
    files: set[Path] = set()
    for name in (path,) if isinstance(path, str) else path:
        one = Path(name).expanduser()
        if one.is_dir():
            raise DataError(f"{name}: is a directory. Name a file in it, or a pattern such as {one / '*.csv'}.")
        if one.exists():
            files.add(one)
        elif matches := [Path(m) for m in glob.glob(str(one), recursive=True) if Path(m).is_file()]:
            files.update(matches)
        elif glob.has_magic(name):
            raise DataError(f"{name}: no file matches this pattern. Check it from the folder {Path.cwd()}.")
        else:
            near = [other.name for other in one.parent.iterdir()] if one.parent.is_dir() else []
            few = difflib.get_close_matches(one.name, near, n=FEW, cutoff=0.0)
            cure = nearest(one.name, few) if few else f"Looked in {one.parent.absolute()}."
            raise DataError(f"{name}: there is no such file. {cure}")
    if not files:
        raise DataError("data.path: names no file. Give a file or a pattern such as data/*.csv.")
    return sorted(files)


def format_of(file: Path) -> Format:
    """The format told by the first bytes, else by the name, else delimited text."""
    try:
        with file.open("rb") as stream:
            head = stream.read(1024)
    except OSError as error:
        raise DataError(f"{file}: cannot be opened ({error.strerror}). Check its permissions.") from None
    suffix = file.suffix.lower()
    if suffix in COMPRESSED:
        return SUFFIXES.get(file.with_suffix("").suffix.lower(), "csv")
    if head.startswith((b"PAR1", b"ARROW1")):
        return "parquet" if head.startswith(b"PAR1") else "feather"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ")):
        raise DataError(f"{file}: is compressed. End its name in {', '.join(COMPRESSED)}, or unpack it.")
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")) and SUFFIXES.get(suffix) != "excel":
        raise DataError(f"{file}: is an archive or a workbook. Unpack it, or set format: excel.")
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{file}: is no format that can be read. Give one of {', '.join(SUFFIXES)}, or set format.")
    return "csv"


def _open_all(cfg: Config, stack: ExitStack, whole: bool) -> list[TableFile]:
    files: list[tuple[Path, Format]] = []
    for file in paths(cfg.path):
        files.append((file, format_of(file) if cfg.format == "auto" else cfg.format))
    formats = {form for _, form in files}
    faults = [
        f"data.{setting}: is of no use for {', '.join(sorted(formats))} files. Leave it out."
        for setting, used in USED_BY.items()
        if cfg.model_dump()[setting] not in (None, 0) and not formats & set(used)
    ]
    if faults:
        raise RecipeError(faults)
    return [_images.with_local_paths(_open(cfg, file, form, stack, whole)) for file, form in files]


def _open(cfg: Config, file: Path, form: Format, stack: ExitStack, whole: bool) -> TableFile:
    options = _options(cfg, form)
    match form:
        case "parquet":
            return _columnar.parquet(file, stack)
        case "feather":
            return _columnar.feather(file, stack)
        case "excel":
            return workbook.excel(file, options)
    text = readable(file, cfg.encoding, stack)
    match form:
        case "json":
            return json_documents.document(text, whole, options)
        case "jsonl":
            return json_documents.json_lines(text, whole)
    return _delimited.open_file(layout(text, options, stack))


def _options(cfg: Config, form: Format) -> Options:
    delimiter = cfg.delimiter or ("\t" if form == "tsv" else None)
    expect = cfg.expect if isinstance(cfg, Expectation) else ()
    return Options(delimiter, cfg.header, cfg.names, cfg.skip, cfg.footer, cfg.comment, cfg.sheet, cfg.decimal, expect)


def _refuse_nothing(files: list[TableFile], good: int, bad: tuple[SkippedRow, ...]) -> None:
    if good:
        return
    name = str(files[0].file) if len(files) == 1 else f"{files[0].file} and {len(files) - 1} more"
    if bad:
        last = bad[-1]
        raise DataError(
            f"{name}: no row can be used (line {last.line}: {last.reason}). "
            "Check that delimiter, header and encoding are set right, or mend the rows."
        )
    what = "has column names and no rows" if any(one.schema.names for one in files) else "is empty"
    notes = (note for one in files for note in one.notes)
    raise DataError(" ".join([f"{name}: {what}. Give a file with at least one row.", *notes]))
