"""Folders of images: one sub-folder per class, or train/validation/test folders with the classes inside.

Gives the columns `image` (the file's path), `label` (its folder) and, where folders say it, `part`. Files in a zip are
read as bytes without being extracted. Images that stand directly in the folder have no label, which is enough to be
answered for. Files that are no images by their name are skipped; what systems leave behind is ignored.
"""

import glob
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import pyarrow as pa
from pydantic import Field

from lamina.config import DataError
from lamina.data import _contact_sheets as _contact
from lamina.data import _folder_layout as _tree
from lamina.schema import FILE_CELL, IMAGE_SUFFIXES, Collected, SkippedRow

MOST_MEMBER = 1 << 28  # bytes of one image in a zip, unpacked
MOST_UNPACKED = 8 << 30  # bytes of all images in a zip: they are held in memory
PIECE = 1024
BATCH_BYTES = 64 << 20  # bytes of a zip's images held at a time when they are answered
CHUNK = 1000
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError, struct.error)


class Config(_tree.Layout):
    """Where the folders are."""

    kind: Literal["folders"] = "folders"
    path: str = Field(description="A folder, a zip of one, an image, or a pattern such as photos/*.jpg.")
    test: str | None = Field(default=None, description="Separate test images, as path.")


class ImageListing(NamedTuple):
    """Usable images in the order of their names: where they stand, and their cells of the column `image`."""

    places: list[PurePosixPath]
    images: pa.ChunkedArray
    folders: _tree.FolderLabels
    skipped_rows: list[SkippedRow]


def claims(path: str) -> bool:
    """A folder, or a zip, that holds an image; an image, or a pattern that finds one."""
    root = Path(path)
    if root.suffix.lower() in IMAGE_SUFFIXES and not root.is_dir():
        return True
    if glob.has_magic(path) and not root.exists():
        return any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in glob.iglob(path, recursive=True))
    if root.is_dir():
        return _tree.any_below(root, IMAGE_SUFFIXES)
    if root.suffix.lower() != ".zip" or not zipfile.is_zipfile(root):
        return False
    try:
        with zipfile.ZipFile(root) as archive:
            return any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in archive.namelist())
    except UNREADABLE:  # told of when it is read
        return True


def load(cfg: Config) -> Collected:
    """Every image below the folder, in the order of the names.

    Errors: DataError where there is no image, or some images stand in class folders and some do not.
    """
    listing = _listing(cfg)
    labels = listing.folders.labels
    _tree.refuse_no_class(labels, cfg.path, "image")
    columns, part, target = {"image": listing.images}, None, "label" if any(labels) else None
    notes = [*listing.folders.notes]
    if listing.folders.parts and (target or cfg.label == "none"):
        columns["part"], part = pa.array(listing.folders.parts), "part"
    if target:
        columns["label"], notes = pa.array(labels), [*_tree.notes_on(listing.folders)]
    elif cfg.label != "none":
        notes = [f"Images stand directly in {cfg.path}: put each into a folder named by its class to train on them."]
    task, literal = ("classification", (target,)) if target else (None, ())
    bad = tuple(listing.skipped_rows)
    return Collected(pa.table(columns), bad, tuple(notes), part, target, task=task, literal=literal)


def stream(cfg: Config, rows: int) -> Iterator[Collected]:
    """The same images in pieces, to be answered: none needs a class, and those outside train and test are there too.

    Those of a zip are `{path, bytes}`, and no more than `rows`, or little more than 64 MB of them, in memory.
    """
    root = Path(cfg.path)
    if root.is_file() and zipfile.is_zipfile(root):
        yield from _streamed(root, cfg, min(rows, PIECE))
        return
    places, images, bad = _files(cfg)
    whole = _with_labels(pa.table({"image": images}), places, cfg)
    for start in range(0, whole.num_rows, min(rows, PIECE)):
        yield Collected(whole.slice(start, min(rows, PIECE)), tuple(bad) if start == 0 else ())


def _streamed(root: Path, layout: _tree.Layout, rows: int) -> Iterator[Collected]:
    with _archive(root) as archive:
        members, places, bad = _members(archive, root)
        _refuse_none(places, str(root), bad)
        whole = _with_labels(pa.table({"image": pa.array([f"{root}/{place}" for place in places])}), places, layout)
        good, bodies, size = list[int](), list[bytes](), 0
        for row, place in enumerate(places):
            body = _member(archive, members[place])
            if isinstance(body, str):
                bad.append(_tree.skipped_rows(str(root), place, body))
            else:
                good, bodies, size = [*good, row], [*bodies, body], size + len(body)
            if len(bodies) == rows or size >= BATCH_BYTES or row == len(places) - 1:
                table = whole.take(pa.array(good, pa.int64()))
                paths = table["image"].combine_chunks()
                cells = pa.StructArray.from_arrays([paths, pa.array(bodies, pa.large_binary())], fields=list(FILE_CELL))
                yield Collected(table.set_column(0, "image", cells), tuple(bad))
                good, bodies, size, bad = [], [], 0, []


def _with_labels(table: pa.Table, places: Sequence[PurePosixPath], layout: _tree.Layout) -> pa.Table:
    """With the label and the part of each image, where its folders say them."""
    folders = _tree.labels_of(places, layout)
    for name, words in (("part", folders.parts), ("label", folders.labels)):
        if words and any(words):
            table = table.append_column(name, pa.array([word or None for word in words], pa.string()))
    return table


def source_line(cfg: Config, row_numbers: Sequence[int]) -> list[tuple[str, int | None]]:
    """The file of each row of the loaded table; images have no lines."""
    listing = _listing(cfg)
    if pa.types.is_string(listing.images.type):
        return [(listing.images[row].as_py(), None) for row in row_numbers]
    return [(f"{cfg.path}/{listing.places[row]}", None) for row in row_numbers]


