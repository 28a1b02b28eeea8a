"""Files that a person brings, as the source of rows that the command line would make of them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv

from lamina import data, recipe
from lamina.apps.try_app import cells, downloads
from lamina.config import Config, DataError, LaminaError
from lamina.data.files import SUFFIXES
from lamina.deploy import batch
from lamina.deploy.predictor import Predictor
from lamina.resources import disk
from lamina.schema import Row
from lamina.task import JSON, Operation


def suffixes(operation: Operation, predictor: Predictor) -> list[str]:
    """Endings of files that hold rows: tables, and of columns of files these and zips of them."""
    prep = operation.prep(predictor)
    own = [suffix for column in prep.files for suffix in prep.file_kind(column.name).suffixes]
    return [suffix.lstrip(".") for suffix in (*SUFFIXES, *own, *([".zip"] if own else []))]


class Uploads(NamedTuple):
    """The settings of a source of files that were uploaded, and the folder in which they are."""

    source: Config
    folder: Path

    def bare(self, text: str) -> str:
        """A sentence that names files as the person does who brought them."""
        return text.replace(f"{self.folder}{os.sep}", "").removeprefix(f"{self.folder}: ")


@contextmanager
def stored(files: Sequence[Any], operation: Operation, predictor: Predictor) -> Iterator[Uploads]:
    """Files in a folder, which is gone afterwards with all that was written into it. Errors: LaminaError where they
    cannot be read.
    """
    temporary = disk.temporary_folder()
    folder = temporary / "rows"
    uploads = Uploads(Config(), folder)
    try:
        disk.make_folder(folder)
        paths = list[str]()
        for number, file in enumerate(files, 1):
            path = folder / PurePath(file.name).name
            path = path.with_name(f"{number}-{path.name}") if str(path) in paths else path
            disk.write_bytes(path, file.getvalue())
            paths.append(str(path))
        tables = all(PurePath(path).suffix.lower() in SUFFIXES for path in paths)
        place = paths[0] if len(paths) == 1 else paths if tables else str(folder)
        settings = recipe.build({"data": place}, trains=False).data
        yield uploads._replace(source=data.expecting(settings, operation.names(predictor)))
    except LaminaError as error:
        raise DataError(uploads.bare(str(error))) from None
    finally:
        disk.remove(temporary)


class Text(NamedTuple):
    """A text that was pasted, as a file."""

    name: str
    text: str

    def getvalue(self) -> bytes:
        return self.text.encode()


class Outcome(NamedTuple):
    """What came of files: a sentence, notes, why rows were skipped; a table to look at, and a file to take away."""

    sentence: str
    notes: list[str]
    reasons: list[str]
    table: pa.Table | None
    body: bytes
    suffix: str


def answer(files: Sequence[Any], operation: Operation, predictor: Predictor, request: Any, keep: bool) -> Outcome:
    """Every row of files answered in order, as the command line does. Errors: LaminaError."""
    if operation.write is not None:
        request = (operation.options or operation.request).model_validate(request.model_dump())
    with stored(files, operation, predictor) as uploads:
        output = uploads.folder.with_name("predictions" if _is_folder(operation, predictor) else "predictions.csv")
        columns = [batch.ALL] if keep and operation.write is None and operation.rows == "each" else None
        result = batch.run(predictor, operation.name, uploads.source, request, output, columns)
        body, suffix = downloads.content(output)
        table = pyarrow.csv.read_csv(output) if suffix == ".csv" else None
    notes = list(map(uploads.bare, result.get("notes", [])))
    count = result.get("rows", 0)
    amount = result.get("amount") or f"{count:,} prediction{'s' * (count != 1)}"
    return Outcome(
        f"{amount}, {result.get('skipped', 0):,} rows skipped.",
        notes,
        sentences_on(result.get("reasons", [])),
        table,
        body,
        suffix,
    )


def sentences_on(reasons: Sequence[Row]) -> list[str]:
    """Why rows of files were skipped, with an example of each reason."""
    return [
        f"{r['count']:,} row{'s' * (r['count'] != 1)} skipped, such as in {PurePath(r['file']).name}"
        f"{':' + str(r['line']) if r['line'] else ''}: {' '.join(filter(None, (r['column'], r['reason'])))}."
        for r in reasons
    ]


def _is_folder(operation: Operation, predictor: Predictor) -> bool:
    """Whether answers are files of their own, such as images, and not rows of a table."""
    cells_of_example = [cell for row in operation.example(predictor).answers for cell in row.values()]
    return operation.gives != JSON or (
        operation.write is not None and any(cells.image(cell) for cell in cells_of_example if isinstance(cell, str))
    )
