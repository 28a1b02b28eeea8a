"""Arrays on disk: NumPy `.npz` and the IDX files of MNIST, images or plain numbers.

An `.npz` holds `x` and `y` (any case, also `images`/`labels`, `data`/`target`), or these with `_train`, `_validation`,
`_test` behind. Images are (rows, height, width) or (rows, height, width, 1, 3 or 4), red first; where the colours
come before the height they are turned, and a note says so. Numbers other than 0 to 255 stay what they are: which of
them are black and white is learned of training rows. Other arrays of two dimensions become one number column each.
Nothing is unpickled. A folder or `.gz` of IDX files is known by its names.
"""

import gzip
import math
import re
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina import config
from lamina.config import DataError
from lamina.data._arrow_values import is_zeros_and_ones, label_sets, native
from lamina.data._image_cells import pnm
from lamina.schema import Collected

INPUTS, TARGETS = ("x", "images", "data", "features"), ("y", "labels", "target", "targets")
PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
IDX_FILE = re.compile(r"(?:.*[-_])?(train|t10k|test)[-_](images|labels)[-.]idx\d-ubyte(\.gz)?")
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_BYTES = 16 << 30  # of one array, unpacked
CHANNELS = (1, 3, 4)
UNREADABLE = (  # what zipfile and the parser of NumPy's headers raise of damaged files
    *(OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError),
    *(TypeError, KeyError, SyntaxError, tokenize.TokenError, MemoryError, OverflowError),
)

Arrays = dict[str, np.ndarray]


class Config(config.Config):
    """Which file holds the arrays."""

    kind: Literal["npz"] = "npz"
    path: str = Field(description="An .npz file, or a folder of IDX files.")
    test: str | None = Field(default=None, description="A separate test file, or folder, as path.")


def claims(path: str) -> bool:
    """An `.npz` file, or a folder with IDX files."""
    root = Path(path)
    return root.suffix.lower() == ".npz" or (root.is_dir() and any(IDX_FILE.fullmatch(f.name) for f in root.iterdir()))


def load(cfg: Config) -> Collected:
    """All rows, part after part, with the columns `image` (or x0, x1 ...), `label` and `part`.

    Errors: DataError naming the array that cannot be used.
    """
    path = Path(cfg.path)
    arrays = {name: native(values) for name, values in (_idx_folder if path.is_dir() else _npz)(path).items()}
    pairs = _pairs(arrays, str(path))
    form, notes = _form([inputs for inputs, _ in pairs.values()], str(path))
    single = all((y.sum(1) == 1).all() for _, y in pairs.values() if is_zeros_and_ones(y))
    tables = []
    for part, (inputs, labels) in pairs.items():
        classes = _classes(labels, single, f"{path}: y{'_' * bool(part)}{part}")
        if len(inputs) != len(classes):
            raise DataError(f"{path}: {part or 'x'} has {len(inputs)} rows but {len(classes)} labels.")
        columns = _columns(inputs, form) | {"label": classes}
        if part:
            columns["part"] = pa.array([part] * len(inputs))
        tables.append(pa.table(columns))
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        kinds = ", ".join(sorted({f"{x.dtype} and {y.dtype}" for x, y in pairs.values()}))
        raise DataError(f"{path}: the parts hold arrays of different types ({kinds}). Give all the same.") from None
    part_column = "part" if "part" in table.column_names and "train" in pairs else None
    if "part" in table.column_names and not part_column:
        table = table.drop_columns(["part"])
    return Collected(table, notes=notes, part=part_column, target="label", literal=("label",))


def _npz(path: Path) -> Arrays:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Looked in {path.parent.absolute()}.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {Path(i.filename): i for i in archive.infolist()}
            return {str(name.with_suffix("")): _npy(archive, i) for name, i in members.items() if name.suffix == ".npy"}
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read as .npz ({error}). Write it with numpy.savez.") from None


def _npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array; what its header says of shape and type is held against its bytes before it has memory."""
    if info.file_size > MOST_BYTES:
        raise ValueError(f"{info.filename} unpacks to more than {MOST_BYTES >> 30} GB")
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, columns_first, kind = read(stream)
        if kind.hasobject:
            raise ValueError(f"{info.filename} holds Python objects, which are not read")
        length = math.prod(shape) * kind.itemsize
        if min(shape, default=0) < 0 or not 0 <= length <= info.file_size or not kind.itemsize:
            raise ValueError(f"{info.filename} says it holds {shape} of {kind}, and has {info.file_size:,} bytes")
        body = stream.read(length)
        stream.read()  # the rest, if any, for the check sum
    if len(body) < length:
        raise ValueError(f"{info.filename} is cut short")
    array = np.frombuffer(bytearray(body), kind)
    if kind.kind == "U" and not _is_unicode(array):
        raise ValueError(f"{info.filename} holds text that is not Unicode")
    return array.reshape(shape, order="F" if columns_first else "C")


def _is_unicode(texts: np.ndarray) -> bool:
    """Whether all characters are code points that text may have; NumPy decodes them only when a cell is used."""
    points = np.frombuffer(texts.tobytes(), np.dtype(np.uint32).newbyteorder(texts.dtype.byteorder))
    surrogates = (points >= 0xD800) & (points <= 0xDFFF)
    return not bool((surrogates | (points > 0x10FFFF)).any())


def _pairs(arrays: Arrays, where: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Inputs and labels by part; the part is empty when the file knows none. With parts, the whole is not used."""
    by_part: dict[str, Arrays] = {}
    for name, values in arrays.items():
        match = re.fullmatch(
            r"(?i)(?:(train|val|valid|validation|test)_)?([a-z]+)(?:_(train|val|valid|validation|test))?", name
        )
        role = match and ("x" if match[2].lower() in INPUTS else "y" if match[2].lower() in TARGETS else None)
        if match and role:
            part = (match[1] or match[3] or "").lower()
            by_part.setdefault(PARTS.get(part, ""), {})[role] = values
    pairs = {part: (both["x"], both["y"]) for part, both in by_part.items() if {"x", "y"} <= set(both)}
    if not pairs:
        raise DataError(f"{where}: holds {', '.join(arrays)}; wanted x and y, or x_train, y_train, x_test, y_test.")
    if len(pairs) > 1:
        pairs.pop("", None)
    for part, (inputs, labels) in pairs.items():
        if not inputs.ndim or not labels.ndim or not len(inputs):
            raise DataError(f"{where}: {part or 'x'} holds no rows.")
    return pairs


