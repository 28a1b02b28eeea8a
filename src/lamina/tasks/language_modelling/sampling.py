"""New text, token by token: the network's state goes in and comes out, so that a token costs one step."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina.preprocess.text import tokenizers
from lamina.preprocess.text.tokenizers import UNKNOWN, TokenizerState
from lamina.task import Session
from lamina.tasks.language_modelling.state import State

GRAPH = "step"
DRAWS = 256  # random numbers of a text that are drawn at once


class Settings(NamedTuple):
    """How a token is chosen: 0 is the most likely one; else among the `top_k` most likely ones, or among those that
    together have the probability `top_p` (Holtzman et al. 2020).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None


class Cursor:
    """Texts at the place that they have come to: the states of the network, one row each."""

    def __init__(self, session: Session, rows: int = 1):
        self.session, self.position = session, 0
        shapes = session.task.state.step
        self.states = {
            name: np.zeros((rows, *shape), np.float32) for name, shape in shapes.items() if name != "position"
        }
        self._counts = "position" in shapes
        self.rows = rows

    def feed(self, tokens: np.ndarray) -> np.ndarray:
        """Scores (rows, vocabulary) of what comes after these tokens (rows,)."""
        inputs = {"tokens": tokens.astype(np.int64)[:, None], **self.states}
        if self._counts:
            inputs["position"] = np.full((self.rows, 1), self.position, np.int64)
        outputs = self.session.run(inputs, GRAPH)
        self.position += 1
        self.states = {name: outputs[name] for name in self.states}
        return outputs["logits"]

    def copies(self, rows: int) -> None:
        """The same text so many times, to go on from in different ways."""
        self.rows = rows
        self.states = {name: np.repeat(values, rows, axis=0) for name, values in self.states.items()}

    def select(self, rows: np.ndarray) -> None:
        """Only some of the texts (rows,) bool from now on."""
        self.rows = int(rows.sum())
        self.states = {name: values[rows] for name, values in self.states.items()}


def choose(logits: np.ndarray, settings: Settings, draws: np.ndarray) -> np.ndarray:
    """(rows,) ids by scores (rows, vocabulary), of which -inf is never chosen, and random numbers (rows,) below 1."""
    if settings.temperature <= 0:
        return logits.argmax(axis=1)
    scores = logits.astype(np.float64)
    if settings.top_k is not None and settings.top_k < scores.shape[1]:
        least = np.partition(scores, -settings.top_k, axis=1)[:, -settings.top_k]
        scores = np.where(scores < least[:, None], -np.inf, scores)
    scores = (scores - scores.max(axis=1, keepdims=True)) / settings.temperature
    chances = np.exp(scores)
    chances /= chances.sum(axis=1, keepdims=True)
    if settings.top_p is not None and settings.top_p < 1:
        chances = _nucleus(chances, settings.top_p)
    ends = chances.cumsum(axis=1)
    ids = (ends <= draws[:, None] * ends[:, -1:]).sum(axis=1)
    return np.minimum(ids, chances.shape[1] - 1)


def _nucleus(chances: np.ndarray, share: float) -> np.ndarray:
    """The likeliest of each row that together have that share at least."""
    order = np.argsort(-chances, axis=1, kind="stable")
    ranked = np.take_along_axis(chances, order, axis=1)
    ranked = np.where(ranked.cumsum(axis=1) - ranked < share, ranked, 0)
    out = np.zeros_like(chances)
    np.put_along_axis(out, order, ranked, axis=1)
    return out


def forbidden(state: State) -> np.ndarray:
    """(vocabulary,) bool: ids that no text is made of, such as padding."""
    bad = np.zeros(state.size, bool)
    tokenizer = state.tokenizer
    bad[tokenizer.padding] = tokenizer.padding != state.end
    if tokenizer.tokenizer in ("word", "character", "bpe"):
        bad[UNKNOWN] = True
    return bad


class Prompt(NamedTuple):
    """Ids to go on from, never none, and a sentence on what was left out of the text, or ""."""

    ids: np.ndarray
    note: str


