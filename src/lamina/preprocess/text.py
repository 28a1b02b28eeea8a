"""Short text as hashed words and word pairs: an open vocabulary of fixed size.

All that is learned is a few words that many rows share, of which made-up texts are written.

Each text becomes at most `length` codes from 1 to `buckets` - 1, padded with 0 (also the code of a missing text).
Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning".
"""

import zlib
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config, privacy
from lamina.preprocess import category
from lamina.schema import Input

# Punctuation and blanks of ASCII (but the apostrophe) and the usual ones beyond; a list compiles a hundred times faster
# than the classes of all letters and digits, and it is compiled with every call.
BETWEEN = r"[\x00-&(-/:-@\[-`{-\x{7f}\x{a0}-\x{bf}\x{2000}-\x{206f}\x{3000}-\x{303f}\x{ff00}-\x{ff0f}]+"
PRIVATE = True
SAMPLED, MOST_WORDS = 5_000, 64  # rows looked at for words that many share, and how many of these there are
STOCK = ("alpha", "bravo", "charlie", "delta")  # words of made-up texts that nobody wrote


class Config(config.Config):
    kind: Literal["text"] = "text"
    buckets: int = Field(default=1 << 14, ge=16, le=1 << 22)
    length: int = Field(default=64, ge=1, le=4096)


class State(config.Config):
    """`words` are some that at least five rows share, for made-up texts; no other word is stored."""

    buckets: int = Field(ge=16, le=1 << 22)
    length: int = Field(ge=1, le=4096)
    words: tuple[str, ...] = Field(default=(), max_length=MOST_WORDS)


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Cells of several words, most of them different."""
    if not pa.types.is_string(column.type):
        return 0.0, {}
    words = pc.mean(pc.count_substring_regex(column, r"\S+")).as_py() or 0.0
    fresh = pc.count_distinct(column).as_py() / max(len(column), 1)
    return (0.8 if words >= 3 and fresh > 0.5 else 0.0), {}


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    return category.parse(column, cfg)


def fit(values: pa.Array, cfg: Config) -> State:
    words = _words(values.drop_null().slice(0, SAMPLED))
    lengths = np.diff(words.offsets.to_numpy())
    tokens = pa.table({"row": np.repeat(np.arange(len(lengths)), lengths), "word": words.flatten()})
    once = tokens.group_by(["row", "word"]).aggregate([])  # a word counts once in each row
    frequent = category.frequent(once["word"].combine_chunks(), privacy.MIN_ROWS)
    return State(buckets=cfg.buckets, length=cfg.length, words=tuple(word for word in frequent if word)[:MOST_WORDS])


def _words(values: pa.Array) -> pa.ListArray:
    """The words of each text, in lower case and without punctuation."""
    plain = pc.replace_substring_regex(pc.utf8_lower(pc.fill_null(values, "")), BETWEEN, " ")
    return pc.utf8_split_whitespace(pc.utf8_trim_whitespace(plain))


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, length) int64."""
    words = _words(values)
    lengths = np.diff(words.offsets.to_numpy())
    rows = np.repeat(np.arange(len(lengths)), lengths)  # (words,) the row each word stands in
    flat = words.flatten()
    place = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    singles = _codes(flat, state.buckets)
    pairs = (
        _codes(pc.binary_join_element_wise(flat[:-1], flat[1:], " "), state.buckets) if len(flat) > 1 else singles[:0]
    )
    inside = rows[:-1] == rows[1:] if len(rows) > 1 else np.zeros(0, bool)
    out = np.zeros((len(lengths), state.length), np.int64)
    keep = place < state.length
    keep &= flat.to_numpy(zero_copy_only=False) != ""
    out[rows[keep], place[keep]] = singles[keep]
    after = place[:-1] + lengths[rows[:-1]] if len(rows) > 1 else place[:0]  # pairs stand behind the words
    keep = inside & (after < state.length)
    out[rows[:-1][keep], after[keep]] = pairs[keep]
    return out


def _codes(tokens: pa.Array, buckets: int) -> np.ndarray:
    """(tokens,) hash codes 1 to buckets - 1; each distinct token is hashed once."""
    coded = tokens.dictionary_encode()
    table = np.array([1 + zlib.crc32(t.encode()) % (buckets - 1) for t in coded.dictionary.to_pylist()], np.int64)
    return table[coded.indices.to_numpy()] if len(table) else np.zeros(0, np.int64)


def golden(state: State, cfg: Config, rng: np.random.Generator, count: int) -> list[Any]:
    """Made-up texts of words that many rows share, some with a word that nobody wrote, and now and then none."""
    words = np.array(state.words or STOCK, object)
    texts = [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(count)]
    texts[1::3] = [f"{text} {STOCK[i % len(STOCK)]}" for i, text in enumerate(texts[1::3])]
    return [None if i % 9 == 8 else text for i, text in enumerate(texts)]


def feed(state: State) -> Input:
    return Input(kind="tokens", shape=(state.length,), dtype="int64", sizes=(state.buckets,))
