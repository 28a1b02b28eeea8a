"""Sentences on a page: notes, and what went wrong; any text as it is."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from lamina.config import LaminaError
from lamina.task import TooMuch

MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!~$|:^])")  # what means something in Markdown


def plain(text: object) -> str:
    """Any text as Markdown that shows it as it is."""
    return MARKS.sub(r"\\\1", str(text))


@contextmanager
def sentences() -> Iterator[None]:
    """What is wrong with a request is a sentence on the page."""
    try:
        yield
    except (LaminaError, TooMuch) as error:
        for line in str(error).splitlines():
            st.error(plain(line))


def notes(lines: tuple[str, ...] | list[str]) -> None:
    """Sentences on what was done, each once."""
    for line in dict.fromkeys(lines):
        st.info(plain(line))
