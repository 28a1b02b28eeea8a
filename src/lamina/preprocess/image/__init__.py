"""Pictures, by path or by bytes: decoded with OpenCV in threads, turned upright, brought to one size, kept as uint8.

Normalisation happens inside the network, so it cannot drift from it. In training each picture is decoded once into a
memory map on disk, named by content and settings: the second epoch and the second run start at memory speed.

A cell is a file's path, its bytes, a `data:` address, or `{path, bytes}` as Hugging Face datasets write them. A picture
that is too large, cut short or of no known format is set aside with its reason in training; in an answer it counts as
missing, which is an even grey.
"""

import base64
import math
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config
from lamina.preprocess._file_kind import FileKind
from lamina.preprocess.image import cache as _kept
from lamina.preprocess.image import cells as _cells
from lamina.preprocess.image import codec as _decode
from lamina.preprocess.image import headers as _header
from lamina.preprocess.image import survey as _survey
from lamina.preprocess.image.stderr import quiet
from lamina.schema import PICTURE_NAME, PICTURES, Input

CELL = pa.struct([("path", pa.string()), ("bytes", pa.large_binary())])
KEPT_FROM = 64  # fewer pictures are not worth a file
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
LOOKED_AT = 128  # pictures whose size and colours decide the settings
TRIED, QUICK = 8, 2e-4  # pictures, and seconds for one of them below which threads do not pay
LARGEST_SIDE = 224
GREY = 128
ADDRESS = "data:"

T = TypeVar("T")
Fit = Literal["letterbox", "crop", "stretch"]
Side = Annotated[int, Field(ge=1, le=4096)]


class Config(config.Config):
    kind: Literal["image"] = "image"
    size: tuple[Side, Side] | Side | None = Field(
        default=None, description="height and width in pixels; from the data when unset"
    )
    channels: Literal[1, 3] | None = Field(default=None, description="1 grey or 3 colour; from the data when unset")
    fit: Fit = Field(default="letterbox", description="letterbox, crop or stretch: how another shape is made to fit")
    max_pixels: int = Field(default=50_000_000, ge=1, description="larger pictures are refused before they are decoded")


LEARNED: dict[str, "State"] = {}  # of the last columns: rows are looked through before they are fitted


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
        known = [_header.format_of(body) is not None for body in column.slice(0, 100).to_pylist()]
        return (0.98 if sum(known) * 2 > len(known) else 0.0), {}  # the others will be set aside, each with its reason
    if not pa.types.is_string(column.type) or not len(column):
        return 0.0, {}
    named = pc.match_substring_regex(column, PICTURE_NAME).cast(pa.float64())
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
    sample = known.take(pa.array(np.linspace(0, len(known) - 1, min(len(known), LOOKED_AT)).astype(np.int64)))
    key = _cells.name(sample, cfg)
    if key not in LEARNED:
        if len(LEARNED) > 16:
            LEARNED.clear()
        with quiet():
            LEARNED[key] = _learned(_cells.cells(sample), cfg)
    return LEARNED[key]


def about(column: pa.Array, cfg: Config) -> str:
    """Sizes and colours of a sample, in a few words: width x height, `32 x 32 px, colour`."""
    return _survey.about(parse(column, cfg), cfg.max_pixels)


def _learned(sample: _cells.Cells, cfg: Config) -> State:
    """The headers give the size; each picture is then decoded no larger than need be, and only its sums are held."""
    fixed = (cfg.size, cfg.size) if isinstance(cfg.size, int) else cfg.size
    height, width = fixed or _size([s for s in _threaded(lambda i: _shape_of(sample, i), len(sample.paths)) if s])
    size = _decode.Size(height, width, cfg.channels or 3, cfg.fit)

    def looked(place: int) -> tuple[np.ndarray, np.ndarray, bool] | None:
        pixels, _ = _pixels(sample, place, cfg.max_pixels, max(height, width))
        if pixels is None:
            return None
        spots = _decode.fitted(pixels, size)
        return *_decode.spread(spots), _is_grey(spots)

    seen = [one for one in _threaded(looked, len(sample.paths)) if one]
    channels = cfg.channels or (1 if seen and all(grey for *_, grey in seen) else 3)
    means = [_mean([mean[i] for mean, *_ in seen], GREY) for i in range(channels)]
    squares = [_mean([m[i] ** 2 + std[i] ** 2 for m, std, _ in seen], GREY**2) for i in range(channels)]
    return State(
        height=height,
        width=width,
        channels=channels,
        fit=cfg.fit,
        max_pixels=cfg.max_pixels,
        mean=tuple(mean / 255 for mean in means),
        std=tuple(max(max(s - m**2, 0.0) ** 0.5 / 255, 1e-3) for m, s in zip(means, squares, strict=True)),
    )


def _mean(values: list[float], otherwise: float) -> float:
    """The same whatever the order of the rows."""
    return math.fsum(values) / len(values) if values else float(otherwise)


def _shape_of(sample: _cells.Cells, place: int) -> tuple[int, int] | None:
    body, _ = _cells.body(sample, place)
    return _decode.upright(body) if body else None


