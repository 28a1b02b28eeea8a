"""A series as a person enters it: numbers to paste or a file of them, with a drawing; and as text again."""

import math
import re
from typing import Any

import streamlit as st

from lamina.apps.try_app import charts
from lamina.config import DataError
from lamina.preprocess import Domain

MOST = 1_000_000  # numbers of one
BETWEEN = re.compile(r"[,;\s]+")
GAPS = frozenset({"", "null", "nan", "na"})


def cell(label: str, key: str, domain: Domain, example: Any) -> Any:
    """A list of numbers, or of lists by `domain`; None where nothing was entered. Errors: DataError for a word that is
    no number.
    """
    file = st.file_uploader(label, type=["csv", "txt", "tsv"], key=f"{key} file", max_upload_size=20)
    how = "a line for each step, its channels with commas between" if domain.channels > 1 else "with commas between"
    if file is None:
        text = st.text_area(f"or paste numbers, {how}", as_text(example, domain), key=key, height=110)
    else:
        text = file.getvalue().decode("utf-8", "replace")
    values = read(text, domain)
    if values:
        charts.series(values, domain.channels_first)
    return values


def read(text: str, domain: Domain) -> list[Any] | None:
    """Numbers out of text; nothing, `nan` or `null` between two commas is a gap. A first line of words is a header."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if lines and all(_number(word) is None for word in _words(lines[0])):
        lines = lines[1:]
    rows = [[_checked(word, i) for word in _words(line)] for i, line in enumerate(lines)]
    if sum(map(len, rows)) > MOST:
        raise DataError(f"series: has more than {MOST:,} numbers. Enter a shorter one.")
    if not rows:
        return None
    if domain.channels == 1:
        return [number for row in rows for number in row]
    width = max(map(len, rows))
    steps = [row + [None] * (width - len(row)) for row in rows]
    return [list(channel) for channel in zip(*steps, strict=True)] if domain.channels_first else steps


def as_text(values: Any, domain: Domain) -> str:
    """A series as text that `read` reads."""
    if not isinstance(values, list):
        return ""
    if domain.channels == 1 or not values or not isinstance(values[0], list):
        return ", ".join(map(_text, values))
    steps = zip(*values, strict=False) if domain.channels_first else values
    return "\n".join(", ".join(map(_text, step)) for step in steps)


def _words(line: str) -> list[str]:
    """The words of a line; where commas stand between, nothing between two of them is a word, too."""
    return [word.strip() for word in line.strip(",;").split(",")] if "," in line else BETWEEN.split(line)


def _checked(word: str, line: int) -> float | None:
    number = _number(word)
    if number is None:
        raise DataError(f"series: line {line + 1}: must be numbers (got '{word[:40]}'). Leave a gap empty.")
    return number if math.isfinite(number) else None


def _number(word: str) -> float | None:
    """A number, NaN for a gap, None for what is neither."""
    if word.lower() in GAPS:
        return math.nan
    try:
        return float(word)
    except ValueError:
        return None


def _text(number: Any) -> str:
    return "" if number is None else f"{number:g}"
