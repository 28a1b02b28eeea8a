"""Images in, images out: a folder of the same names, or one file for one file; one at a time."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

import pyarrow as pa
from pydantic import Field

from lamina.config import DataError
from lamina.preprocess import Broken
from lamina.resources import disk
from lamina.schema import Row
from lamina.task import Request, Session
from lamina.tasks.denoising import image_files

ONE = (image_files.PNG, image_files.TIFF, ".tif")  # how the name of one file may end
DIGITS = 6
SOME = 5  # names in a sentence


class DenoiseOptions(Request):
    """How files are written."""

    overwrite: bool = Field(default=False, description="replace what is at the output already")


def write(session: Session, rows: pa.Table, options: DenoiseOptions, output: Path) -> Row:
    """Write each image without its noise into a new folder `output`, or the only one into a file of that name.

    Errors: DataError where no image can be used, or images stand where they would be replaced.
    """
    column, most = (
        image_files.column(session.schema, rows, session.task.state.columns[0]),
        image_files.most(session.prep),
    )
    paths = [Path(path) if path else None for path in column.paths]
    single = output.suffix.lower() in ONE
    if single and len(paths) != 1:
        raise DataError(f"-o: one file cannot hold {len(paths):,} images. Name a folder (got '{output}').")
    _refuse_own(paths, output)
    disk.refuse_existing(output, options.overwrite, folder=not single)
    names = _names(paths)
    broken, other = list[Broken](), list[str]()
    name = session.task.state.columns[0]
    place = disk.new_path(output, options.overwrite) if single else disk.new_folder(output, options.overwrite)
    with place as aside:
        for row, target in enumerate(names):
            image = image_files.read(column, row, most)
            if isinstance(image, str):
                broken.append(Broken(row, name, image))
                continue
            file = aside if single else aside / f"{target}{image.suffix}"
            if single:
                _check_suffix(image.suffix, output)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(image_files.encode(image_files.restore(session, image)))
            path = paths[row]
            if path is not None and not single and path.name != file.name:
                other.append(f"{path.name} is {file.name}")
        if len(broken) == len(names):
            raise DataError(f"source: no image can be used; the first {broken[0].reason}.")
    count = len(names) - len(broken)
    what = f"{count:,} image{'s' * (count != 1)} without noise in {output}"
    notes = _notes(other)
    return {"output": str(output), "rows": count, "sentences": [what], "notes": notes, "broken": broken}


def _check_suffix(suffix: str, output: Path) -> None:
    """Errors: DataError for a name that says another sort of file."""
    if (suffix == image_files.PNG) != (output.suffix.lower() == image_files.PNG):
        sort = "PNG" if suffix == image_files.PNG else "TIFF, as its pixels are floats"
        raise DataError(f"-o: this image is written as {sort}. Name it {output.with_suffix(suffix).name}.")


def _refuse_own(paths: Sequence[Path | None], output: Path) -> None:
    """Errors: DataError where what is to be read would be replaced."""
    place = output.resolve()
    for path in paths:
        if path is not None and (path.resolve() == place or place in path.resolve().parents):
            raise DataError(f"-o: {output} holds {path.name}, which is to be read. Name another place.")


def _names(paths: Sequence[Path | None]) -> list[PurePath]:
    """Where each image goes, without its ending: its place below the folder that all share; numbers where there are
    no names. Of two that differ in the ending alone, the later one has it in its name.
    """
    parents = [os.path.abspath(path.parent) for path in paths if path is not None]
    root = os.path.commonpath(parents) if parents else ""
    names, present = list[PurePath](), set[str]()
    for number, path in enumerate(paths, 1):
        inner = PurePath(f"{number:0{DIGITS}}") if path is None else PurePath(os.path.relpath(path, root))
        own = inner.with_suffix("")
        own = inner if str(own).casefold() in present else own
        present.add(str(own).casefold())
        names.append(own)
    return names


def _notes(other: Sequence[str]) -> list[str]:
    """What is to be said of names that are not the same."""
    if not other:
        return []
    more = f" and {len(other) - SOME:,} more" if len(other) > SOME else ""
    return [
        f"Files are written as PNG, of floats as TIFF, so names have other endings: {'; '.join(other[:SOME])}{more}."
    ]
