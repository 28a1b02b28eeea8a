"""Files below a folder, and what their folders say: the class, and the part they belong to."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from pydantic import Field

from lamina.config import Config, DataError
from lamina.schema import IMAGE_SUFFIXES, SkippedRow

PARTS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "devel", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), "test"),
    **dict.fromkeys(("eval", "evaluation"), "evaluation"),  # test where there is no other, else validation
}
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
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


class Layout(Config):
    """How folders are understood: settings of every source whose folders are classes."""

    label: Literal["auto", "first", "last", "path", "none"] = Field(
        default="auto", description="The folder that is the class: first, last, all (path), none; by what stands where."
    )
    parts: bool = Field(default=True, description="Whether folders such as train and test say the part.")


class Files(NamedTuple):
    """What stands below a folder: files in the order of their names, and what is no file, with the reason."""

    files: list[PurePosixPath]
    odd: list[tuple[PurePosixPath, str]]


class FolderLabels(NamedTuple):
    """What the folders say of each file. `label` is empty where a file stands in no folder of its own."""

    labels: list[str]
    parts: list[str] | None
    outside: list[int]  # files beside the train and test folders
    unlabelled: list[int]  # files of a later part that stand in no class folder, where those of train do
    notes: tuple[str, ...]


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
                elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and not os.listdir(entry.path):
                    odd.append((PurePosixPath(spot), "is an empty folder, not an image"))
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
) -> tuple[list[int], list[SkippedRow]]:
    """Which files are meant by their names, and the others skipped."""
    good = [i for i, place in enumerate(places) if place.suffix.lower() in suffixes]
    members = set(good)
    return good, [skipped_rows(root, p, _reason(p, word)) for i, p in enumerate(places) if i not in members]


def skipped_rows(root: str, place: PurePosixPath, reason: str) -> SkippedRow:
    return SkippedRow(f"{root}/{place}", None, "image", reason)


def _reason(place: PurePosixPath, word: str) -> str:
    suffix = place.suffix.lower()
    if word == "image" and suffix in UNREAD:
        return f"is a {suffix[1:].upper()} file, which is not read: convert it to PNG or JPEG"
    return f"is not {'an' if word[:1] in 'aeiou' else 'a'} {word} by its name"


def inside(
    places: Sequence[PurePosixPath], root: str, layout: Layout
) -> tuple[list[int], FolderLabels, list[SkippedRow]]:
    """The files that can be learned from or evaluated by, what their folders say of these, and the others skipped."""
    folders = labels_of(places, layout)
    why = dict.fromkeys(folders.outside, "stands beside the train and test folders, in none of them")
    why |= dict.fromkeys(folders.unlabelled, "stands in no class folder, so it is neither learned from nor evaluated")
    if not why:
        return list(range(len(places))), folders, []
    members = [i for i in range(len(places)) if i not in why]
    rest = labels_of([places[i] for i in members], layout)
    bad = [skipped_rows(root, places[i], reason) for i, reason in sorted(why.items())]
    if count := len(folders.unlabelled):
        parents = sorted({places[i].parts[0] if len(places[i].parts) > 1 else "" for i in folders.unlabelled})
        place = ", ".join(f"{root}/{parent}" for parent in parents[:3])
        files = f"{count:,} files of {place} stand" if count > 1 else f"A file of {place} stands"
        note = f"{files} in no class folder and {'are' if count > 1 else 'is'} skipped: lamina predict answers them."
        rest = rest._replace(notes=(*rest.notes, note))
    return members, rest, bad


def labels_of(places: Sequence[PurePosixPath], layout: Layout) -> FolderLabels:
    """The class of each file by its folders, below those that all files share; and its part, where folders say it."""
    inner = [place.parts[:-1] for place in places]
    depth = _common(inner)
    inner = [parts[depth:] for parts in inner]
    if not layout.parts or (parted := _parted(inner)) is None:
        labels, notes = _classes(inner, layout)
        return FolderLabels(labels, None, [], [], notes)
    names, parts, below = parted
    labels, notes = _classes([path for path, part in zip(below, parts, strict=True) if part], layout)
    words = iter(labels)
    labels = [next(words) if part else "" for part in parts]
    learned = {label for label, part in zip(labels, parts, strict=True) if part == "train"}
    unlabelled = [
        i
        for i, (label, part) in enumerate(zip(labels, parts, strict=True))
        if part not in ("", "train") and not label and "" not in learned
    ]
    labelled = {part for i, part in enumerate(parts) if i not in set(unlabelled)}
    parts, note = _roles(parts, labelled)
    note += _words(names, parts)
    outside = [i for i, part in enumerate(parts) if not part]
    return FolderLabels(labels, parts, outside, unlabelled, (f"{note}.", *notes))


def _roles(parts: list[str], labelled: set[str]) -> tuple[list[str], str]:
    """Parts as they are used, where there is no folder for one of them, and a note."""
    roles = {"evaluation": "validation" if "test" in labelled else "test"}
    later = {roles.get(part, part) for part in labelled}
    note = "The folders say which part each file belongs to"
    if "test" not in later:
        roles["validation"] = "test"
        note = "There is no test folder, so the validation folder is the test set; validation is drawn from train"
    elif "validation" not in later:
        note += "; validation is drawn from train, as there is no folder of it"
    return [roles.get(part, part) for part in parts], note


def _words(names: list[str], parts: list[str]) -> str:
    """Which folder is which part, where its name says it among other words."""
    used = {name: part for name, part in zip(names, parts, strict=True) if part and not _is_plain(name)}
    words = "; ".join(f"{name} is {part}" for name, part in list(used.items())[:4])
    return f" ({words}; if they are classes: --set data.parts=false)" if words else ""


def _parted(inner: list[tuple[str, ...]]) -> tuple[list[str], list[str], list[tuple[str, ...]]] | None:
    """The name of the folder that says each file's part, the part ("" where the file stands beside such folders), and
    its other folders; None where folders say no part.
    """
    for level in (0, -1):
        names = [path[level] if path else "" for path in inner]
        parts = [_part(name) or "" for name in names]
        if "train" not in parts or len({*parts} - {""}) < 2 or (level and not all(parts)):
            continue
        rest = [path[1:] if level == 0 else path[:-1] for path in inner]
        if level == 0:
            rest = _unnested(names, parts, rest)
        exact = all(name.lower() in PARTS for name, part in zip(names, parts, strict=True) if part)
        if (exact and level == 0) or _agree(parts, rest):
            return names, parts, rest
    return None


def _is_plain(name: str) -> bool:
    return PARTS.get(name.lower(), "evaluation") != "evaluation"


def _part(name: str) -> str | None:
    """The part that a folder's name says, in any case, alone or as one of its words: `test`, `seg_test`, `TestSet`."""
    words = [word.lower() for word in WORD.findall(name)]
    parts = {PARTS.get(word) or PARTS.get(word.removesuffix("set")) for word in (*words, "".join(words))} - {None}
    return parts.pop() if len(parts) == 1 else None


