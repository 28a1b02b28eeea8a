"""What made rows of a table are worth: to learn from, beside real rows and SMOTE, and how one tells them apart.

- Train on made, test on real (Esteban et al. 2017): a fixed classifier learns the class from rows, and is tested on
  real rows that no one has seen.
- Columns by themselves (Kolmogorov-Smirnov distance of numbers, total variation of texts) and in pairs.
- A detector that learns to tell made from real (a two-sample test, Lopez-Paz and Oquab 2017): 0.5 is best.
- Copies: rows that are a training row, and how near the nearest training row is, beside real rows.
- Cells that no row of the training data could have; there must be none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.schema import Column, Schema
from lamina.tasks.generation.smote import smote
from lamina.tasks.generation.table_cells import Plain, Reader

LEARNED, TESTED, NEAR = 10_000, 10_000, 2_000
MOST_CODES = 250  # of a text: what the classifier takes
SEED = 1
SHOWN, BARS = 9, 12  # columns with histograms, and bars of each


def judged(train: pa.Table, held: pa.Table, made: pa.Table, schema: Schema, classes: Sequence[str]) -> dict[str, Any]:
    """All of it, as plain values. Tables are cleaned; `held` are real rows that no network has seen."""
    names = set(made.column_names)
    columns = [c for c in schema.columns if c.name in names and c.kind not in ("constant",)]
    target = schema.target if classes else None
    reader = Reader(train, columns, target, classes)
    rng = np.random.default_rng(SEED)
    real = reader.plain(held.take(pa.array(rng.permutation(held.num_rows)[:TESTED])))
    own, seen = reader.plain(made), _some(reader.train, LEARNED, rng)
    found: dict[str, Any] = {"invalid": reader.invalid(made, own), "rows": {"made": len(own.cells)}}
    if target:
        rival = Plain(*_rival(reader, len(own.cells)))
        sources = {"real": seen, "made": own, "smote": rival}
        found["trained_on"] = {name: _learned(rows, real, len(classes)) for name, rows in sources.items()}
        found["smote"] = _compared(reader, rival, real)
    return (
        found
        | _compared(reader, own, real)
        | {
            "columns": _columns(reader, own, real, SHOWN),
            "held": _held(reader, real),
        }
    )


def _some(plain: Plain, count: int, rng: np.random.Generator) -> Plain:
    rows = rng.permutation(len(plain.cells))[:count]
    return Plain(plain.cells[rows], plain.texts, plain.classes[rows])


def _rival(reader: Reader, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cells, classes = smote(reader.train.cells, reader.texts, reader.train.classes, count)
    whole = reader.whole & ~reader.texts
    return np.where(whole, np.round(cells), cells), reader.texts, classes


def _compared(reader: Reader, own: Plain, real: Plain) -> dict[str, Any]:
    """What says how like the real rows some made ones are, and how near to training rows."""
    distances = [entry["distance"] for entry in _columns(reader, own, real)]
    pairs = np.abs(_pairs(own) - _pairs(real))
    near, copies = _nearness(reader, own)
    return {
        "column_distance": float(np.mean(distances)),
        "pair_difference": float(np.nanmean(pairs)) if np.isfinite(pairs).any() else None,
        "detector_auc": _detected(own, real),
        "copies": copies,
        "nearest": near,
    }


def _held(reader: Reader, real: Plain) -> dict[str, float]:
    """The same of real rows: what can be reached."""
    near, copies = _nearness(reader, real)
    distances = [entry["distance"] for entry in _columns(reader, reader.train, real)]
    return {"copies": copies, "nearest": near, "column_distance": float(np.mean(distances))}


def _classifier(texts: np.ndarray) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=100,
        categorical_features=texts,  # pyright: ignore[reportArgumentType]
        early_stopping=False,  # pyright: ignore[reportArgumentType]
        random_state=0,
    )


def _fed(plain: Plain) -> np.ndarray:
    return np.where(plain.texts & (plain.cells >= MOST_CODES), np.nan, plain.cells)


def _learned(rows: Plain, real: Plain, classes: int) -> dict[str, float | None]:
    """Scores on real rows of a classifier that learned from `rows`."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    if len(np.unique(rows.classes)) < 2:
        return {"accuracy": float((real.classes == rows.classes[0]).mean()), "roc_auc": None, "f1": None}
    model = _classifier(rows.texts).fit(_fed(rows), rows.classes)
    shares = np.zeros((len(real.classes), classes))
    shares[:, model.classes_] = model.predict_proba(_fed(real))
    told = shares.argmax(1)
    there = np.unique(real.classes)
    area = None
    if len(there) == classes == 2:
        area = float(roc_auc_score(real.classes, shares[:, 1]))
    elif len(there) == classes:
        area = float(roc_auc_score(real.classes, shares, multi_class="ovr"))
    return {
        "accuracy": float(accuracy_score(real.classes, told)),
        "roc_auc": area,
        "f1": float(f1_score(real.classes, told, average="macro", labels=there)),
    }


