"""Images in tables: cells of path and bytes stay whole, paths beside a table are found, codes get their names."""

import functools
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.data._formats.pieces import Piece, TableFile
from lamina.schema import IMAGE_FILE_NAME, IMAGE_SUFFIXES

CHUNK = 1024  # images that are copied at a time
MOSTLY = 0.95  # of the cells of a column
SAMPLED, PROBES = 1000, 20  # cells that decide what a column is, and those that are looked for in every folder
MOST_ENTRIES, MOST_FOLDERS = 10_000, 100  # of the folder of a table that are looked at
TAILS = (3, 2, 1)  # last parts of paths of another machine
ENDINGS = tuple(ending for suffix in IMAGE_SUFFIXES for ending in (suffix, suffix.upper()))
NAMED = re.compile(
    r"(?i)(^|[^a-z])(id|image|img|picture|photo|file|filename|name|path|scan|slide)s?([^a-z]|$)|(?-i:[a-z]I[dD]$)"
)


class Way(NamedTuple):
    """How a name is that of an image: in a folder, with an ending behind, by its last parts alone (0: all of it)."""

    folder: str = ""
    ending: str = ""
    tail: int = 0


class Finder:
    """Where the images stand that the cells of a table name: from here, beside the table, or in a folder beside it.

    Names may have the separators of Windows, and folders in front that are those of another machine. Names without an
    ending are those of images where nearly all of a column are found with one. What the first rows say of a column
    holds for all rows.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.ways: dict[str, list[Way]] = {}  # by column, how its images are found

    def images(self, piece: Piece) -> Piece:
        """Some rows of the table, with paths that can be opened in place of names."""
        table, notes = piece.table, list[str]()
        for i, field in enumerate(table.schema):
            sample = table.column(i).slice(0, SAMPLED).drop_null() if pa.types.is_string(field.type) else ()
            if field.name not in self.ways and len(sample):
                self.ways[field.name], note = self._search(field.name, sample)
                notes += note
            if ways := self.ways.get(field.name):
                cells = [cell and _locate(cell, ways) for cell in table.column(i).to_pylist()]
                table = table.set_column(i, field, pa.array(cells, pa.string()))
        return piece._replace(table=table, notes=(*piece.notes, *notes))

    def _search(self, name: str, sample: pa.ChunkedArray) -> tuple[list[Way], list[str]]:
        """How the images of a column are found, by some of its cells, and a note; none where it names no images."""
        cells = sample.unique().to_pylist()
        if _are_names(sample):
            ways = self._hits(cells[:PROBES], ("",), (0,))
            if ways or not any(re.search(r"[\\/]", cell) for cell in cells[:PROBES]):
                return [Way(), *ways], []
            ways = self._hits(cells[:PROBES], ("",), TAILS)
            note = (
                f"Column '{name}': its images are found in {ways[0].folder} by the ends of their paths." if ways else ""
            )
            return [Way(), *ways], [note] if note else []
        if not NAMED.search(name) or len(cells) < len(sample) / 2 or not self._hits(cells[:1], ENDINGS, (0,)):
            return [], []
        ways = self._hits(cells[:PROBES], ENDINGS, (0,))
        if np.mean([_locate(cell, ways) != cell for cell in cells]) <= MOSTLY:
            return [], []
        folder, ending, _ = ways[0]
        note = f"Column '{name}' names images in {folder} without their ending ({ending}): it is their paths."
        return ways, [f"{note} If it is not: --set columns.{name}=ignore"]

    def _hits(self, cells: list[str], endings: tuple[str, ...], tails: tuple[int, ...]) -> list[Way]:
        """The ways by which images are found, the most frequent first."""
        every = [Way(folder, ending, tail) for tail in tails for folder in ("", *self._folders) for ending in endings]
        hits = (next((way for way in every if _exists(_path(cell.strip(), way))), None) for cell in cells)
        return [way for way, _ in Counter(way for way in hits if way).most_common()]

    @functools.cached_property
    def _folders(self) -> list[str]:
        """The folder of the table and those inside it, down to the second level."""
        first = _inside(str(self.folder))
        return [str(self.folder), *first, *(inner for folder in first for inner in _inside(folder))][:MOST_FOLDERS]


def _inside(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.path for entry in itertools.islice(entries, MOST_ENTRIES) if entry.is_dir())
    except OSError:
        return []


def with_local_paths(one: TableFile) -> TableFile:
    """The same file, with names of images as paths that can be opened from here."""
    finder = Finder(one.file.parent)

    def read(rows: int | None) -> Iterator[Piece]:
        return map(finder.images, one.read(rows))

    return one._replace(read=read)


def _are_names(sample: pa.ChunkedArray) -> bool:
    texts = pc.utf8_trim_whitespace(sample)
    return pc.mean(pc.match_substring_regex(texts, IMAGE_FILE_NAME).cast(pa.float64())).as_py() > MOSTLY


def _locate(cell: str, ways: list[Way]) -> str:
    """The path of the image that a cell names, or the cell."""
    name = cell.strip()
    paths = (_path(name, way) for way in ways) if name else ()
    return next((path for path in paths if _exists(path)), cell)


def _path(name: str, way: Way) -> str:
    """A name in a folder; one with the separators of Windows, where that is not what the file is called."""
    folder, ending, tail = way
    if tail:
        name = "/".join(re.split(r"[\\/]", name)[-tail:])
    path = os.path.join(folder, name + ending)
    return path if "\\" not in path or _exists(path) else path.replace("\\", "/")


def _exists(path: str) -> bool:
    return "\0" not in path and os.path.isfile(path)


def classes(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of the codes of each column, where Hugging Face `datasets` wrote them beside the columns (`ClassLabel`)."""
    text = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(text)["info"]["features"] if text else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    class_names = {name: _names(feature) for name, feature in features.items()} if isinstance(features, Mapping) else {}
    integers = {field.name for field in schema if pa.types.is_integer(field.type)}
    return {name: names for name, names in class_names.items() if names and name in integers}


