"""Pictures or rows in, how real the critic of a generator finds each of them out. No torch.

What a critic says means nothing by itself: it was only ever asked which of two is the more real. So a score is the
share of real rows, held out from training, that are found less real: 0 is below all of them, 1 above all.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.deploy.bundle import Bundle
from lamina.deploy.bundle.strict_json import refused
from lamina.preprocess import Broken, typed
from lamina.schema import Schema, clean
from lamina.tasks import classification
from lamina.tasks.generation import POINTS, State
from lamina.tasks.generation import Critic as Known
from lamina.tasks.generation import bounds as _possible
from lamina.tasks.generation import table_transformer as rows

GOLDEN = 32  # real rows by which a graph is compared with its network
FEWEST = 10  # held-out rows of a class, for a middle of its own
BATCH = 256  # rows at a time
PIECE = 2_048  # rows that are decoded at a time
HELD = 2_000  # real rows by which scores are understood
MOST = 20  # classes, the most frequent, that are tried where none is told
SHARES = np.linspace(0, 1, POINTS)


@dataclass(frozen=True)
class Critic:
    """`run`, the graph of a critic, which takes the input `name`; `middles` is what it gives the middle real one of
    each class (or of all, where there are none): it compares within a class only.
    """

    run: Any
    name: str
    state: State
    middles: np.ndarray

    def raw(self, originals: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """How much more real than the middle real one of its class each is found, (rows,), for pictures or rows as a
        generator has learned them.

        `codes`: (rows,) int64, -1 where the class is not told: then that of the most frequent ones that fits best.
        """
        if not self.state.classes:
            return self.given(originals, codes) - self.middles[0]
        found, told = np.zeros(len(originals)), codes >= 0
        found[told] = self.given(originals[told], codes[told]) - self.middles[codes[told]]
        if not told.all():
            often, others = np.argsort(-np.array(self.state.counts), kind="stable")[:MOST], originals[~told]
            tried = [self.given(others, np.full(len(others), code)) - self.middles[code] for code in often]
            found[~told] = np.max(tried, axis=0)
        return found

    def given(self, originals: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """What the critic itself gives, (rows,). Errors: BundleError where that is not a number for each."""
        parts = [np.zeros(0)]
        for at in range(0, len(originals), BATCH):
            fed = self.fed(originals[at : at + BATCH], codes[at : at + BATCH])
            score = next(iter(self.run(fed).values()))
            if score.shape != (len(fed[self.name]), 1) or not np.isfinite(score).all():
                raise refused("critic.onnx", "", "does not give one finite number for each row")
            parts.append(score[:, 0].astype(np.float64))
        return np.concatenate(parts)

    def fed(self, originals: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
        """What the graph takes."""
        told = {"condition": codes.astype(np.int64)[:, None]} if self.state.classes else {}
        return {self.name: originals.astype(np.float32)} | told

    def scores(self, raw: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The share of held-out real ones that are found less real, (rows,), 0 to 1."""
        known = self.state.critic
        assert known is not None
        told = codes >= 0 if self.state.classes else np.ones(len(raw), bool)
        return np.where(told, np.interp(raw, known.told, SHARES), np.interp(raw, known.untold, SHARES))


def of(bundle: Bundle, run: Any) -> Critic:
    """The critic of an opened bundle, whose graph is run by `run`. Errors: BundleError."""
    _possible.check(bundle)
    (name,) = (name for name in bundle.model.spec.inputs if name != "condition")
    return Critic(run, name, bundle.task_state, np.array(bundle.task_state.critic.middles))


def learned(run: Any, name: str, state: State, originals: np.ndarray, codes: np.ndarray) -> Critic:
    """A critic that knows what its scores mean, by real rows held out from training."""
    some = np.linspace(0, len(originals) - 1, min(len(originals), HELD)).astype(np.int64)
    originals, codes = originals[some], codes[some]
    given = Critic(run, name, state, np.zeros(0)).given(originals, codes)
    middles = np.full(max(1, len(state.classes)), np.median(given))
    for code in np.flatnonzero(np.bincount(codes, minlength=len(middles)) >= FEWEST):
        middles[code] = np.median(given[codes == code])
    critic = Critic(run, name, state, middles)
    untold = np.full(len(codes), -1)
    told, best = (np.quantile(critic.raw(originals, known), SHARES).tolist() for known in (codes, untold))
    known = Known(middles=tuple(middles.tolist()), told=tuple(told), untold=tuple(best))
    return replace(critic, state=state.model_copy(update={"critic": known}))


def golden(critic: Critic, found: np.ndarray, codes: np.ndarray, schema: Schema) -> list[float]:
    """What it says of what the generator makes for the golden requests, (rows, ...) as the graph gives it."""
    columns = critic.state.columns
    originals = rows.encode(rows.decode(found, columns), schema, columns) if columns else found
    return [round(float(value), 4) for value in critic.raw(originals, codes)]


def given(bundle: Bundle, table: pa.Table) -> bool:
    """Whether a table holds pictures or rows to score, and not requests for new ones."""
    aim, names = bundle.schema.target, set(table.column_names)
    own = {column.name for column in bundle.prep.used}
    return bool(names & own) and not names <= {"seed", aim.name if aim else "seed"}


def answers(critic: Critic, bundle: Bundle, table: pa.Table, broken: list[Broken]) -> pa.Table:
    """For each picture or row its `score`, 0 to 1, and what the critic itself gave, `raw`; null where there is no
    picture. Pictures of no use go to `broken`.
    """
    parts = list[pa.Table]()
    for start in range(0, max(table.num_rows, 1), PIECE):
        found, piece = list[Broken](), clean(table.slice(start, PIECE), bundle.schema.missing)
        codes, absent = _codes(bundle, piece), np.zeros(piece.num_rows, bool)
        if bundle.task_state.columns:
            originals = rows.encode(piece, bundle.schema, bundle.task_state.columns)
        else:
            (originals,) = bundle.prep.encode(piece, broken=found).values()
            absent = pc.is_null(typed(piece, bundle.prep.files).columns[0].combine_chunks()).to_numpy(
                zero_copy_only=False
            )
        raw = critic.raw(originals, codes)
        scores = critic.scores(raw, codes)
        parts.append(pa.table({"score": pa.array(scores, mask=absent), "raw": pa.array(raw, mask=absent)}))
        broken += [cell._replace(row=start + cell.row) for cell in found]
    return pa.concat_tables(parts)


def _codes(bundle: Bundle, table: pa.Table) -> np.ndarray:
    """The class of each row, -1 where none is told or no training row had it."""
    aim, classes = bundle.schema.target, bundle.task_state.classes
    if aim is None or not classes or aim.name not in table.column_names:
        return np.full(table.num_rows, -1)
    return classification.codes(typed(table, (aim,))[aim.name].combine_chunks(), classes)