class Form(config.Config):
    """How arrays become columns: `first` when the colours come first; `type` is that of the numbers of images."""

    images: bool
    first: bool = False
    type: Literal["uint8", "uint16", "float32"] = "uint8"


def _form(inputs: list[np.ndarray], where: str) -> tuple[Form, tuple[str, ...]]:
    """What the arrays of all parts are, decided by the first of them, and notes."""
    one = inputs[0]
    odd = [a.shape[1:] for a in inputs if a.shape[1:] != one.shape[1:]]
    if odd:
        raise DataError(f"{where}: the parts have rows of different shapes, {one.shape[1:]} and {odd[0]}.")
    if one.dtype.kind not in "biuf":
        raise DataError(f"{where}: an array of type {one.dtype} holds no numbers.")
    if 0 in one.shape[1:]:
        raise DataError(f"{where}: an array of shape {one.shape} holds no numbers.")
    if one.ndim == 2:
        return Form(images=False), ()
    last, before = (one.ndim == 4 and one.shape[at] in CHANNELS for at in (-1, 1))
    if one.ndim not in (3, 4) or (one.ndim == 4 and not last and not before):
        raise DataError(f"{where}: an array of shape {one.shape} is neither images nor rows.")
    notes = ()
    if first := before and not last:
        notes += (f"The images have their colours first {one.shape[1:]}; they were put last.",)
    low, high = min(float(a.min()) for a in inputs), max(float(a.max()) for a in inputs)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError(f"{where}: images must hold finite numbers (got {low:g} to {high:g}).")
    whole = all(a.dtype.kind in "ui" for a in inputs) and low >= 0 and high <= 65535
    kind = "uint8" if one.dtype in (np.uint8, np.bool_) else "uint16" if whole else "float32"
    return Form(images=True, first=first, type=kind), notes


def _columns(inputs: np.ndarray, form: Form) -> dict[str, pa.Array]:
    if not form.images:
        return {f"x{i}": pa.array(np.ascontiguousarray(column)) for i, column in enumerate(inputs.T)}
    if form.first:
        inputs = np.moveaxis(inputs, 1, -1)
    if inputs.dtype == np.bool_:
        inputs = inputs * np.uint8(255)
    if form.type == "float32" and inputs.ndim == 4 and inputs.shape[3] == 4:  # of which there is no file
        top = next((top for top in (1.0, 255.0) if inputs.max() <= top), 65535.0)
        return {"image": pnm(np.rint(np.clip(inputs, 0, top) * (65535 / top)).astype(np.uint16))}
    return {"image": pnm(inputs, form.type)}


def _classes(labels: np.ndarray, single: bool, where: str) -> pa.Array:
    """Labels of (rows,), (rows, 1), or one column per class of zeros and ones: where each row has a `single` 1, its
    class, else the sets of the columns that are 1.
    """
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not is_zeros_and_ones(labels):
            raise DataError(f"{where}: of shape {labels.shape} is neither one label per row nor one column per class.")
        return pa.array(labels.argmax(1)) if single else label_sets(labels)
    if labels.ndim > 2 or labels.dtype.kind not in "biufUS":
        raise DataError(f"{where}: of shape {labels.shape} and type {labels.dtype} is not one label per row.")
    flat = labels.reshape(-1)
    return pa.array(np.char.decode(flat, "utf-8", "replace") if flat.dtype.kind == "S" else flat)


def _idx_folder(path: Path) -> Arrays:
    """`train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` and so on, gzipped or not."""
    arrays: Arrays = {}
    for file in sorted(path.iterdir()):
        if match := IDX_FILE.fullmatch(file.name):
            part = "train" if match[1] == "train" else "test"
            arrays[f"{match[2]}_{part}"] = _idx(file)
    if not arrays:
        raise DataError(f"{path}: holds no IDX file such as train-images-idx3-ubyte.")
    return arrays


def _idx(file: Path) -> np.ndarray:
    """One array of the format of http://yann.lecun.com/exdb/mnist, no more bytes of it than its header says."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES:
                raise DataError(f"{file}: is not an IDX file.")
            shape = np.frombuffer(stream.read(4 * head[3]), ">u4")
            kind = np.dtype(IDX_TYPES[head[2]])
            length = int(np.prod(shape, dtype=object)) * kind.itemsize
            if len(shape) < head[3] or length > MOST_BYTES:
                raise DataError(f"{file}: its header is damaged or says it is too large.")
            body = stream.read(length)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: cannot be read ({error}). Fetch it anew.") from None
    if len(body) < length:
        raise DataError(f"{file}: is cut short: {len(body):,} bytes of {length:,}.")
    values = np.frombuffer(body, kind).reshape(shape)
    return values.astype(kind.newbyteorder("="), copy=False)
