"""A widget for a cell of a column, by its domain: a number with its training range, a choice, a date, a text ..."""

import json
import math
from datetime import date, datetime
from typing import Any

import streamlit as st

from lamina.apps.messages import plain
from lamina.apps.try_app import series
from lamina.preprocess import Domain
from lamina.schema import Column

STEPS = 50  # of a number between the ends of its training range
WORDS = {True: "yes", False: "no"}
WIDE = frozenset({"text", "series", "choices"})  # sorts that have a line of their own


def cell(column: Column, domain: Domain, example: Any) -> Any:
    """The cell that a person chose, as plain JSON; None where it is missing."""
    label, key = plain(column.name), f"cell {column.name}"
    match domain.sort:
        case "number":
            return _number(label, key, domain, example)
        case "boolean":
            value = example if isinstance(example, bool) else None
            return st.segmented_control(label, [True, False], format_func=WORDS.__getitem__, default=value, key=key)
        case "choice":
            return _choice(label, key, domain, example)
        case "choices":
            values = _labels(example)
            choices = st.multiselect(
                label, domain.values, [v for v in values if v in domain.values], key=key, accept_new_options=True
            )
            return json.dumps(choices, ensure_ascii=False)
        case "date":
            _begin(key, date.fromisoformat(domain.middle))
            day = st.date_input(
                _with_range(label, domain), None, min_value=date.min, max_value=date.max, format="YYYY-MM-DD", key=key
            )
            return day.isoformat() if day else None
        case "datetime":
            _begin(key, datetime.fromisoformat(domain.middle))
            moment = st.datetime_input(
                _with_range(label, domain), None, min_value=datetime.min,
                max_value=datetime.max.replace(microsecond=0), format="YYYY-MM-DD", key=key,
            )  # fmt: skip
            return moment.isoformat() if moment else None
        case "series":
            return series.cell(label, key, domain, example)
        case _:
            return st.text_area(label, "" if example is None else str(example), key=key, height="content") or None


def _begin(key: str, value: Any) -> None:
    """What a widget that may be empty holds at first: a default of its own would come back where it is emptied."""
    st.session_state.setdefault(key, value)


def _number(label: str, key: str, domain: Domain, example: Any) -> float | None:
    """A number; one without a fraction stays whole."""
    example = example if isinstance(example, int | float) and not isinstance(example, bool) else domain.middle
    _begin(key, None if example is None else float(example))
    number = st.number_input(
        _with_range(label, domain), value=None, step=_step(domain), format="%g", key=key, placeholder="missing"
    )
    return int(number) if number is not None and float(number).is_integer() and abs(number) < 1 << 53 else number


def _with_range(label: str, domain: Domain) -> str:
    """The training range in quiet letters behind the name."""
    if domain.low is None:
        return label
    return f"{label} :gray[{plain(span(domain))}]"


def span(domain: Domain) -> str:
    """From the lowest to the highest training cell."""
    low, high = (end if isinstance(end, str) else f"{end:,.6g}" for end in (domain.low, domain.high))
    return f"{low} to {high}"


def _step(domain: Domain) -> float:
    """A step that goes through the training range in about fifty."""
    width = (domain.high or 0) - (domain.low or 0)
    if not 0 < width < math.inf:
        return 1.0
    step = 10.0 ** math.floor(math.log10(width / STEPS) + 0.5)
    whole = all(float(end).is_integer() for end in (domain.low, domain.high, domain.middle))
    return max(1.0, step) if whole and width >= STEPS / 5 else step


def _choice(label: str, key: str, domain: Domain, example: Any) -> str | None:
    """One of the known values, or another that is typed."""
    _begin(key, str(example) if str(example) in domain.values else None)
    return st.selectbox(label, domain.values, None, key=key, placeholder="missing", accept_new_options=True)


def _labels(example: Any) -> list[str]:
    """The labels of an example cell, which is a list or JSON text of one."""
    if isinstance(example, str) and example.startswith("["):
        return [str(label) for label in json.loads(example)]
    return [str(label) for label in example] if isinstance(example, list) else []
