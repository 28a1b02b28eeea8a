"""Rows that meet conditions: those of a seed are generated one lot after the other, and those that meet them stay.

So they are as likely as among all rows that the network makes, whatever the condition (rejection, von Neumann 1951),
and the first ones stay the same however many are asked for. The number of attempts is bounded.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.config import DataError
from lamina.task import Session
from lamina.tasks.generation import sampling
from lamina.tasks.generation.conditions import Conditions
from lamina.tasks.generation.sampling import Samples

LOT, LEAST = 1024, 16  # rows at a time, and of each class where several are taken in turn
PATIENCE, RARE = 100_000, 1_000  # attempts that are always made if need be, and then as long as one in so many matches


class RareConditions(DataError):
    """Too few rows meet the conditions."""


class _Stream(NamedTuple):
    """Which rows of a seed are candidates: number `start` of every `step`, of one class or as in training."""

    start: int
    step: int
    label: str | None


class RejectionSampler:
    """Rows of a seed that meet conditions. `attempts` counts the rows generated so far; there may be `most`."""

    def __init__(
        self,
        session: Session,
        conditions: Conditions,
        seed: int,
        label: Any = None,
        count: int = 0,
        most: int | None = None,
    ):
        self.session, self.conditions, self.seed, self.count, self.most = session, conditions, seed, count, most
        self.attempts = 0
        sampling.seeds(seed, 0)
        streams = _streams(label, conditions, session)
        self._buffers = [_Buffer(self._matches(stream)) for stream in streams]

    def batches(self) -> Iterator[Samples]:
        """As many rows as asked for, in order, some at a time.

        Errors: RareConditions where too many attempts were in vain.
        """
        left = self.count
        while left:
            used = self._buffers[: min(left, len(self._buffers))]
            most = min(max(1, left // len(self._buffers)), *(buffer.fill() for buffer in used), left)
            yield _interleave([buffer.pop(most) for buffer in used])
            left -= most * len(used)

    def _matches(self, stream: _Stream) -> Iterator[Samples]:
        """Rows of one stream that meet the conditions, in order, without an end."""
        size, attempts, count = max(LEAST, LOT // stream.step), 0, 0
        while True:
            if self.most is not None and self.attempts >= self.most:
                raise self._rare(count, attempts, stream)
            start, lot = attempts * stream.step, size * stream.step
            seeds, labels = self._candidates(sampling.seeds(self.seed, lot, start)[stream.start :: stream.step], stream)
            attempts, self.attempts = attempts + size, self.attempts + size
            if seeds:
                table = sampling.generate(self.session, seeds, labels)
                assert isinstance(table, pa.Table)
                rows = np.flatnonzero(self.conditions.mask(table)).tolist()
                if rows:
                    count += len(rows)
                    names = labels and [labels[row] for row in rows]
                    yield Samples([seeds[row] for row in rows], names, table.take(pa.array(rows)))
            if attempts >= PATIENCE and count * RARE < attempts:
                raise self._rare(count, attempts, stream)

    def _candidates(self, seeds: list[int], stream: _Stream) -> tuple[list[int], list[str] | None]:
        """The seeds whose class may be generated, and their classes."""
        state, classes = self.session.task.state, self.conditions.classes
        if stream.label is not None:
            return seeds, [stream.label] * len(seeds)
        if not state.classes:
            return seeds, None
        labelled = zip(seeds, sampling.sample_labels(seeds, state), strict=True)
        allowed = [(seed, name) for seed, name in labelled if classes is None or name in classes]
        return [seed for seed, _ in allowed], [name for _, name in allowed]

    def _rare(self, count: int, attempts: int, stream: _Stream) -> RareConditions:
        of = f" of the class '{stream.label}'" if stream.label is not None else ""
        verb = "meets" if count == 1 else "meet"
        sentence = f"where: {count:,} of {attempts:,} rows generated{of} {verb} {self.conditions}"
        if not count:
            return RareConditions(f"{sentence}. Ask for a looser condition.")
        share = f"about 1 in {round(attempts / count):,}, and {self.count:,} were asked for"
        return RareConditions(f"{sentence}, {share}. Ask for fewer or a looser condition.")


def _streams(label: Any, conditions: Conditions, session: Session) -> list[_Stream]:
    """One for all rows, or one for each of several classes that are taken in turn."""
    if conditions.classes is not None:
        if label is not None:
            name = session.target or "the class"
            raise DataError(f"where: '{name}' is the class, which label names too. Ask for it once.")
        label = conditions.classes[0] if len(conditions.classes) == 1 else None
    count = 1 if label is None or isinstance(label, str) or not np.ndim(label) else max(1, len(label))
    labels = sampling.labels(label, count, session.task.state)
    return [_Stream(start, count, labels[start] if labels else None) for start in range(count)]


def gather(batches: Iterator[Samples], size: int) -> Iterator[Samples]:
    """The same in pieces of `size` rows or a little more: files want few large ones."""
    some, rows = list[Samples](), 0
    for batch in batches:
        some.append(batch)
        rows += len(batch.seeds)
        if rows >= size:
            yield _concatenate(some)
            some, rows = [], 0
    if some:
        yield _concatenate(some)


class _Buffer:
    """Rows to come, of which some are there already."""

    def __init__(self, source: Iterator[Samples]):
        self.source = source
        self.batch: Samples | None = None

    def fill(self) -> int:
        """How many are there, at least one."""
        if self.batch is None:
            self.batch = next(self.source)
        return len(self.batch.seeds)

    def pop(self, count: int) -> Samples:
        """The first of those that are there."""
        assert self.batch is not None
        seeds, labels, table = self.batch
        rest = Samples(seeds[count:], labels and labels[count:], table.slice(count))
        self.batch = rest if rest.seeds else None
        return Samples(seeds[:count], labels and labels[:count], table.slice(0, count))


def _interleave(some: Sequence[Samples]) -> Samples:
    """The first of each, then the second of each: all are as long."""
    seeds, labels, table = _concatenate(some)
    if len(some) == 1:
        return Samples(seeds, labels, table)
    order = np.arange(len(seeds)).reshape(len(some), -1).T.ravel().tolist()
    return Samples([seeds[i] for i in order], labels and [labels[i] for i in order], table.take(pa.array(order)))


def _concatenate(some: Sequence[Samples]) -> Samples:
    seeds = [seed for batch in some for seed in batch.seeds]
    labels = None if some[0].labels is None else [label for batch in some for label in batch.labels or ()]
    return Samples(seeds, labels, pa.concat_tables([batch.values for batch in some]).combine_chunks())
