"""Texts that are in training too, as a piece of the page: how many, what the score is without them, and some pairs."""

import numpy as np

from lamina.evaluate import metrics
from lamina.evaluate.images.thumbnails import words
from lamina.evaluate.markup import number
from lamina.evaluate.texts import duplicates, marked
from lamina.evaluate.texts.column import TextColumn
from lamina.schema import Row

PAIRS, MAX_PAIRS = 6, 1000  # on the page, and in the facts
PART = "test"


def pieces(texts: TextColumn) -> tuple[Row, str]:
    """Test and validation texts that are training texts too; a sentence says how many."""
    training, pairs, sentences = texts.cells["train"], list[Row](), list[str]()
    for part in (PART, "validation"):
        matches = duplicates.find(texts.cells[part], training)
        own = [{"part": part, **pair._asdict(), **_labels(texts, part, pair)} for pair in matches.pairs]
        sentences.append(_sentence(texts, part, matches, own))
        pairs += own
    facts: Row = {"sentence": " ".join(sentences), "pairs": pairs[:MAX_PAIRS]}
    if not pairs:
        return facts, ""
    kind = "callout" if pairs[0]["part"] == PART and texts.task.classes and _only(texts) else "quiet lead"
    first = sorted(pairs, key=lambda p: (p["label"] == p["training_label"], p["exact"]))[:PAIRS]
    sentence = f'<p class="{kind}">{words(facts["sentence"], 900)}</p>'
    return facts, sentence + marked.grid(_pair(texts, pair, training) for pair in first)


def _only(texts: TextColumn) -> bool:
    """Whether texts are all there is to learn from."""
    return len(texts.finding.session.prep.columns) == 1


def _labels(texts: TextColumn, part: str, pair: duplicates.Pair) -> Row:
    return {"label": texts.label(part, pair.row), "training_label": texts.label("train", pair.training_row)}


def _pair(texts: TextColumn, pair: Row, training: list[str | None]) -> str:
    part, ours, theirs = pair["part"], pair["label"], pair["training_label"]
    caption = f"both <b>{words(ours)}</b>"
    if ours != theirs:
        caption = f"<b>{words(ours)}</b> in {part}, <b>{words(theirs)}</b> in training"
    both = [texts.cells[part][pair["row"]], *([] if pair["exact"] else [training[pair["training_row"]]])]
    body = "".join(marked.plain(one or "", texts.shared, 40) for one in both)
    how = "the same text" if pair["exact"] else "nearly the same"
    return marked.figure(body, caption, how)


def _sentence(texts: TextColumn, part: str, matches: duplicates.Duplicates, pairs: list[Row]) -> str:
    """How many texts of a part are training texts too, and what that means."""
    if not pairs:
        return f"None of the {matches.rows:,} {part} texts is a training text, exactly or nearly."
    count, exact = len(pairs), sum(pair["exact"] for pair in pairs)
    are = "is a training text" if count == 1 else "are training texts"
    unequal = sum(pair["label"] != pair["training_label"] for pair in pairs)
    how = f"{exact:,} exactly, {count - exact:,} nearly"
    sentence = f"{count:,} of the {matches.rows:,} {part} texts {are} too ({how})."
    if unequal and texts.task.classes and _only(texts):
        sentence += f" {unequal:,} of these pairs {'has' if unequal == 1 else 'have'} different labels."
    return sentence + (_score_without(texts, pairs) if part == PART else "")


def _score_without(texts: TextColumn, pairs: list[Row]) -> str:
    """The primary score of the test rows that repeat no training text."""
    evaluation, primary = texts.finding.evaluation, texts.finding.experiment.metrics[0]
    rest = np.ones(len(evaluation.target), bool)
    rest[[pair["row"] for pair in pairs]] = False
    answers = {name: values[rest] for name, values in evaluation.answers.items()}
    score, whole = metrics.scores((primary,), evaluation.target[rest], answers)[primary], evaluation.scores.get(primary)
    if score is None:
        return ""
    return f" Without these test rows {metrics.label(primary)} is {number(score)}; with them it is {number(whole)}."
