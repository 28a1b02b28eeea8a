"""Pictures or rows in, how real the critic of a generator finds each of them out. No torch.

What a critic says means nothing by itself: it was only ever asked which of two is the more real. So a score is the
share of real rows, held out from training, that are found less real: 0 is below all of them, 1 above all.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import rows
from lamina.deploy import _possible, made
from lamina.deploy._strict import fits, refused
from lamina.deploy.bundle import Bundle
from lamina.preprocess import Broken, typed
from lamina.schema import Schema, clean
from lamina.tasks import classification
from lamina.tasks.generation import POINTS, State
from lamina.tasks.generation import Critic as Known

GOLDEN = 32  # real rows by which a graph is compared with its network
BATCH = 256  # rows at a time
PIECE = 2_048  # rows that are decoded at a time
HELD = 2_000  # real rows by which scores are understood
MOST = 20  # classes, the most frequent, that are tried where none is told
DRAWS = 8  # lots in which a row is judged, where several are judged together
SHARES = np.linspace(0, 1, POINTS)


@dataclass(frozen=True)
class Critic:
    """`run`, the graph of a critic, which takes the input `name`. Where it judges `together` rows, each is judged in
    several lots `beside` made rows, (lots, together - 1, width), of the classes `codes`, (lots, together - 1).
    """

    run: Any
    name: str
    state: State
    together: int = 1
    beside: np.ndarray | None = None
    codes: np.ndarray | None = None

    def raw(self, originals: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """What the critic itself gives, (rows,), for pictures or rows as a generator has learned them.

        `codes`: (rows,) int64, -1 where the class is not told: then the mean over the most frequent classes, by their
        share in training.
        """
        found = np.zeros(len(originals))
        told = codes >= 0 if self.state.classes else np.ones(len(originals), bool)
        found[told] = self._of(originals[told], codes[told])
        if not told.all():
            counts = np.array(self.state.counts)
            often = np.argsort(-counts, kind="stable")[:MOST]
            others = originals[~told]
            tried = [self._of(others, np.full(len(others), code)) for code in often]
            found[~told] = np.average(tried, axis=0, weights=counts[often])
        return found

    def _of(self, originals: np.ndarray, codes: np.ndarray) -> np.ndarray:
        parts = [np.zeros(0)]
        for at in range(0, len(originals), BATCH):
            some, own = originals[at : at + BATCH].astype(np.float32), codes[at : at + BATCH].astype(np.int64)
            parts.append(np.mean([self._asked(*lot) for lot in self._lots(some, own)], axis=0))
        return np.concatenate(parts)

    def _lots(self, some: np.ndarray, own: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """What the graph is fed, once or several times: rows, and the classes of each."""
        if self.beside is None or self.codes is None:
            return [(some, own[:, None])]
        lots = list[tuple[np.ndarray, np.ndarray]]()
        for i, (others, codes) in enumerate(zip(self.beside, self.codes, strict=True)):
            place = i % self.together  # each row stands in each place
            lot = np.insert(np.repeat(others[None], len(some), axis=0), place, some, axis=1)
            lots.append((lot, np.insert(np.repeat(codes[None], len(own), axis=0), place, own, axis=1)))
        return lots

    def fed(self, originals: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
        """What the graph is fed for a few rows, the first time that each is judged."""
        some, own = self._lots(originals.astype(np.float32), codes.astype(np.int64))[0]
        return self._named(some, own)

    def _named(self, originals: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
        return {self.name: originals} | ({"condition": codes} if self.state.classes else {})

    def _asked(self, originals: np.ndarray, codes: np.ndarray) -> np.ndarray:
        score = next(iter(self.run(self._named(originals, codes)).values()))
        if score.shape != (len(originals), 1) or not np.isfinite(score).all():
            raise refused("critic.onnx", "", "does not give one finite number for each row")
        return score[:, 0].astype(np.float64)

    def scores(self, raw: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The share of held-out real rows that are found less real, (rows,), 0 to 1."""
        known = self.state.critic
        assert known is not None
        told = codes >= 0 if self.state.classes else np.ones(len(raw), bool)
        return np.where(told, np.interp(raw, known.known, SHARES), np.interp(raw, known.untold, SHARES))


def of(bundle: Bundle, generator: Any, run: Any) -> Critic:
    """The critic of an opened bundle, whose graphs are run by `generator` and `run`. Errors: BundleError."""
    latent, state = _possible.check(bundle), bundle.task_state
    (name,) = (name for name in bundle.model.spec.inputs if name != "condition")
    alone = Critic(run, name, state, state.critic.together)
    return fits("critic.onnx", lambda: among(alone, generator, latent, bundle.schema))


def among(critic: Critic, generator: Any, latent: int, schema: Schema) -> Critic:
    """The same critic with made rows to judge a row beside, where it judges several at once; always the same ones."""
    if critic.together == 1:
        return critic
    state, seeds = critic.state, list(range(DRAWS * (critic.together - 1)))
    codes = np.zeros(len(seeds), np.int64)
    fed = {"noise": made.noise(seeds, latent)}
    if state.classes:
        edges = np.cumsum(state.counts) / sum(state.counts)
        codes = np.searchsorted(edges, rows.uniform(seeds, 1)[:, 0]).clip(0, len(edges) - 1)
        fed["condition"] = codes[:, None]
    drawn = rows.decode(next(iter(generator(fed).values())), state.columns, seeds)
    blocks = rows.encode(drawn, schema, state.columns).reshape(DRAWS, critic.together - 1, -1)
    return replace(critic, beside=blocks, codes=codes.reshape(DRAWS, -1))


def known(critic: Critic, originals: np.ndarray, codes: np.ndarray) -> Known:
    """How the scores of real rows held out from training are spread."""
    some = np.linspace(0, len(originals) - 1, min(len(originals), HELD)).astype(np.int64)
    originals, codes = originals[some], codes[some]
    told = np.quantile(critic.raw(originals, codes), SHARES)
    untold = np.quantile(critic.raw(originals, np.full(len(codes), -1)), SHARES) if critic.state.classes else told
    return Known(known=tuple(told.tolist()), untold=tuple(untold.tolist()), together=critic.together)


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
