"""The words that answers hang on over many test texts: their mean effect, and in how many texts they stand."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina import privacy
from lamina.evaluate.log_odds import strengths
from lamina.evaluate.markup import escape, number, table
from lamina.evaluate.texts import occlusion
from lamina.evaluate.texts.words import split
from lamina.schema import Row
from lamina.task import Session

EACH, MAX_SECONDS = 25, 3.0  # texts looked at for each word
ENOUGH, SLOW_SECONDS = 250, 12.0  # texts, and seconds for a network that is too slow for as many
TOP, TOP_OF_MANY, CLASSES = 12, 6, 12  # words of each of two labels, of each of more, and labels
CANDIDATES = 40  # words looked at on either side of each answer
DOUBT = privacy.MIN_ROWS  # texts at which a mean counts half
FAINT = 0.05  # of the strongest effect, below which a word is none


class Telling(NamedTuple):
    """By answer the words that speak for it, strongest first: `word`, `effect`, and the `rows` with it; of `rows` texts
    words were left out.
    """

    groups: dict[str, list[Row]]
    rows: int


def find(
    session: Session, rows: pa.Table, column: str, shared: frozenset[str], answers: Mapping[str, np.ndarray]
) -> Telling:
    """Leave out one word after the other in test rows (cleaned), as far as the time goes.

    `answers`: those to the rows. Looked at are the words whose texts have the strongest answers of one sort.
    """
    classes = session.task.classes
    codes = range(min(CLASSES, len(classes))) if classes else None
    cells = session.prep.parse(rows, [column])[column].to_pylist()
    texts = [{word.word for word in split(text or "")} & shared for text in cells]
    stands = Counter(word for text in texts for word in text)
    candidates = _candidates(texts, stands, strengths(answers, codes))
    order = _order(texts, candidates)
    sums, counts = defaultdict[str, np.ndarray](lambda: np.zeros(len(codes or (0,)))), defaultdict[str, int](int)
    start, evaluated_rows = time.perf_counter(), 0
    while order and time.perf_counter() - start < (MAX_SECONDS if evaluated_rows >= ENOUGH else SLOW_SECONDS):
        part, order = order[: occlusion.TOGETHER], order[occlusion.TOGETHER :]
        evaluated_rows += len(part)
        for each in occlusion.effects(session, rows.take(pa.array(part)), column, codes, set(candidates)):
            for word, falls in zip(each.different, each.falls, strict=True):
                sums[word] += falls
                counts[word] += 1
    often = [word for word, count in counts.items() if count >= privacy.MIN_ROWS]
    effects = np.array([sums[word] / counts[word] for word in often]).reshape(len(often), len(codes or (0,)))
    groups = _groups(often, effects, np.array([counts[word] for word in often]), classes)
    for row in chain.from_iterable(groups.values()):
        row["rows"] = stands[row["word"]]
    return Telling(groups, evaluated_rows)


def _candidates(texts: Sequence[Set[str]], stands: Mapping[str, int], strong: np.ndarray) -> list[str]:
    """The words of texts that go with strong (or weak) answers (texts, codes), of each code some, surest first: by the
    mean of the answers to texts with the word, in deviations of such a mean by chance.
    """
    words = sorted(word for word, count in stands.items() if count >= privacy.MIN_ROWS)
    places = {word: place for place, word in enumerate(words)}
    pairs = [(places[word], row) for row, text in enumerate(texts) for word in text if word in places]
    if not pairs:
        return []
    place, row = np.array(pairs).T
    strength = dict[str, float]()
    for values in np.clip(strong, *np.quantile(strong, (0.01, 0.99))).T:
        sums = np.bincount(place, (values - values.mean())[row], minlength=len(words))
        sure = sums / np.sqrt([stands[word] for word in words])
        order = np.argsort(sure, kind="stable")
        for i in (*order[:CANDIDATES].tolist(), *order[::-1][:CANDIDATES].tolist()):
            strength[words[i]] = max(strength.get(words[i], 0.0), abs(float(sure[i])))
    return sorted(strength, key=lambda word: -strength[word])


def _order(texts: Sequence[Set[str]], candidates: Sequence[str]) -> list[int]:
    """Texts with candidates: first some with each, the surest before others, then more with each."""
    places = {word: list[int]() for word in candidates}
    for row in np.random.default_rng(0).permutation(len(texts)).tolist():
        for word in texts[row] & places.keys():
            places[word].append(row)
    order = dict[int, None]()
    for count in (privacy.MIN_ROWS, EACH):
        for word in candidates:
            order |= dict.fromkeys(places[word][:count])
    return list(order)


def _groups(words: list[str], effects: np.ndarray, counts: np.ndarray, classes: Sequence[str]) -> dict[str, list[Row]]:
    """The strongest words for each label; for and against a number."""
    columns = {name: effects[:, code] for code, name in enumerate(classes[:CLASSES])}
    if not classes:
        columns = {"higher": effects[:, 0], "lower": -effects[:, 0]}
    top = TOP if len(columns) <= 2 else TOP_OF_MANY
    groups = {}
    for name, values in columns.items():
        least = FAINT * values.max(initial=0.0)
        top_words = np.argsort(-values * counts / (counts + DOUBT), kind="stable")[:top]
        order = [i for i in top_words[np.argsort(-values[top_words], kind="stable")].tolist() if values[i] > least]
        groups[name] = [{"word": words[i], "effect": float(values[i])} for i in order]
    return groups


def html(telling: Telling, numbers: bool) -> str:
    """A table for each answer."""
    tables = []
    for name, rows in telling.groups.items():
        head = f"{'answers are ' if numbers else 'speaks for '}{escape(name, 40)}"
        cells = [[f"<bdi>{escape(row['word'], 30)}</bdi>", number(row["effect"]), number(row["rows"])] for row in rows]
        tables.append(f"<div>{table([head, 'effect', 'test rows'], cells, (1, 2))}</div>" if rows else "")
    return f'<div class="words">{"".join(tables)}</div>' if any(tables) else ""
