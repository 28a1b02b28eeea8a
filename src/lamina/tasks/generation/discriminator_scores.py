"""Images or rows in, how real the discriminator of a generator finds each of them out. No torch.

What a discriminator gives means nothing by itself: it only ever learned which of two is the more real. So a score is
the share of real rows, held out from training, that are found less real: 0 is below all of them, 1 above all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.deploy.bundle.strict_json import rejection
from lamina.preprocess import Broken, parse_columns
from lamina.schema import clean, rename_columns
from lamina.task import Answers, Session
from lamina.tasks._supervised import labels
from lamina.tasks.generation import table_transformer
from lamina.tasks.generation.state import POINTS, DiscriminatorCalibration, State

GRAPH = "discriminator"
GRAPHS = (GRAPH, "critic")  # the second is its name in older bundles
EXPORT = 32  # real rows by which a graph is compared with its network
FEWEST = 10  # held-out rows of a class, for a median of its own
BATCH = 256  # rows at a time
PIECE = 2_048  # rows that are decoded at a time
CALIBRATION = 2_000  # real rows by which scores are understood
MOST = 20  # classes, the most frequent, that are compared where none is known
SHARES = np.linspace(0, 1, POINTS)

Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Discriminator:
    """`run` computes the graph of a discriminator, which takes the input `name`; `medians` is what it gives the middle
    real row of each class (or of all, where there are none): it compares within a class only.
    """

    run: Run
    name: str
    state: State
    medians: np.ndarray
    file: str = f"{GRAPH}.onnx"

    def raw(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """How much more real than the middle real one of its class each is, (rows,), for images or rows as a
        generator has learned them.

        `codes`: (rows,) int64, -1 where the class is unknown: then that of the most frequent ones that fits best.
        """
        if not self.state.classes:
            return self.output(values, codes) - self.medians[0]
        raw, labelled = np.zeros(len(values)), codes >= 0
        raw[labelled] = self.output(values[labelled], codes[labelled]) - self.medians[codes[labelled]]
        if not labelled.all():
            frequent, others = np.argsort(-np.array(self.state.counts), kind="stable")[:MOST], values[~labelled]
            by_class = [self.output(others, np.full(len(others), code)) - self.medians[code] for code in frequent]
            raw[~labelled] = np.max(by_class, axis=0)
        return raw

    def output(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """What the discriminator itself gives, (rows,). Errors: BundleError where that is not a number for each."""
        parts = [np.zeros(0)]
        for start in range(0, len(values), BATCH):
            chunk = slice(start, start + BATCH)
            score = next(iter(self.run(inputs(self.name, values[chunk], codes[chunk], self.state)).values()))
            if score.shape != (len(values[chunk]), 1) or not np.isfinite(score).all():
                raise rejection(self.file, "", "does not give one finite number for each row")
            parts.append(score[:, 0].astype(np.float64))
        return np.concatenate(parts)

    def scores(self, raw: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The share of held-out real ones that are found less real, (rows,), 0 to 1."""
        calibration = self.state.discriminator_calibration
        assert calibration is not None
        labelled = codes >= 0 if self.state.classes else np.ones(len(raw), bool)
        conditional = np.interp(raw, calibration.conditional, SHARES)
        return np.where(labelled, conditional, np.interp(raw, calibration.unconditional, SHARES))


def inputs(name: str, values: np.ndarray, codes: np.ndarray, state: State) -> dict[str, np.ndarray]:
    """What the graph takes: images or rows under their `name`, and the class of each where there are some."""
    condition = {"condition": codes.astype(np.int64)[:, None]} if state.classes else {}
    return {name: values.astype(np.float32)} | condition


def graph(session: Session) -> str | None:
    """The name of its graph in a bundle; None where there is no discriminator."""
    return next((name for name in GRAPHS if name in session.graphs), None)


def of(session: Session) -> Discriminator:
    """The discriminator of a bundle that has one."""
    (name,) = (name for name in session.spec.inputs if name != "condition")
    state, own = session.task.state, graph(session)
    assert own is not None and state.discriminator_calibration is not None
    medians = np.array(state.discriminator_calibration.medians)
    return Discriminator(lambda arrays: session.run(arrays, own), name, state, medians, f"{own}.onnx")


