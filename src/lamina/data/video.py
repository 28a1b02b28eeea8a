"""Videos: folders of one class each, or a list of files; frames are taken at even times and become rows of images.

Gives the columns `image` (the frame as JPEG), `label` (the folder), `time` (seconds) and `video` (the file). `time` and
`video` say where a row comes from and are not learned from. All frames of one video go to one part, so that no video is
evaluated that was learned from. A video that cannot be opened, or has no frame, is skipped.
"""

import glob
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina.config import DataError, LaminaError
from lamina.data import _folder_layout as _tree
from lamina.data._splits import TEST, TRAIN, VALIDATION, Fractions, assign
from lamina.schema import IMAGE_SUFFIXES, Collected, SkippedRow

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv")
# what such files begin with, so that no list of other files or addresses is followed
STARTS = (b"RIFF", b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"0&\xb2u", b"FLV\x01", b"OggS")
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
MOST_PIXELS = 50_000_000
MOST_FRAMES = 100_000  # of one video
QUALITY = 95
NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}


class Config(_tree.Layout):
    """Which videos, and which of their frames."""

    kind: Literal["video"] = "video"
    path: str | tuple[str, ...] = Field(description="A folder of class folders, a file, a pattern, or a list of these.")
    test: str | tuple[str, ...] | None = Field(default=None, description="Separate test videos, as path.")
    every: float = Field(default=1.0, gt=0, description="seconds between two frames")
    frames: int | None = Field(default=None, ge=1, description="frames per video, evenly; takes the place of every")
    largest: int = Field(default=640, ge=1, le=4096, description="longer side that a frame is shrunk to, in pixels")
    seed: int = Field(default=0, ge=0, description="decides which videos go to which part")


class Frame(NamedTuple):
    """A frame as JPEG and its time in seconds."""

    body: bytes
    time: float


class Videos(NamedTuple):
    """The videos in the order of their names, what the folders say of them, and what is none."""

    files: list[str]
    folders: _tree.FolderLabels
    skipped_rows: list[SkippedRow]


def claims(path: str) -> bool:
    """A folder that holds videos and no image, a video file, or a pattern of such files."""
    root = Path(path)
    if root.is_dir():
        return _tree.any_below(root, VIDEOS) and not _tree.any_below(root, IMAGE_SUFFIXES)
    return root.suffix.lower() in VIDEOS


def load(cfg: Config) -> Collected:
    """The frames of all videos, video after video.

    Errors: DataError where there is no video, none can be opened, or some stand in class folders and some do not.
    """
    videos = _videos(cfg)
    labels = videos.folders.labels
    _tree.refuse_no_class(labels, str(cfg.path), "video")
    opencv()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda file: _frames(file, cfg), videos.files))
    bad = [
        SkippedRow(f, None, "image", got) for f, got in zip(videos.files, results, strict=True) if isinstance(got, str)
    ]
    if len(bad) == len(results):
        raise DataError(f"data.path: no video can be used; {bad[0].file} {bad[0].reason}.")
    good = [(place, frames) for place, frames in enumerate(results) if not isinstance(frames, str)]
    video = np.repeat([place for place, _ in good], [len(frames) for _, frames in good])
    columns = {
        "image": pa.chunked_array([pa.array([f.body for f in frames], pa.large_binary()) for _, frames in good]),
        "time": pa.array([frame.time for _, frames in good for frame in frames], pa.float64()),
        "video": pa.array([videos.files[place] for place in video], pa.string()),
    }
    parts, note = _parts(videos, [place for place, _ in good], cfg)
    if parts:
        columns["part"] = pa.array([parts[place] for place in video], pa.string())
    notes = [f"{len(video):,} frames of {len(good)} videos.", note]
    if any(labels):
        columns["label"] = pa.array([labels[place] for place in video], pa.string())
        notes += _tree.notes_on(videos.folders._replace(labels=[labels[place] for place, _ in good]))
    return Collected(
        pa.table(columns),
        (*videos.skipped_rows, *bad),
        tuple(filter(None, notes)),
        "part" if parts else None,
        "label" if any(labels) else None,
        ("time", "video"),
        "classification" if any(labels) else None,
        ("label",),
    )


def source_line(cfg: Config, row_numbers: Sequence[int]) -> list[tuple[str, int | None]]:
    """The video of each row of the loaded table."""
    videos = load(cfg).table["video"]
    return [(videos[row].as_py(), None) for row in row_numbers]


