"""Files that a person brings: they are copied into the folder `data`, and nothing there is ever replaced."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lamina.resources import disk
from lamina.run import name_of

DATA = Path("data")


def copy(files: Sequence[Any]) -> str:
    """Where uploaded files are now: one file, or a folder of several. The same file again is the one that is there."""
    paths = [_inside(file.name) for file in files]
    if len(files) == 1 and len(paths[0].parts) == 1:
        return str(_copy(files[0].getvalue(), paths[0]))
    common = paths[0].parts[0] if len({path.parts[0] for path in paths}) == 1 else name_of([paths[0].name])
    below = {_below(path, common): file.getvalue() for path, file in zip(paths, files, strict=True)}
    for folder in _names(DATA / common):
        if not folder.exists():
            for path, body in below.items():
                _write(folder / path, body)
            return str(folder)
        if all(_is_same(folder / path, body) for path, body in below.items()):
            return str(folder)
    raise AssertionError


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