def _detected(own: Plain, real: Plain) -> float:
    """Area under the curve of a detector on rows it has not seen; half of the rows of each sort teach it."""
    from sklearn.metrics import roc_auc_score

    count = min(len(own.cells), len(real.cells), 2 * NEAR)
    both = [np.concatenate([_fed(p)[:count], p.classes[:count, None]], axis=1) for p in (own, real)]
    half, texts = count // 2, np.append(own.texts, False)
    seen, new = (np.concatenate([rows[part] for rows in both]) for part in (slice(half), slice(half, count)))
    label = np.repeat([1, 0], half)
    model = _classifier(texts).fit(seen, label)
    return float(roc_auc_score(np.repeat([1, 0], count - half), model.predict_proba(new)[:, 1]))


def _columns(reader: Reader, own: Plain, real: Plain, shown: int = 0) -> list[dict[str, Any]]:
    """The distance of each column, 0 to 1; and the shares of its values for the `shown` worst."""
    found = []
    for i, column in enumerate(reader.columns):
        distance = (_variation if reader.texts[i] else _steps)(own.cells[:, i], real.cells[:, i])
        found.append({"column": column.name, "kind": column.kind, "distance": distance})
    for i in sorted(range(len(found)), key=lambda i: -found[i]["distance"])[:shown]:
        found[i] |= _bars(reader, i, own.cells[:, i], real.cells[:, i])
    return found


def _bars(reader: Reader, i: int, own: np.ndarray, real: np.ndarray) -> dict[str, Any]:
    """Names of bars, and the shares of real and of made cells that fall in each."""
    column = reader.columns[i]
    if reader.texts[i]:
        words = reader.words[column.name].to_pylist()
        counts = [
            np.bincount(np.nan_to_num(v, nan=len(words)).astype(int), minlength=len(words) + 1) for v in (real, own)
        ]
        order = np.argsort(-counts[0], kind="stable")[:BARS]
        order = order[(counts[0] + counts[1])[order] > 0]
        names = [words[k] if k < len(words) else "missing" for k in order.tolist()]
        counts = [c[order] for c in counts]
    else:
        known = np.concatenate([real[~np.isnan(real)], own[~np.isnan(own)]])
        low, high = np.quantile(known, [0.005, 0.995]) if len(known) else (0, 1)
        edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
        counts = [np.histogram(np.clip(v[~np.isnan(v)], edges[0], edges[-1]), edges)[0] for v in (real, own)]
        names = [_mark(float(edge), column, float(high - low)) for edge in edges[:-1]]
    shares = [(c / len(v)).round(5).tolist() for c, v in zip(counts, (real, own), strict=True)]
    return {"names": names, "real": shares[0], "made": shares[1]}


def _mark(value: float, column: Column, span: float) -> str:
    if column.kind == "time":
        return str(np.datetime64(int(value), "s").astype("datetime64[D]"))
    return f"{value:,.0f}" if span > 2 * BARS else f"{value:.3g}"