def _listing(cfg: Config) -> ImageListing:
    root = Path(cfg.path)
    places, images, bad = _zipped(root) if root.is_file() and zipfile.is_zipfile(root) else _files(cfg)
    inside, folders, others = _tree.inside(places, cfg.path, cfg)
    bad += others
    if others:
        places, images = [places[i] for i in inside], images.take(pa.array(inside, pa.int64()))
    _refuse_none(places, cfg.path, bad)
    return ImageListing(places, images, folders, bad)


def _refuse_none(places: Sequence[PurePosixPath], root: str, bad: Sequence[SkippedRow]) -> None:
    if not places:
        first = f" The first file was skipped: {bad[0].file} {bad[0].reason}." if bad else ""
        raise DataError(f"data.path: {root} holds no usable image ({', '.join(IMAGE_SUFFIXES)}).{first}")


def _files(cfg: Config) -> tuple[list[PurePosixPath], pa.ChunkedArray, list[SkippedRow]]:
    """Images of a folder, of a pattern, or a single one: places below the folder they share, and their paths."""
    root, odd = Path(cfg.path), []
    if root.is_dir():
        files, odd = _tree.below(root)
    else:
        matches = [cfg.path] if root.is_file() else glob.glob(cfg.path, recursive=True)
        matching = sorted({Path(name) for name in matches if Path(name).is_file()})
        if not matching:
            what = (
                "no file matches this pattern" if glob.has_magic(cfg.path) else "there is no such folder, zip or file"
            )
            raise DataError(f"data.path: {root}: {what}. Name a folder of images, or a pattern such as 'a/*.jpg'.")
        root = Path(os.path.commonpath([path.parent for path in matching]))
        files = [PurePosixPath(path.relative_to(root).as_posix()) for path in matching]
    good, bad = _tree.by_suffix(files, IMAGE_SUFFIXES, str(root), "image")
    bad += [_tree.skipped_rows(str(root), place, reason) for place, reason in odd]
    places = [files[i] for i in good]
    sheets = [place for place in places if _contact.has_name(place) and _contact.has_mark(_head(root / place))]
    bad += [_tree.skipped_rows(str(root), place, _contact.REASON) for place in sheets]
    places = [place for place in places if place not in sheets]
    _refuse_none(places, cfg.path, bad)
    return places, pa.chunked_array([pa.array([str(root / place) for place in places], pa.string())]), bad


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_contact.HEAD)
    except OSError:  # told of when it is decoded
        return b""


def _zipped(root: Path) -> tuple[list[PurePosixPath], pa.ChunkedArray, list[SkippedRow]]:
    """Nothing is extracted, so a member's name is only a name; no member is unpacked beyond its bound."""
    with _archive(root) as archive:
        members, names, bad = _members(archive, root)
        total = sum(members[place].file_size for place in names if members[place].file_size <= MOST_MEMBER)
        if total > MOST_UNPACKED:
            raise DataError(
                f"data.path: {root} unpacks to {total / 1e9:.0f} GB, more than {MOST_UNPACKED / 1e9:.0f} GB. "
                "Unpack it and name the folder."
            )
        places: list[PurePosixPath] = []
        chunks: list[pa.Array] = []
        bodies: list[bytes] = []
        for place in names:
            body = _member(archive, members[place])
            if isinstance(body, str):
                bad.append(_tree.skipped_rows(str(root), place, body))
                continue
            places.append(place)
            bodies.append(body)
            if len(bodies) == CHUNK:
                chunks.append(pa.array(bodies, pa.large_binary()))
                bodies = []
    return places, pa.chunked_array([*chunks, pa.array(bodies, pa.large_binary())]), bad


@contextmanager
def _archive(root: Path) -> Iterator[zipfile.ZipFile]:
    """An open zip. Errors: DataError where its list of members is damaged."""
    try:
        archive = zipfile.ZipFile(root)
    except UNREADABLE as error:
        raise DataError(f"data.path: {root} cannot be read as a zip ({error}). Pack or fetch it anew.") from None
    with archive:
        yield archive


def _members(
    archive: zipfile.ZipFile, root: Path
) -> tuple[dict[PurePosixPath, zipfile.ZipInfo], list[PurePosixPath], list[SkippedRow]]:
    """The members by place, the places of images in order, and what is none by its name."""
    names = {info.filename.replace("\\", "/"): info for info in archive.infolist()}  # as some zips of Windows have it
    members = {PurePosixPath(name): info for name, info in names.items() if name and not name.endswith("/")}
    names = sorted(place for place in members if not any(map(_tree.is_clutter, place.parts)))
    good, bad = _tree.by_suffix(names, IMAGE_SUFFIXES, str(root), "image")
    places = [names[i] for i in good]
    heads = {place: _member(archive, members[place]) for place in places if _contact.has_name(place)}
    sheets = [place for place, head in heads.items() if isinstance(head, bytes) and _contact.has_mark(head)]
    bad += [_tree.skipped_rows(str(root), place, _contact.REASON) for place in sheets]
    return members, [place for place in places if place not in sheets], bad


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | str:
    """The bytes of a member, never more than it says, or a reason why they cannot be had."""
    if info.file_size > MOST_MEMBER:
        return f"unpacks to {info.file_size:,} bytes, more than {MOST_MEMBER:,}"
    if info.flag_bits & 1:
        return "is encrypted"
    try:
        with archive.open(info) as file:
            return file.read(info.file_size)
    except NotImplementedError:  # how zipfile says that it does not know a compression
        return "is packed in a way that is not read: pack the archive anew"
    except UNREADABLE:
        return "is damaged in the archive"