def _size(shapes: list[tuple[int, int]]) -> tuple[int, int]:
    if not shapes:
        return 32, 32
    height, width = np.median(shapes, axis=0)
    if len(set(shapes)) > 1:
        height = width = (height * width) ** 0.5  # many shapes: a square of the usual area
    shrink = min(1.0, LARGEST_SIDE / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def _is_grey(pixels: np.ndarray) -> bool:
    return pixels.shape[2] == 1 or not any((_apart(pixels, 0, i) > 2).any() for i in (1, 2))


def _apart(pixels: np.ndarray, one: int, other: int) -> np.ndarray:
    a, b = pixels[:, :, one], pixels[:, :, other]
    return np.maximum(a, b) - np.minimum(a, b)


def faults(values: pa.Array, state: State) -> list[str | None]:
    """Why each picture cannot be used, or None; a missing one can. (rows,) What is decoded on the way is kept."""
    if _raw(values) is not None:
        return [None] * len(values)
    with quiet():
        return _faults(values, state)


def _faults(values: pa.Array, state: State) -> list[str | None]:
    if len(values) < KEPT_FROM:
        return _decoded(values, state, np.empty((len(values), *_shape(state)), np.uint8))
    name = _cells.name(values, state)
    if (told := _kept.reasons(name, len(values))) is not None:
        return told
    array, reasons = _kept.made(name, (len(values), *_shape(state)), lambda out: _decoded(values, state, out))
    sound = np.array([reason is None for reason in reasons])
    if not sound.all():  # what training will ask for are the sound ones
        rows = np.flatnonzero(sound)
        _kept.made(
            _cells.name(values.take(pa.array(rows)), state), (len(rows), *_shape(state)), partial(_picked, array, rows)
        )
    return reasons


def _picked(array: np.ndarray, rows: np.ndarray, out: np.ndarray) -> list[str | None]:
    for start in range(0, len(rows), 256):
        out[start : start + 256] = array[rows[start : start + 256]]
    return [None] * len(rows)


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


def area(body: bytes) -> int:
    """Pixels by the header alone; 0 for what is no picture."""
    height, width = _decode.upright(body) or (0, 0)
    return height * width


TINY = (  # eight by eight pixels of sky and grass
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAHElEQVQI12OMWvWMARtgYsABSJdgefMojNZ2AABUvAQgMr+MLQAAAABJRU5ErkJggg=="
)

FILE = FileKind(
    noun="picture",
    plural="pictures",
    media=("image/*",),
    formats="PNG, JPEG, WebP, GIF, BMP or TIFF",
    file_name="picture.jpg",
    suffixes=PICTURES,
    unit="pixels",
    largest=50_000_000,
    total=200_000_000,
    sample=lambda: base64.b64decode(TINY),
    measure=area,
)


def bounded(state: State, pixels: int) -> State:
    """The state that refuses pictures of more than so many pixels, if it does not refuse them already."""
    return state.model_copy(update={"max_pixels": min(state.max_pixels, pixels)})


def kept(values: pa.Array, state: State) -> np.ndarray:
    """The same array as `encode`, from a file on disk that is written when it is not there."""
    raw = _raw(values)
    with quiet():
        if len(values) < KEPT_FROM or (raw is not None and raw.shape[1:] == _shape(state)):
            return encode(values, state)
        return _kept_array(values, state)


def _kept_array(values: pa.Array, state: State) -> np.ndarray:
    name, shape = _cells.name(values, state), (len(values), *_shape(state))
    there = _kept.found(name, shape)
    return there if there is not None else _kept.made(name, shape, lambda out: _decoded(values, state, out))[0]


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
    if min(width, height) < 1:
        return None
    start, channels = sum(map(len, head[:3])) + 3, 1 if head[0] == b"P5" else 3
    files = np.frombuffer(bodies.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(len(bodies), long)
    if long - start != height * width * channels or (files[:, :start] != files[0, :start]).any():
        return None
    return files[:, start:].reshape(len(bodies), height, width, channels)


def _decoded(values: pa.Array, state: State, out: np.ndarray) -> list[str | None]:
    """Write every picture into `out`; the reason for each that cannot be had."""
    size, cells = _decode.Size(*_shape(state), state.fit), _cells.cells(values)

    def one(place: int) -> str | None:
        pixels, reason = _pixels(cells, place, state.max_pixels, max(size[:2]))
        out[place] = GREY if pixels is None else _decode.fitted(pixels, size)
        return reason or None

    return _threaded(one, len(values))


def _pixels(cells: _cells.Cells, place: int, most: int, reduce: int) -> tuple[np.ndarray | None, str]:
    body, reason = _cells.body(cells, place)
    return (None, reason) if body is None else _decode.pixels(body, most, reduce)


def _threaded(function: Callable[[int], T], count: int) -> list[T]:
    """The function of 0, 1 ... in threads: OpenCV lets go of the interpreter lock, so they decode side by side.

    Where the first few are done in no time, one thread does them all: more would only pass the lock to and fro.
    """
    done, quickest = [], math.inf
    for place in range(min(count, TRIED)):
        start = time.perf_counter()
        done.append(function(place))
        quickest = min(quickest, time.perf_counter() - start)
        if quickest > 10 * QUICK:
            break
    if CORES == 1 or quickest < QUICK:
        return [*done, *map(function, range(len(done), count))]
    step = max(1, min(32, count // (4 * CORES)))
    pieces = (range(start, min(start + step, count)) for start in range(len(done), count, step))
    with ThreadPoolExecutor(CORES) as pool:
        found = pool.map(lambda piece: [function(place) for place in piece], pieces)
        return [*done, *(one for piece in found for one in piece)]


def golden(values: pa.Array, state: State, rng: np.random.Generator) -> list[Any]:
    """Made-up pictures of soft spots, so that nobody's picture leaves with a bundle; as base64 of PNG."""
    spots = [rng.integers(0, 256, (5, 5, state.channels), dtype=np.uint8) for _ in range(len(values))]
    return [base64.b64encode(_decode.png(spot, min(state.height, 64), min(state.width, 64))).decode() for spot in spots]


def feed(state: State) -> Input:
    return Input(kind="image", shape=_shape(state), dtype="uint8", mean=state.mean, std=state.std)
