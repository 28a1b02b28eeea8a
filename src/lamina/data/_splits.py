"""Split rows into train, validation and test: a function of the order of the rows and the seed."""

from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from lamina.config import Config, DataError, MissingColumn, nearest

FEWEST = 10
MOST_VALIDATION = 50_000
ENOUGH = 5_000  # validation rows where the test rows are given: an accuracy of 99 % is then known to 0.3 points
MOST_CLASSES = 100
SMALL = 1000  # training rows, below which classes are drawn evenly from a given part too
TRAIN, VALIDATION, TEST = 0, 1, 2

Fraction = Annotated[float, Field(gt=0, lt=1)]


class Fractions(Config):
    """Shares of the rows; what is left is for training."""

    validation: Fraction = 0.15
    test: Fraction = 0.15

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation + test must be < 1, the rest is for training (got {self.validation + self.test:g})"
            )
        return self


class Auto(Fractions):
    """Stratified when the target has few classes, random otherwise."""

    kind: Literal["auto"] = "auto"


class Random(Fractions):
    """Rows drawn without looking at them."""

    kind: Literal["random"] = "random"


class Stratified(Fractions):
    """Each class of the target with the same share in every part, as nearly as its rows allow."""

    kind: Literal["stratified"] = "stratified"


class ByColumn(Config):
    """A column of the table says which part a row belongs to; upper and lower case are the same."""

    kind: Literal["column"] = "column"
    name: str
    train: str = "train"
    validation: str = "validation"
    test: str = "test"

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if len({_folded(value) for value in (self.train, self.validation, self.test)}) < 3:
            raise ValueError("train, validation and test must be three different values of the column")
        return self


class ByGroup(Fractions):
    """All rows of a group, such as a person or a machine, in one part; the column itself is not learned from."""

    kind: Literal["group"] = "group"
    column: str


class TimeSplit(Config):
    """The first rows to train, the next to validate, the last to test: shares of the rows, or from 1 on numbers."""

    kind: Literal["time"] = "time"
    train: int | None = Field(default=None, ge=1)
    validation: Annotated[float, Field(gt=0)] = 0.15
    test: Annotated[float, Field(gt=0)] = 0.15
    embargo: int | None = Field(
        default=None, ge=0, description="rows left out between two parts; unset, the horizon of a forecast of prices"
    )

    @property
    def gap(self) -> int:
        return self.embargo or 0

    def sizes(self, rows: int, least: int = 1) -> tuple[int, int, int]:
        """Rows of train, validation and test, embargoes left out; a share gives at least `least`."""
        later = [int(v) if v >= 1 else max(round(v * rows), least) for v in (self.validation, self.test)]
        train = rows - sum(later) - 2 * self.gap if self.train is None else self.train
        if train < 1 or train + sum(later) + 2 * self.gap > rows:
            sizes = f"{max(train, 0):,} + {later[0]:,} + {later[1]:,}, embargo {self.gap:,}"
            raise DataError(f"split: {rows:,} rows are too few for train, validation and test ({sizes}). Ask for less.")
        return train, later[0], later[1]

    def halves(self, rows: int, least: int = 1) -> tuple[int, int, int]:
        """The same where the test rows are given apart: train, validation, and none."""
        later = int(self.validation) if self.validation >= 1 else max(round(self.validation * rows), least)
        train = rows - later - self.gap if self.train is None else self.train
        if train < 1 or train + later + self.gap > rows:
            raise DataError(f"split: {rows:,} rows are too few for train and validation ({later:,}). Ask for less.")
        return train, rows - train - self.gap, 0


Split = Annotated[Auto | Random | Stratified | ByColumn | ByGroup | TimeSplit, Field(discriminator="kind")]


class Splits(NamedTuple):
    """The rows of each part in the order of the table."""

    train: pa.Table
    validation: pa.Table
    test: pa.Table


