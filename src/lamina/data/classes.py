"""Classes named one by one: each is a folder of images, a zip, a pattern, a file, or several of these.

Gives the columns of what stands there, and `label`, the name of the class. Whatever folders stand inside the folder of
a class, all images there are of that class; train, validation and test folders count where every class has them.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
from pydantic import Field

from lamina import config, data
from lamina.config import DataError, parse
from lamina.data import _locator, folders
from lamina.plugins import kind, plugin
from lamina.schema import FILE_CELL, Collected

LABEL, PART = "label", "part"
LOSSY = (".jpg", ".jpeg", ".jfif", ".webp", ".avif", ".jp2")
FILES = (pa.string(), pa.large_binary(), FILE_CELL)  # how an image may be written


class Config(config.Config):
    """What is of each class."""

    kind: Literal["classes"] = "classes"
    classes: dict[str, str | tuple[str, ...]] = Field(
        min_length=1,
        description="For each class its folder, zip, pattern or file, or a list of these.",
    )
    test: str | None = Field(default=None, description="Separate test data: a folder of class folders, or a table.")


class Piece(NamedTuple):
    """What one path gave, all of one class."""

    name: str
    path: str
    source: config.Config
    rows: Collected


def load(cfg: Config) -> Collected:
    """The rows of all classes, class after class.

    Errors: DataError where a class has nothing, two share a file, or their columns are not the same sort of thing.
    """
    pieces = [_piece(name, path) for name, path in _locator.each(cfg.classes)]
    _refuse_shared(pieces)
    parted_pieces = [piece for piece in pieces if _knows_parts(piece)]
    parted = len(parted_pieces) == len(pieces)
    tables = [_labelled(piece, parted) for piece in pieces]
    notes = [note for piece in pieces for note in piece.rows.notes]
    if parted_pieces and not parted:
        name = next(piece.name for piece in pieces if not _knows_parts(piece))
        notes.append(
            f"The parts that {parted_pieces[0].path} knows are not used, since '{name}' has none: rows are drawn."
        )
    notes += _by_compression(pieces)
    return Collected(
        _joined(pieces, tables, notes),
        tuple(bad for piece in pieces for bad in piece.rows.skipped_rows),
        tuple(dict.fromkeys(notes)),
        PART if parted else None,
        LABEL,
        tuple(dict.fromkeys(name for piece in pieces for name in piece.rows.metadata)),
        "classification",
        tuple(dict.fromkeys([LABEL, *(name for piece in pieces for name in piece.rows.literal)])),
    )


def source_line(cfg: Config, row_numbers: Sequence[int]) -> list[tuple[str, int | None]]:
    """File and line of rows of the loaded table, by the sources they came from."""
    numbers, places, first = sorted(set(row_numbers)), dict[int, tuple[str, int | None]](), 0
    for name, path in _locator.each(cfg.classes):
        piece = _piece(name, path)
        mine = [row for row in numbers if first <= row < first + piece.rows.table.num_rows]
        module, own = plugin("data", kind(piece.source)), [row - first for row in mine]
        has_lines = mine and "source_line" in vars(module)
        spots = module.source_line(piece.source, own) if has_lines else [(path, row + 1) for row in own]
        places |= dict(zip(mine, spots, strict=True))
        first += piece.rows.table.num_rows
    return [places[row] for row in row_numbers]


def _piece(name: str, path: str) -> Piece:
    """What stands at a path, without what its own folders or labels say of a class."""
    values = _locator.settings(path)
    if values["kind"] == "files" and Path(path).is_dir():  # empty, or it would be claimed
        values["kind"] = "folders"
    if values["kind"] in ("folders", "texts", "video"):
        values["label"] = "none"
    if values["kind"] == "texts" and Path(path).is_file():
        values["documents"] = "line"
    faults = list[str]()
    source = parse(plugin("data", values["kind"]).Config, values, f"data.classes.{name}", faults)
    if source is None:
        raise config.RecipeError(faults)
    try:
        rows = data.load(source)
    except DataError as error:
        raise DataError(f"data.classes.{name}: {str(error).removeprefix('data.path: ')}") from None
    table = rows.table.drop_columns([rows.target]) if rows.target else rows.table
    if LABEL in table.column_names:
        raise DataError(
            f"data.classes.{name}: {path} has a column '{LABEL}', which is what the class is to be called. Rename it."
        )
    return Piece(name, path, source, replace(rows, table=table))


def _knows_parts(piece: Piece) -> bool:
    return piece.rows.part is not None and not piece.rows.table[piece.rows.part].null_count


def _labelled(piece: Piece, parted: bool) -> pa.Table:
    """The table of a class with its name, and its parts if all have some."""
    table, part = piece.rows.table, piece.rows.part
    if part is not None:
        cells = table[part]
        table = table.drop_columns([part])
        table = table.append_column(PART, cells) if parted else table
    return table.append_column(LABEL, pa.array([piece.name] * table.num_rows, pa.string()))


def _joined(pieces: list[Piece], tables: list[pa.Table], notes: list[str]) -> pa.Table:
    """One table; images that are files in one and bytes in another become both. What only some have is told."""
    own = [set(table.column_names) - {LABEL, PART} for table in tables]
    every, some = set.intersection(*own), set.union(*own)
    if not every:
        other = next(i for i, names in enumerate(own) if not names & own[0])
        raise DataError(
            f"data.classes: '{pieces[0].name}' ({pieces[0].path}) and '{pieces[other].name}' ({pieces[other].path}) "
            "have no column in common. Name sources of one sort, such as folders of images."
        )
    if lone := sorted(some - every):
        notes.append(f"Columns that not every class has give the class away: {', '.join(lone[:10])}.")
    for name in every:
        types = {table.schema.field(name).type for table in tables}
        if len(types) > 1 and types <= set(FILES):
            tables = [table.set_column(table.column_names.index(name), name, _cells(table[name])) for table in tables]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowTypeError as error:  # how Arrow says that types have nothing in common
        raise DataError(f"data.classes: the columns of the classes are of different types ({error}).") from None


def _cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Images as `{path, bytes}`."""
    if column.type == FILE_CELL:
        return column
    whole = column.combine_chunks()
    empty = pa.nulls(len(whole), pa.large_binary() if pa.types.is_string(column.type) else pa.string())
    pair = [whole, empty] if pa.types.is_string(column.type) else [empty, whole]
    return pa.chunked_array([pa.StructArray.from_arrays(pair, fields=list(FILE_CELL))])


