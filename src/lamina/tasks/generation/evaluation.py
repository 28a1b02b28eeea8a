"""What pictures or rows made by a network are worth, beside real ones that it has never seen."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lamina.deploy.predictor import Predictor
from lamina.evaluate import metrics
from lamina.evaluate.markup import number
from lamina.schema import Row, clean
from lamina.tasks.generation import sampling as made
from lamina.tasks.generation import table_fidelity as _made_rows
from lamina.tasks.generation import table_transformer as rows
from lamina.train.settings import Data

if TYPE_CHECKING:
    from lamina.evaluate.finding import Finding

MOST = 2_000  # made, and real ones they are compared with


def features(originals: np.ndarray) -> np.ndarray:
    """Numbers (rows, features) by which pictures (rows, height, width, channels) or rows (rows, width) are compared: of
    pictures, what fixed random filters answer, which no training has shaped.
    """
    if originals.ndim == 2:
        return originals.astype(np.float64)
    return _filtered(originals)


def _filtered(pictures: np.ndarray) -> np.ndarray:
    """Means and spreads of patches' answers to fixed filters, on three scales: (rows, features).

    In NumPy, because a bundle is judged where there is no torch; `models._fixed` is its like for training.
    """
    rng, found = np.random.default_rng(0), []
    x = pictures.astype(np.float32) / 127.5 - 1
    for _ in range(3):
        if min(x.shape[1:3]) < 4:
            break
        filters = rng.standard_normal((4, 4, x.shape[3], 24)).astype(np.float32)
        filters /= np.sqrt(filters[..., 0].size)
        step = x.strides
        patches = np.lib.stride_tricks.as_strided(
            x,
            (len(x), (x.shape[1] - 4) // 2 + 1, (x.shape[2] - 4) // 2 + 1, 4, 4, x.shape[3]),
            (step[0], 2 * step[1], 2 * step[2], step[1], step[2], step[3]),
        )
        x = np.ascontiguousarray(np.maximum(np.tensordot(patches, filters, 3), 0))
        quarters = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)] if min(x.shape[1:3]) > 1 else []
        found += [x.mean((1, 2)), x.std((1, 2)), *(quarter.mean((1, 2)) for quarter in quarters)]
    return np.concatenate(found, axis=1).astype(np.float64)


def made_by(predictor: Predictor, count: int, start: int = 0, labels: Any = None) -> np.ndarray:
    """Pictures uint8, or rows as blocks of numbers with every choice made."""
    found = predictor.generate(count, start, labels)
    if isinstance(found, pa.Table):
        return rows.encode(found, predictor.bundle.schema, predictor.state.columns)
    return found


def real(predictor: Predictor, table: pa.Table) -> np.ndarray:
    """Rows (cleaned) as a generator has learned them."""
    if predictor.state.columns:
        return rows.encode(table, predictor.bundle.schema, predictor.state.columns)
    (pictures,) = predictor.bundle.prep.encode(table).values()
    return pictures


def score(predictor: Predictor, table: pa.Table) -> dict[str, Any]:
    """As many made as there are real rows, at most 2,000, compared with those."""
    table = clean(table, predictor.bundle.schema.missing)
    if table.num_rows > MOST:
        table = table.take(np.random.default_rng(0).permutation(table.num_rows)[:MOST])
    own = real(predictor, table)
    target, answers = features(own), {"features": features(made_by(predictor, len(own)))}
    return {
        "scores": metrics.scores(predictor.task.metrics, target, answers),
        "interval": None,
        "target": target,
        "answers": answers,
    }


def rivals(finding: "Finding", arrays: dict[str, Data]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Real rows that were held out, judged as if they had been made."""
    held = next(np.asarray(v) for n, v in arrays["validation"].inputs.items() if n != "condition")
    answers = {"features": features(held[:MOST])}
    return {"held_out": answers}, {
        "held_out": metrics.scores(finding.case.task.metrics, finding.score["target"], answers)
    }


def tabled(finding: "Finding") -> dict[str, Any] | None:
    """What made rows of a table are worth beside real rows and SMOTE; nothing where pictures are made."""
    predictor, parts = finding.predictor, finding.case.parts
    if not predictor.state.columns:
        return None
    schema, most = predictor.bundle.schema, min(parts.train.num_rows, _made_rows.LEARNED)
    made = predictor.generate(most, _made_rows.SEED)
    train, held = clean(parts.train, schema.missing), clean(parts.test, schema.missing)
    return _made_rows.judged(train, held, made, schema, predictor.state.classes)


def verdict(scores: dict[str, Any], scored: dict[str, Any]) -> str:
    """The distance to real ones, and the one that real ones have."""
    own, held = scores.get("frechet_distance"), scored["held_out"].get("frechet_distance")
    if own is None or held is None:
        return "What was made could not be compared with real rows."
    return (
        f"What the network makes is {number(own)} away from real ones (Frechet distance); real ones that were held out "
        f"are {number(held)} away."
    )


def example(predictor: Predictor) -> Row:
    """A request, and what comes back."""
    row = made.requests(pa.Table.from_pylist(list(predictor.bundle.golden.rows[:1])), predictor.bundle)
    aim = predictor.target
    asked: Row = {"seed": row[0][0]} | ({aim: row[1][0]} if aim and row[1] else {})
    of = "rows" if predictor.state.columns else "pictures"
    return {"row": asked, "answer": None, "pictures": [], "made": of}
