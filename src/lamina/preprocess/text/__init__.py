"""Texts as tokens: hashed words, n-grams, words, characters, bytes, or parts of words.

All that is learned is what many rows share. Each text becomes at most `length` ids, padded with 0, which is also all
that a missing text is. Of a longer one, a quarter of the tokens stays from its start and the rest from its end; of
hashed ones, the first.

| tokenizer | a token is |
| --- | --- |
| `hash` | a word or a pair of words, hashed; at most 64 of a text when `length` is unset |
| `ngram` | a word, a pair of words, or 3 to 5 characters of a word, hashed; each once in a text |
| `word` | a word or a mark that at least five training texts hold, in lower case |
| `character` | a character that at least five training texts hold |
| `byte` | a byte of UTF-8 |
| `bpe` | a byte, or a part of words that at least five training texts hold (byte pair encoding) |
| `pretrained` | what the `tokenizer.json` of a pretrained network says |
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import category
from lamina.preprocess.text import overview, tokenizers
from lamina.preprocess.text.ragged import pad
from lamina.preprocess.text.tokenizers import HASHES, Config
from lamina.preprocess.text.tokenizers import TokenizerState as State
from lamina.schema import Input

PRIVATE = True
STOCK = ("alpha", "bravo", "charlie", "delta")  # words of made-up texts that nobody wrote
ALMOST_ALL, SAMPLED = 0.98, 20_000  # of the training texts are not cut, by as many of them
LARGEST = {
    "ngram": 2048,
    "word": 512,
    "character": 1024,
    "byte": 1024,
    "bpe": 512,
    "pretrained": 512,
}  # lengths, when none is set
LONG_WORDS, MANY, FEW = 8, 50, 0.1  # words of a text that may come again, how many different ones, and their share
IDEOGRAMS = r"\x{2e80}-\x{2fdf}\x{3005}-\x{3007}\x{3040}-\x{30ff}\x{31f0}-\x{31ff}\x{3400}-\x{9fff}\x{f900}-\x{faff}"
SYLLABLES = r"\x{0e00}-\x{0eff}\x{1000}-\x{109f}\x{1780}-\x{17ff}"
CLASSICAL_BUCKETS = 1 << 18
STEP = 16  # widths are multiples of it


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Cells of several words, most of them different; or of many words, a tenth of them different."""
    if not pa.types.is_string(column.type) or not len(column):
        return 0.0, {}
    words, distinct = _mean_words(column), pc.count_distinct(column).as_py()
    fresh = distinct / len(column)
    long = words >= LONG_WORDS and distinct >= MANY and fresh > FEW
    return (0.8 if long or (words >= 3 and fresh > 0.5) else 0.0), {}


def _mean_words(column: pa.Array) -> float:
    """Words of a cell; where there are no blanks between them, two characters of Chinese and Japanese or five of Thai,
    Lao, Burmese and Khmer are about one.
    """
    words = pc.mean(pc.count_substring_regex(column, r"\S+")).as_py() or 0.0
    if not pc.any(pc.match_substring_regex(column, f"[{IDEOGRAMS}{SYLLABLES}]")).as_py():
        return words
    total = 0.0
    for pattern, size in ((f"[^\\s{IDEOGRAMS}{SYLLABLES}]+", 1), (f"[{IDEOGRAMS}]", 2), (f"[{SYLLABLES}]", 5)):
        total += pc.sum(pc.count_substring_regex(column, pattern)).as_py() / size
    return total / len(column)


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    return category.parse(column, cfg)


def survey(column: pa.Array, cfg: Config, labels: list[Any], parts: list[Any]) -> dict[str, Any]:
    """How long texts are, the words they share, texts by class, copies; of parsed cells."""
    return overview.survey(column, labels, parts)


def summarize(facts: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What `survey` gave, for people."""
    return overview.summarize(facts)


def fit(values: pa.Array, cfg: Config) -> State:
    state = tokenizers.fit(values, cfg)
    if cfg.length or cfg.tokenizer == "hash":
        return state
    usual = np.quantile(tokenizers.encode(_sample(values), state).lengths, ALMOST_ALL) if len(values) else 0
    return state.model_copy(update={"length": min(_rounded(int(usual)), LARGEST[cfg.tokenizer])})


def classical(state: State) -> State:
    """How methods that count words read the same texts: hashed words and pairs, where tokens are something else."""
    if state.tokenizer in HASHES:
        return state
    return State(buckets=CLASSICAL_BUCKETS, length=LARGEST["word"], words=state.words)


def count_cut(values: pa.Array, state: State) -> int:
    """How many parsed texts have more tokens than `length`, so that some of these are left out."""
    return int((tokenizers.encode(values, state).lengths > state.length).sum())


def notes(values: pa.Array, state: State, name: str) -> list[str]:
    """A sentence on training texts that are cut, of at most 20,000 that are looked at."""
    sample = _sample(values)
    if not (cut := count_cut(sample, state)):
        return []
    share = (
        f"{cut:,} of {len(values):,} texts" if len(sample) == len(values) else f"{cut / len(sample):.1%} of the texts"
    )
    verb = "has" if cut == 1 and len(sample) == len(values) else "have"
    cure = f"More of them: --set columns.{name}.length={2 * state.length}"
    return [f"{name}: {share} {verb} more than {state.length:,} tokens and lose the others. {cure}"]


def _sample(values: pa.Array) -> pa.Array:
    """At most 20,000 texts, evenly spaced."""
    return values.take(np.arange(0, len(values), -(-len(values) // SAMPLED))) if len(values) > SAMPLED else values


def _rounded(length: int) -> int:
    return max(STEP, -(-length // STEP) * STEP)


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, width) int64. Hashed ones are as wide as `length`, others as the longest text needs."""
    ragged = tokenizers.encode(values, state)
    if state.tokenizer in HASHES:
        return pad(ragged, state.length, tokenizers.PADDING, both_ends=False)
    width = min(_rounded(int(ragged.lengths.max(initial=0))), state.length)
    return pad(ragged, width, state.padding, both_ends=True)


def golden(state: State, cfg: Config, rng: np.random.Generator, count: int) -> list[Any]:
    """Made-up texts of words that many rows share, some with a word that nobody wrote, and now and then none."""
    words = np.array(state.words or STOCK, object)
    texts: list[str] = [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(count)]
    texts[1::3] = [f"{text} {STOCK[i % len(STOCK)]}" for i, text in enumerate(texts[1::3])]
    return [None if i % 9 == 8 else text for i, text in enumerate(texts)]


def feed(state: State) -> Input:
    steps = state.length if state.tokenizer in HASHES else None
    return Input(
        kind="tokens",
        shape=(steps,),
        dtype="int64",
        sizes=(state.size,),
        padding=state.padding,
        max_length=0 if steps else state.length,
    )
