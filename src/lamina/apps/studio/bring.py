"""Files that a person brings: they are copied into the folder `data`, and nothing there is ever replaced."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lamina.config import LaminaError
from lamina.data.files import SUFFIXES
from lamina.resources import disk
from lamina.run import name_of

DATA = Path("data")


def copy(files: Sequence[Any]) -> str:
    """What uploaded files are called as data now: a file, a folder of several, or a pattern for tables. The same file
    again is the one that is there. Errors: LaminaError where two have one name.
    """
    paths = [_inside(file.name) for file in files]
    if len(files) == 1 and len(paths[0].parts) == 1:
        return str(_copy(files[0].getvalue(), paths[0]))
    common = paths[0].parts[0] if len({path.parts[0] for path in paths}) == 1 else name_of([paths[0].name])
    below = {_below(path, common): file.getvalue() for path, file in zip(paths, files, strict=True)}
    if len(below) < len(files):
        raise LaminaError("upload: two files have the same name. Rename one, or upload them as a folder.")
    for folder in _names(DATA / common):
        if not folder.exists():
            for path, body in below.items():
                _write(folder / path, body)
            return _source(folder, below)
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        same = there == {str(path) for path in below}
        if same and all(_is_same(folder / path, body) for path, body in below.items()):
            return _source(folder, below)
    raise AssertionError


def _source(folder: Path, files: Iterable[PurePosixPath]) -> str:
    """How a folder of these is named as data: tables of one sort by a pattern."""
    suffixes = {path.suffix.lower() for path in files}
    tables = len(suffixes) == 1 and suffixes <= SUFFIXES.keys() and all(len(path.parts) == 1 for path in files)
    return f"{folder}/*{suffixes.pop()}" if tables else str(folder)


def _inside(name: str) -> PurePosixPath:
    """A name, perhaps with folders, that leads nowhere else."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    return PurePosixPath(*(parts or ["file"]))


def _below(path: PurePosixPath, common: str) -> PurePosixPath:
    return PurePosixPath(*path.parts[1:]) if len(path.parts) > 1 and path.parts[0] == common else path


def _copy(body: bytes, name: PurePosixPath) -> Path:
    for path in _names(DATA / name):
        if not path.exists():
            _write(path, body)
        if _is_same(path, body):
            return path
    raise AssertionError


def _write(path: Path, body: bytes) -> None:
    disk.make_folder(path.parent)
    disk.write_bytes(path, body, overwrite=False)


def _is_same(path: Path, body: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(body) and path.read_bytes() == body


def _names(path: Path) -> Iterator[Path]:
    """The path itself, then with a number behind its name, from 2 on."""
    stem = path.name.partition(".")[0]
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{stem}-{number}{path.name[len(stem) :]}")
