"""Recordings in the files of the UCR and UEA archives: `.ts` (aeon, sktime), `.arff`, and text with the label first.

Each line is one recording and its label. `NAME_TRAIN.ts` is read together with the `NAME_TEST.ts` beside it, and the
archive's own split is then kept. The columns are `series`, a list of numbers or of steps that are lists of channels,
and `label`, or `target` where it is a number. A line that cannot be used is skipped with its number and a reason.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina import config
from lamina.config import DataError
from lamina.data import _series_cells as _series
from lamina.schema import Collected, SkippedRow

ARCHIVED = re.compile(r".*_(TRAIN|TEST)\.(tsv|txt)", re.IGNORECASE)
MISSING = ("?", "nan", "")
LONGEST = 1 << 26  # characters of a line
TASKS = {"label": "classification", "target": "regression"}


class Config(config.Config):
    """Which file holds the recordings."""

    kind: Literal["recordings"] = "recordings"
    path: str = Field(description="A .ts or .arff file, or a .tsv or .txt file of the UCR archive.")
    test: str | None = Field(
        default=None, description="A separate test file; NAME_TEST beside NAME_TRAIN is found when unset."
    )


class Line(NamedTuple):
    """A recording, channels x steps, with its label; or the reason why it is none."""

    number: int
    series: np.ndarray | None
    label: str | None = None
    reason: str = ""


@dataclass
class Header:
    """What the head of a file says."""

    labels: tuple[str, ...] = ()
    answer: Literal["label", "target", ""] = ""
    dimensions: int | None = None
    place: int = -1  # of the label among the attributes of an .arff file
    nested: bool = False


Reader = Callable[[str, Header], tuple[list[np.ndarray], str | None]]


def claims(path: str) -> bool:
    """A name that ends in .ts or .arff, or as the archive's text files do."""
    name = Path(path).name
    return name.lower().endswith((".ts", ".arff")) or ARCHIVED.fullmatch(name) is not None


def load(cfg: Config) -> Collected:
    """All recordings in the order of the file, those of the archive's test file behind.

    Errors: DataError where the file is missing, holds time stamps, or has no usable line.
    """
    recordings = _read(cfg.path)
    other = _other(cfg)
    if other is None:
        return recordings
    test = _read(str(other))
    if test.target != recordings.target or test.table.schema != recordings.table.schema:
        raise DataError(f"{other}: does not hold the same columns as {cfg.path}. Name the right one with: --test FILE")
    table = pa.concat_tables([recordings.table, test.table])
    part = ["train"] * recordings.table.num_rows + ["test"] * test.table.num_rows
    sentence = f"{Path(cfg.path).name}: its test recordings are those of {other.name}, which stands beside it."
    return Collected(
        table.append_column("part", pa.array(part)),
        (*recordings.skipped_rows, *test.skipped_rows),
        (*recordings.notes, sentence, *test.notes),
        part="part",
        target=recordings.target,
        task=recordings.task,
        literal=recordings.literal,
    )


def stream(cfg: Config, rows: int = 65_536) -> Iterator[Collected]:
    """The recordings of the named file alone, in pieces: what is to be answered is what was named."""
    whole = _read(cfg.path)
    for start in range(0, max(1, whole.table.num_rows), rows):
        bad = whole.skipped_rows if not start else ()
        yield Collected(whole.table.slice(start, rows), bad, target=whole.target)


def source_line(cfg: Config, row_numbers: Sequence[int]) -> list[tuple[str, int | None]]:
    """File and line, from 1, of rows of the loaded table given by their index, from 0."""
    files = [Path(cfg.path), *([other] if (other := _other(cfg)) else [])]
    places = [(str(file), line.number) for file in files for line in _lines(file)[1] if line.series is not None]
    return [places[row] for row in row_numbers]


def _other(cfg: Config) -> Path | None:
    """NAME_TEST beside NAME_TRAIN, unless a test file is named."""
    path = Path(cfg.path)
    match = re.fullmatch(r"(.*)_(TRAIN)", path.stem, re.IGNORECASE)
    if cfg.test is not None or not match:
        return None
    candidate = path.with_name(f"{match[1]}_{'TEST' if match[2].isupper() else 'test'}{path.suffix}")
    return candidate if candidate.is_file() else None