def _variation(own: np.ndarray, real: np.ndarray) -> float:
    """Total variation of two columns of codes; missing is one more."""
    codes = [np.nan_to_num(v, nan=-1).astype(np.int64) + 1 for v in (own, real)]
    size = max(c.max() for c in codes) + 1
    first, second = (np.bincount(c, minlength=size) / len(c) for c in codes)
    return float(np.abs(first - second).sum() / 2)


def _steps(own: np.ndarray, real: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of two columns of numbers, and of the shares that are missing."""
    first, second = (np.sort(v[~np.isnan(v)]) for v in (own, real))
    if not len(first) or not len(second):
        return float(len(first) != len(second))
    at = np.concatenate([first, second])
    ranks = [np.searchsorted(v, at, side="right") / len(v) for v in (first, second)]
    return float(max(np.abs(ranks[0] - ranks[1]).max(), abs(np.isnan(own).mean() - np.isnan(real).mean())))


def _pairs(plain: Plain) -> np.ndarray:
    """How each pair of columns hangs together, above the diagonal: Pearson's correlation of numbers, Cramer's V of
    texts, the root of the explained share of a number by a text.
    """
    cells, texts = plain.cells, plain.texts
    known = ~np.isnan(cells)
    middle = np.where(known, cells, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, cells, middle)
    found = []
    for i in range(len(texts)):
        for j in range(i):
            a, b = (j, i) if texts[j] else (i, j)
            if texts[a]:
                found.append(_cramer(cells[:, a], cells[:, b]) if texts[b] else _explained(cells[:, a], filled[:, b]))
            else:
                found.append(_pearson(filled[:, a], filled[:, b]))
    return np.array(found)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0


def _cramer(a: np.ndarray, b: np.ndarray) -> float:
    first, second = (np.unique(np.nan_to_num(v, nan=-1), return_inverse=True)[1] for v in (a, b))
    rows, columns = first.max() + 1, second.max() + 1
    table = np.bincount(first * columns + second, minlength=rows * columns).reshape(rows, columns)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    least = min(rows, columns) - 1
    return float(np.sqrt(((table - expected) ** 2 / expected).sum() / table.sum() / least)) if least else 0.0


def _explained(codes: np.ndarray, numbers: np.ndarray) -> float:
    group = np.unique(np.nan_to_num(codes, nan=-1), return_inverse=True)[1]
    counts, spread = np.bincount(group), numbers.var()
    means = np.bincount(group, numbers) / counts
    return float(np.sqrt((counts * (means - numbers.mean()) ** 2).sum() / len(numbers) / spread)) if spread else 0.0


def _nearness(reader: Reader, own: Plain) -> tuple[float, float]:
    """Median distance to the nearest training row, and the share of rows that are one."""
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(SEED)
    train, some = _some(reader.train, LEARNED, rng).cells, _some(own, NEAR, rng).cells
    spread, middle = np.nanstd(reader.train.cells, axis=0), np.nanmedian(reader.train.cells, axis=0)

    def scaled(cells: np.ndarray) -> np.ndarray:
        numbers = (cells - middle) / np.where(spread > 0, spread, 1)
        blocks = [np.nan_to_num(numbers[:, ~reader.texts])]
        for i in np.flatnonzero(reader.texts).tolist():
            size = len(reader.words[reader.columns[i].name]) + 1
            blocks.append(np.eye(size)[np.nan_to_num(cells[:, i], nan=-1).astype(np.int64) + 1] / np.sqrt(2))
        return np.concatenate(blocks, axis=1).astype(np.float32)

    distance = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(scaled(train)).kneighbors(scaled(some))[0]
    there = {row.tobytes() for row in np.nan_to_num(reader.train.cells, nan=np.inf) + 0.0}
    copies = np.mean([row.tobytes() in there for row in np.nan_to_num(own.cells, nan=np.inf) + 0.0])
    return float(np.median(distance)), float(copies)
