"""Pictures, by path or by bytes: decoded with OpenCV in threads, turned upright, brought to one size, kept as uint8.

Normalisation happens inside the network, so it cannot drift from it. In training each picture is decoded once into a
memory map on disk, named by content and settings: the second epoch and the second run start at memory speed.

A cell is a file's path, its bytes, a `data:` address, or `{path, bytes}` as Hugging Face datasets write them. A picture
that is too large, cut short or of no known format is set aside with its reason in training; in an answer it counts as
missing, which is an even grey.
"""

import base64
import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config
from lamina.preprocess import _decode
from lamina.schema import PICTURES, Input

CELL = pa.struct([("path", pa.string()), ("bytes", pa.large_binary())])
KEPT_FROM = 256  # fewer pictures are decoded faster than a file of them is found
LOOKED_AT = 256  # pictures whose size and colours decide the settings
LARGEST_SIDE = 224
GREY = 128
NAMED = rf"(?i)({'|'.join(suffix.replace('.', '[.]') for suffix in PICTURES)})$"
ADDRESS = "data:"

Fit = Literal["letterbox", "crop", "stretch"]


class Config(config.Config):
    kind: Literal["image"] = "image"
    size: tuple[int, int] | int | None = Field(
        default=None, description="height and width in pixels; from the data when unset"
    )
    channels: Literal[1, 3] | None = Field(default=None, description="1 grey or 3 colour; from the data when unset")
    fit: Fit = Field(default="letterbox", description="letterbox, crop or stretch: how another shape is made to fit")
    max_pixels: int = Field(default=50_000_000, ge=1, description="larger pictures are refused before they are decoded")


