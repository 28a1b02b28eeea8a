"""Pictures in tables: cells of path and bytes stay whole, paths beside a table are found, codes get their names."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.data._formats.pieces import Piece, TableFile
from lamina.schema import PICTURE_NAME

MOSTLY = 0.95


def with_local_paths(one: TableFile) -> TableFile:
    """The same file, with paths of pictures that are not found from here looked for beside the file."""
    folder = one.file.parent

    def read(rows: int | None) -> Iterator[Piece]:
        return (piece._replace(table=_with_local_paths(piece.table, folder)) for piece in one.read(rows))

    return one._replace(read=read)


def _with_local_paths(table: pa.Table, folder: Path) -> pa.Table:
    if folder == Path():
        return table
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type) and _are_names(table.column(i)):
            cells = [cell and _next_to(cell, folder) for cell in table.column(i).to_pylist()]
            table = table.set_column(i, field, pa.array(cells, pa.string()))
    return table


def _are_names(column: pa.ChunkedArray) -> bool:
    sample = column.slice(0, 1000).drop_null()
    texts = pc.utf8_trim_whitespace(sample)
    return (
        bool(len(sample)) and pc.mean(pc.match_substring_regex(texts, PICTURE_NAME).cast(pa.float64())).as_py() > MOSTLY
    )


def _next_to(cell: str, folder: Path) -> str:
    name = cell.strip()
    if not name or os.path.isabs(name) or "\0" in name or os.path.exists(name):
        return cell
    path = os.path.join(folder, name)
    return path if os.path.exists(path) else cell


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


def pnm(images: np.ndarray) -> pa.Array:
    """Raw pictures (rows, height, width[, channels]) as PNM files, which is a header before the same bytes."""
    count, height, width = images.shape[:3]
    channels = images.shape[3] if images.ndim == 4 else 1
    if channels == 4:
        text = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    else:
        text = f"P{6 if channels == 3 else 5}\n{width} {height}\n255\n"
    head = np.frombuffer(text.encode(), np.uint8)
    whole = np.empty((count, len(head) + height * width * channels), np.uint8)
    whole[:, : len(head)] = head
    whole[:, len(head) :] = images.reshape(count, -1)
    offsets = np.arange(count + 1, dtype=np.int64) * whole.shape[1]
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(whole)]
    )
