"""What answers hang on: the words of a text, found by leaving out one after the other.

Works with any network and any tokenizer, because it only asks the bundle for its answers to raw text. Li, Monroe and
Jurafsky 2016, "Understanding neural networks through representation erasure".
"""

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.evaluate.log_odds import strengths, uncalibrated
from lamina.evaluate.texts.words import Word, excerpt, split, without
from lamina.task import Session

MOST_WORDS = 120  # of a text: its first and last ones are left out
TOGETHER = 32  # texts
BATCH = 256  # texts with a word less


class Effects(NamedTuple):
    """The words of a text with their places, and what speaks for what: `falls` (different words, codes) is by how much
    the log-odds of each label (or the number) fall without a word, wherever it stands in the text.
    """

    text: str
    words: tuple[Word, ...]
    different: tuple[str, ...]
    falls: np.ndarray


def effects(
    session: Session, rows: pa.Table, column: str, codes: Sequence[int] | None, only: Container[str] | None = None
) -> list[Effects]:
    """Of each row (cleaned cells) the words of one column; the other columns stay as they are.

    `codes`: the labels that are asked for; None of a task that answers with a number. `only`: no other words are left
    out.
    """
    texts = [text or "" for text in session.prep.parse(rows, [column])[column].to_pylist()]
    words = [split(text) for text in texts]
    parts = [excerpt(each, MOST_WORDS) for each in words]
    different = [tuple(dict.fromkeys(w.word for part in both for w in part)) for both in parts]
    if only is not None:
        different = [tuple(word for word in each if word in only) for each in different]
    variants, of = list[str](), list[int]()
    for row, text in enumerate(texts):
        less = [without(text, [w for w in words[row] if w.word == one]) for one in different[row]]
        variants += [text, *less]
        of += [row] * (1 + len(less))
    answers = _answers(session, session.prep.encode(rows), column, (variants, np.array(of, np.int64)), codes)
    ends = np.cumsum([1 + len(each) for each in different])
    falls = [part[:1] - part[1:] for part in np.split(answers, ends[:-1])]
    return [Effects(*each) for each in zip(texts, map(tuple, words), different, falls, strict=True)]


def _answers(
    session: Session,
    inputs: dict[str, np.ndarray],
    column: str,
    texts: tuple[list[str], np.ndarray],
    codes: Sequence[int] | None,
) -> np.ndarray:
    """(texts, codes) how strong the answers to texts are, each in place of that of its row."""
    variants, of = texts
    task, name = uncalibrated(session.task), session.prep.input_name(column)
    order = np.argsort([len(text) for text in variants], kind="stable")  # so that batches have little padding
    parts: list[Any] = []
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        cells = pa.array([variants[i] for i in batch.tolist()], pa.string())
        others = {n: values[of[batch]] for n, values in inputs.items() if n != name}
        outputs = session.run({**others, name: session.prep.encode_column(column, cells)})
        parts.append(strengths(task.decode(outputs), codes))
    answers = np.empty((len(order), 1 if codes is None else len(codes)))
    answers[order] = np.concatenate(parts)
    return answers