def _unnested(names: list[str], parts: list[str], rest: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Folders below those of the parts, without the ones that all files of a part share and that are no class."""
    below: dict[str, list[tuple[str, ...]]] = {}
    for name, path in zip(names, rest, strict=True):
        below.setdefault(name, []).append(path)
    depths = {name: _nesting(paths) for name, paths in below.items()}
    part_of = dict(zip(names, parts, strict=True))
    trained = (path[depths[name] :][:1] for name, paths in below.items() if part_of[name] == "train" for path in paths)
    classes = set(trained) - {()}
    for name, paths in below.items():
        if part_of[name] in ("train", ""):
            depths[name] *= part_of[name] == "train"
        elif {path[:1] for path in paths} & classes:
            depths[name] = 0
        elif not {path[depths[name] :][:1] for path in paths} & classes:  # a lone folder that is no class holds all
            depths[name] = max(map(len, paths)) if len({path[:1] for path in paths}) == 1 else 0
    return [path[depths[name] :] for name, path in zip(names, rest, strict=True)]


def _nesting(paths: list[tuple[str, ...]]) -> int:
    """How many folders all files of a part share, such as the second of `seg_train/seg_train/cats`."""
    depth = _common(paths)
    rest = {path[depth:] for path in paths}
    return depth + (len(rest) == 1 and all(len(path) == 1 and _part(path[0]) for path in rest))


def _agree(parts: list[str], rest: list[tuple[str, ...]]) -> bool:
    """Whether what stands below the folders of parts are the same classes, or files without one beside several."""
    below: dict[str, set[str]] = {}
    for part, path in zip(parts, rest, strict=True):
        if part:
            below.setdefault(part, set()).add(path[0] if path else "")
    trains = below.pop("train")
    bare = all(names == {""} for names in below.values())
    return "" not in trains and (len(trains) > 1 if bare else all(n & trains or n == {""} for n in below.values()))


def _common(parts: Sequence[tuple[str, ...]]) -> int:
    """How many leading folders all files share, when only one folder stands at each of those levels."""
    depth = 0
    while parts and all(len(p) > depth + 1 for p in parts) and len({p[depth] for p in parts}) == 1:
        depth += 1
    return depth


def _classes(inner: Sequence[tuple[str, ...]], layout: Layout) -> tuple[list[str], tuple[str, ...]]:
    """The class of each file by the folders around it, and notes where these are nested.

    Where images stand in a folder and in folders inside it, all are of the outer one; so is a lone folder inside.
    """
    if layout.label == "first":
        return ["".join(path[:1]) for path in inner], ()
    if layout.label == "last":
        return ["".join(path[-1:]) for path in inner], ()
    if layout.label == "none":
        return [""] * len(inner), ()
    folders = set(inner)
    classes = {path: path for path in folders}
    if layout.label == "auto":
        for path in folders:
            outer = (path[:end] for end in range(1, len(path)))
            classes[path] = next((one for one in outer if one in folders), path)
        classes = {path: _outermost(one, set(classes.values())) for path, one in classes.items()}
    variants = sorted("/".join(path) for path, one in classes.items() if path != one)
    nested = sorted("/".join(one) for one in classes.values() if len(one) > 1)
    notes = ()
    if variants and layout.label == "auto":
        notes += (f"Folders inside a class, such as {variants[0]}, are of that class (else: --set data.label=path).",)
    if nested and layout.label == "auto":
        notes += (f"Nested folders, such as {nested[0]}, are classes (if the first is: --set data.label=first).",)
    return ["/".join(classes[path]) for path in inner], notes


def _outermost(one: tuple[str, ...], classes: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The outermost folder in which everything is of this class; not where its own name is that of others, too."""
    if any(other != one and other[-1:] == one[-1:] for other in classes):
        return one
    ends = range(1, len(one))
    lone = (one[:end] for end in ends if sum(other[:end] == one[:end] for other in classes) == 1)
    return next(lone, one)


def refuse_no_class(labels: Sequence[str], root: str, word: str) -> None:
    """Files with a class beside files without one: which is meant cannot be known."""
    bare = sum(not label for label in labels)
    if 0 < bare < len(labels):
        raise DataError(
            f"data.path: {bare} of {len(labels)} {word}s in {root} stand in no class folder. Put each into a folder "
            "named by its class."
        )


def notes_on(folders: FolderLabels) -> Iterator[str]:
    """Notes on classes and parts."""
    classes = len(set(folders.labels))
    yield f"{classes} folder{'s are the classes' if classes > 1 else ' is the only class'}."
    yield from folders.notes
