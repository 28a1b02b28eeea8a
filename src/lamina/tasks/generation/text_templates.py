"""Texts of mostly rare values, such as ids, phone numbers and durations, by how they are put together.

A text is taken apart at every change between digits, letters and other signs: what five rows share of that is a
template, whose digits and words change. Words that few rows share are made letter by letter where they are short codes;
longer ones may be names, and a column of these is not made.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina import privacy
from lamina.tasks.generation import number_modes
from lamina.tasks.generation.state import ColumnModes, Slot, TextTemplate

COVERED = 0.8  # of the rows must be of a template, and
FREQUENT = 0.95  # of a slot's texts among its frequent words, to be a choice of these
MOST = 8  # templates of a column
CODE = 3  # letters of a code, at most: longer words may be names
LONGEST = 60  # characters
NUMBER = 15  # digits of a number
UNIQUE = 0.9  # of the rows have a text of their own: it is a name of the row, and no network learns it
ROOM, LEAST = 100, 10  # such texts there should be for each row, and have to be
SAMPLE = 20_000
RUN = re.compile(r"\d+|[^\W\d_]+")
BLOCK = re.compile(r"[^\W_]+")  # digits and letters together, as in hexadecimal numbers


class Fit(NamedTuple):
    """What a column of texts is put together by, and the share of its rows that is."""

    templates: tuple[TextTemplate, ...]
    share: float


def fit(texts: Sequence[str]) -> Fit | None:
    """The templates of texts (rows,), the most frequent first; None where there are none for most of them."""
    rng = np.random.default_rng(0)
    some = [texts[int(i)] for i in rng.permutation(len(texts))[:SAMPLE].tolist()]
    unique = len(set(some)) >= UNIQUE * len(some)
    return _fit(some, RUN, unique) or _fit(some, BLOCK, unique)


def _fit(texts: Sequence[str], run: re.Pattern[str], unique: bool) -> Fit | None:
    groups = dict[str, list[str]]()
    for text in texts:
        if len(text) <= LONGEST:
            groups.setdefault(skeleton(text, run), []).append(text)
    ranked = sorted(groups.values(), key=len, reverse=True)[:MOST]
    ranked = [group for group in ranked if len(group) >= privacy.MIN_ROWS]
    templates, rows = list[TextTemplate](), 0
    for group in ranked:
        template = _template(group, run, unique, len(texts))
        if template is not None:
            templates.append(template)
            rows += len(group)
    share = rows / max(len(texts), 1)
    return Fit(tuple(templates), share) if share >= COVERED else None


def skeleton(text: str, run: re.Pattern[str] = RUN) -> str:
    """A text with a sign for each run of digits or letters; of blocks of both their length too."""
    if run is BLOCK:
        return BLOCK.sub(lambda match: f"x{len(match[0])}", text)
    return RUN.sub(lambda match: "0" if match[0].isdecimal() else "a", text)


def _template(group: Sequence[str], run: re.Pattern[str], unique: bool, rows: int) -> TextTemplate | None:
    """How texts of one skeleton are put together; None where a name may be in them."""
    literals = run.split(group[0])
    columns = list(zip(*(run.findall(text) for text in group), strict=True))
    parts = [_slot(column, unique) for column in columns]
    slots = [part for part in parts if part is not None]
    if len(slots) < len(parts) or not slots:
        return None
    if unique:
        slots, room = _with_room(slots, rows)
        if room < LEAST * rows:
            return None  # numbers of rows
    return _joined(literals, slots)


def _slot(words: Sequence[str], unique: bool) -> Slot | None:
    """How one run of texts changes; None where it may be a name."""
    counts = Counter(words)
    frequent = [(word, n) for word, n in counts.most_common(number_modes.FEW * 10) if n >= privacy.MIN_ROWS]
    total = sum(n for _, n in frequent)
    digits = all(word.isascii() and word.isdecimal() and len(word) <= NUMBER for word in counts)
    lengths = {len(word) for word in counts}
    few = len(counts) <= number_modes.FEW or not digits
    if total >= FREQUENT * len(words) and few:
        values, shares = tuple(word for word, _ in frequent), tuple(n / total for _, n in frequent)
        return Slot(modes=ColumnModes(name="", kind="category", values=values, shares=shares))
    padded = any(word[0] == "0" and len(word) > 1 for word in counts)
    if digits and not (padded and len(lengths) > 1) and not (unique and len(counts) >= UNIQUE * len(words)):
        numbers = np.array([float(word) for word in words])
        width = lengths.pop() if padded else 0
        modes = ColumnModes(name="", kind="number", form="whole", decimals=0, **number_modes.fit(numbers, 0))
        return Slot(modes=modes, width=width)
    return _characters(words, digits)


def _characters(words: Sequence[str], digits: bool) -> Slot | None:
    """Characters at random, each of those that five rows have at its place; None for words that may be names."""
    length, count = Counter(map(len, words)).most_common(1)[0]
    if not digits and count < len(words):
        return None
    some = [word for word in words if len(word) == length]
    places = [Counter(column) for column in zip(*some, strict=True)]
    if not digits and length > CODE and not _is_hexadecimal(some):
        return None
    alphabets = ["".join(sorted(c for c, n in place.items() if n >= privacy.MIN_ROWS)) for place in places]
    return Slot(alphabets=tuple(alphabets)) if all(alphabets) else None


def _is_hexadecimal(words: Sequence[str]) -> bool:
    """Whether blocks hold digits as often as codes do, and words never."""
    share = sum(c.isdigit() for word in words for c in word) / sum(map(len, words))
    return share > 0.2 and sum(any(c.isdigit() for c in word) for word in words) > 0.5 * len(words)


def _with_room(slots: list[Slot], rows: int) -> tuple[list[Slot], float]:
    """The same with more digits that change, the last first, where else rows would soon have the same text; and how
    many different texts there can be.
    """
    room = 1.0
    for slot in slots:
        if slot.alphabets:
            room *= float(np.prod([len(alphabet) for alphabet in slot.alphabets]))
        elif slot.modes is not None:
            room *= max(len(slot.modes.values), slot.modes.high - slot.modes.low)
    wide = list[Slot]()
    for slot in reversed(slots):
        alphabets = list[str]()
        for alphabet in reversed(slot.alphabets):
            if room < ROOM * rows and alphabet.isdecimal():
                room *= 10 / len(alphabet)
                alphabet = "0123456789"
            alphabets.append(alphabet)
        wide.append(slot.model_copy(update={"alphabets": tuple(reversed(alphabets))}))
    return wide[::-1], room


def _joined(literals: Sequence[str], slots: Sequence[Slot]) -> TextTemplate:
    """A template in which a slot of one word is part of the text around it."""
    texts, changing = [literals[0]], list[Slot]()
    for slot, literal in zip(slots, literals[1:], strict=True):
        if slot.modes is not None and len(slot.modes.values) == 1:
            texts[-1] += slot.modes.values[0] + literal
        else:
            changing.append(slot)
            texts.append(literal)
    return TextTemplate(literals=tuple(texts), slots=tuple(changing))


def take_apart(texts: Sequence[str | None], templates: Sequence[TextTemplate]) -> tuple[np.ndarray, list[list[Any]]]:
    """Which template each text (rows,) is of, -1 for none, and for each the texts of its slots, None elsewhere."""
    compiled = [_expression(template) for template in templates]
    which, pieces = np.full(len(texts), -1), [[None] * len(texts) for template in templates for _ in template.slots]
    starts = np.cumsum([0, *(len(template.slots) for template in templates)])
    cache: dict[str, tuple[int, tuple[str, ...]]] = {}
    for row, text in enumerate(texts):
        if text is None:
            continue
        if text not in cache:
            matches = ((i, match) for i, one in enumerate(compiled) if (match := one.fullmatch(text)))
            place, match = next(matches, (-1, None))
            cache[text] = place, match.groups() if match else ()
        which[row], groups = cache[text]
        for i, group in enumerate(groups):
            pieces[starts[which[row]] + i][row] = group
    return which, pieces


def _expression(template: TextTemplate) -> re.Pattern[str]:
    """What texts of a template match, a group for each slot."""
    slots = (_slot_expression(slot) for slot in template.slots)
    parts = (f"{re.escape(literal)}({slot})" for literal, slot in zip(template.literals, slots, strict=False))
    return re.compile("".join([*parts, re.escape(template.literals[-1])]))


def _slot_expression(slot: Slot) -> str:
    if slot.alphabets:
        return "".join(f"[{re.escape(alphabet)}]" for alphabet in slot.alphabets)
    assert slot.modes is not None
    if slot.modes.values:
        return "|".join(map(re.escape, slot.modes.values))
    return rf"\d{{{slot.width}}}" if slot.width else r"\d+"


def matches(text: str, templates: Sequence[TextTemplate]) -> bool:
    """Whether a text is of some template."""
    return any(_expression(template).fullmatch(text) for template in templates)


def write(template: TextTemplate, slots: Sequence[Any], rows: int) -> list[str]:
    """Texts of one template: `slots` are numbers (rows,) or texts, in order."""
    columns = [
        [f"{int(number):0{slot.width}}" for number in values]
        if slot.modes is not None and slot.modes.numeric
        else values
        for slot, values in zip(template.slots, slots, strict=True)
    ]
    texts = [template.literals[0]] * rows
    for values, literal in zip(columns, template.literals[1:], strict=True):
        texts = [text + value + literal for text, value in zip(texts, values, strict=True)]
    return texts


def characters(alphabets: Sequence[str], chances: np.ndarray) -> list[str]:
    """Random characters (rows,) by numbers between 0 and 1 (rows, characters)."""
    columns = [
        np.array(list(alphabet))[(chances[:, i] * len(alphabet)).astype(int)] for i, alphabet in enumerate(alphabets)
    ]
    return ["".join(word) for word in zip(*columns, strict=True)]


def counts(template: TextTemplate) -> bool:
    """Whether numbers are in the texts of a template, so that it is no free text of a few words."""
    return any(slot.alphabets or (slot.modes is not None and slot.modes.numeric) for slot in template.slots)
