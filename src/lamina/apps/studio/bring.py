"""Files that a person brings: they are copied into the folder `data`, and nothing there is ever replaced."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lamina.resources import disk
from lamina.run import name_of

DATA = Path("data")


def copy(files: Sequence[Any]) -> str:
    """Where uploaded files are now: one file, or a folder of several. The same file again is the one that is there."""
    paths = [_inside(file.name) for file in files]
    if len(files) == 1 and len(paths[0].parts) == 1:
        return str(_copy(files[0].getvalue(), DATA / paths[0]))
    common = paths[0].parts[0] if len({path.parts[0] for path in paths}) == 1 else name_of([paths[0].name])
    folder = DATA / common
    bodies = {folder / _below(path, common): file.getvalue() for path, file in zip(paths, files, strict=True)}
    if folder.exists() and not all(_is_same(path, body) for path, body in bodies.items()):
        new = _free(folder)
        bodies = {new / path.relative_to(folder): body for path, body in bodies.items()}
        folder = new
    for path, body in bodies.items():
        _copy(body, path)
    return str(folder)


def _inside(name: str) -> PurePosixPath:
    """A name, perhaps with folders, that leads nowhere else."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    return PurePosixPath(*(parts or ["file"]))


def _below(path: PurePosixPath, common: str) -> PurePosixPath:
    return PurePosixPath(*path.parts[1:]) if len(path.parts) > 1 and path.parts[0] == common else path


def _copy(body: bytes, path: Path) -> Path:
    if _is_same(path, body):
        return path
    path = _free(path)
    disk.make_folder(path.parent)
    disk.write_bytes(path, body, overwrite=False)
    return path


def _is_same(path: Path, body: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(body) and path.read_bytes() == body


def _free(path: Path) -> Path:
    """The path itself, or with the first number behind its name by which nothing is there."""
    number, stem = 2, path.name.partition(".")[0]
    new = path
    while new.exists():
        new = path.with_name(f"{stem}-{number}{path.name[len(stem) :]}")
        number += 1
    return new
