"""Texts to ids and back, by the tokenizer that a name says; what it learned of training texts is plain JSON.

Ids: 0 is padding, 1 is unknown, others are tokens; bytes are 1 to 256. A pretrained tokenizer keeps its own ids.
"""

import codecs
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from lamina import config, privacy
from lamina.config import LaminaError
from lamina.preprocess import category
from lamina.preprocess._column_config import ColumnConfig
from lamina.preprocess.text import hashing, subwords
from lamina.preprocess.text.characters import POINTS, characters, normalize, segments, words
from lamina.preprocess.text.ragged import Ragged, concat, raw
from lamina.preprocess.text.vocabulary import character_vocabulary, word_counts

Name = Literal["hash", "ngram", "word", "character", "byte", "bpe", "pretrained"]

LOWER = ("ngram", "word")  # which make no difference between upper and lower case
HASHES = ("hash", "ngram")  # whose ids are those of a set of n-grams, which no text can be made of
PIECE_BYTES, PIECE_ROWS = 1 << 22, 1 << 13  # of texts that are encoded at once
LONGEST = 1 << 16
HASH_LENGTH = 64
MOST_WORDS = 64  # for made-up texts
SAMPLED = 5_000  # rows looked at for words that many share
WORDS, PARTS = 20_000, 8_192  # of a vocabulary, when no size is set
PADDING, UNKNOWN, FIRST, BYTES = 0, 1, 2, 256  # ids that are no token, the first that is, and bytes
FEW = 512  # tokens, which Arrow has no advantage for
GAP = "\ufffd"  # what stands for an unknown character
CLOSING = frozenset(".,;:!?)]}%…'’”")  # marks without a blank before them
OPENING = frozenset("([{$#@“‘")  # and without one behind


class Config(ColumnConfig):
    """Settings of a column of texts."""

    kind: Literal["text"] = "text"
    tokenizer: Name = Field(default="hash", description="what a token is, as told below")
    length: int | None = Field(
        default=None, ge=1, le=LONGEST, description="tokens of a text at most; by the training texts when unset"
    )
    buckets: int = Field(
        default=1 << 14, ge=16, le=1 << 22, description="hash and ngram: codes that words are hashed to"
    )
    max_size: int | None = Field(
        default=None,
        ge=1,
        le=1 << 20,
        description="entries of the vocabulary at most; when unset 20,000 words, 8,192 parts of words",
    )
    file: str | None = Field(
        default=None,
        min_length=1,
        description="pretrained: its tokenizer.json, a folder that holds one, or a name on the Hugging Face hub",
    )

    @model_validator(mode="after")
    def _has_file(self) -> "Config":
        if (self.tokenizer == "pretrained") != (self.file is not None):
            raise ValueError("tokenizer pretrained and a file go together: name both or none")
        return self


class Pretrained(config.Config):
    """A tokenizer's file as it is, how many ids there are, and the id of padding."""

    text: str = Field(max_length=subwords.LARGEST)
    size: int = Field(ge=1, le=1 << 22)
    padding: int = Field(ge=0, le=1 << 22)


