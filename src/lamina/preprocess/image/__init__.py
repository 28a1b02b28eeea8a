"""Images, by path or by bytes: decoded with OpenCV in threads, turned upright, brought to one size, kept as uint8.

Normalisation happens inside the network, so it cannot drift from it. In training each image is decoded once into a
memory map on disk, named by content and settings: the second epoch and the second run start at memory speed.

A cell is a file's path, its bytes, a `data:` address, or `{path, bytes}` as Hugging Face datasets write them. An image
that is too large, cut short or of no known format is skipped with its reason in training; in an answer it counts as
missing, which is an even grey.
"""

import base64
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from lamina import config
from lamina.preprocess._column_config import ColumnConfig
from lamina.preprocess._file_kind import FileKind
from lamina.preprocess.image import cache, codec, headers, levels, overview, sample
from lamina.preprocess.image import cells as _cells
from lamina.preprocess.image.levels import Reading, Sort
from lamina.preprocess.image.parallel import in_threads
from lamina.preprocess.image.sample import GREY
from lamina.preprocess.image.stderr import quiet
from lamina.schema import FILE_CELL, IMAGE_FILE_NAME, IMAGE_SUFFIXES, Input

FEWEST = 64  # images that are worth a file
SAMPLED = 128  # images whose size and colours decide the settings
ADDRESS = "data:"
PRIVATE = True
TINY = (  # eight by eight pixels of sky and grass
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAHElEQVQI12OMWvWMARtgYsABSJdgefMojNZ2AABUvAQgMr+MLQAAAABJRU5ErkJggg=="
)

Fit = Literal["letterbox", "crop", "stretch"]
Side = Annotated[int, Field(ge=1, le=4096)]


class Config(ColumnConfig):
    kind: Literal["image"] = "image"
    size: tuple[Side, Side] | Side | None = Field(
        default=None, description="height and width in pixels; from the data when unset"
    )
    largest: tuple[Side, Side] | None = Field(
        default=None, description="size that larger images are brought to, when size is unset; their own up to 224"
    )
    channels: Literal[1, 3] | None = Field(default=None, description="1 grey or 3 colour; from the data when unset")
    fit: Fit = Field(default="letterbox", description="letterbox, crop or stretch: how another shape is made to fit")
    max_pixels: int = Field(default=50_000_000, ge=1, description="larger images are refused before they are decoded")
    levels: tuple[float, float] | None = Field(
        default=None, description="black and white of images deeper than 8 bits; from the data when unset"
    )
    ground: int | None = Field(
        default=None, ge=0, le=255, description="grey that transparent places show, 255 white; from the data when unset"
    )

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        if self.levels and self.levels[0] >= self.levels[1]:
            raise ValueError("levels must be two numbers, black and white, of which the second is greater")
        return self


class State(config.Config):
    height: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=4096)
    channels: Literal[1, 3]
    fit: Fit
    max_pixels: int = Field(ge=1)
    mean: tuple[float, ...] = Field(min_length=1, max_length=3)
    std: tuple[float, ...] = Field(min_length=1, max_length=3)
    levels: dict[Sort, tuple[float, float]] = {}
    ground: int = Field(default=255, ge=0, le=255)

    @property
    def reading(self) -> Reading:
        """How pixels become 8 bits; a state of older bundles reads each image by itself, on white."""
        return Reading(self.levels, self.ground)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.height, self.width, self.channels


class Learned(NamedTuple):
    """What training images say, and a note on it."""

    state: State
    note: str


LEARNED: dict[str, Learned] = {}  # of the last columns: rows are looked through before they are fitted


def measure(body: bytes) -> int:
    """Pixels by the header alone; 0 for what is no image."""
    height, width = codec.upright_shape(body) or (0, 0)
    return height * width