def _by_compression(pieces: list[Piece]) -> list[str]:
    """A sentence where compression alone tells two classes apart, which is then what a network learns."""
    lossy: dict[str, set[bool]] = {}
    for piece in pieces:
        for path in piece.rows.table["image"].to_pylist() if _are_files(piece) else []:
            lossy.setdefault(piece.name, set()).add(Path(path).suffix.lower() in LOSSY)
    packed, plain = ([name for name, kinds in lossy.items() if kinds == {one}] for one in (True, False))
    if not packed or not plain:
        return []
    return [
        f"All images of '{packed[0]}' are compressed with loss (such as JPEG) and none of '{plain[0]}': a network "
        "may learn that, and nothing else. Save all in one format."
    ]


def _are_files(piece: Piece) -> bool:
    """Whether a path lists images that stand in files of their own."""
    return isinstance(piece.source, folders.Config) and pa.types.is_string(piece.rows.table["image"].type)


def _refuse_shared(pieces: list[Piece]) -> None:
    """A file has one class: links are followed, and a folder inside another one is found."""
    owners: dict[tuple[int, int] | str, Piece] = {}
    for piece in pieces:
        table = piece.rows.table
        for path in table["image"].to_pylist() if _are_files(piece) else [piece.path]:
            mark = _mark(path)
            other = owners.setdefault(mark, piece)
            if other.name != piece.name:
                raise DataError(
                    f"data.classes: {path} is of two classes, '{other.name}' ({other.path}) and '{piece.name}' "
                    f"({piece.path}). Name folders that share nothing."
                )
            if other is not piece:
                raise DataError(f"data.classes.{piece.name}: {path} is there twice, by {other.path} and {piece.path}.")


def _mark(path: str) -> tuple[int, int] | str:
    """The same for two names of one file."""
    try:
        info = os.stat(path)
    except OSError:
        return path
    return info.st_dev, info.st_ino