def _names(feature: Any) -> list[str]:
    if not isinstance(feature, Mapping) or feature.get("_type") != "ClassLabel":
        return []
    names = feature.get("names")
    return [str(name) for name in names] if isinstance(names, list) else []


def with_class_names(table: pa.Table, classes: Mapping[str, list[str]]) -> pa.Table:
    """Codes as their names; a code without one, such as the -1 of a hidden test label, is missing."""
    for name, names in classes.items():
        if name in table.column_names:
            codes = table[name].cast(pa.int64())
            valid = pc.and_(pc.greater_equal(codes, 0), pc.less(codes, len(names)))
            words = pa.array(names, pa.string()).take(pc.if_else(valid, codes, None).combine_chunks())
            table = table.set_column(table.column_names.index(name), name, words)
    return table


def pnm(images: np.ndarray, dtype: Any = None) -> pa.Array:
    """Raw images (rows, height, width[, channels]), red first, as files, which is a header before the same numbers:
    PNM and PAM of uint8 and uint16, PFM of float32, of which 4 channels are none. `dtype`: what they become first.

    A comment says of uint16 that they are of an array: what is white in it is not the largest number there can be.
    """
    count, height, width = images.shape[:3]
    channels = images.shape[3] if images.ndim == 4 else 1
    stored = {"uint8": "u1", "uint16": ">u2", "float32": "<f4"}[str(np.dtype(dtype or images.dtype))]
    top = 255 if stored == "u1" else 65535
    if stored == "<f4":
        text = f"P{'F' if channels == 3 else 'f'}\n{width} {height}\n-1.0\n"
    elif channels == 4:
        text = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH 4\nMAXVAL {top}\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    else:
        comment = "# array\n" if top > 255 else ""
        text = f"P{6 if channels == 3 else 5}\n{comment}{width} {height}\n{top}\n"
    head = np.frombuffer(text.encode(), np.uint8)
    size = height * width * channels * np.dtype(stored).itemsize
    whole = np.empty((count, len(head) + size), np.uint8)
    whole[:, : len(head)] = head
    for start in range(0, count, CHUNK):
        part = images[start : start + CHUNK]
        part = part[:, ::-1] if stored == "<f4" else part  # whose rows stand from below
        body = np.ascontiguousarray(part, stored).reshape(len(part), -1).view(np.uint8)
        whole[start : start + CHUNK, len(head) :] = body
    offsets = np.arange(count + 1, dtype=np.int64) * whole.shape[1]
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(whole)]
    )
