"""The bundle that is tried, opened once for all who look at the page, and what went wrong said in a sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import pyarrow as pa
import streamlit as st

from lamina.config import LaminaError
from lamina.deploy.predictor import Predictor
from lamina.deploy.session import from_json
from lamina.schema import Row
from lamina.task import Operation, RequestLimits, TooMuch

MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!~$|:^])")  # what means something in Markdown


@lru_cache(maxsize=1)
def opened(path: str) -> Predictor:
    """The bundle, checked and self-tested, within the limits of requests."""
    return Predictor(path).bounded(RequestLimits())


def offered(predictor: Predictor) -> tuple[Operation, ...]:
    """What a person can ask: what the command line has a verb for."""
    return tuple(operation for operation in predictor.operations if "cli" in operation.faces)


def raw(rows: list[Row], operation: Operation, predictor: Predictor) -> pa.Table:
    """Rows of plain JSON values as the table of raw cells that an operation takes."""
    return from_json(rows, operation.prep(predictor), operation.names(predictor))


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
