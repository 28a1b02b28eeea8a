"""Folders of pictures: one sub-folder per class, or train/validation/test folders with the classes inside.

Gives the columns `image` (the file's path), `label` (its folder) and, where folders say it, `part`. Files in a zip are
read as bytes without being extracted. Pictures that stand directly in the folder have no label, which is enough to be
answered for. Files that are no pictures by their name are set aside; what systems leave behind is ignored.
"""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import pyarrow as pa
from pydantic import Field

from lamina import config
from lamina.config import DataError
from lamina.data import _tree
from lamina.schema import PICTURES, Collected, Quarantined

MOST_MEMBER = 1 << 28  # bytes of one picture in a zip, unpacked
MOST_UNPACKED = 8 << 30  # bytes of all pictures in a zip: they are held in memory
PIECE = 1024
CHUNK = 1000


class Config(config.Config):
    """Where the folders are."""

    kind: Literal["folders"] = "folders"
    path: str = Field(description="A folder, or a zip of one.")


class Listed(NamedTuple):
    """Usable pictures in the order of their names: where they stand, and their cells of the column `image`."""

    places: list[PurePosixPath]
    images: pa.ChunkedArray
    told: _tree.Told
    quarantine: list[Quarantined]


def claims(path: str) -> bool:
    """A folder, or a zip, that holds a picture."""
    root = Path(path)
    if root.is_dir():
        return _tree.any_below(root, PICTURES)
    if root.suffix.lower() != ".zip" or not zipfile.is_zipfile(root):
        return False
    with zipfile.ZipFile(root) as archive:
        return any(Path(name).suffix.lower() in PICTURES for name in archive.namelist())


def load(cfg: Config) -> Collected:
    """Every picture below the folder, in the order of the names.

    Errors: DataError where there is no picture, or some pictures stand in class folders and some do not.
    """
    found = _listed(cfg)
    labels = found.told.labels
    _tree.refuse_no_class(labels, cfg.path, "picture")
    columns = {"image": found.images}
    if not any(labels):
        lone = f"Pictures stand directly in {cfg.path}: put each into a folder named by its class to train on them."
        return Collected(pa.table(columns), tuple(found.quarantine), (lone,))
    part = None
    if found.told.parts:
        columns["part"], part = pa.array(found.told.parts), "part"
    table = pa.table({**columns, "label": pa.array(labels)})
    notes = tuple(_tree.counted(labels, found.told.note))
    return Collected(table, tuple(found.quarantine), notes, part, "label")


def stream(cfg: Config, rows: int) -> Iterator[Collected]:
    """As `load`, in pieces small enough that their pixels fit into memory."""
    whole = load(cfg)
    for start in range(0, whole.table.num_rows, min(rows, PIECE)):
        first = start == 0
        yield Collected(whole.table.slice(start, min(rows, PIECE)), whole.quarantine * first, whole.notes * first)


def source_line(cfg: Config, row_numbers: Sequence[int]) -> list[tuple[str, int | None]]:
    """The file of each row of the loaded table; pictures have no lines."""
    places = _listed(cfg).places
    return [(f"{cfg.path}/{places[row]}", None) for row in row_numbers]


def _listed(cfg: Config) -> Listed:
    root = Path(cfg.path)
    if root.is_dir():
        found = _tree.below(root)
        good, bad = _tree.known(found.files, PICTURES, cfg.path, "picture")
        bad += [_tree.aside(cfg.path, place, reason) for place, reason in found.odd]
        places = [found.files[i] for i in good]
        images = pa.chunked_array([pa.array([str(root / place) for place in places], pa.string())])
    elif root.is_file() and zipfile.is_zipfile(root):
        places, images, bad = _zipped(root)
    else:
        raise DataError(f"data.path: {root} is neither a folder nor a zip. Name the folder with one folder per class.")
    told = _tree.told(places, cfg.path)
    if told.outside:
        why = "stands beside the train and test folders, in none of them"
        bad += [_tree.aside(cfg.path, places[i], why) for i in told.outside]
        left = sorted(set(range(len(places))) - set(told.outside))
        places, images = [places[i] for i in left], images.take(pa.array(left))
        told = _tree.told(places, cfg.path)
    if not places:
        first = f" The first file was set aside: {bad[0].file} {bad[0].reason}." if bad else ""
        raise DataError(f"data.path: {root} holds no usable picture ({', '.join(PICTURES)}).{first}")
    return Listed(places, images, told, bad)


def _zipped(root: Path) -> tuple[list[PurePosixPath], pa.ChunkedArray, list[Quarantined]]:
    """Nothing is extracted, so a member's name is only a name; no member is unpacked beyond its bound."""
    with zipfile.ZipFile(root) as archive:
        members = {PurePosixPath(i.filename): i for i in archive.infolist() if not i.is_dir()}
        named = sorted(place for place in members if not any(map(_tree.is_clutter, place.parts)))
        good, bad = _tree.known(named, PICTURES, str(root), "picture")
        total = sum(members[named[i]].file_size for i in good if members[named[i]].file_size <= MOST_MEMBER)
        if total > MOST_UNPACKED:
            raise DataError(
                f"data.path: {root} unpacks to {total / 1e9:.0f} GB, more than {MOST_UNPACKED / 1e9:.0f} GB. "
                "Unpack it and name the folder."
            )
        places: list[PurePosixPath] = []
        chunks: list[pa.Array] = []
        bodies: list[bytes] = []
        for place in (named[i] for i in good):
            body = _member(archive, members[place])
            if isinstance(body, str):
                bad.append(_tree.aside(str(root), place, body))
                continue
            places.append(place)
            bodies.append(body)
            if len(bodies) == CHUNK:
                chunks.append(pa.array(bodies, pa.large_binary()))
                bodies = []
    return places, pa.chunked_array([*chunks, pa.array(bodies, pa.large_binary())]), bad


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | str:
    """The bytes of a member, never more than it says, or a reason why they cannot be had."""
    if info.file_size > MOST_MEMBER:
        return f"unpacks to {info.file_size:,} bytes, more than {MOST_MEMBER:,}"
    if info.flag_bits & 1:
        return "is encrypted"
    try:
        with archive.open(info) as file:
            return file.read(info.file_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError):
        return "is damaged in the archive"
    except NotImplementedError:
        return "is packed in a way that is not read: pack the archive anew"
