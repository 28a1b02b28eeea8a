"""Rows that meet conditions: those of a seed are made one lot after the other, and those that meet them are kept.

So they are as likely as among all rows that the network makes, whatever the condition (rejection, von Neumann 1951),
and the first ones stay the same however many are asked for. How long is looked for them is bounded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import DataError
from lamina.deploy.bundle import Bundle
from lamina.tasks.generation import sampling as made
from lamina.tasks.generation.conditions import Where, conditions

LOT, LEAST = 1024, 16  # rows made at a time, and of each class where several are taken in turn
TRIED, RARE = 100_000, 1_000  # rows that are always made if need be, and then as long as one in so many is kept

Piece = tuple[list[int], list[str] | None, pa.Table]  # seeds, classes where there are some, and rows
Make = Callable[[Sequence[int], Sequence[str] | None], Any]


class Rare(DataError):
    """Too few rows meet the conditions."""


@dataclass
class Asked:
    """Rows to make, how many and which. `most`: rows that may be tried in all; `tried`: those that were."""

    count: int
    seed: int
    label: Any
    where: Any
    most: int | None = None
    tried: int = field(default=0, init=False)


def pieces(make: Make, bundle: Bundle, asked: Asked) -> Iterator[Piece]:
    """As many rows as asked for, in order, some at a time. `make`: rows of seeds and classes.

    Errors: DataError for conditions that cannot be met, `Rare` where too many rows were made in vain.
    """
    where, left = conditions(asked.where, bundle), asked.count
    assert where is not None
    made.seeds(asked.seed, min(left, 1))
    streams = [_Stream(_kept(make, bundle, asked, where, turn)) for turn in _turns(asked, where, bundle)]
    while left:
        used = streams[: min(left, len(streams))]
        most = min(max(1, left // len(streams)), *(stream.filled() for stream in used), left)
        yield _in_turn([stream.taken(most) for stream in used])
        left -= most * len(used)


def gathered(found: Iterator[Piece], size: int) -> Iterator[Piece]:
    """The same in pieces of `size` rows or a little more: files want few large ones."""
    some, rows = list[Piece](), 0
    for piece in found:
        some.append(piece)
        rows += len(piece[0])
        if rows >= size:
            yield _joined(some)
            some, rows = [], 0
    if some:
        yield _joined(some)


@dataclass(frozen=True)
class _Turn:
    """Which rows of a seed are tried: number `at` of every `of`, of one class or as in training."""

    at: int
    of: int
    label: str | None


def _turns(asked: Asked, where: Where, bundle: Bundle) -> list[_Turn]:
    """One for all rows, or one for each of several classes that are taken in turn."""
    label = asked.label
    if where.classes is not None:
        if label is not None:
            aim = bundle.schema.target
            name = aim.name if aim else "the class"
            raise DataError(f"where: '{name}' is the class, which label names too. Ask for it once.")
        label = where.classes[0] if len(where.classes) == 1 else None
    several = 1 if label is None or isinstance(label, str) or not np.ndim(label) else max(1, len(label))
    named = made.classes(label, several, bundle)
    return [_Turn(at, several, named[at] if named else None) for at in range(several)]


def _kept(make: Make, bundle: Bundle, asked: Asked, where: Where, turn: _Turn) -> Iterator[Piece]:
    """Rows of one turn that meet the conditions, in order, without an end."""
    size, tried, kept = max(LEAST, LOT // turn.of), 0, 0
    while True:
        if asked.most is not None and asked.tried >= asked.most:
            raise _rare(kept, tried, asked, where, turn)
        seeds = made.seeds(asked.seed, size * turn.of, tried * turn.of)[turn.at :: turn.of]
        labels = None if turn.label is None else [turn.label] * size
        if labels is None and bundle.task_state.classes:
            drawn = zip(seeds, made.drawn(seeds, bundle), strict=True)
            allowed = [(seed, name) for seed, name in drawn if where.classes is None or name in where.classes]
            seeds, labels = [seed for seed, _ in allowed], [name for _, name in allowed]
        tried, asked.tried = tried + size, asked.tried + size
        if seeds:
            table = make(seeds, labels)
            rows = np.flatnonzero(where.meets(table)).tolist()
            if rows:
                kept += len(rows)
                yield [seeds[row] for row in rows], labels and [labels[row] for row in rows], table.take(pa.array(rows))
        if tried >= TRIED and kept * RARE < tried:
            raise _rare(kept, tried, asked, where, turn)


def _rare(kept: int, tried: int, asked: Asked, where: Where, turn: _Turn) -> Rare:
    of = f" of the class '{turn.label}'" if turn.label is not None else ""
    told = f"{kept:,} of {tried:,} rows made{of} {'meets' if kept == 1 else 'meet'} {where}"
    if not kept:
        return Rare(f"where: {told}. Ask for a looser condition.")
    share = f"about 1 in {round(tried / kept):,}"
    return Rare(f"where: {told}, {share}, and {asked.count:,} were asked for. Ask for fewer or a looser condition.")


class _Stream:
    """Rows to come, of which some are there already."""

    def __init__(self, source: Iterator[Piece]):
        self.source = source
        self.piece: Piece | None = None

    def filled(self) -> int:
        """How many are there, at least one."""
        if self.piece is None:
            self.piece = next(self.source)
        return len(self.piece[0])

    def taken(self, count: int) -> Piece:
        """The first of those that are there."""
        assert self.piece is not None
        seeds, labels, table = self.piece
        rest = seeds[count:], labels and labels[count:], table.slice(count)
        self.piece = rest if rest[0] else None
        return seeds[:count], labels and labels[:count], table.slice(0, count)


def _in_turn(some: Sequence[Piece]) -> Piece:
    """The first of each, then the second of each: all are as long."""
    seeds, labels, table = _joined(some)
    order = np.arange(len(seeds)).reshape(len(some), -1).T.ravel().tolist()
    if len(some) == 1:
        return seeds, labels, table
    return [seeds[i] for i in order], labels and [labels[i] for i in order], table.take(pa.array(order))


def _joined(some: Sequence[Piece]) -> Piece:
    seeds = [seed for piece in some for seed in piece[0]]
    labels = None if some[0][1] is None else [label for piece in some for label in piece[1] or ()]
    return seeds, labels, pa.concat_tables([piece[2] for piece in some]).combine_chunks()