def split(
    table: pa.Table,
    cfg: Auto | Random | Stratified | ByColumn | ByGroup | TimeSplit,
    target: str | None,
    seed: int,
    test: pa.Table | None = None,
) -> Splits:
    """Give every row to one part. With a separate `test` table no test rows are taken from `table`.

    Validation is at most 50,000 rows. A class with one row goes to train; rows without a target count as a class.
    Errors: DataError when there are fewer than 10 rows, a part would be empty, or a column is not there.
    """
    if table.num_rows < FEWEST:
        raise DataError(f"split: needs at least {FEWEST} rows (got {table.num_rows}). Give more data.")
    if target is not None and target not in table.column_names:
        raise MissingColumn(f"target: there is no column '{target}'. {nearest(target, table.column_names)}")
    rng = np.random.Generator(np.random.PCG64(seed))
    if isinstance(cfg, ByColumn):
        return _by_column(table, cfg, target, rng, test)
    if isinstance(cfg, ByGroup):
        return _by_group(table, cfg, target, rng, test)
    if isinstance(cfg, TimeSplit):
        return _in_order(table, cfg, test)
    classes = _classes(table, cfg, target)
    part = assign(classes, cfg.validation, cfg.test if test is None else 0.0, rng)
    return _splits(table, part, test)


def explicit(cfg: Split, table: pa.Table | None = None, target: str | None = None) -> Split:
    """What `auto` comes to for rows, or where there is no target: the same parts by name. Others stay as they are."""
    if not isinstance(cfg, Auto):
        return cfg
    by_class = table is not None and target is not None and _classes(table, cfg, target).any()
    return (Stratified if by_class else Random)(validation=cfg.validation, test=cfg.test)


def in_time(cfg: Auto | Random) -> TimeSplit:
    """The same shares of the rows, in their order."""
    return TimeSplit(validation=cfg.validation, test=cfg.test)


def _classes(table: pa.Table, cfg: Auto | Random | Stratified, target: str | None) -> np.ndarray:
    """The class of each row as a code; all the same when the split is to be random."""
    one = np.zeros(table.num_rows, np.int64)
    if isinstance(cfg, Random) or (isinstance(cfg, Auto) and target is None):
        return one
    if target is None:
        raise DataError("split.kind: stratified needs a target. Set target, or use random.")
    column = table[target]
    if pa.types.is_nested(column.type):
        if isinstance(cfg, Stratified):
            raise DataError(f"split.kind: stratified needs one value per row in '{target}'. Use random.")
        return one
    codes = column.combine_chunks()
    codes = codes if pa.types.is_dictionary(codes.type) else codes.dictionary_encode()
    values = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    if isinstance(cfg, Stratified):
        return values
    counts = np.unique(values[values >= 0], return_counts=True)[1]
    few = 0 < len(counts) <= MOST_CLASSES and counts.min() >= 2
    return values if few else one


def assign(classes: np.ndarray, validation: float, test: float, rng: np.random.Generator) -> np.ndarray:
    """The part of each row (rows,), so that each class gives its share, and the totals are exact.

    Within a class the rows, in random order, stand evenly between 0 and 1 from a random start; test and validation take
    the lowest of all. `classes`: (rows,) codes.
    """
    rows = len(classes)
    order = rng.permutation(rows)
    _, code, count = np.unique(classes[order], return_inverse=True, return_counts=True)
    by_class = np.argsort(code, kind="stable")
    rank = np.empty(rows, np.int64)
    rank[by_class] = np.arange(rows) - np.repeat(np.cumsum(count) - count, count)
    place = (rank + rng.random(len(count))[code]) / count[code]
    last = rank == count[code] - 1  # one row of each class stays in train
    lowest = np.argsort(place, kind="stable")
    candidates = order[lowest[~last[lowest]]]
    tests = max(1, round(rows * test)) if test else 0
    validations = min(MOST_VALIDATION, max(1, round(rows * validation)))
    part = np.full(rows, TRAIN)
    part[candidates[:tests]] = TEST
    part[candidates[tests : tests + validations]] = VALIDATION
    return part


