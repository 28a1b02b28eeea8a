"""A column of texts as one long array of ids for each part: what a text is, which part it is in, what a token is."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import privacy
from lamina.config import DataError, MissingColumn, cache, nearest
from lamina.preprocess.text import tokenizers
from lamina.preprocess.text.tokenizers import TokenizerState
from lamina.resources import disk
from lamina.tasks.language_modelling import sequences
from lamina.tasks.language_modelling.sequences import NEWLINE
from lamina.tasks.language_modelling.state import Config

LARGE = 5_000_000  # bytes of a text, from which on a token is a part of a word
CHARACTERS = 1000  # different ones at most, for a token to be one
LEARNED = 1 << 25  # bytes of texts that a tokenizer is learned from
ON_DISK = 1 << 26  # bytes of ids, from which on they are a file
NORMALISED, AROUND = 3, 4  # times as many bytes at most in composed form, and ids at most around a text
MANY = 50  # rows, from which on each may be a text by itself


class Ids(NamedTuple):
    """Tokens of a part in the smallest type that holds them. Text `i` goes from `offsets[i]`, where the id before its
    first token stands, to `offsets[i + 1]`; that of the last one is `ids[-1]`.
    """

    ids: np.ndarray
    offsets: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """(texts,) tokens of each text that are to be told."""
        return np.diff(self.offsets)

    def digest(self) -> bytes:
        hashing = hashlib.sha256(self.offsets.tobytes())
        for start in range(0, len(self.ids), sequences.PIECE_BYTES):
            hashing.update(np.ascontiguousarray(self.ids[start : start + sequences.PIECE_BYTES]).data)
        return hashing.digest()


def column_name(table: pa.Table, name: str | None) -> str:
    """The column of texts: the one that is named, else the one with the most text. Errors: DataError."""
    names = [field.name for field in table.schema if is_text(field.type)]
    if name is not None and name not in table.column_names:
        raise MissingColumn(f"target: there is no column '{name}'. {nearest(name, table.column_names)}")
    if name is not None and name not in names:
        raise DataError(f"target: '{name}' holds no texts. Name a column of texts with --target COLUMN.")
    if not names:
        raise DataError(f"target: no column holds texts (got {', '.join(table.column_names[:5])}).")
    return name or max(names, key=lambda each: int(sequences.sizes(table[each]).sum()))


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def sort_of(texts: pa.ChunkedArray, cfg: Config) -> str:
    """What is a text by itself: `rows`, `lines` or `none`. Pieces of one text end with their last line."""
    if cfg.documents != "auto":
        return cfg.documents
    if len(texts) < MANY:
        return "none"
    ends = pc.mean(pc.ends_with(texts.slice(0, len(texts) - 1), NEWLINE)).as_py() or 0.0
    return "none" if ends > 0.5 else "rows"


def by_line(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each line of the texts as a row, without blank ones."""
    lines = [pc.split_pattern(chunk, NEWLINE).flatten() for chunk in texts.chunks]
    flat = pa.chunked_array(lines or [pa.array([], pa.string())])
    return flat.filter(pc.greater(pc.binary_length(pc.utf8_trim_whitespace(flat)), 0))


def cut(texts: pa.ChunkedArray, shares: Iterable[float]) -> list[pa.ChunkedArray]:
    """Rows that are one text in parts of these shares of its bytes, in order, cut at the end of a line where one is
    near by, and never inside a character.
    """
    sizes = sequences.sizes(texts)
    ends, places = np.cumsum(sizes), list[tuple[int, int]]()  # a row, and bytes of it
    for share in np.cumsum(list(shares))[:-1]:
        at = int(share * ends[-1])
        row = int(np.searchsorted(ends, at, side="right"))
        places.append((row, at - int(ends[row] - sizes[row])))
    parts, begin = list[pa.ChunkedArray](), (0, 0)
    for stop in [*places, (len(texts), 0)]:
        stop = max(_at_line(texts, *stop), begin)
        parts.append(_between(texts, begin, stop))
        begin = stop
    return parts


def _at_line(texts: pa.ChunkedArray, row: int, at: int) -> tuple[int, int]:
    """The place after the next end of a line in this row, else of the next character."""
    if row >= len(texts):
        return row, at
    body = (texts[row].as_py() or "").encode()
    line = body.find(b"\n", at, at + 4096) + 1
    while not line and at < len(body) and body[at] & 0xC0 == 0x80:
        at += 1
    at = line or at
    return (row + 1, 0) if at >= len(body) else (row, at)