def calibrate(run: Run, name: str, values: np.ndarray, codes: np.ndarray, state: State) -> DiscriminatorCalibration:
    """What the scores of a discriminator mean, by real rows held out from training."""
    some = np.linspace(0, len(values) - 1, min(len(values), CALIBRATION)).astype(np.int64)
    values, codes = values[some], codes[some]
    output = Discriminator(run, name, state, np.zeros(0)).output(values, codes)
    medians = np.full(max(1, len(state.classes)), np.median(output))
    for code in np.flatnonzero(np.bincount(codes, minlength=len(medians)) >= FEWEST):
        medians[code] = np.median(output[codes == code])
    discriminator, unknown = Discriminator(run, name, state, medians), np.full(len(codes), -1)
    quantiles = [
        tuple(np.quantile(discriminator.raw(values, classes), SHARES).tolist()) for classes in (codes, unknown)
    ]
    return DiscriminatorCalibration(
        medians=tuple(medians.tolist()), conditional=quantiles[0], unconditional=quantiles[1]
    )


def golden_scores(session: Session, numbers: np.ndarray, codes: np.ndarray) -> list[float]:
    """Scores of what the generator makes of golden requests, (rows, ...) as the graph gives it."""
    columns = session.task.state.columns
    if columns:
        table = table_transformer.decode(numbers, columns, None, session.task.state.relations)
        numbers = table_transformer.encode(table, session.schema, columns)
    return [round(float(value), 4) for value in of(session).raw(numbers, codes)]


def predict(session: Session, rows: pa.Table | None, request: Any) -> Answers:
    """For each image or row its `score`, 0 to 1, and what the discriminator itself gave, `raw`; null where there is no
    image. Images of no use are `broken`.

    Errors: DataError where rows hold nothing to score.
    """
    assert rows is not None
    table = _with_target(session, rows)
    columns = [column.name for column in session.prep.columns]
    if not set(columns) & set(table.column_names):
        got = ", ".join(table.column_names[:5]) or "no column"
        raise DataError(
            f"predict: the discriminator of this bundle scores {', '.join(columns[:5])}, and the rows have only {got}. "
            "Make new ones with: lamina generate BUNDLE -n 64 -o generated"
        )
    discriminator, state, broken, parts = of(session), session.task.state, list[Broken](), list[pa.Table]()
    for start in range(0, max(table.num_rows, 1), PIECE):
        unusable, cells = list[Broken](), table.slice(start, PIECE)
        piece = clean(cells, session.schema.missing, session.schema.literal)
        codes, absent = _codes(session, piece), np.zeros(piece.num_rows, bool)
        if state.columns:
            values = table_transformer.encode(piece, session.schema, state.columns)
        else:
            (values,) = session.prep.encode(piece, broken=unusable).values()
            cells = parse_columns(piece, session.prep.files).columns[0].combine_chunks()
            absent = pc.is_null(cells).to_numpy(zero_copy_only=False)
        raw = discriminator.raw(values, codes)
        scores = discriminator.scores(raw, codes)
        parts.append(pa.table({"score": pa.array(scores, mask=absent), "raw": pa.array(raw, mask=absent)}))
        broken += [cell._replace(row=start + cell.row) for cell in unusable]
    return Answers(pa.concat_tables(parts), (), tuple(broken))


def _with_target(session: Session, rows: pa.Table) -> pa.Table:
    """Rows of a folder of images, whose class is always the column `label`, under this bundle's name for it."""
    target = session.target
    if target is None or not session.prep.files or target in rows.column_names:
        return rows
    return rename_columns(rows, {"label": target})


def _codes(session: Session, table: pa.Table) -> np.ndarray:
    """The class of each row, -1 where it is unknown."""
    target, classes = session.schema.target, session.task.state.classes
    if target is None or not classes or target.name not in table.column_names:
        return np.full(table.num_rows, -1)
    return labels.codes(parse_columns(table, (target,))[target.name].combine_chunks(), classes)