def prompt(text: str, state: State, most: int) -> Prompt:
    """The ids of a text, the last `most` where there are more, from the start of a text on."""

    tokenizer = state.tokenizer
    ids = tokenizers.encode(pa.array([text], pa.string()), tokenizer).ids
    notes = list[str]()
    unknown = ids == UNKNOWN if tokenizer.tokenizer in ("word", "character") else np.zeros(len(ids), bool)
    if unknown.any():
        count, unit = int(unknown.sum()), "character" if tokenizer.tokenizer == "character" else "word"
        words = f"{unit} is" if count == 1 else f"{unit}s are"
        notes.append(f"prompt: {count:,} {words} left out that the training text had not{_some(text, tokenizer)}.")
        ids = ids[~unknown]
    if len(ids) > most:
        notes.append(f"prompt: only the last {most:,} of its {len(ids):,} tokens are read.")
        ids = ids[-most:]
    first = state.start if state.end is None else state.end
    return Prompt(np.concatenate([[first], ids]) if len(ids) < most else ids, " ".join(notes))


def _some(text: str, tokenizer: TokenizerState) -> str:
    """A few of the unknown characters, quoted."""
    if tokenizer.tokenizer != "character":
        return ""
    letters = [letter for letter in dict.fromkeys(text) if tokenizer.points[ord(letter)] == UNKNOWN]
    return f" ({', '.join(repr(letter) for letter in letters[:5])}{' ...' if len(letters) > 5 else ''})"


class Decoder:
    """Ids of one text to its pieces, one after the other, as they come."""

    def __init__(self, tokenizer: TokenizerState, before: int | None = None):
        """`before`: the id that what comes goes on from, by which a word knows of the blank before it."""
        self._next, self._padding = 0, tokenizer.padding
        self._pieces = tokenizers.decode_pieces(self._ids(), tokenizer)
        if before is not None and tokenizer.tokenizer in ("word", "pretrained") and before < tokenizer.size:
            self.push(before)

    def _ids(self) -> Iterator[int]:
        while True:
            yield self._next

    def push(self, token: int) -> str:
        """The text of one more token; "" while a character is not all there."""
        if token == self._padding:  # which stands for nothing, and which no piece comes of
            return ""
        self._next = token
        return next(self._pieces)


class Text:
    """One text as it is written: what can be given out, and whether it is over.

    What may be the beginning of the `stop` text is held back until it is known not to be.
    """

    def __init__(self, decoder: Decoder, stop: str, seed: tuple[int, int]):
        self.decoder, self.stop, self.over = decoder, stop, False
        self._rng, self._draws, self._place = np.random.default_rng(seed), np.zeros(0), 0
        self._buffer = ""

    def draw(self) -> float:
        """A random number below 1, the same for the same seed however many texts there are."""
        if self._place == len(self._draws):
            self._draws, self._place = self._rng.random(DRAWS), 0
        self._place += 1
        return float(self._draws[self._place - 1])

    def push(self, token: int) -> str:
        """The text that is sure after one more token."""
        self._buffer += self.decoder.push(token)
        if not self.stop:
            return self._release(0)
        place = self._buffer.find(self.stop)
        if place >= 0:
            self.over, self._buffer = True, self._buffer[:place]
            return self._release(0)
        most = min(len(self.stop) - 1, len(self._buffer))
        return self._release(next((n for n in range(most, 0, -1) if self.stop.startswith(self._buffer[-n:])), 0))

    def finish(self) -> str:
        """What was held back, when no more tokens come."""
        self.over = True
        return self._release(0)

    def _release(self, back: int) -> str:
        split = len(self._buffer) - back
        text, self._buffer = self._buffer[:split], self._buffer[split:]
        return text


def write(
    session: Session, first: Prompt, settings: Settings, texts: list[Text], length: int
) -> Iterator[list[tuple[int, str]]]:
    """Pieces of all texts, by their number, a token of each at a time; `length`: tokens of each at most."""
    state: State = session.task.state
    cursor, bad = Cursor(session), forbidden(state)
    logits = np.zeros((1, state.size), np.float32)
    for token in first.ids:
        logits = cursor.feed(np.array([token]))
    cursor.copies(len(texts))
    logits, rows = np.repeat(logits, len(texts), axis=0), np.arange(len(texts))
    for place in range(length):
        draws = np.array([texts[row].draw() for row in rows])
        ids = choose(np.where(bad, -np.inf, logits), settings, draws)
        piece, last = list[tuple[int, str]](), place == length - 1
        for row, token in zip(rows.tolist(), ids.tolist(), strict=True):
            text = texts[row].finish() if token == state.end else texts[row].push(token)
            text += texts[row].finish() if last and not texts[row].over else ""
            piece.append((row, text))
        yield piece
        going = np.array([not texts[row].over for row in rows], bool)
        if not going.any():
            return
        if not going.all():
            rows, ids = rows[going], ids[going]
            cursor.select(going)
        logits = cursor.feed(ids)
