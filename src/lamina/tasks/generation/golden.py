"""Golden requests of a generator, seeds and classes, and what is stored of their answers to compare with."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.config import DataError
from lamina.deploy.bundle.strict_json import guarded
from lamina.schema import Row
from lamina.task import Session, alike
from lamina.tasks.generation import discriminator_scores, sampling, table_transformer
from lamina.tasks.generation.state import ColumnModes, State

COUNT = 8  # requests
NUMBERS = 16  # of an answer
RELATIVE, ABSOLUTE = 2e-3, 2e-2  # of a number, and of 255 or of a score, between machines


def requests(state: State, target: str) -> list[Row]:
    """Seeds, and classes in turn where there are some."""
    classes = state.classes
    return [({target: classes[i % len(classes)]} if classes else {}) | {"seed": i} for i in range(COUNT)]


def inputs(rows: Sequence[Row], state: State, target: str, latent: int) -> dict[str, np.ndarray]:
    """What a generator is fed for requests."""
    noise = {"noise": sampling.noise([row["seed"] for row in rows], latent)}
    if not state.classes:
        return noise
    return noise | {"condition": sampling.codes([row[target] for row in rows], state.classes, target)}


def answers(session: Session, rows: Sequence[Row]) -> list[Row]:
    """A few numbers of each answer, of a table the row that is read from it, and what the discriminator says of it
    where there is one.
    """
    seeds, labels = _parse(rows, session.target)
    numbers = sampling.outputs(session, seeds, labels)
    state = session.task.state
    golden = _excerpts(numbers)
    if graph := discriminator_scores.graph(session):
        codes = np.full(len(rows), -1)
        if labels is not None and session.target is not None:
            codes = sampling.codes(labels, state.classes, session.target)[:, 0]
        scores = guarded(f"{graph}.onnx", lambda: discriminator_scores.golden_scores(session, numbers, codes))
        golden = [{graph: score} | excerpt for score, excerpt in zip(scores, golden, strict=True)]
    if not state.columns:
        return golden
    table = guarded("task.json", lambda: table_transformer.decode(numbers, state.columns, None, state.relations))
    table = table.select([modes.name for modes in state.columns if _compares(modes)])
    return [excerpt | {"row": row} for excerpt, row in zip(golden, table.to_pylist(), strict=True)]


def _compares(modes: ColumnModes) -> bool:
    """Whether cells of a column are the same wherever they are made, up to the last digits of numbers."""
    return modes.kind != "time" and not modes.styles and not modes.templates  # a second or a digit of a text may be off


def _parse(rows: Sequence[Row], target: str | None) -> tuple[list[int], list[Any] | None]:
    """Seeds and classes of requests; one without a seed takes its number. Errors: DataError."""
    names = {name for row in rows for name in row}
    if unknown := sorted(names - {"seed", target}):
        raise DataError(
            f"rows: '{unknown[0]}' is nothing to ask for. A request is a seed, and a class where there is one."
        )
    seeds = list[int]()
    for i, row in enumerate(rows):
        seed = row.get("seed")
        if seed is not None and not (type(seed) is int and 0 <= seed < sampling.LARGEST):
            raise DataError(f"rows[{i}].seed: must be a whole number from 0 to {sampling.LARGEST - 1} (got {seed!r}).")
        seeds.append(i if seed is None else seed)
    if target is None or target not in names:
        return seeds, None
    return seeds, [row.get(target) for row in rows]


def _excerpts(numbers: np.ndarray) -> list[Row]:
    """A few numbers of each answer, evenly spread."""
    flat = numbers.reshape(len(numbers), -1).astype(np.float64)
    some = flat[:, np.linspace(0, flat.shape[1] - 1, min(NUMBERS, flat.shape[1])).astype(int)]
    return [{"excerpt": [round(float(v), 4) for v in row]} for row in some]


def agree(mine: Any, theirs: Any) -> bool:
    """Whether two answers are the same up to what arithmetic of another machine does to numbers."""
    return alike(_floats(mine), _floats(theirs), RELATIVE, ABSOLUTE)


def _floats(value: Any) -> Any:
    """The same with whole numbers as floats, which may be rounded too."""
    if isinstance(value, dict):
        return {name: _floats(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_floats(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
