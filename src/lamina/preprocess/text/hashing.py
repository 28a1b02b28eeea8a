"""Texts as codes of words and parts of words by a hash: an open vocabulary of fixed size, and nothing is learned.

Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning".
"""

import zlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess.text.characters import characters, words
from lamina.preprocess.text.ragged import Ragged, per_row

# Punctuation and blanks of ASCII (but the apostrophe) and the usual ones beyond; a list compiles a hundred times faster
# than the classes of all letters and digits, and it is compiled with every call.
BETWEEN = r"[\x00-&(-/:-@\[-`{-\x{7f}\x{a0}-\x{bf}\x{2000}-\x{206f}\x{3000}-\x{303f}\x{ff00}-\x{ff0f}]+"
PARTS = (3, 4, 5)  # characters of the parts of words, whose first and last stand beside a blank
MOST_WORDS, MOST_CHARACTERS = 1 << 16, 64  # of a text, and of a word, beyond which n-grams are not looked for
PRIME, MIX = np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
CODE_BITS, PLACE_BITS = 22, 28


def plain_words(values: pa.Array) -> pa.ListArray:
    """The words of each text, in lower case and without punctuation."""
    plain = pc.replace_substring_regex(pc.utf8_lower(pc.fill_null(values, "")), BETWEEN, " ")
    return pc.utf8_split_whitespace(pc.utf8_trim_whitespace(plain))


def hash_codes(values: pa.Array, buckets: int) -> Ragged:
    """The words of each text, then its pairs of neighbours; codes 1 to `buckets` - 1."""
    lists = plain_words(values)
    flat = lists.flatten()
    offsets = lists.offsets.to_numpy().astype(np.int64)
    rows = per_row(offsets)
    there = flat.to_numpy(zero_copy_only=False) != ""  # an empty text is one empty word
    streams = [(rows[there], _checksums(flat)[there])]
    if len(flat) > 1:
        inside = rows[:-1] == rows[1:]
        streams.append((rows[:-1][inside], _checksums(pc.binary_join_element_wise(flat[:-1], flat[1:], " "))[inside]))
    rows, sums = (np.concatenate(parts) for parts in zip(*streams, strict=True))
    return _by_row(rows, (1 + sums % np.uint64(buckets - 1)).astype(np.int32), len(lists))


def ngram_codes(texts: pa.Array, buckets: int) -> Ragged:
    """Words, pairs of neighbours, then the parts of 3 to 5 characters of words, each different one once in a text, in
    the order they come first. Words and pairs have codes 1 to half of `buckets` - 1, parts those above.

    `texts`: normalised, in lower case, at most 8,192. Of a text the first 65,536 words count, of a word the first 64
    characters.
    """
    tokens, offsets = words(texts)
    rows = per_row(offsets)
    if len(rows) and np.diff(offsets).max() > MOST_WORDS:
        few = np.arange(len(rows)) - offsets[rows] < MOST_WORDS
        tokens, rows = tokens.filter(pa.array(few)), rows[few]
    singles = _mixed(_checksums(tokens))
    inside = rows[:-1] == rows[1:]
    pairs = _mixed(singles[:-1] * PRIME + singles[1:])[inside]
    part_rows, parts = _parts(tokens, rows)
    rows = np.concatenate([rows, rows[:-1][inside], part_rows])
    half, shift = buckets // 2, np.uint64(32)  # upper bits, which depend on all
    word_codes = 1 + (np.concatenate([singles, pairs]) >> shift) % np.uint64(half - 1)
    part_codes = half + (parts >> shift) % np.uint64(buckets - half)
    codes = np.concatenate([word_codes, part_codes]).astype(np.int64)
    first = _first(rows, codes)
    return _by_row(rows[first], codes[first].astype(np.int32), len(texts))


def _parts(tokens: pa.Array, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row and the hash of each part of 3 to 5 characters of words, a blank before and behind them included."""
    spaced = pc.binary_join_element_wise("", pc.utf8_slice_codeunits(tokens, 0, MOST_CHARACTERS), "", " ")
    points, offsets = characters(spaced)
    owners, hashes = [], []
    places, numbers = per_row(offsets), points.astype(np.uint64)
    for size in PARTS:
        inside = np.flatnonzero(places[: 1 - size] == places[size - 1 :])
        sums = np.full(len(inside), size, np.uint64)
        for i in range(size):
            sums = sums * PRIME + numbers[inside + i]
        owners.append(rows[places[inside]])
        hashes.append(_mixed(sums))
    return np.concatenate(owners), np.concatenate(hashes)


def _checksums(tokens: pa.Array) -> np.ndarray:
    """(tokens,) uint64; each distinct token is hashed once."""
    coded = tokens.dictionary_encode()
    table = np.array([zlib.crc32(token.encode()) for token in coded.dictionary.to_pylist()], np.uint64)
    return table[coded.indices.to_numpy()] if len(table) else np.zeros(0, np.uint64)


def _mixed(sums: np.ndarray) -> np.ndarray:
    """Sums whose upper bits depend on all of their bits."""
    return ((sums ^ (sums >> np.uint64(29))) * MIX) ^ (sums * PRIME)


def _first(rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(n,) bool: whether a code comes for the first time in its row. One sort of row, code and place in one number."""
    keys = (rows << (CODE_BITS + PLACE_BITS)) | (codes << PLACE_BITS) | np.arange(len(rows))
    keys.sort()
    fresh = np.ones(len(keys), bool)
    fresh[1:] = (keys[1:] >> PLACE_BITS) != (keys[:-1] >> PLACE_BITS)
    first = np.zeros(len(keys), bool)
    first[keys[fresh] & ((1 << PLACE_BITS) - 1)] = True
    return first


def _by_row(rows: np.ndarray, codes: np.ndarray, count: int) -> Ragged:
    """Codes laid out by row, in the order they have."""
    small = rows.astype(np.uint16) if count <= 1 << 16 else rows  # which NumPy sorts much faster
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(rows, minlength=count))])
    return Ragged(codes[np.argsort(small, kind="stable")], offsets)
