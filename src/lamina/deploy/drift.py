"""Whether the rows that come are still like those of training, column by column, window by window.

Rows are counted in the pieces that the kinds of columns tell (tenths of numbers, values, what is missing), and each
window is compared with training by Pearson's chi-square test, with Bonferroni's correction for the columns: a window of
independent rows like those of training raises an alarm in less than one case of a hundred. The score of a column is
its population stability index. Both are of the last whole window. What is kept is counts, and never a row.
"""

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina.preprocess import Preprocessor, Reference
from lamina.schema import Spec

WINDOW = 1000  # rows
FALSE_ALARMS = 0.005  # windows at most, over all columns
CHUNK = 256  # rows that are counted at once
SHARE = 0.01  # of the time at most
FEW = 10.0  # expected rows of a piece, from which on it counts by itself
LEAST = 5.0  # expected rows of what training hardly had
MOST_COLUMNS = 1000


class ColumnDrift:
    """One column: how often training had what, and the last whole window."""

    def __init__(self, name: str, reference: Reference, window: int):
        self.name, self.reference = name, reference
        shares = np.array(reference.shares)
        large = (shares * window >= FEW) | (np.arange(len(shares)) < reference.apart)
        self._group = np.where(large, np.cumsum(large), 0)  # of pieces; small ones together are 0
        self._expected = np.bincount(self._group, shares, minlength=int(large.sum()) + 1)
        self.counts = np.zeros(len(shares), np.int64)
        self.last = np.zeros(len(shares), np.int64)
        self.score, self.p_value = 0.0, 1.0

    def close(self) -> None:
        """Evaluate the window that is over, and begin another."""
        self.last, self.counts = self.counts, np.zeros_like(self.counts)
        rows = int(self.last.sum())
        observed = np.bincount(self._group, self.last, minlength=len(self._expected))
        expected = self._expected * rows
        terms = (observed - expected) ** 2 / np.maximum(expected, LEAST)
        statistic = terms.sum() / (1 + rows / self.reference.rows)  # training is a sample, too
        self.p_value = tail(statistic, max(len(self._expected) - 1, 1))
        p, q = (np.maximum(part, 0.5 / rows) for part in (self._expected, observed / rows))
        self.score = float(((q - p) * np.log(q / p)).sum())


class DriftMonitor:
    """Counts of what a network is fed, against training; false where the bundle tells nothing of training.

    `add` is called for every batch; most of the time it keeps a reference, and counts many rows at once. It looks at
    fewer rows where counting would take more than `share` of the time (None: never). By one caller at a time.
    """

    def __init__(self, prep: Preprocessor, spec: Spec, window: int = WINDOW, share: float | None = SHARE):
        references = prep.references() if prep.inputs.items() <= spec.inputs.items() else {}
        self.columns = [ColumnDrift(name, one, window) for name, one in list(references.items())[:MOST_COLUMNS]]
        self.others = [column.name for column in prep.columns if column.name not in references]
        self.window, self.windows, self.rows, self.alarms = window, 0, 0, 0  # rows of this window so far
        self.alarm = False
        self._prep, self._share = prep, share
        self._inputs = {prep.places[column.name][0] for column in self.columns}
        self._main = next(iter(self._inputs), "")
        self._pending: list[Mapping[str, np.ndarray]] = []
        self._waiting, self._free = 0, 0.0

    def __bool__(self) -> bool:
        return bool(self.columns)

    def add(self, inputs: Mapping[str, np.ndarray]) -> None:
        """See the inputs of a batch, (rows, width) each."""
        if self._free and time.monotonic() < self._free:
            return
        self._pending.append(inputs)
        self._waiting += len(inputs[self._main])
        if self._waiting >= CHUNK:
            self.count()

    def count(self) -> None:
        """Count the rows that wait for it."""
        if not self._pending:
            return
        start = time.monotonic()
        joint = {name: np.concatenate([inputs[name] for inputs in self._pending]) for name in self._inputs}
        self._pending, count, self._waiting = [], self._waiting, 0
        done = 0
        while done < count:
            stop = min(count, done + self.window - self.rows)
            for column in self.columns:
                name, place = self._prep.places[column.name]
                pieces = self._prep.pieces(column.name, joint[name][done:stop, place])
                column.counts += np.bincount(pieces, minlength=len(column.counts))
            self.rows += stop - done
            done = stop
            if self.rows == self.window:
                self._close()
        if self._share:
            now = time.monotonic()
            self._free = now + (now - start) / self._share

    def _close(self) -> None:
        for column in self.columns:
            column.close()
        self.alarm = any(self.is_alarming(column) for column in self.columns)
        self.alarms += self.alarm
        self.windows, self.rows = self.windows + 1, 0

    def is_alarming(self, column: ColumnDrift) -> bool:
        """Whether the last window of a column was unlike training."""
        return column.p_value * len(self.columns) < FALSE_ALARMS

    def report(self) -> dict[str, Any]:
        """All of it, as plain values of JSON."""
        return {
            "window": self.window,
            "windows": self.windows,
            "rows": self.rows,
            "alarm": self.alarm,
            "alarms": self.alarms,
            "columns": [self._column(column) for column in self.columns],
            "not_watched": self.others,
            "note": self.note,
        }

    @property
    def note(self) -> str:
        """What there is to say, in a sentence."""
        if not self:
            return "This bundle tells nothing of its training rows that drift could be told by. Train it again."
        if not self.windows:
            return f"No window of {self.window:,} rows is over yet; {self.rows:,} rows of this one were counted."
        names = [column.name for column in self.columns if self.is_alarming(column)]
        if names:
            return f"The last {self.window:,} rows are unlike training in {', '.join(map(repr, names))}."
        return f"The last {self.window:,} rows are like those of training."

    def _column(self, column: ColumnDrift) -> dict[str, Any]:
        rows = max(int(column.last.sum()), 1)
        pieces = zip(column.reference.names, column.reference.shares, (column.last / rows).tolist(), strict=True)
        return {
            "column": column.name,
            "score": round(column.score, 4),
            "p_value": column.p_value,
            "alarm": bool(self.windows) and self.is_alarming(column),
            "pieces": [{"name": name, "training": share, "requests": round(own, 4)} for name, share, own in pieces],
        }


def tail(statistic: float, freedom: int) -> float:
    """The probability of a chi-square at least as large (Wilson and Hilferty 1931: its cube root is nearly normal)."""
    if freedom == 1:
        return math.erfc(math.sqrt(statistic / 2))
    spread = 2 / (9 * freedom)
    z = ((statistic / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return 0.5 * math.erfc(z / math.sqrt(2))
