"""Sentences on a page: notes, and what went wrong; any text as it is."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from lamina.config import LaminaError
from lamina.task import TooMuch

MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!~$|:^])")  # what means something in Markdown


def plain(text: object) -> str:
    """Any text as Markdown that shows it as it is, line by line."""
    return MARKS.sub(r"\\\1", str(text)).replace("\n", "  \n")


def faults(error: Exception) -> list[str]:
    """What an error says, fault by fault: an indented line, such as the one at fault, belongs to the one before."""
    return re.split(r"\n(?! )", str(error))


@contextmanager
def sentences() -> Iterator[None]:
    """What is wrong with a request is a sentence on the page."""
    try:
        yield
    except (LaminaError, TooMuch) as error:
        for fault in faults(error):
            st.error(plain(fault))


def notes(lines: tuple[str, ...] | list[str]) -> None:
    """Sentences on what was done, each once."""
    for line in dict.fromkeys(lines):
        st.info(plain(line))
