"""What becomes of cells that training had none of: `reject`, `impute` or `flag`, column by column.

Told where a model is made (`columns.NAME.policy` of a recipe) or where it is asked (`--policy NAME=reject`). A column
without one is read as in training and looked at no further. The table of what each does is in docs/6-deploy.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError, LaminaError, nearest
from lamina.deploy.cell_notes import AS_MISSING, MISSING, RANGE, UNREADABLE, UNSEEN, WRONG_TYPE, Reading, readings
from lamina.preprocess import POLICIES, Broken, Policy, Preprocessor
from lamina.schema import Row, clean

ALL = "*"  # columns
MISSING_COLUMN = "missing_column"
CURES = {
    MISSING_COLUMN: "Send it with a value in every row.",
    MISSING: "Send a value.",
    UNREADABLE: "Send it as the rows of training had it; GET /schema has examples.",
    WRONG_TYPE: "Send it as the rows of training had it; GET /schema has examples.",
    UNSEEN: "Send one of the values that training had.",
    RANGE: "Send a number that training had the like of.",
}
ABSENT = Reading("has no value, and had one in every row of training", AS_MISSING, MISSING)


def policies_of(words: Iterable[str], place: str = "--policy") -> dict[str, Policy]:
    """Policies by column of words such as `age=reject`; `*` is every column. Errors: LaminaError, at `place`."""
    policies = dict[str, Policy]()
    by_name: dict[str, Policy] = {policy: policy for policy in POLICIES}
    for word in words:
        name, equals, value = word.rpartition("=")
        policy = by_name.get(value)
        if not equals or not name or policy is None:
            raise LaminaError(f"{place}: must be COLUMN=POLICY with {', '.join(POLICIES)} (got '{word}').")
        policies[name] = policy
    return policies


def applied(prep: Preprocessor, policies: Mapping[str, Policy]) -> Preprocessor:
    """The same preprocessing with these policies in place of those it has, of the columns it has."""
    own = dict[str, Policy]()
    for column in prep.columns:
        if policy := policies.get(column.name) or policies.get(ALL):
            own[column.name] = policy
    return prep.with_policies(own)


def check_names(preps: Sequence[Preprocessor], names: Iterable[str], place: str = "--policy") -> None:
    """Errors: LaminaError for a name that no model has a column of."""
    columns = {column.name for prep in preps for column in prep.columns}
    for name in names:
        if name not in columns and name != ALL:
            raise LaminaError(f"{place}: there is no column '{name}'. {nearest(name, sorted(columns))}")


class PolicyChecks:
    """The policies of a fitted preprocessing, and what is looked for beyond what is always said; false without any."""

    def __init__(self, prep: Preprocessor):
        self.prep, self.policies = prep, prep.policies
        self._complete = {column.name for column in prep.columns if not column.missing}
        self._bounded = {name for name in self.policies if prep.has_bounds(name)}

    def __bool__(self) -> bool:
        return bool(self.policies)

    def readings(self, name: str, values: pa.Array, known: np.ndarray) -> Iterator[tuple[Reading, np.ndarray]]:
        """What to say of parsed cells of a column with a policy, each with a mask (rows,): those that are not there
        where training had them all, but for the `known` (rows,), and those outside of what training had.
        """
        if name in self._complete:
            yield ABSENT, values.is_null().to_numpy(zero_copy_only=False) & ~known
        if name in self._bounded:
            effect = AS_MISSING if self.policies[name] == "impute" else "used as it is"
            yield Reading("is outside of what training had", effect, RANGE), self._outside(name, values)

    def imputed(self, name: str, values: pa.Array) -> pa.Array:
        """The same without cells that the policy of the column takes for missing."""
        if self.policies[name] != "impute" or name not in self._bounded:
            return values
        return pc.if_else(pa.array(self._outside(name, values)), pa.scalar(None, values.type), values)

    def suspects(self, values: Mapping[str, list[Any]]) -> bool:
        """Whether plain cells of JSON, by column, are to be looked at one by one."""
        for name in self.policies:
            cells = values.get(name)
            if cells is None or (name in self._complete and None in cells):
                return True
            if name in self._bounded and self.prep.outside(name, np.array(cells, np.float64)).any():
                return True
        return False

    def _outside(self, name: str, values: pa.Array) -> np.ndarray:
        return self.prep.outside(name, np.asarray(values.to_numpy(zero_copy_only=False), np.float64))

    def rejects(self, name: str) -> bool:
        return self.policies.get(name) == "reject"

    def flags(self, name: str) -> bool:
        return self.policies.get(name) == "flag"


class FilePolicies:
    """The policies of a bundle over all rows of a file, piece by piece; false where it has none."""

    def __init__(self, prep: Preprocessor):
        self._checks, self._columns = PolicyChecks(prep), {column.name: column for column in prep.columns}
        self._rows = 0
        self._counts = dict[tuple[str, Reading], tuple[int, int]]()  # how many, and the first row

    def __bool__(self) -> bool:
        return bool(self._checks)

    def apply(self, rows: pa.Table) -> tuple[pa.Table, list[Broken]]:
        """Raw rows under the names of the bundle, with cells taken away that are to be missing; and those that are
        rejected. Errors: DataError where a column is not there that has to be.
        """
        refusals, prep = list[Broken](), self._checks.prep
        cells = clean(rows, prep.schema.missing, prep.schema.literal)
        for name, values in prep.parse(cells, self._checks.policies).items():
            if name not in rows.column_names:
                self._without(name)
                continue
            raw = cells[name].combine_chunks()
            unread = raw.is_valid().to_numpy(zero_copy_only=False) & values.is_null().to_numpy(zero_copy_only=False)
            own = [*readings(prep, self._columns[name], raw, values), *self._checks.readings(name, values, unread)]
            for reading, mask in own:
                places = np.flatnonzero(mask)
                if self._checks.rejects(name):
                    refusals += [Broken(int(row), name, reading.what(raw[int(row)].as_py())) for row in places]
                elif len(places):
                    count, first = self._counts.get((name, reading), (0, self._rows + int(places[0])))
                    self._counts[name, reading] = count + len(places), first
            gone = self._checks.imputed(name, values).is_null().to_numpy(zero_copy_only=False) & ~unread
            if gone.sum() > values.null_count - unread.sum():
                column = pc.if_else(pa.array(gone), pa.scalar(None, rows[name].type), rows[name])
                rows = rows.set_column(rows.column_names.index(name), name, column)
        self._rows += rows.num_rows
        return rows, refusals

    def _without(self, name: str) -> None:
        if self._checks.rejects(name):
            cure = CURES[MISSING_COLUMN]
            raise DataError(f"columns: '{name}' is not there, and its policy is to reject that. {cure}")
        self._counts.setdefault((name, Reading("is not there", AS_MISSING, MISSING_COLUMN)), (1, 0))

    @property
    def sentences(self) -> list[str]:
        """What a person should know of cells that nothing else is said of, with counts."""
        return [
            f"'{name}' in row {first + 1:,}: {reading.one}; {reading.effect}."
            + (f" {count - 1:,} more cells of this column are, too." if count > 1 else "")
            for (name, reading), (count, first) in self._counts.items()
            if reading.kind in (MISSING, RANGE)
        ]

    @property
    def warnings(self) -> list[Row]:
        """What programs should know of columns whose policy is to say so."""
        return [
            {"column": name, "kind": reading.kind, "cells": count, "first_row": first + 1}
            for (name, reading), (count, first) in self._counts.items()
            if self._checks.flags(name)
        ]
