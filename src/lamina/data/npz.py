"""Arrays on disk: NumPy `.npz` and the IDX files of MNIST, pictures or plain numbers.

An `.npz` holds `x` and `y` (any case, also `images`/`labels`, `data`/`target`), or these with `_train`, `_validation`,
`_test` behind. Pictures are uint8 (rows, height, width) or (rows, height, width, 3), red first; other arrays of two
dimensions become one number column each. Nothing is unpickled. A folder or `.gz` of IDX files is known by its names.
"""

import gzip
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from lamina import config
from lamina.config import DataError
from lamina.schema import Collected

INPUTS, TARGETS = ("x", "images", "data", "features"), ("y", "labels", "target", "targets")
PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
IDX_FILE = re.compile(r"(train|t10k|test)[-_](images|labels)[-.]idx\d-ubyte(\.gz)?")
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class Config(config.Config):
    """Which file holds the arrays."""

    kind: Literal["npz"] = "npz"
    path: str


def claims(path: str) -> bool:
    """An `.npz` file, or a folder with IDX files."""
    root = Path(path)
    return root.suffix.lower() == ".npz" or (root.is_dir() and any(IDX_FILE.fullmatch(f.name) for f in root.iterdir()))


def load(cfg: Config) -> Collected:
    """All rows, part after part, with the columns `image` (or x0, x1 ...), `label` and `part`."""
    path = Path(cfg.path)
    arrays = _idx_folder(path) if path.is_dir() else _npz(path)
    pairs = _pairs(arrays, str(path))
    tables = []
    for part, (inputs, labels) in pairs.items():
        if len(inputs) != len(labels):
            raise DataError(f"{path}: {part or 'x'} has {len(inputs)} rows but {len(labels)} labels.")
        columns = _columns(inputs, str(path)) | {"label": pa.array(np.ravel(labels))}
        if part:
            columns["part"] = pa.array([part] * len(inputs))
        tables.append(pa.table(columns))
    table = pa.concat_tables(tables)
    return Collected(table, part="part" if "part" in table.column_names else None, target="label")


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as .npz ({error}).") from None


def _pairs(arrays: dict[str, np.ndarray], where: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Inputs and labels by part; the part is empty when the file knows none."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, values in arrays.items():
        match = re.fullmatch(r"(?i)([a-z]+)(?:_(train|val|valid|validation|test))?", name)
        role = match and ("x" if match[1].lower() in INPUTS else "y" if match[1].lower() in TARGETS else None)
        if match and role:
            found.setdefault(PARTS.get((match[2] or "").lower(), ""), {})[role] = values
    pairs = {part: (both["x"], both["y"]) for part, both in found.items() if {"x", "y"} <= set(both)}
    if not pairs:
        raise DataError(f"{where}: holds {', '.join(arrays)}; wanted x and y, or x_train, y_train, x_test, y_test.")
    return pairs


def _columns(inputs: np.ndarray, where: str) -> dict[str, pa.Array]:
    if inputs.ndim in (3, 4) and inputs.dtype == np.uint8 and (inputs.ndim == 3 or inputs.shape[3] in (1, 3)):
        return {"image": pnm(inputs)}
    if inputs.ndim == 2:
        return {f"x{i}": pa.array(column) for i, column in enumerate(inputs.T)}
    raise DataError(f"{where}: an array of shape {inputs.shape} and type {inputs.dtype} is neither pictures nor rows.")


def pnm(images: np.ndarray) -> pa.Array:
    """Raw pictures as PNM files, which is a header before the same bytes."""
    count, height, width = images.shape[:3]
    colour = images.ndim == 4 and images.shape[3] == 3
    head = f"P{6 if colour else 5}\n{width} {height}\n255\n".encode()
    body = np.ascontiguousarray(images).reshape(count, -1)
    whole = np.concatenate([np.tile(np.frombuffer(head, np.uint8), (count, 1)), body], axis=1)
    offsets = np.arange(count + 1, dtype=np.int64) * whole.shape[1]
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(whole))]
    )


def _idx_folder(path: Path) -> dict[str, np.ndarray]:
    """`train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` and so on, gzipped or not."""
    found = {}
    for file in sorted(path.iterdir()):
        if match := IDX_FILE.fullmatch(file.name):
            part = "train" if match[1] == "train" else "test"
            found[f"{match[2]}_{part}"] = _idx(file)
    if not found:
        raise DataError(f"{path}: holds no IDX file such as train-images-idx3-ubyte.")
    return found


def _idx(file: Path) -> np.ndarray:
    with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as opened:
        body = opened.read()
    if len(body) < 4 or body[:2] != b"\0\0" or body[2] not in IDX_TYPES:
        raise DataError(f"{file}: is not an IDX file.")
    shape = np.frombuffer(body, ">u4", body[3], 4)
    values = np.frombuffer(body, IDX_TYPES[body[2]], offset=4 + 4 * body[3])
    if values.size != np.prod(shape, dtype=np.int64):
        raise DataError(f"{file}: is cut short: {values.size:,} values of {int(np.prod(shape)):,}.")
    return values.reshape(shape).astype(values.dtype.newbyteorder("="))