class TokenizerState(config.Config):
    """What a tokenizer needs to encode a text. `vocabulary`: the words or characters that have ids of their own;
    `merges`: pairs of parts of words, with a blank between, in the order they were merged.

    `words` are some that at least five rows share, for made-up texts; nothing that fewer rows hold is stored.
    """

    tokenizer: Name = "hash"
    buckets: int = Field(default=1 << 14, ge=16, le=1 << 22)
    length: int = Field(default=LONGEST, ge=1, le=LONGEST)
    words: tuple[str, ...] = Field(default=(), max_length=MOST_WORDS)
    vocabulary: tuple[str, ...] = Field(default=(), max_length=POINTS)
    merges: tuple[str, ...] = Field(default=(), max_length=1 << 20)
    pretrained: Pretrained | None = None

    @property
    def size(self) -> int:
        """How many ids there are, padding and unknown included."""
        if self.tokenizer in HASHES:
            return self.buckets
        if self.tokenizer == "byte":
            return 1 + BYTES
        if self.tokenizer == "bpe":
            return FIRST + BYTES + len(self.merges)
        return self.pretrained.size if self.pretrained else FIRST + len(self.vocabulary)

    @property
    def padding(self) -> int:
        """The id that stands behind the end of a short text."""
        return self.pretrained.padding if self.pretrained else PADDING

    @cached_property
    def codes(self) -> dict[str, int]:
        """The id of each word."""
        return {token: place for place, token in enumerate(self.vocabulary, FIRST)}

    @cached_property
    def points(self) -> np.ndarray:
        """(code points,) int32 the id of each character."""
        table = np.full(POINTS, UNKNOWN, np.int32)
        table[[ord(token) for token in self.vocabulary if len(token) == 1]] = np.arange(FIRST, self.size)
        return table

    @cached_property
    def backend(self) -> Any:
        """The tokenizer of Hugging Face that does the work. Errors: LaminaError where the library is not installed."""
        return subwords.restore(self.pretrained.text) if self.pretrained else subwords.byte_pairs(self.merges)

    @cached_property
    def parts(self) -> list[bytes]:
        """The bytes of each part of a word, by its id less `FIRST`."""
        return subwords.token_bytes(self.merges)


def fit(values: pa.Array, cfg: Config, min_rows: int = privacy.MIN_ROWS) -> TokenizerState:
    """Learn a tokenizer from training texts: of words and characters those that at least `min_rows` texts hold.

    `min_rows`: 1 only for a corpus, which is one text and nobody's row.
    """
    texts = as_texts(values)
    pieces = (normalize(piece, lower=cfg.tokenizer in LOWER) for piece in _pieces(texts))
    vocabulary, merges, pretrained = (), (), None
    if cfg.tokenizer == "word":
        counts = word_counts(map(words, pieces), min_rows)
        vocabulary = tuple(counts["word"][: cfg.max_size or WORDS].to_pylist())
    elif cfg.tokenizer == "character":
        vocabulary = character_vocabulary(pieces, min_rows)
    elif cfg.tokenizer == "bpe":
        counts = word_counts(map(segments, pieces), min_rows)
        by = counts["rows" if min_rows > 1 else "times"].to_pylist()
        merges = subwords.learn_merges(dict(zip(counts["word"].to_pylist(), by, strict=True)), cfg.max_size or PARTS)
    elif cfg.file is not None:
        pretrained = Pretrained(**subwords.read(cfg.file)._asdict())
    return TokenizerState(
        tokenizer=cfg.tokenizer,
        buckets=cfg.buckets,
        length=cfg.length or (HASH_LENGTH if cfg.tokenizer == "hash" else LONGEST),
        words=_shared_words(texts, max(min_rows, privacy.MIN_ROWS)),
        vocabulary=vocabulary,
        merges=merges,
        pretrained=pretrained,
    )


def _shared_words(texts: pa.Array, least: int) -> tuple[str, ...]:
    """A few words that many texts hold."""
    lists = hashing.plain_words(texts.drop_null().slice(0, SAMPLED))
    lengths = np.diff(lists.offsets.to_numpy())
    tokens = pa.table({"row": np.repeat(np.arange(len(lengths)), lengths), "word": lists.flatten()})
    once = tokens.group_by(["row", "word"]).aggregate([])  # a word counts once in each row
    frequent = category.frequent(once["word"].combine_chunks(), least)
    return tuple(word for word in frequent if word)[:MOST_WORDS]


def encode(values: pa.Array, state: TokenizerState) -> Ragged:
    """All the ids of each text, however long; a null is a text without any."""
    return concat([_encode(piece, state) for piece in _pieces(as_texts(values))])