def _read(name: str) -> Collected:
    header, lines = _lines(Path(name))
    good = [line for line in lines if line.series is not None]
    bad = tuple(SkippedRow(name, line.number, "series", line.reason) for line in lines if line.series is None)
    if not good:
        why = f"line {bad[0].line}: {bad[0].reason}" if bad else "there is no line of data"
        raise DataError(f"{name}: no recording can be used ({why}). Mend the file.")
    channels = good[0].series.shape[0] if good[0].series is not None else 1
    series = [line.series for line in good if line.series is not None]
    flat = np.concatenate([one.T.reshape(-1) for one in series])
    columns = {"series": _series.column(flat, [one.shape[1] for one in series], channels)}
    if header.answer:
        labels = [line.label for line in good]
        columns[header.answer] = (
            pa.array(labels, pa.string())
            if header.answer == "label"
            else pa.array([None if label is None else float(label) for label in labels], pa.float64())
        )
    target, task = header.answer or None, TASKS.get(header.answer)
    return Collected(pa.table(columns), bad, target=target, task=task, literal=("label",))


def _lines(file: Path) -> tuple[Header, list[Line]]:
    """The head of a file, and all its recordings; what stands in no line of data is left out."""
    if not file.is_file():
        raise DataError(f"{file}: there is no such file. Looked in {file.parent.absolute()}.")
    header, parsed_lines, inside = Header(), list[Line](), file.suffix.lower() not in (".ts", ".arff")
    header.answer = "label" if inside else ""
    read = _from_ts if file.suffix.lower() == ".ts" else _from_arff if not inside else _from_text
    head = _ts_head if file.suffix.lower() == ".ts" else _ArffHead()
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as stream:
            for number, raw in enumerate(stream, start=1):
                line = raw.strip()
                if not line or line[0] in "#%":
                    continue
                if not inside:
                    inside = line.lower().split()[0] == "@data" or head(line, header, f"{file}:{number}")
                    continue
                parsed_lines.append(_one(read, line, number, header, file))
    except OSError as error:
        raise DataError(f"{file}: cannot be opened ({error.strerror}). Check its permissions.") from None
    if not inside:
        raise DataError(f"{file}: has no line @data. Give a file in the format that its name says.")
    return header, parsed_lines


def _one(read: Reader, line: str, number: int, header: Header, file: Path) -> Line:
    if len(line) > LONGEST:
        return Line(number, None, reason=f"is longer than {LONGEST:,} characters")
    if line[0] == "(" and file.suffix.lower() == ".ts":
        raise DataError(
            f"{file}:{number}: holds time stamps, (time,value). Write the values alone, evenly spaced; "
            "or a long table (kind: long) with a column of time."
        )
    try:
        series, label = read(line, header)
    except ValueError as error:
        return Line(number, None, reason=str(error))
    if header.dimensions is None:
        header.dimensions = len(series)
    if len(series) != header.dimensions:
        return Line(number, None, reason=f"has {len(series)} channels, and must have {header.dimensions}")
    if len({len(channel) for channel in series}) > 1:
        lengths = ", ".join(str(len(channel)) for channel in series[:8])
        return Line(number, None, reason=f"its channels are not equally long ({lengths} steps)")
    if label is not None and label.lower() in MISSING and label not in header.labels:
        label = None
    if header.labels and label is not None and label not in header.labels:
        return Line(number, None, reason=f"its label '{label[:40]}' is not among those the file declares")
    if header.answer == "target" and label is not None and _number(label) is None:
        return Line(number, None, reason=f"its target '{label[:40]}' is no number")
    return Line(number, np.stack(series), label)