FILE = FileKind(
    noun="image",
    plural="images",
    media=("image/*",),
    formats="PNG, JPEG, WebP, GIF, BMP or TIFF",
    file_name="image.jpg",
    suffixes=IMAGE_SUFFIXES,
    unit="pixels",
    largest=50_000_000,
    total=200_000_000,
    sample=partial(base64.b64decode, TINY),
    measure=measure,
)


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Bytes that begin as images do, structs of path and bytes, or texts that end as names of images."""
    if pa.types.is_struct(column.type):
        names = {field.name for field in column.type}
        return (0.98 if "bytes" in names and names <= {"bytes", "path"} else 0.0), {}
    if _is_binary(column.type):
        formats = [headers.format_of(body) is not None for body in column.slice(0, 100).to_pylist()]
        return (0.98 if sum(formats) * 2 > len(formats) else 0.0), {}  # others will be skipped, with their reason
    if not pa.types.is_string(column.type) or not len(column):
        return 0.0, {}
    matches = pc.match_substring_regex(column, IMAGE_FILE_NAME).cast(pa.float64())
    return (0.97 if pc.mean(matches).as_py() > 0.95 else 0.0), {}


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
            body = from_json(pc.if_else(pc.starts_with(column, ADDRESS), column, None).to_pylist())
    absent = pc.and_(pc.is_null(path), pc.is_null(body))
    return pa.StructArray.from_arrays([path, body], fields=list(FILE_CELL), mask=absent)


def from_json(cells: Iterable[Any]) -> pa.Array:
    """Cells as JSON carries them: base64, also that of URLs, with or without `data:...,`. A path means nothing here."""
    return pa.array([_from_base64(cell) for cell in cells], pa.large_binary())


def _from_base64(cell: Any) -> bytes | None:
    """The bytes; a cell that is there but is no base64 is bytes of no known format. Line breaks may stand in it."""
    if cell is None:
        return None
    try:
        text = "".join((cell.partition(",")[2] if cell[: len(ADDRESS)].lower() == ADDRESS else cell).split())
        if "-" in text or "_" in text:  # base64 of URLs, whose padding may be left out
            return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True) or b"?"
        return base64.b64decode(text, validate=True) or b"?"
    except (ValueError, AttributeError, TypeError):
        return b"?"


def fit(values: pa.Array, cfg: Config) -> State:
    """Size, colours and levels by a sample of the training images: their median shape, never above 224; grey if all
    are.
    """
    return _learned(values, cfg).state


def _learned(values: pa.Array, cfg: Config) -> Learned:
    present = values.drop_null()
    some = present.take(pa.array(np.linspace(0, len(present) - 1, min(len(present), SAMPLED)).astype(np.int64)))
    key = _cells.name(some, cfg)
    if key not in LEARNED:
        if len(LEARNED) > 16:
            LEARNED.clear()
        with quiet():
            reading, note = sample.reading(_cells.cells(some), cfg)
            size = sample.measure(_cells.cells(some), cfg, reading)
        state = State(
            **size._asdict(), fit=cfg.fit, max_pixels=cfg.max_pixels, levels=dict(reading.levels), ground=reading.ground
        )
        LEARNED[key] = Learned(state, note)
    return LEARNED[key]


def describe(column: pa.Array, cfg: Config) -> str:
    """Sizes and colours of a sample, in a few words: width x height, `32 x 32 px, colour`; and how they are read."""
    values = parse(column, cfg)
    state, note = _learned(values, cfg)
    return "; ".join(filter(None, (overview.note(values, cfg.max_pixels, state.reading), note)))


def survey(column: pa.Array, cfg: Config, labels: list[Any], parts: list[Any]) -> dict[str, Any]:
    """Counts by class, sizes, colours, what is broken, the same image twice; of parsed cells."""
    return overview.survey(column, cfg.max_pixels, fit(column, cfg).reading, labels, parts)


def summarize(facts: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What `survey` gave, for people."""
    return overview.summarize(facts)


def faults(values: pa.Array, state: State) -> list[str | None]:
    """Why each image cannot be used, or None; a missing one can. (rows,) What is decoded on the way is kept."""
    if _cells.raw_pixels(values) is not None:
        return [None] * len(values)
    with quiet():
        if len(values) < FEWEST:
            return _decode(values, state, np.empty((len(values), *state.shape), np.uint8))
        return _cached_faults(values, state)