def _encode(values: pa.Array, state: TokenizerState) -> Ragged:
    if state.tokenizer == "hash":
        return hashing.hash_codes(values, state.buckets)
    texts = normalize(values, lower=state.tokenizer in LOWER)
    if state.tokenizer == "ngram":
        return hashing.ngram_codes(texts, state.buckets)
    if state.tokenizer == "word":
        tokens, offsets = words(texts)
        return Ragged(_lookup(tokens, state), offsets)
    if state.tokenizer == "character":
        points, offsets = characters(texts)
        return Ragged(state.points[points], offsets)
    if state.tokenizer == "byte":
        data, offsets = raw(texts)
        return Ragged(data.astype(np.int32) + 1, offsets)
    if state.tokenizer == "bpe":
        ids, offsets = subwords.encode_segments(texts, state.backend)
        return Ragged(ids + np.int32(FIRST), offsets)
    ids, offsets = subwords.encode(texts, state.backend)
    return Ragged(np.minimum(ids, np.int32(state.size - 1)), offsets)


def _lookup(tokens: pa.Array, state: TokenizerState) -> np.ndarray:
    """(tokens,) int32 ids of words."""
    if len(tokens) <= FEW:
        return np.array([state.codes.get(token, UNKNOWN) for token in tokens.to_pylist()], np.int32)
    places = pc.index_in(tokens, value_set=pa.array(state.vocabulary, pa.string()))
    return pc.fill_null(pc.add(places, FIRST), UNKNOWN).to_numpy(zero_copy_only=False).astype(np.int32)


def decode(ids: Iterable[int], state: TokenizerState) -> str:
    """The text of ids; exactly the one that was encoded for characters, bytes and byte pairs.

    Errors: LaminaError for hashes.
    """
    if state.tokenizer == "pretrained":
        return state.backend.decode([int(one) for one in ids if one != state.padding])
    return "".join(decode_pieces(ids, state))


def decode_pieces(ids: Iterable[int], state: TokenizerState) -> Iterator[str]:
    """The text of ids as they come, a piece for each, and for bytes one more for what is left at the end.

    A character whose bytes are not all there yet is in the piece of its last byte.
    """
    if state.tokenizer in HASHES:
        cure = "Use word, character, byte or bpe"
        raise LaminaError(f"tokenizer: ids of '{state.tokenizer}' are those of n-grams, and no text. {cure}.")
    ids = map(int, ids)
    if state.tokenizer == "pretrained":
        return subwords.decode_pieces((one for one in ids if one != state.padding), state.backend)
    if state.tokenizer == "byte":
        return _bytes_to_text(bytes([one - 1]) if 1 <= one <= BYTES else b"" for one in ids)
    if state.tokenizer == "bpe":
        return _bytes_to_text(state.parts[one - FIRST] if FIRST <= one < state.size else b"" for one in ids)
    if state.tokenizer == "character":
        return (_token(one, state) for one in ids)
    return _words_to_text(_token(one, state) for one in ids)


def _token(one: int, state: TokenizerState) -> str:
    if one == PADDING:
        return ""
    return state.vocabulary[one - FIRST] if FIRST <= one < state.size else GAP


def _bytes_to_text(parts: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for part in parts:
        yield decoder.decode(part)
    yield decoder.decode(b"", final=True)


def _words_to_text(tokens: Iterable[str]) -> Iterator[str]:
    """Words with a blank between them, but before and behind the marks that have none."""
    close = True
    for token in tokens:
        yield token if close or token in CLOSING or not token else f" {token}"
        close = token in OPENING if token else close


def as_texts(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one array of the type `pa.string()`."""
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def _pieces(texts: pa.Array) -> Iterator[pa.Array]:
    """A column in slices of bounded size, each of one row at least; of no rows, one of none."""
    offsets, start = raw(texts)[1], 0
    while start < len(texts):
        stop = int(np.searchsorted(offsets, offsets[start] + PIECE_BYTES, side="right")) - 1
        stop = min(max(stop, start + 1), start + PIECE_ROWS)
        yield texts.slice(start, stop - start)
        start = min(stop, len(texts))
    if not len(texts):
        yield texts
