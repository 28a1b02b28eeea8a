"""What there is to see of texts: telling words, answers with their words marked, lengths, duplicates across parts."""

import time
from itertools import chain
from typing import Any

import numpy as np
import pyarrow.compute as pc

from lamina.evaluate.images.thumbnails import percent, under, words
from lamina.evaluate.markup import number
from lamina.evaluate.texts import copies, lengths, marked, occlusion, telling
from lamina.evaluate.texts.column import TextColumn
from lamina.evaluate.texts.words import shared
from lamina.experiment import Finding
from lamina.schema import Row

WORST, EACH = 12, 6  # texts: the worst answers; right ones, and wrong ones
MAX_SECONDS = 4.0  # for words that are left out of texts that are shown; others are shown without marks
PIECES = ("telling", "explained", "worst", "lengths")  # in the order of the page, beside `duplicates`
TEST = "test"


def pieces(finding: Finding) -> tuple[Row, dict[str, str]]:
    """Facts for `report.json` and pieces of the page by name: `telling`, `lengths`, `duplicates`, and where each row
    has one answer `explained`, `worst`; both are empty without texts. Of several columns, that with the longest texts.
    """
    columns = [column.name for column in finding.session.prep.columns if column.kind == "text"]
    if not columns:
        return {}, {}
    prep, splits = finding.session.prep, finding.experiment.splits
    cells = {name: prep.parse(splits.train, [name])[name] for name in columns}
    column = max(columns, key=lambda name: pc.sum(pc.utf8_length(cells[name])).as_py() or 0)
    by_part = {part: prep.parse(rows, [column])[column].to_pylist() for part, rows in splits._asdict().items()}
    texts = TextColumn(finding, column, shared(chain.from_iterable(by_part.values())), by_part)
    strong = telling.find(finding.session, splits.test, column, texts.shared, finding.evaluation.answers)
    long = lengths.of(finding, column)
    facts: Row = {"column": column, "lengths": {**long.facts, "by_length": long.rows}}
    facts |= {"telling": strong.groups, "telling_rows": strong.rows}
    facts["duplicates"], pairs = copies.pieces(texts)
    parts = {"telling": _telling(texts, strong), "duplicates": pairs}
    parts["lengths"] = "<h3>Lengths</h3>\n" + lengths.html(long, finding.experiment.metrics[0], splits.test.num_rows)
    if texts.losses is not None:
        facts["losses"], parts["explained"], parts["worst"] = _answers(texts, texts.losses)
    return facts, {name: piece for name, piece in parts.items() if piece}


def _telling(texts: TextColumn, strong: telling.Telling) -> str:
    unit = "the number" if not texts.task.classes else "the log-odds of the prediction (1 multiplies the odds by 2.7)"
    columns = [column.name for column in texts.finding.session.prep.columns if column.kind == "text"]
    where = f" (column {words(texts.column)}, which has the longest)" if len(columns) > 1 else ""
    lead = (
        f"Words of {strong.rows:,} test texts{where} were left out in turn: by how much {unit} falls without it, on "
        "average. Words that fewer than five rows have are not shown."
    )
    return under("The most telling words", lead, telling.html(strong, not texts.task.classes))


def _answers(texts: TextColumn, losses: np.ndarray) -> tuple[list[Row], str, str]:
    """Some right and some wrong answers, and those with the highest loss, with the words that they hang on."""
    worst = np.argsort(-losses, kind="stable")[:WORST].tolist()
    some = _some(texts, set(worst))
    effects = _effects(texts, _turns(worst, some))
    facts = list[Row]()
    for row in worst:
        answer, chance = texts.answer(row)
        facts.append({"row": row, "actual": texts.label(TEST, row), "predicted": answer, "probability": chance,
                      "loss": float(losses[row])})  # fmt: skip
    what = "the number is lower without it" if not texts.task.classes else "the odds of the prediction fall without it"
    lead = f"<mark class='for s2'>Orange</mark>, underlined: {what}. <mark class='against s2'>Blue</mark>, dashed: "
    lead += "they rise." if texts.task.classes else "it is higher."
    lead += f" {marked.HIDDEN} is a word that fewer than five rows have."
    first = f"The {len(worst)} test texts with the highest loss, the worst first: look for wrong labels among them. "
    return (
        facts,
        under("Word occlusion", lead, marked.grid(_figure(texts, row, losses, effects) for row in some)),
        under("Top losses", first, marked.grid(_figure(texts, row, losses, effects) for row in worst)),
    )


def _turns(one: list[int], other: list[int]) -> list[int]:
    """Rows of both lists in turn, so that neither is left without where time is short."""
    return [part[i] for i in range(max(len(one), len(other))) for part in (other, one) if i < len(part)]


def _some(texts: TextColumn, without: set[int]) -> list[int]:
    """Test rows by chance that have a text: right answers and wrong ones, where an answer is either."""
    evaluation, cells = texts.finding.evaluation, texts.cells[TEST]
    order = np.random.default_rng(texts.seed).permutation(len(evaluation.target)).tolist()
    rows = [row for row in order if row not in without and cells[row]]
    chances = texts.task.chances(evaluation.answers)
    if chances is None:
        return rows[:EACH]
    right = chances.argmax(axis=1) == evaluation.target
    return [row for row in rows if right[row]][:EACH] + [row for row in rows if not right[row]][:EACH]


def _effects(texts: TextColumn, rows: list[int]) -> dict[int, tuple[occlusion.Effects, np.ndarray]]:
    """By row its words and how far each speaks for the answer, as far as the time goes."""
    start, effects = time.perf_counter(), {}
    classes = texts.task.classes
    for row in rows:
        if time.perf_counter() - start > MAX_SECONDS:
            break
        codes = [classes.index(texts.answer(row)[0])] if classes else None
        table = texts.rows(TEST).slice(row, 1)
        (one,) = occlusion.effects(texts.finding.session, table, texts.column, codes)
        effects[row] = one, one.falls[:, 0]
    return effects


def _figure(texts: TextColumn, row: int, losses: np.ndarray, effects: dict[int, Any]) -> str:
    """A test text with its answer."""
    actual, (answer, chance) = texts.label(TEST, row), texts.answer(row)
    below = f"test row {row + 1:,}, {'off by' if chance is None else 'loss'} {number(float(losses[row]))}"
    if chance is None:
        caption = f"<b>{words(actual)}</b>, predicted {words(answer)}"
    elif actual == answer:
        caption = f"<b>{words(actual)}</b>, right, {percent(chance)} sure"
    else:
        caption = f"<b>{words(actual)}</b> taken for <b>{words(answer)}</b>, {percent(chance)} sure"
    if row in effects:
        one, falls = effects[row]
        body = marked.marked(one, falls, texts.shared)
    else:
        body = marked.plain(texts.cells[TEST][row] or "", texts.shared)
    return (
        f'<figure class="text">{body}<figcaption>{caption}<br><span class="path">{below}</span></figcaption></figure>'
    )