def _by_column(
    table: pa.Table, cfg: ByColumn, target: str | None, rng: np.random.Generator, test: pa.Table | None
) -> Splits:
    if cfg.name not in table.column_names:
        raise MissingColumn(f"split.name: there is no column '{cfg.name}'. {nearest(cfg.name, table.column_names)}")
    values = [_folded(value) for value in table[cfg.name].to_pylist()]
    parts = {_folded(cfg.train): TRAIN, _folded(cfg.validation): VALIDATION, _folded(cfg.test): TEST}
    if unknown := sorted(set(values) - set(parts)):
        raise DataError(
            f"split.name: column '{cfg.name}' must hold only {', '.join(parts)} "
            f"(got {', '.join(repr(value) for value in unknown[:10])}). Name its values in train, validation and test."
        )
    part = np.array([parts[value] for value in values])
    if test is not None and (part == TEST).any():
        raise DataError(
            f"split: column '{cfg.name}' has rows for '{cfg.test}' and there is a separate test table. Keep one."
        )
    if not (part == VALIDATION).any() and (part == TRAIN).any():
        trains = np.flatnonzero(part == TRAIN)
        share = min(Fractions().validation, ENOUGH / len(trains))
        classes = np.zeros(len(trains), np.int64)
        if len(trains) < SMALL:  # where a random draw could leave a class to one part
            classes = _classes(table.take(pa.array(trains)), Auto(), target)
        part[trains] = assign(classes, share, 0.0, rng)
    if test is not None and cfg.name in test.column_names:
        test = test.drop_columns([cfg.name])
    return _splits(table.drop_columns([cfg.name]), part, test)


def _by_group(
    table: pa.Table, cfg: ByGroup, target: str | None, rng: np.random.Generator, test: pa.Table | None
) -> Splits:
    """No group is in two parts (scikit-learn's GroupShuffleSplit); rows in which it is missing are one group."""
    if cfg.column not in table.column_names:
        near = nearest(cfg.column, table.column_names)
        raise MissingColumn(f"split.column: there is no column '{cfg.column}'. {near}")
    values = table[cfg.column].combine_chunks()
    if pa.types.is_nested(values.type):
        raise DataError(f"split.column: '{cfg.column}' must hold one value per row (got {values.type}).")
    codes = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    _, groups = np.unique(codes.indices.fill_null(-1).to_numpy(zero_copy_only=False), return_inverse=True)
    sizes, needed = np.bincount(groups), 2 if test is not None else 3
    if len(sizes) < needed:
        raise DataError(f"split.column: '{cfg.column}' has {len(sizes)} groups; at least {needed} are needed.")
    part_of, free = np.full(len(sizes), TRAIN), rng.permutation(len(sizes)).tolist()
    shares = [(TEST, round(cfg.test * len(groups)))] if test is None else []
    for part, rows in (*shares, (VALIDATION, min(MOST_VALIDATION, round(cfg.validation * len(groups))))):
        needed -= 1
        subset = _nearest_sum(free, sizes, rows)[: len(free) - needed]
        part_of[subset] = part
        free = [group for group in free if part_of[group] == TRAIN]
    if cfg.column != target:
        table = table.drop_columns([cfg.column])
        test = test.drop_columns([cfg.column]) if test is not None and cfg.column in test.column_names else test
    return _splits(table, part_of[groups], test)


def _nearest_sum(groups: list[int], sizes: np.ndarray, rows: int) -> list[int]:
    """Groups in their order, each where it brings the sum of sizes nearer to `rows`; the smallest where none does."""
    subset, total = [], 0
    for group in groups:
        if abs(total + sizes[group] - rows) < abs(total - rows):
            subset.append(group)
            total += sizes[group]
    return subset or [min(groups, key=lambda group: sizes[group])]


def _in_order(table: pa.Table, cfg: TimeSplit, test: pa.Table | None) -> Splits:
    if test is not None:
        validation = cfg.sizes(table.num_rows)[1]
        train = table.num_rows - validation - cfg.gap
        return Splits(table.slice(0, train), table.slice(train + cfg.gap), test)
    train, validation, tests = cfg.sizes(table.num_rows)
    first, second = train + cfg.gap, train + validation + 2 * cfg.gap
    return Splits(table.slice(0, train), table.slice(first, validation), table.slice(second, tests))


def _splits(table: pa.Table, part: np.ndarray, test: pa.Table | None) -> Splits:
    train, validation, tests = (table.filter(pa.array(part == which)) for which in (TRAIN, VALIDATION, TEST))
    splits = Splits(train, validation, tests if test is None else test)
    if empty := [name for name, rows in splits._asdict().items() if not rows.num_rows]:
        raise DataError(
            f"split: no row is left for {' and '.join(empty)} (got {table.num_rows} rows in all). Each part needs at "
            "least one: give more rows, other fractions, or a random split where most classes have a single row."
        )
    return splits


def _folded(value: object) -> str:
    return str("" if value is None else value).strip().casefold()
