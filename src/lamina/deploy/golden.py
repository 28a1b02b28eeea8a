"""Golden rows travel with a bundle: requests and their answers, which every opening of it repeats."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lamina import privacy
from lamina.data.arrays import json_rows
from lamina.deploy.bundle.strict_json import guarded, rejection
from lamina.deploy.session import Session
from lamina.preprocess import Preprocessor
from lamina.schema import Row

COUNT = 24


def golden_rows(train: pa.Table, prep: Preprocessor) -> list[Row]:
    """Rows to test a bundle with: made up by each column's kind, so that nobody's value leaves with the bundle; then
    one row without any value, one of values never seen, and one of each text that means missing.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    names = [c.name for c in prep.columns]
    columns = (golden_cells(train, prep, name, rng, COUNT) for name in names)
    rows = [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return [*rows, *(dict.fromkeys(names, text) for text in (None, "never seen", *prep.schema.missing))]


def golden_cells(train: pa.Table, prep: Preprocessor, name: str, rng: np.random.Generator, count: int) -> list[Any]:
    """Cells of one column: made up by its kind; of one that makes none, those that many rows share, in turn."""
    cells = prep.golden(name, rng, count)
    if cells is not None:
        return cells
    values = privacy.shared(train[name].combine_chunks())
    cells = [row[name] for row in json_rows(pa.table({name: values}))] or [None]
    return [cells[i % len(cells)] for i in range(count)]


def replay(session: Session, requests: Sequence[Row], expected: Sequence[Any]) -> None:
    """The golden requests must give their golden answers. Errors: BundleError."""
    session.task.check(session)
    answers = guarded("golden.json", lambda: session.task.replay(session, requests))
    if len(answers) != len(expected):
        raise rejection("golden.json", "answers", f"are {len(expected)}, the network gives {len(answers)}")
    for i, (mine, theirs) in enumerate(zip(answers, expected, strict=True)):
        if not session.task.agrees(mine, theirs):
            raise rejection("golden.json", f"answers.{i}", f"differ: got {mine}, expected {theirs}")
