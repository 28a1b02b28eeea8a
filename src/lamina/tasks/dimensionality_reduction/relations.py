"""What each coordinate goes with: how much of it the columns of a table say, and what changes along it."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina import privacy
from lamina.schema import Row
from lamina.task import Session
from lamina.tasks._unlabelled import row_layout
from lamina.tasks._unlabelled.row_layout import Layout
from lamina.tasks.dimensionality_reduction import coordinates
from lamina.tasks.dimensionality_reduction.scatter import GROUPS, Grouping

COORDINATES, COLUMNS = 16, 5  # that are looked at, and that are named for each
FEWEST = 0.01  # share of a coordinate that is worth a word
STEPS, ALONG = 5, 6  # points along a coordinate, and coordinates
PARTS, COLOURED = 5, 12  # of a range, and columns by which a map is coloured


class Relation(NamedTuple):
    """A column and the share of a coordinate's variance that it alone says, with the sign where it is a number."""

    column: str
    share: float
    sign: int


def relations(target: np.ndarray, latent: np.ndarray, layout: Layout) -> list[list[Relation]]:
    """For each coordinate the columns that say most of it, by least squares on the places of each column."""
    centred = latent[:, :COORDINATES] - latent[:, :COORDINATES].mean(0, dtype=np.float64)
    total = (centred**2).sum(0)
    ranking, at = [list[Relation]() for _ in range(centred.shape[1])], 0
    for place in layout.columns:
        block = target[:, at : at + place.width].astype(np.float64)
        block -= block.mean(0)
        weights = np.linalg.lstsq(block, centred, rcond=None)[0]  # (places, coordinates)
        rest = ((centred - block @ weights) ** 2).sum(0)
        for i, whole in enumerate(total.tolist()):
            share = 1 - float(rest[i]) / whole if whole > 0 else 0.0
            sign = int(np.sign(weights[0, i])) if place.width == 1 else 0
            ranking[i].append(Relation(place.name, share, sign))
        at += place.width
    return [sorted((r for r in one if r.share >= FEWEST), key=lambda r: -r.share)[:COLUMNS] for one in ranking]


def along(session: Session, latent: np.ndarray) -> list[pa.Table]:
    """For each coordinate the rows that stand at five places of it, where the others are at their middle."""
    count = min(latent.shape[1], ALONG)
    places = np.quantile(latent, np.linspace(0.05, 0.95, STEPS), axis=0)  # (steps, dimensions)
    tables = []
    for i in range(count):
        points = np.repeat(np.median(latent, axis=0)[None], STEPS, axis=0)
        points[:, i] = places[:, i]
        tables.append(coordinates.cells(session, coordinates.decode(session, points)))
    return tables


def groupings(target: np.ndarray, layout: Layout) -> list[Grouping]:
    """Rows grouped by each of the first columns: parts of the range of a number, and values of a category. What fewer
    than five rows share has no group of its own.
    """
    groups, at = list[Grouping](), 0
    for place in layout.columns[:COLOURED]:
        block = target[:, at : at + place.width]
        at += place.width
        groups.append(_values(block, place) if place.kind == "category" else _parts(block[:, 0], place))
    return [one for one in groups if len(one.values) > 1]


def _values(block: np.ndarray, place: row_layout.Place) -> Grouping:
    codes, counts = block.argmax(1), block.sum(0)
    names = [*place.values, "others", "missing"]
    return grouped(place.name, names, codes, counts)


def grouped(name: str, names: list[str], codes: np.ndarray, counts: np.ndarray) -> Grouping:
    """The largest groups in their order, and all others as one."""
    largest = np.argsort(-counts, kind="stable")[: GROUPS - 1]
    own = np.sort(largest[counts[largest] >= privacy.MIN_ROWS])
    new = np.full(len(counts) + 1, len(own))  # the last: of rows without a value
    new[own] = np.arange(len(own))
    codes = new[codes]
    rest = ["others"] if (codes == len(own)).any() else []
    return Grouping(name, [names[i] for i in own.tolist()] + rest, codes)


def _parts(values: np.ndarray, place: row_layout.Place) -> Grouping:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, PARTS + 1)[1:-1]))
    codes = np.searchsorted(edges, values, side="left")
    used, codes = np.unique(codes, return_inverse=True)
    vector = np.zeros((len(edges), 1), np.float64)
    vector[:, 0] = edges
    table = row_layout.decode(Layout(columns=(place,)), vector)
    texts = [_short(cell) for cell in table[place.name].to_pylist()]
    if place.kind == "boolean":
        names = ["false", "true"]
        return Grouping(place.name, names, (values > values.mean()).astype(np.int64), False)
    bounds = ["", *texts, ""]
    names = [_range(bounds[i], bounds[i + 1]) for i in range(len(edges) + 1)]
    return Grouping(place.name, [names[i] for i in used.tolist()], codes, True)


def _short(cell: object) -> str:
    return f"{cell:.3g}" if isinstance(cell, float | int) and not isinstance(cell, bool) else str(cell)[:10]


def _range(low: str, high: str) -> str:
    if not low or not high:
        return f"up to {high}" if high else f"above {low}"
    return f"{low} to {high}"


def facts(rankings: list[list[Relation]], names: tuple[str, ...]) -> Row:
    """The same as plain values."""
    return {
        name: [{"column": r.column, "share": round(r.share, 3), "sign": r.sign} for r in one]
        for name, one in zip(names, rankings, strict=False)
    }