class State(config.Config):
    height: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=4096)
    channels: Literal[1, 3]
    fit: Fit
    max_pixels: int = Field(ge=1)
    mean: tuple[float, ...] = Field(min_length=1, max_length=3)
    std: tuple[float, ...] = Field(min_length=1, max_length=3)


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Bytes that begin as pictures do, structs of path and bytes, or texts that end as names of pictures."""
    if pa.types.is_struct(column.type):
        names = {field.name for field in column.type}
        return (0.98 if "bytes" in names and names <= {"bytes", "path"} else 0.0), {}
    if _is_binary(column.type):
        first = column.slice(0, 5).to_pylist()
        return (0.98 if first and all(_decode.format_of(body) for body in first) else 0.0), {}
    if not pa.types.is_string(column.type) or not len(column):
        return 0.0, {}
    named = pc.match_substring_regex(column, NAMED).cast(pa.float64())
    return (0.97 if pc.mean(named).as_py() > 0.95 else 0.0), {}


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    """Cells as `{path, bytes}`, without reading a file; a cell of another type is null."""
    path, body = pa.nulls(len(column), pa.string()), pa.nulls(len(column), pa.large_binary())
    if pa.types.is_struct(column.type):
        fields = {field.name: pc.struct_field(column, [i]) for i, field in enumerate(column.type)}
        if "path" in fields and pa.types.is_string(fields["path"].type):
            path = fields["path"]
        if "bytes" in fields and _is_binary(fields["bytes"].type):
            body = fields["bytes"].cast(pa.large_binary())
    elif _is_binary(column.type):
        body = column.cast(pa.large_binary())
    elif pa.types.is_string(column.type):
        path = column
        if pc.any(pc.starts_with(column, ADDRESS)).as_py():
            body = wire(pc.if_else(pc.starts_with(column, ADDRESS), column, None).to_pylist())
    absent = pc.and_(pc.is_null(path), pc.is_null(body))
    return pa.StructArray.from_arrays([path, body], fields=list(CELL), mask=absent)


def wire(cells: Iterable[Any]) -> pa.Array:
    """Cells as JSON carries them: base64, with or without `data:...,` before it. A path means nothing over a wire."""
    return pa.array([_from_base64(cell) for cell in cells], pa.large_binary())


def _from_base64(cell: Any) -> bytes | None:
    """The bytes; a cell that is there but is no base64 is bytes of no known format. Line breaks may stand in it."""
    if cell is None:
        return None
    try:
        text = cell.partition(",")[2] if cell[: len(ADDRESS)].lower() == ADDRESS else cell
        return base64.b64decode("".join(text.split()), validate=True) or b"?"
    except (ValueError, AttributeError, TypeError):
        return b"?"


def fit(values: pa.Array, cfg: Config) -> State:
    """Size and colours by a sample of the training pictures: their median shape, never above 224; grey if all are."""
    known = values.drop_null()
    sample = known.take(pa.array(np.arange(0, len(known), max(1, len(known) // LOOKED_AT)))).to_pylist()
    found = [pixels for pixels, _ in _threaded(lambda cell: _pixels(cell, cfg.max_pixels, 0), sample)]
    pictures = [pixels for pixels in found if pixels is not None]
    height, width = _size(pictures, cfg)
    channels = cfg.channels or (1 if pictures and all(map(_is_grey, pictures)) else 3)
    size = _decode.Size(height, width, channels, cfg.fit)
    fitted = [_decode.fitted(pixels, size) for pixels in pictures]
    seen = np.stack(fitted) if fitted else np.full((1, 1, 1, channels), GREY, np.uint8)
    numbers = seen.reshape(-1, channels).astype(np.float64) / 255
    return State(
        height=height,
        width=width,
        channels=channels,
        fit=cfg.fit,
        max_pixels=cfg.max_pixels,
        mean=tuple(numbers.mean(0).tolist()),
        std=tuple(np.maximum(numbers.std(0), 1e-3).tolist()),
    )


def _size(pictures: list[np.ndarray], cfg: Config) -> tuple[int, int]:
    if isinstance(cfg.size, int):
        return cfg.size, cfg.size
    if cfg.size is not None:
        return cfg.size
    if not pictures:
        return 32, 32
    shapes = np.array([pixels.shape[:2] for pixels in pictures])
    height, width = np.median(shapes, axis=0)
    if len(np.unique(shapes, axis=0)) > 1:
        height = width = (height * width) ** 0.5  # many shapes: a square of the usual area
    shrink = min(1.0, LARGEST_SIDE / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def _is_grey(pixels: np.ndarray) -> bool:
    return pixels.shape[2] == 1 or bool((np.ptp(pixels.astype(np.int16), axis=2) <= 2).all())


def faults(values: pa.Array, state: State) -> list[str | None]:
    """Why each picture cannot be used, or None; a missing one can. (rows,) What is decoded on the way is kept."""
    if _raw(values) is not None:
        return [None] * len(values)
    if len(values) < KEPT_FROM:
        return _decoded(values, state, np.empty((len(values), *_shape(state)), np.uint8))
    return _keep(_file(values, state), values, state)


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, height, width, channels) uint8; a picture that cannot be had is an even grey."""
    return checked(values, state)[0]


def checked(values: pa.Array, state: State) -> tuple[np.ndarray, list[str | None]]:
    """The same array, and for each row why its picture cannot be had, or None."""
    raw = _raw(values)
    if raw is not None and raw.shape[1:] == _shape(state):
        return raw, [None] * len(raw)
    out = np.empty((len(values), *_shape(state)), np.uint8)
    return out, _decoded(values, state, out)


def bounded(state: State, pixels: int) -> State:
    """The state that refuses pictures of more than so many pixels, if it does not refuse them already."""
    return state.model_copy(update={"max_pixels": min(state.max_pixels, pixels)})


def kept(values: pa.Array, state: State) -> np.ndarray:
    """The same array as `encode`, from a file on disk that is written when it is not there."""
    if len(values) < KEPT_FROM or _raw(values) is not None:
        return encode(values, state)
    file = _file(values, state)
    if not file.exists():
        _keep(file, values, state)
    return np.load(file, mmap_mode="c")


def _shape(state: State) -> tuple[int, int, int]:
    return state.height, state.width, state.channels


