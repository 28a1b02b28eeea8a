"""Folders of pictures: one sub-folder per class, or train/validation/test folders with the classes inside.

Gives the columns `image` (the file's path), `label` (its folder) and, where the parts are folders, `part`. Files in a
zip are read as bytes without being extracted. Files that are no pictures by their name are set aside.
"""

import os
import zipfile
from pathlib import Path, PurePosixPath
from typing import Literal

import pyarrow as pa

from lamina import config
from lamina.config import DataError
from lamina.schema import PICTURES, Collected, Quarantined

PARTS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
         "dev": "validation", "test": "test", "testing": "test"}  # fmt: skip


class Config(config.Config):
    """Where the folders are."""

    kind: Literal["folders"] = "folders"
    path: str


def claims(path: str) -> bool:
    """A folder, or a zip, that holds a picture."""
    root = Path(path)
    if root.is_dir():
        return any(Path(name).suffix.lower() in PICTURES for *_, names in os.walk(root) for name in names)
    if root.suffix.lower() != ".zip" or not zipfile.is_zipfile(root):
        return False
    with zipfile.ZipFile(root) as archive:
        return any(Path(name).suffix.lower() in PICTURES for name in archive.namelist())


def load(cfg: Config) -> Collected:
    """Every picture below the folder, in the order of the names."""
    root = Path(cfg.path)
    if zipfile.is_zipfile(root):
        return _zipped(root)
    if not root.is_dir():
        raise DataError(f"data.path: {root} is not a folder. Name the folder that holds one folder per class.")
    files = sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))
    places = [PurePosixPath(p.relative_to(root).as_posix()) for p in files]
    good, bad = _sorted(places, str(root))
    table = _table([places[i] for i in good], pa.array([str(files[i]) for i in good]), str(root))
    return _collected(table, bad)


def _zipped(root: Path) -> Collected:
    with zipfile.ZipFile(root) as archive:
        infos = sorted((i for i in archive.infolist() if not i.is_dir()), key=lambda i: i.filename)
        places = [PurePosixPath(i.filename) for i in infos]
        good, bad = _sorted(places, str(root))
        bodies = pa.array([archive.read(infos[i]) for i in good], pa.large_binary())
    return _collected(_table([places[i] for i in good], bodies, str(root)), bad)


def _collected(table: pa.Table, bad: tuple[Quarantined, ...]) -> Collected:
    part = "part" if "part" in table.column_names else None
    classes = len(table["label"].unique())
    told = "; the folders say which part a picture belongs to" if part else ""
    return Collected(table, bad, (f"{classes} folders are the classes{told}.",), part, "label")


def _sorted(places: list[PurePosixPath], root: str) -> tuple[list[int], tuple[Quarantined, ...]]:
    good = [i for i, p in enumerate(places) if p.suffix.lower() in PICTURES]
    taken = set(good)
    bad = tuple(
        Quarantined(f"{root}/{p}", None, "image", "is not a picture by its name")
        for i, p in enumerate(places)
        if i not in taken
    )
    return good, bad


def _table(places: list[PurePosixPath], images: pa.Array, root: str) -> pa.Table:
    if not places:
        raise DataError(f"data.path: {root} holds no picture ({', '.join(PICTURES)}).")
    common = _common([p.parts[:-1] for p in places])
    inner = [p.parts[common:-1] for p in places]
    columns = {"image": images}
    if all(parts and parts[0].lower() in PARTS for parts in inner):
        names = [PARTS[parts[0].lower()] for parts in inner]
        if "test" not in names:  # only train and validation folders: the second is what judges
            names = ["test" if name == "validation" else name for name in names]
        columns["part"] = pa.array(names)
        inner = [parts[1:] for parts in inner]
    if not all(inner):
        raise DataError(f"data.path: pictures stand directly in {root}; put each into a folder named by its class.")
    return pa.table({**columns, "label": pa.array(["/".join(parts) for parts in inner])})


def _common(parts: list[tuple[str, ...]]) -> int:
    """How many leading folders all pictures share, when only one folder stands at each of those levels."""
    depth = 0
    while all(len(p) > depth + 1 for p in parts) and len({p[depth] for p in parts}) == 1:
        depth += 1
    return depth
