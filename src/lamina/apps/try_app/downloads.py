"""Answers as files to take away: a table, or a zip of what was written into a folder."""

import io
import zipfile
from pathlib import Path

import pyarrow as pa

from lamina.deploy import writers
from lamina.resources import disk

FORMATS = {  # endings, with a word and a media type for each
    ".csv": ("CSV", "text/csv"),
    ".parquet": ("Parquet", "application/vnd.apache.parquet"),
    ".jsonl": ("JSON lines", "application/jsonl"),
}


def table(answers: pa.Table, suffix: str) -> bytes:
    """A table as a file of this sort, as the command line writes it."""
    folder = disk.temporary_folder()
    try:
        path = folder / f"answers{suffix}"
        with writers.writer(path) as write:
            write(answers)
        return path.read_bytes()
    finally:
        disk.remove(folder)


def archive(files: dict[str, bytes]) -> bytes:
    """Files by name as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, body in files.items():
            packed.writestr(name, body)
    return buffer.getvalue()


def content(path: Path) -> tuple[bytes, str]:
    """What was written at a path, and the ending of its name: a file as it is, a folder as a zip."""
    if not path.is_dir():
        return path.read_bytes(), path.suffix
    return archive({str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}), ".zip"