def _raw(values: pa.Array) -> np.ndarray | None:
    """Pictures that are all plain PNM of one size, as arrays give them: their very pixels, without decoding."""
    bodies = pc.struct_field(values, [1])
    if not len(bodies) or bodies.null_count:
        return None
    offsets = np.frombuffer(bodies.buffers()[1], np.int64)[bodies.offset : bodies.offset + len(bodies) + 1]
    long = int(offsets[1] - offsets[0])
    head = bodies[0].as_py()[:32].split(b"\n", 3)
    if len(head) < 4 or head[0] not in (b"P5", b"P6") or head[2] != b"255" or (np.diff(offsets) != long).any():
        return None
    try:
        width, height = map(int, head[1].split())
    except ValueError:
        return None
    start, channels = sum(map(len, head[:3])) + 3, 1 if head[0] == b"P5" else 3
    files = np.frombuffer(bodies.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(len(bodies), long)
    if long - start != height * width * channels or (files[:, :start] != files[0, :start]).any():
        return None
    return files[:, start:].reshape(len(bodies), height, width, channels)


def _decoded(values: pa.Array, state: State, out: Any) -> list[str | None]:
    """Write every picture into `out`; the reason for each that cannot be had."""
    size, cells = _decode.Size(*_shape(state), state.fit), values.to_pylist()

    def one(place: int) -> str | None:
        cell = cells[place]
        pixels, reason = (None, None) if cell is None else _pixels(cell, state.max_pixels, max(size[:2]))
        out[place] = GREY if pixels is None else _decode.fitted(pixels, size)
        return reason or None

    return _threaded(one, range(len(cells)))


def _pixels(cell: dict[str, Any], most: int, reduce: int) -> tuple[np.ndarray | None, str]:
    body = cell["bytes"]
    if body is None:
        try:
            with open(cell["path"], "rb") as file:
                body = file.read()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "no such name"
            return None, f"{cell['path'][:200]} cannot be read ({why})"
    return _decode.pixels(body, most, reduce)


def _threaded(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """OpenCV lets go of the interpreter lock, so threads decode side by side."""
    items = list(items)
    if len(items) < 4:
        return [function(item) for item in items]
    _decode.opencv()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def _file(values: pa.Array, state: State) -> Path:
    """The file of these pictures at these settings: named by path, size and time of each file, or by its bytes."""
    digest = hashlib.sha256(state.model_dump_json(exclude={"mean", "std"}).encode())
    for cell in values.to_pylist():
        if cell is None:
            digest.update(b"none")
        elif cell["bytes"] is not None:
            digest.update(hashlib.blake2b(cell["bytes"], digest_size=16).digest())
        else:
            digest.update(_stamp(cell["path"]).encode("utf-8", "replace"))
    return home() / f"{digest.hexdigest()[:32]}.npy"


def home() -> Path:
    """Where decoded pictures are kept: `$LAMINA_CACHE`, else the user's cache folder. May be deleted at any time."""
    said = os.environ.get("LAMINA_CACHE")
    root = Path(said) if said else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lamina"
    return root / "images"


def _keep(file: Path, values: pa.Array, state: State) -> list[str | None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(f".{os.getpid()}")
    out = np.lib.format.open_memmap(aside, "w+", np.uint8, (len(values), *_shape(state)))
    try:
        reasons = _decoded(values, state, out)
        out.flush()
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
    return reasons


def _stamp(path: str) -> str:
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return f"{path}\0gone"
    return f"{os.path.abspath(path)}\0{info.st_size}\0{info.st_mtime_ns}"


def golden(values: pa.Array, state: State, rng: np.random.Generator) -> list[Any]:
    """Made-up pictures of soft spots, so that nobody's picture leaves with a bundle; as base64 of PNG."""
    spots = [rng.integers(0, 256, (5, 5, state.channels), dtype=np.uint8) for _ in range(len(values))]
    return [base64.b64encode(_decode.png(spot, min(state.height, 64), min(state.width, 64))).decode() for spot in spots]


def feed(state: State) -> Input:
    return Input(kind="image", shape=_shape(state), dtype="uint8", mean=state.mean, std=state.std)