def _ts_head(line: str, header: Header, place: str) -> bool:
    """One line of the head of a .ts file; names of settings are read in any case."""
    name, *values = line.split()
    name, first = name.lower(), values[0].lower() if values else ""
    if not line.startswith("@"):
        raise DataError(f"{place}: '{line[:40]}' stands before the line @data. Put it behind, or mark it with #.")
    if name == "@timestamps" and first == "true":
        raise DataError(
            f"{place}: series with time stamps are not read. Write the values alone, evenly spaced; or a long table "
            "(kind: long) with a column of time."
        )
    if name == "@classlabel" and first == "true":
        header.answer, header.labels = "label", tuple(values[1:])
    if name == "@targetlabel" and first == "true":
        header.answer = "target"
    if name in ("@dimensions", "@dimension") and first.isdigit():
        header.dimensions = int(first)
    if name == "@univariate" and first == "true":
        header.dimensions = 1
    return False


class _ArffHead:
    """Lines of the head of an .arff file, which are to be read in order."""

    def __init__(self) -> None:
        self.inside = False  # a relational attribute
        self.count = 0

    def __call__(self, line: str, header: Header, place: str) -> bool:
        word = line.lower().split()[0]
        if word == "@end":
            self.inside = False
        if word != "@attribute" or self.inside:
            return False
        match = re.fullmatch(r"@attribute\s+('[^']*'|\"[^\"]*\"|\S+)\s+(.+)", line, re.IGNORECASE)
        if not match:
            raise DataError(f"{place}: '{line[:60]}' is no attribute. Write @attribute NAME TYPE.")
        kind = match[2].strip()
        if kind.lower() == "relational":
            self.inside = header.nested = True
        if kind.startswith("{"):
            try:
                labels = _cells(kind.strip("{} "))
            except ValueError as error:
                raise DataError(f"{place}: {error}. Mend the list of labels.") from None
            header.answer, header.place = "label", self.count
            header.labels = tuple(label.strip().strip('"') for label in labels)
        elif not header.answer and match[1].strip("'\"").lower() in ("target", "class", "label"):
            header.answer, header.place = "target", self.count
        self.count += 1
        return False


def _from_ts(line: str, header: Header) -> tuple[list[np.ndarray], str | None]:
    parts = line.split(":")
    label = parts.pop().strip() if header.answer else None
    return [_channel(part) for part in parts], label


def _from_arff(line: str, header: Header) -> tuple[list[np.ndarray], str | None]:
    if line[0] == "{":
        raise ValueError("is a sparse line, {index value, ...}; write all values")
    if header.nested:
        match = re.fullmatch(r"""(['"])(.*)\1\s*(?:,\s*(.*))?""", line)
        if not match:
            raise ValueError("is no quoted series with a label behind it")
        label = match[3].strip().strip("'\"") if match[3] is not None else None
        return [_channel(part) for part in match[2].split("\\n")], label
    cells = _cells(line)
    label = cells.pop(header.place).strip().strip('"') if header.answer and len(cells) > header.place else None
    return [_channel(",".join(cells))], label


def _cells(line: str) -> list[str]:
    """What stands between commas, in single quotes or not. Errors: ValueError for a quoted text beyond all measure."""
    try:
        return next(csv.reader([line], quotechar="'", skipinitialspace=True), [])
    except csv.Error:
        raise ValueError(f"holds a text of more than {csv.field_size_limit():,} characters in quotes") from None


def _from_text(line: str, header: Header) -> tuple[list[np.ndarray], str | None]:
    """The label first; NaN behind the last number pads a shorter series."""
    label, *values = re.split(r"\s*[,\t;]\s*|\s+", line)
    series = _channel(",".join(values))
    places = np.flatnonzero(~np.isnan(series))
    number = _number(label)
    label = str(int(number)) if number is not None and number.is_integer() else label
    return [series[: places[-1] + 1] if len(places) else series], label


def _channel(text: str) -> np.ndarray:
    cells = text.split(",")
    try:
        return np.array(cells, np.float64)
    except ValueError:
        pass
    read = [np.nan if cell.strip().lower() in MISSING else _number(cell) for cell in cells]
    invalid = next((i for i, value in enumerate(read) if value is None), None)
    if invalid is not None:
        raise ValueError(f"number {invalid + 1:,} is '{cells[invalid].strip()[:40]}', which is no number")
    return np.array(read, np.float64)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
