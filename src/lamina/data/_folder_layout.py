"""Files below a folder, and what their folders say: the class, and the part they belong to."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lamina.config import DataError
from lamina.schema import PICTURES, Quarantined

PARTS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
CLUTTER = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")
UNREAD = (
    ".heic",
    ".heif",
    ".svg",
    ".jxl",
    ".psd",
    ".raw",
    ".cr2",
    ".nef",
    ".dng",
    ".pdf",
    ".ico",
    ".exr",
    ".eps",
    ".tga",
)


class Files(NamedTuple):
    """What stands below a folder: files in the order of their names, and what is no file, with the reason."""

    files: list[PurePosixPath]
    odd: list[tuple[PurePosixPath, str]]


class FolderLabels(NamedTuple):
    """What the folders say of each file. `label` is empty where a file stands in no folder of its own."""

    labels: list[str]
    parts: list[str] | None
    outside: list[int]  # files beside the train and test folders
    note: str


def is_clutter(name: str) -> bool:
    """Files that systems leave behind, which nobody means."""
    return (name.startswith(".") and name != "..") or name.lower() in CLUTTER


def below(root: Path) -> Files:
    """All files below a folder; links are followed, but never round in a circle."""
    files: list[str] = []
    odd: list[tuple[PurePosixPath, str]] = []
    info = os.stat(root)
    open_folders = [(str(root), "", frozenset([(info.st_dev, info.st_ino)]))]
    while open_folders:
        folder, place, above = open_folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            odd.append((PurePosixPath(place), f"cannot be opened ({error.strerror})"))
            continue
        for entry in entries:
            if is_clutter(entry.name):
                continue
            spot = f"{place}/{entry.name}" if place else entry.name
            if entry.is_dir():
                info = entry.stat()
                mark = (info.st_dev, info.st_ino)
                if mark in above:
                    odd.append((PurePosixPath(spot), "is a link that leads back to a folder around it"))
                elif Path(entry.name).suffix.lower() in PICTURES and not os.listdir(entry.path):
                    odd.append((PurePosixPath(spot), "is an empty folder, not a picture"))
                else:
                    open_folders.append((entry.path, spot, above | {mark}))
            elif entry.is_file():
                files.append(spot)
            else:
                odd.append(
                    (PurePosixPath(spot), "is a link that leads nowhere" if entry.is_symlink() else "is no file")
                )
    return Files([PurePosixPath(file) for file in sorted(files)], sorted(odd))


def any_below(root: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a file with such a name stands below a folder; looks no further than the first."""
    return any(
        Path(name).suffix.lower() in suffixes for *_, names in os.walk(root) for name in names if not is_clutter(name)
    )


def by_suffix(
    places: Sequence[PurePosixPath], suffixes: tuple[str, ...], root: str, word: str
) -> tuple[list[int], list[Quarantined]]:
    """Which files are meant by their names, and the others set aside."""
    good = [i for i, place in enumerate(places) if place.suffix.lower() in suffixes]
    members = set(good)
    return good, [quarantine(root, p, _reason(p, word)) for i, p in enumerate(places) if i not in members]


def quarantine(root: str, place: PurePosixPath, reason: str) -> Quarantined:
    return Quarantined(f"{root}/{place}", None, "image", reason)


def _reason(place: PurePosixPath, word: str) -> str:
    suffix = place.suffix.lower()
    if word == "picture" and suffix in UNREAD:
        return f"is a {suffix[1:].upper()} file, which is not read: convert it to PNG or JPEG"
    return f"is not a {word} by its name"


def labels_of(places: Sequence[PurePosixPath]) -> FolderLabels:
    """The class of each file by its folders, below those that all files share; and its part, where folders say it."""
    inner = [place.parts[:-1] for place in places]
    depth = _common(inner)
    inner = [parts[depth:] for parts in inner]
    parts_of = [PARTS.get(parts[0].lower()) if parts else None for parts in inner]
    if "train" not in parts_of or len({*parts_of} - {None}) < 2:
        return FolderLabels(["/".join(parts) for parts in inner], None, [], "")
    note = "the folders say which part each belongs to"
    if "test" not in parts_of:
        parts_of = ["test" if part == "validation" else part for part in parts_of]
        note = "the validation folder is what judges, as there is no test folder; validation is drawn from train"
    elif "validation" not in parts_of:
        note += "; validation is drawn from train, as there is no folder of it"
    outside = [i for i, part in enumerate(parts_of) if part is None]
    return FolderLabels(["/".join(parts[1:]) for parts in inner], [part or "" for part in parts_of], outside, note)


def _common(parts: Sequence[tuple[str, ...]]) -> int:
    """How many leading folders all files share, when only one folder stands at each of those levels."""
    depth = 0
    while parts and all(len(p) > depth + 1 for p in parts) and len({p[depth] for p in parts}) == 1:
        depth += 1
    return depth


def refuse_no_class(labels: Sequence[str], root: str, word: str) -> None:
    """Files with a class beside files without one: which is meant cannot be known."""
    bare = sum(not label for label in labels)
    if 0 < bare < len(labels):
        raise DataError(
            f"data.path: {bare} of {len(labels)} {word}s in {root} stand in no class folder. Put each into a folder "
            "named by its class."
        )


def notes_on(labels: Sequence[str], part_note: str) -> Iterator[str]:
    """Notes on classes and parts."""
    classes = len(set(labels))
    yield f"{classes} folder{'s are the classes' if classes > 1 else ' is the only class'}" + (
        f"; {part_note}." if part_note else "."
    )