def opencv() -> Any:
    """OpenCV, imported when the first video comes; what it says of broken files is for us to tell."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError:
        raise LaminaError("videos: OpenCV is not installed. Install it: pip install 'lamina[images]'") from None
    cv2.utils.logging.setLogLevel(0)
    return cv2


def _videos(cfg: Config) -> Videos:
    if isinstance(cfg.path, str) and Path(cfg.path).is_dir():
        files_below = _tree.below(Path(cfg.path))
        good, bad = _tree.by_suffix(files_below.files, VIDEOS, cfg.path, "video")
        bad += [_tree.skipped_rows(cfg.path, place, reason) for place, reason in files_below.odd]
        places = [files_below.files[i] for i in good]
        inside, folders, others = _tree.inside(places, cfg.path, cfg)
        places, bad = [places[i] for i in inside], [*bad, *others]
        files = [str(Path(cfg.path) / place) for place in places]
    else:
        files, bad = sorted(set(_matching(cfg.path))), []
        folders = _tree.labels_of([PurePosixPath(Path(file).as_posix()) for file in files], cfg)
        if len(set(folders.labels)) < 2:  # files of one folder, or one file: their folder says nothing
            folders = folders._replace(labels=[""] * len(files))
    if not files:
        raise DataError(f"data.path: {cfg.path} holds no video ({', '.join(VIDEOS)}).")
    return Videos(files, folders, bad)


def _matching(path: str | tuple[str, ...]) -> Iterator[str]:
    for name in (path,) if isinstance(path, str) else path:
        matches = [name] if Path(name).is_file() else [f for f in glob.glob(name, recursive=True) if Path(f).is_file()]
        if not matches:
            raise DataError(f"{name}: there is no such video. Looked in {Path(name).parent.absolute()}.")
        yield from matches


def _parts(videos: Videos, good: list[int], cfg: Config) -> tuple[dict[int, str], str]:
    """The part of each usable video: as the folders say, else drawn video by video with each class in its share."""
    folder_parts = videos.folders.parts
    shares = Fractions()
    mine = [place for place in good if not folder_parts or folder_parts[place] == "train"]
    part_of = {place: folder_parts[place] for place in good} if folder_parts else {}
    if folder_parts and "validation" in folder_parts:
        return part_of, ""
    if len(mine) < 3:
        few = f"{len(mine)} videos are too few to keep each in one part: its frames may be learned from and evaluated."
        return part_of, few
    labels = np.unique([videos.folders.labels[place] for place in mine], return_inverse=True)[1]
    rng, apart = np.random.Generator(np.random.PCG64(cfg.seed)), bool(folder_parts) or cfg.test is not None
    codes = assign(labels, shares.validation, 0.0 if apart else shares.test, rng)
    part_of |= {place: NAMES[int(code)] for place, code in zip(mine, codes, strict=True)}
    if len(set(part_of.values())) < (2 if cfg.test is not None and not folder_parts else 3):
        return (
            {},
            "Too few videos of each class to keep each in one part: its frames may be learned from and evaluated.",
        )
    return part_of, "All frames of a video are in one part."


def _frames(file: str, cfg: Config) -> list[Frame] | str:
    """The wanted frames of one video, or why there is none."""
    try:
        with open(file, "rb") as stream:
            head = stream.read(16)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not head:
        return "the file is empty"
    if not head.startswith(STARTS) and head[4:8] not in BOXES:
        return "is not a video of a known format"
    cv2 = opencv()
    film = cv2.VideoCapture(os.path.abspath(file), cv2.CAP_FFMPEG)
    try:
        if not film.isOpened():
            return "cannot be opened as a video: it is damaged or cut short"
        if film.get(cv2.CAP_PROP_FRAME_WIDTH) * film.get(cv2.CAP_PROP_FRAME_HEIGHT) > MOST_PIXELS:
            return f"has frames of more than {MOST_PIXELS:,} pixels"
        return _decode(film, cfg) or "holds no frame that can be decoded"
    finally:
        film.release()


def _decode(film: Any, cfg: Config) -> list[Frame]:
    """Every frame is passed by, as seeking is not exact; only wanted ones are turned into pixels."""
    cv2 = opencv()
    rate = film.get(cv2.CAP_PROP_FPS)
    rate = rate if math.isfinite(rate) and 0 < rate <= 1000 else 25.0
    count = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
    step = cfg.every * rate
    if cfg.frames is not None:
        step = max(count, 1) / cfg.frames
    due = step / 2 if cfg.frames else 0.0
    frames: list[Frame] = []
    number = 0
    while len(frames) < min(cfg.frames or MOST_FRAMES, MOST_FRAMES) and film.grab():
        if number >= math.floor(due):
            ok, pixels = film.retrieve()
            if ok and pixels is not None and pixels.size:
                frames.append(Frame(_jpeg(pixels, cfg.largest), number / rate))
            due += max(step, 1.0)
        number += 1
    return frames


def _jpeg(pixels: np.ndarray, largest: int) -> bytes:
    cv2 = opencv()
    shrink = largest / max(pixels.shape[:2])
    if shrink < 1:
        size = max(1, round(pixels.shape[1] * shrink)), max(1, round(pixels.shape[0] * shrink))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    ok, body = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    assert ok
    return body.tobytes()