def _between(texts: pa.ChunkedArray, begin: tuple[int, int], stop: tuple[int, int]) -> pa.ChunkedArray:
    (first, start), (last, end) = begin, stop
    kind = texts.type
    if first == last:
        body = (texts[first].as_py() or "").encode()[start:end] if first < len(texts) else b""
        return pa.chunked_array([pa.array([body.decode()] if body else [], kind)])
    chunks, rows = list[pa.Array](), first
    if start:
        chunks.append(pa.array([(texts[first].as_py() or "").encode()[start:].decode()], kind))
        rows += 1
    chunks += texts.slice(rows, last - rows).chunks
    if end:
        chunks.append(pa.array([(texts[last].as_py() or "").encode()[:end].decode()], kind))
    return pa.chunked_array(chunks, kind)


def initials(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first character of each text."""
    return pc.utf8_slice_codeunits(texts, 0, 1).cast(pa.string())


# tokens


def tokenizer(texts: pa.ChunkedArray, cfg: Config, documents: bool) -> tuple[TokenizerState, str]:
    """Learn what a token is from training texts, and say what was guessed.

    Of documents, which may be of people, only what some of them share is learned; one text is nobody's row.
    """
    size, note = int(sequences.sizes(texts).sum()), ""
    sample, least = _sample(texts, size), privacy.MIN_ROWS if documents else 1
    name = cfg.tokenizer
    if name == "auto":
        name = "bpe" if size > LARGE else "character"
    settings = tokenizers.Config(
        tokenizer=name, max_size=cfg.vocabulary, file=cfg.file if name == "pretrained" else None
    )
    state = tokenizers.fit(sample, settings, least)
    if cfg.tokenizer == "auto":
        if name == "character" and len(state.vocabulary) > CHARACTERS:
            name = "byte"
            state = tokenizers.fit(sample, tokenizers.Config(tokenizer="byte"), least)
        count = state.size - (1 if name == "byte" else tokenizers.FIRST)
        what = {"bpe": "part of a word", "character": "character", "byte": "byte"}[name]
        note = f"A token is a {what}, of {count:,} different ones. Another: --set task.tokenizer=NAME"
    return state, note


def _sample(texts: pa.ChunkedArray, size: int) -> pa.Array:
    """All texts, or rows spread over all of them where there are too many."""
    if size > LEARNED:
        texts = texts.take(pa.array(np.arange(0, len(texts), -(-size // LEARNED))))
    chunks = [chunk.cast(pa.string()) for chunk in texts.chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())


def encode(texts: pa.ChunkedArray, state: TokenizerState, end: int | None, size: int) -> Ids:
    """Ids of a part. Of documents, `end` stands before the first and behind each. Memory is bounded: where there are
    many, they are a file that is gone with the process.
    """
    dtype, total = sequences.smallest(size), int(sequences.sizes(texts).sum())
    lengths, place = [np.zeros(1, np.int64)], 0
    out = _array(NORMALISED * total + AROUND * (len(texts) + 1), dtype, total)
    for ids, own in _blocks(texts, state, end, dtype):
        out[place : place + len(ids)] = ids
        place += len(ids)
        lengths.append(own)
    return Ids(out[:place], _offsets(lengths, end))


def _array(size: int, dtype: np.dtype, likely: int) -> np.ndarray:
    """Room for so many ids: a file where `likely` ones are many; only what is filled takes room."""
    if likely * dtype.itemsize < ON_DISK:
        return np.empty(size, dtype)
    folder = cache() / "texts"
    disk.make_folder(folder)
    with disk.guard(folder, likely * dtype.itemsize):
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as the map of it
        return np.memmap(file, dtype, "w+", shape=(size,))


def _blocks(
    texts: pa.ChunkedArray, state: TokenizerState, end: int | None, dtype: np.dtype
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids and lengths of some texts at a time."""
    if end is not None:
        yield np.array([end], dtype), np.zeros(0, np.int64)
    for piece in sequences.pieces(texts):
        ids, places = tokenizers.encode(piece, state)
        if end is None:
            yield ids.astype(dtype), np.array([len(ids)])
            continue
        lengths = np.diff(places)
        out = np.full(len(ids) + len(lengths), end, dtype)
        out[np.arange(len(ids)) + np.repeat(np.arange(len(lengths)), lengths)] = ids
        yield out, lengths + 1


def _offsets(lengths: list[np.ndarray], end: int | None) -> np.ndarray:
    ends = np.cumsum(np.concatenate(lengths), dtype=np.int64)
    return ends if end is not None else np.array([0, max(int(ends[-1]) - 1, 0)])