def _cached_faults(values: pa.Array, state: State) -> list[str | None]:
    name = _cells.name(values, state)
    if (reasons := cache.reasons(name, len(values))) is not None:
        return reasons
    array, reasons = cache.write(name, (len(values), *state.shape), partial(_decode, values, state))
    sound = np.array([reason is None for reason in reasons])
    if not sound.all():  # what training will ask for are the sound ones
        rows = np.flatnonzero(sound)
        name = _cells.name(values.take(pa.array(rows)), state)
        cache.write(name, (len(rows), *state.shape), partial(_copy_rows, array, rows))
    return reasons


def _copy_rows(array: np.ndarray, rows: np.ndarray, out: np.ndarray) -> list[str | None]:
    for start in range(0, len(rows), 256):
        out[start : start + 256] = array[rows[start : start + 256]]
    return [None] * len(rows)


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, height, width, channels) uint8; an image that cannot be had is an even grey."""
    return encode_with_reasons(values, state)[0]


def encode_with_reasons(values: pa.Array, state: State) -> tuple[np.ndarray, list[str | None]]:
    """The same array, and for each row why its image cannot be had, or None."""
    raw = _raw(values, state)
    if raw is not None:
        return raw, [None] * len(raw)
    out = np.empty((len(values), *state.shape), np.uint8)
    return out, _decode(values, state, out)


def _raw(values: pa.Array, state: State) -> np.ndarray | None:
    """Images that came as arrays of the size that is wanted, without decoding them one by one."""
    raw = _cells.raw_pixels(values)
    if raw is None or raw.shape[1:] != state.shape:
        return None
    sort = levels.sort_of(raw)
    if sort is None:
        return raw
    return levels.to_bytes(raw, state.levels[sort]) if sort in state.levels else None


def encode_memmap(values: pa.Array, state: State) -> np.ndarray:
    """The same array as `encode`, from a file on disk that is written when it is not there."""
    if (raw := _raw(values, state)) is not None:
        return raw
    with quiet():
        if len(values) < FEWEST:
            return encode(values, state)
        name, shape = _cells.name(values, state), (len(values), *state.shape)
        array = cache.read(name, shape)
        return array if array is not None else cache.write(name, shape, partial(_decode, values, state))[0]


def bounded(state: State, largest: int) -> State:
    """The state that refuses images of more pixels, if it does not refuse them already."""
    return state.model_copy(update={"max_pixels": min(state.max_pixels, largest)})


def encode_bytes(bodies: list[bytes], state: State) -> np.ndarray | None:
    """What `encode` gives for files in memory; None where one of them is of no use."""
    out = np.empty((len(bodies), *state.shape), np.uint8)
    reasons = _write(out, lambda place: (bodies[place], ""), state)
    return out if not any(reasons) else None


def _decode(values: pa.Array, state: State, out: np.ndarray) -> list[str | None]:
    """Write every image into `out`; the reason for each that cannot be had."""
    column = _cells.cells(values)
    return _write(out, lambda place: _cells.body(column, place), state)


def _write(out: np.ndarray, body_of: Callable[[int], tuple[bytes | None, str]], state: State) -> list[str | None]:
    size = codec.Size(*state.shape, state.fit)

    def one(place: int) -> str | None:
        body, reason = body_of(place)
        pixels = None
        if body is not None:
            pixels, reason = codec.pixels(body, state.max_pixels, max(size[:2]), state.reading)
        out[place] = GREY if pixels is None else codec.fit_to(pixels, size)
        return reason or None

    return in_threads(one, len(out))


def golden(state: State, cfg: Config, rng: np.random.Generator, count: int) -> list[Any]:
    """Made-up images of soft spots, so that nobody's image leaves with a bundle; as base64 of PNG."""
    spots = [rng.integers(0, 256, (5, 5, state.channels), dtype=np.uint8) for _ in range(count)]
    return [
        base64.b64encode(codec.enlarged_png(s, min(state.height, 64), min(state.width, 64))).decode() for s in spots
    ]


def feed(state: State) -> Input:
    return Input(kind="image", shape=state.shape, dtype="uint8", mean=state.mean, std=state.std)
