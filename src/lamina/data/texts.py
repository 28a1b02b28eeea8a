"""Texts in plain files: a folder of files by class, one text in each line of a file, or running text.

Gives the column `text`, and `label` and `part` where folders or the beginnings of lines say these. Encodings are found
out. A file that is no text is skipped; a file whose lines are those of a table is left to the reader of tables.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import pyarrow as pa
from pydantic import Field

from lamina.config import DataError
from lamina.data import _folder_layout as _tree
from lamina.data import _text_files as _text
from lamina.data import files
from lamina.schema import Collected, SkippedRow

TEXT, LABEL = "text", "label"
CORPUS = "language_modelling"  # what texts without labels are for
UNLABELLED = ("unsup", "unlabeled", "unlabelled", "unsupervised")  # folders whose files have no class
LARGEST = 1 << 28  # bytes of one file that is a row
BATCH = 1 << 24  # characters that are rows of one part of the table


class Config(_tree.Layout):
    """Where the texts are, and what a row is."""

    kind: Literal["texts"] = "texts"
    path: str = Field(description="A folder, a text file, or a pattern such as books/*.txt.")
    test: str | None = Field(default=None, description="Separate test texts, as path.")
    documents: Literal["auto", "file", "line", "piece"] = Field(
        default="auto",
        description="What a row is: a file, a line, or a piece of running text; by what stands there when auto.",
    )
    encoding: str = Field(default="auto", description="auto, or a text encoding such as utf-8 or cp1252.")


class _Row(NamedTuple):
    """A text with its label, and where it stands."""

    text: str
    label: str | None
    file: str
    line: int | None


def claims(path: str) -> bool:
    """A file whose lines are no table; a folder where most files are texts by their names, a pattern where all are, and
    the first few are no tables.
    """
    root = Path(path)
    if root.is_file():
        return _text.claims_file(root, tuple(files.SUFFIXES))
    if root.is_dir():
        every = [
            Path(folder, name) for folder, _, names in os.walk(root) for name in names if not _tree.is_clutter(name)
        ]
        named = sorted(one for one in every if _text.has_text_name(one))
        return len(named) > len(every) / 2 and not _text.are_tables(named)
    matches = sorted(Path(name) for name in glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    return bool(matches) and all(map(_text.has_text_name, matches)) and not _text.are_tables(matches)


def load(cfg: Config) -> Collected:
    """All texts, in the order of the names of files and of lines. Errors: DataError where there is none."""
    if not Path(cfg.path).is_file():
        return _folder(cfg)
    parts = list(_file(cfg, BATCH))
    first = parts[0]
    return Collected(
        pa.concat_tables([part.table for part in parts]),
        (),
        first.notes,
        target=first.target,
        task=first.task,
        literal=first.literal,
    )


def stream(cfg: Config, rows: int) -> Iterator[Collected]:
    """The same in pieces of at most `rows`."""
    if Path(cfg.path).is_file():
        for part in _file(cfg, BATCH):
            for start in range(0, part.table.num_rows, rows):
                yield Collected(part.table.slice(start, rows), (), part.notes * (start == 0))
        return
    whole = _folder(cfg)
    for start in range(0, whole.table.num_rows, rows):
        yield Collected(whole.table.slice(start, rows), whole.skipped_rows * (start == 0), whole.notes * (start == 0))


def source_line(cfg: Config, row_numbers: Sequence[int]) -> list[tuple[str, int | None]]:
    """File and line of rows of the loaded table; a file that is a row has no line."""
    if not Path(cfg.path).is_file():
        places = _texts(cfg)[0]
        return [(str(places[row]), None) for row in row_numbers]
    with ExitStack() as stack:
        rows = _rows(cfg, _text.plain(Path(cfg.path), cfg.encoding, stack), _text.look(Path(cfg.path)))
        places = {i: (row.file, row.line) for i, row in enumerate(rows) if i in set(row_numbers)}
    return [places[row] for row in row_numbers]


def _file(cfg: Config, most: int) -> Iterator[Collected]:
    """The rows of one file in parts of bounded size; notes are with the first, which is there even without rows."""
    path = Path(cfg.path)
    view = _text.look(path)
    with ExitStack() as stack:
        text = _text.plain(path, cfg.encoding, stack)
        notes = (*text.notes, *_notes(cfg, view))
        target = LABEL if _labels(cfg, view) != _text.PLAIN else None
        task, literal = ("classification", (TEXT, target)) if target else (CORPUS, (TEXT,))
        batch, size, any_rows = list[_Row](), 0, False
        for row in _rows(cfg, text, view):
            batch.append(row)
            size += len(row.text)
            if size >= most:
                yield Collected(_table(batch, target), (), notes, target=target, task=task, literal=literal)
                batch, size, notes, any_rows = [], 0, (), True
        if batch or not any_rows:
            if not batch:
                raise DataError(f"{path}: holds no text. Name a file with some.")
            yield Collected(_table(batch, target), (), notes, target=target, task=task, literal=literal)


def _rows(cfg: Config, text: _text.Text, view: _text.Look) -> Iterator[_Row]:
    name = str(text.file)
    if cfg.documents == "file":
        yield _Row("".join(_text.pieces_of(text)), None, name, None)
        return
    if not _by_line(cfg, view):
        line = 1
        for piece in _text.pieces_of(text):
            yield _Row(piece, None, name, line)
            line += piece.count("\n")
        return
    labels = _labels(cfg, view)
    for number, line in enumerate(_text.lines_of(text), 1):
        if not line.strip():
            continue
        label, rest = _split(line, labels)
        yield _Row(rest, label, name, number)


def _split(line: str, labels: str) -> tuple[str | None, str]:
    """The label and the text of a line; of one without a label, the whole."""
    if labels == _text.PAIRS:
        label, tab, rest = line.partition("\t")
        return (label, rest) if tab else (None, line)
    start = _text.LABEL.match(line) if labels == _text.LABELLED else None
    return (start[1].removeprefix("__label__"), line[start.end() :]) if start else (None, line)


def _by_line(cfg: Config, view: _text.Look) -> bool:
    return cfg.documents == "line" or (cfg.documents == "auto" and (view.lines or view.labels != _text.PLAIN))


def _labels(cfg: Config, view: _text.Look) -> str:
    return view.labels if cfg.label != "none" and _by_line(cfg, view) else _text.PLAIN


def _notes(cfg: Config, view: _text.Look) -> list[str]:
    """What was guessed about a file, and the settings that say otherwise."""
    notes = []
    if cfg.documents == "auto" and _by_line(cfg, view):
        notes.append(
            f"{cfg.path}: each line is a text. If it is running text: --set data.documents=piece; if it is a table: "
            "--set data.kind=files"
        )
    elif cfg.documents == "auto":
        notes.append(
            f"{cfg.path}: running text, in pieces of about {_text.PIECE:,} characters. If each line is a text: "
            "--set data.documents=line; if it is a table: --set data.kind=files"
        )
    if _labels(cfg, view) != _text.PLAIN:
        notes.append(f"{cfg.path}: what each line begins with is its label. If it is not: --set data.label=none")
    return notes


def _table(rows: Sequence[_Row], target: str | None) -> pa.Table:
    columns = {TEXT: pa.array([row.text for row in rows], pa.string())}
    if target:
        columns[target] = pa.array([row.label for row in rows], pa.string())
    return pa.table(columns)


def _folder(cfg: Config) -> Collected:
    """Each file a row, with its class and part where folders say them."""
    places, folders, bad, notes = _texts(cfg)
    encodings, texts, members = Counter[str](), [], []
    for i, place in enumerate(places):
        text, reason = _read(place, cfg, encodings)
        if reason:
            bad.append(SkippedRow(str(place), None, "text", reason))
        else:
            texts.append(text)
            members.append(i)
    if not texts:
        first = f" The first file was skipped: {bad[0].file} {bad[0].reason}." if bad else ""
        raise DataError(f"data.path: {cfg.path} holds no text file ({', '.join(_text.TEXTS)}).{first}")
    others = [f"{count:,} as {codec}" for codec, count in encodings.most_common() if codec != "utf-8"]
    notes += [f"Files that are not UTF-8 are read otherwise: {', '.join(others)} (data.encoding)."] if others else []
    columns, labels = {"text": pa.array(texts, pa.large_string())}, [folders.labels[i] for i in members]
    target, part, metadata = (LABEL if any(labels) else None), None, ()
    if folders.parts and (target or cfg.label == "none"):
        columns["part"], part = pa.array([folders.parts[i] for i in members]), "part"
    if target:
        columns[LABEL], notes = pa.array(labels), [*_tree.notes_on(folders), *notes]
    else:
        columns["document"], metadata = pa.array([str(places[i]) for i in members]), ("document",)
    task, literal = ("classification", (TEXT, target)) if target else (CORPUS, (TEXT,))
    return Collected(pa.table(columns), tuple(bad), tuple(notes), part, target, metadata, task, literal)


def _texts(cfg: Config) -> tuple[list[Path], _tree.FolderLabels, list[SkippedRow], list[str]]:
    """The text files in order, what folders say of them, what is skipped, and notes on that."""
    root, odd = Path(cfg.path), []
    if root.is_dir():
        places, odd = _tree.below(root)
        good, bad = _tree.by_suffix(places, _suffixes(places), cfg.path, "text")
    else:
        matches = sorted({Path(name) for name in glob.glob(cfg.path, recursive=True) if Path(name).is_file()})
        if not matches:
            what = "no file matches this pattern" if glob.has_magic(cfg.path) else "there is no such folder or file"
            raise DataError(f"data.path: {root}: {what}. Name a folder of text files, or a pattern such as 'a/*.txt'.")
        root = Path(os.path.commonpath([path.parent for path in matches]))
        places = [PurePosixPath(path.relative_to(root).as_posix()) for path in matches]
        good, bad = list(range(len(places))), []
    bad += [_tree.skipped_rows(str(root), place, reason) for place, reason in odd]
    places, notes = [places[i] for i in good], list[str]()
    inside, folders, others = _tree.inside(places, str(root), cfg)
    bad, places = bad + others, [places[i] for i in inside]
    lone = _without_class(places, folders)
    if 2 * len(lone) >= len(places) > 0:  # folders that only keep things in order
        folders = _tree.labels_of(places, cfg.model_copy(update={"label": "none"}))
    elif lone:
        names = sorted({str(root / places[i].parent) for i in lone})[:3]
        what = (
            "files stand in no folder of a class and are"
            if len(lone) > 1
            else "file stands in no folder of a class and is"
        )
        notes.append(f"{len(lone):,} {what} skipped ({', '.join(names)}).")
        bad += [_tree.skipped_rows(str(root), places[i], "stands in no folder of a class") for i in lone]
        places = [place for i, place in enumerate(places) if i not in lone]
        folders = _tree.labels_of(places, cfg)
    bad = [one if one.column == "text" else SkippedRow(one.file, one.line, "text", one.reason) for one in bad]
    return [root / place for place in places], folders, bad, notes


def _without_class(places: Sequence[PurePosixPath], folders: _tree.FolderLabels) -> set[int]:
    """Files beside the folders of classes, and those of a folder that says that they have none."""
    return {i for i, label in enumerate(folders.labels) if not label or places[i].parent.name.lower() in UNLABELLED}


def _suffixes(places: Sequence[PurePosixPath]) -> tuple[str, ...]:
    """Suffixes of texts, with those of packed ones."""
    return (*_text.TEXTS, *{place.suffix.lower() for place in places if _text.has_text_name(Path(place))})


def _read(path: Path, cfg: Config, encodings: Counter[str]) -> tuple[str, str]:
    """The text of a file, or the reason why there is none."""
    try:
        with _text.open_bytes(path) as file:
            body = file.read(LARGEST + 1)
    except (OSError, EOFError, ValueError) as error:
        return "", f"cannot be read ({error})"
    if len(body) > LARGEST:
        return "", f"is larger than {LARGEST >> 20} MB"
    if _text.is_binary(body[:4096]):
        return "", "is no text"
    if cfg.encoding != "auto":
        try:
            return body.decode(cfg.encoding, "replace"), ""
        except LookupError:
            raise DataError(
                f"data.encoding: there is no text encoding '{cfg.encoding}'. Try auto, utf-8 or cp1252."
            ) from None
    text, codec = _text.decode(body)
    encodings[codec] += 1
    return text, ""
