"""What stands at coordinates, written into files: a table of rows or series, or a new folder of PNG images."""

from pathlib import Path

import pyarrow as pa
from pydantic import Field

from lamina.config import DataError
from lamina.deploy import writers
from lamina.preprocess.image.codec import as_png
from lamina.resources import disk
from lamina.schema import Row
from lamina.task import Request, Session
from lamina.tasks.dimensionality_reduction import coordinates, point_table

PIECE = 16_384  # rows decoded at a time
PNG, DIGITS = ".png", 6


class WriteOptions(Request):
    """How files are written."""

    overwrite: bool = Field(default=False, description="replace what is at the output already")


def write(session: Session, rows: pa.Table | None, options: WriteOptions, output: Path) -> Row:
    """Write what stands at each point, in order: rows into one file, images into a new folder.

    Errors: DataError for coordinates of no use, or an output that does not suit, LaminaError where it cannot be
    written.
    """
    assert rows is not None
    places, images = point_table.parse(session, rows), coordinates.sort(session) == "images"
    disk.refuse_existing(output, options.overwrite, folder=images)
    if images:
        if output.suffix in (PNG, *writers.FORMATS):
            raise DataError(f"-o: this bundle generates images. Name a new folder for the PNG files (got '{output}').")
        with disk.new_folder(output, options.overwrite) as folder:
            for start in range(0, len(places), PIECE):
                decoded = coordinates.images(coordinates.decode(session, places[start : start + PIECE]))
                for number, image in enumerate(decoded, start + 1):
                    (folder / f"{number:0{DIGITS}}{PNG}").write_bytes(as_png(image))
        return _result(output, len(places), f"{len(places):,} images in {output}", session)
    writers.check_format(output)
    with writers.writer(output, options.overwrite) as append:
        for start in range(0, len(places), PIECE):
            append(coordinates.cells(session, coordinates.decode(session, places[start : start + PIECE])))
    return _result(output, len(places), f"{len(places):,} rows in {output}", session)


def _result(output: Path, count: int, sentence: str, session: Session) -> Row:
    return {"output": str(output), "rows": count, "bundle": session.id, "sentences": [sentence]}
