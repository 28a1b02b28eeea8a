"""Folders of pictures: one sub-folder per class, or train/validation/test folders with the classes inside.

Gives the columns `image` (the file's path), `label` (its folder) and, where the parts are folders, `part`. Files in a
zip are read as bytes without being extracted. Files that are no pictures by their name are set aside. A single picture
or a pattern such as `photos/*.jpg` will do as well. To be answered, pictures need no class: `stream` takes them from
anywhere.
"""

import glob
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import pyarrow as pa

from lamina import config
from lamina.config import DataError
from lamina.schema import PICTURES, Collected, Quarantined

PARTS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
         "dev": "validation", "test": "test", "testing": "test"}  # fmt: skip


CELL = pa.struct([("path", pa.string()), ("bytes", pa.large_binary())])
PIECE = 64 << 20  # bytes of a zip's pictures in memory


class Config(config.Config):
    """Where the pictures are: a folder, a zip, a picture or a pattern."""

    kind: Literal["folders"] = "folders"
    path: str


def claims(path: str) -> bool:
    """A folder, or a zip, that holds a picture; a picture, or a pattern that finds one."""
    root = Path(path)
    if root.suffix.lower() in PICTURES and not root.is_dir():
        return True
    if glob.has_magic(path) and not root.exists():
        return any(Path(name).suffix.lower() in PICTURES for name in glob.iglob(path, recursive=True))
    if root.is_dir():
        return any(Path(name).suffix.lower() in PICTURES for *_, names in os.walk(root) for name in names)
    if root.suffix.lower() != ".zip" or not zipfile.is_zipfile(root):
        return False
    with zipfile.ZipFile(root) as archive:
        return any(Path(name).suffix.lower() in PICTURES for name in archive.namelist())


def load(cfg: Config) -> Collected:
    """Every picture below the folder, in the order of the names; one that is in no folder has no label."""
    found = _found(cfg)
    if not any(found.labels):
        told = f"pictures stand directly in {cfg.path}; put each into a folder named by its class"
        raise DataError(f"data.path: {told}.")
    if found.archive is None:
        return _collected(found.table(pa.array(found.files)), found.bad)
    with zipfile.ZipFile(found.archive) as archive:
        bodies = pa.array([archive.read(name) for name in found.files], pa.large_binary())
    return _collected(found.table(bodies), found.bad)


def stream(cfg: Config, rows: int = 65_536) -> Iterator[Collected]:
    """The same pictures in pieces, with or without classes. Pictures of a zip are `{path, bytes}`, and never more than
    `rows` of them, or much more than 64 MB, in memory.
    """
    found = _found(cfg)
    whole = found.table(pa.nulls(len(found.files)))
    for start, cells in _cells(found, rows):
        image = whole.schema.get_field_index("image")
        table = whole.slice(start, len(cells)).set_column(image, "image", cells)
        yield Collected(table, found.bad if start == 0 else ())


def _cells(found: "Found", rows: int) -> Iterator[tuple[int, pa.Array]]:
    if found.archive is None:
        for start in range(0, len(found.files), rows):
            yield start, pa.array(found.files[start : start + rows])
        return
    with zipfile.ZipFile(found.archive) as archive:
        start, size, cells = 0, 0, list[dict[str, str | bytes]]()
        for name in found.files:
            cells.append({"path": f"{found.archive}/{name}", "bytes": archive.read(name)})
            size += len(cells[-1]["bytes"])
            if len(cells) == rows or size >= PIECE:
                yield start, pa.array(cells, CELL)
                start, size, cells = start + len(cells), 0, []
        if cells:
            yield start, pa.array(cells, CELL)


def source_line(cfg: Config, row_numbers: Sequence[int]) -> list[tuple[str, int | None]]:
    """The file of each of these rows, counted from 0; a picture has no lines."""
    found = _found(cfg)
    inside = "" if found.archive is None else f"{found.archive}/"
    return [(f"{inside}{found.files[number]}", None) for number in row_numbers]


@dataclass(frozen=True)
class Found:
    """Pictures by name: where each is, its class and part as its folders say, and what is no picture."""

    files: list[str]
    labels: list[str | None]
    parts: list[str] | None
    archive: Path | None
    bad: tuple[Quarantined, ...]

    def table(self, images: pa.Array) -> pa.Table:
        columns = {"image": images}
        if self.parts:
            columns["part"] = pa.array(self.parts)
        return pa.table({**columns, "label": pa.array(self.labels, pa.string())})


def _found(cfg: Config) -> Found:
    """What the path stands for, without opening a picture. Errors: DataError where there is none."""
    root = Path(cfg.path)
    if root.is_file() and zipfile.is_zipfile(root):
        with zipfile.ZipFile(root) as archive:
            names = sorted(i.filename for i in archive.infolist() if not i.is_dir())
        return _sorted(names, [PurePosixPath(name) for name in names], cfg.path, root)
    if root.is_dir():
        files = sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))
        places = [PurePosixPath(p.relative_to(root).as_posix()) for p in files]
        return _sorted([str(p) for p in files], places, cfg.path)
    files = (
        [root] if root.is_file() else sorted(p for p in map(Path, glob.glob(cfg.path, recursive=True)) if p.is_file())
    )
    if not files:
        what = "no file matches this pattern" if glob.has_magic(cfg.path) else "there is no such file or folder"
        raise DataError(f"data.path: {cfg.path}: {what}. Name a folder of pictures, or a pattern such as photos/*.jpg.")
    above = Path(os.path.commonpath([p.parent for p in files]))
    return _sorted([str(p) for p in files], [PurePosixPath(p.relative_to(above).as_posix()) for p in files], cfg.path)


def _sorted(names: list[str], places: list[PurePosixPath], root: str, archive: Path | None = None) -> Found:
    good = [i for i, place in enumerate(places) if place.suffix.lower() in PICTURES]
    if not good:
        raise DataError(f"data.path: {root} holds no picture ({', '.join(PICTURES)}).")
    taken = set(good)
    inside = f"{root}/" if archive else ""
    bad = tuple(
        Quarantined(f"{inside}{name}", None, "image", "is not a picture by its name")
        for i, name in enumerate(names)
        if i not in taken
    )
    labels, parts = _classes([places[i] for i in good])
    return Found([names[i] for i in good], labels, parts, archive, bad)


def _classes(places: list[PurePosixPath]) -> tuple[list[str | None], list[str] | None]:
    """The class of each picture by its folders, and its part where all are in folders of parts."""
    common = _common([p.parts[:-1] for p in places])
    inner = [p.parts[common:-1] for p in places]
    parts = None
    if all(folders and folders[0].lower() in PARTS for folders in inner):
        parts = [PARTS[folders[0].lower()] for folders in inner]
        if "test" not in parts:  # only train and validation folders: the second is what judges
            parts = ["test" if part == "validation" else part for part in parts]
        inner = [folders[1:] for folders in inner]
    return ["/".join(folders) or None for folders in inner], parts


def _collected(table: pa.Table, bad: tuple[Quarantined, ...]) -> Collected:
    part = "part" if "part" in table.column_names else None
    classes = len(table["label"].unique().drop_null())
    told = "; the folders say which part a picture belongs to" if part else ""
    return Collected(table, bad, (f"{classes} folders are the classes{told}.",), part, "label")


def _common(parts: list[tuple[str, ...]]) -> int:
    """How many leading folders all pictures share, when only one folder stands at each of those levels."""
    depth = 0
    while all(len(p) > depth + 1 for p in parts) and len({p[depth] for p in parts}) == 1:
        depth += 1
    return depth
