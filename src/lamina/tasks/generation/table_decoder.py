"""Numbers that a generator gives as rows again: every cell is of its column's type, range and writing, and what holds
between the columns of all training rows holds in these.

Columns that others need come first: a time that is never before another one is that and a distance, a total is
computed, and of the choices that do not go with those that are generated none is used.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina.tasks.generation import cell_writers, choice_pairs, formulas, number_modes, text_templates, time_parts
from lamina.tasks.generation.row_layout import Leaf, Place, layout, uniform
from lamina.tasks.generation.state import ColumnModes, Formula, Relations

NEVER = 1e9  # off the score of a choice that does not go with the others
WEEK = 604_800
ROUNDING = 1e-9


class _Draws(NamedTuple):
    """What is drawn of some rows: blocks of numbers, the spreads of offsets and random numbers, where there are any."""

    matrix: np.ndarray
    spreads: np.ndarray | None
    chances: np.ndarray | None

    def chance(self, leaf: Leaf, place: int = 0) -> np.ndarray | None:
        """One random number of each row."""
        return None if self.chances is None else self.chances[:, leaf.chance + place]

    def uniform(self, leaf: Leaf, count: int) -> np.ndarray:
        """Random numbers (rows, count), the middle ones where there are none."""
        if self.chances is None:
            return np.full((len(self.matrix), count), 0.5)
        return self.chances[:, leaf.chance : leaf.chance + count]


def decode(
    matrix: np.ndarray,
    columns: Sequence[ColumnModes],
    seeds: Sequence[int] | None = None,
    relations: Relations | None = None,
) -> pa.Table:
    """Blocks of numbers as rows: every cell is of its column's type and range.

    `matrix`: (rows, width); a choice is as many scores as choices, sampled by their softmax as each row's seed says,
    and the highest without `seeds`. As many columns more as there are offsets are the logarithms of their spreads.
    """
    width, count = sum(sum(modes.blocks) for modes in columns), sum(modes.offsets for modes in columns)
    spreads = np.exp(matrix[:, width:].astype(np.float64)) if matrix.shape[1] == width + count else None
    places, size = layout(columns)
    draws = _Draws(matrix, spreads, None if seeds is None else uniform(seeds, size))
    rows = _Rows(draws, relations or Relations())
    for place in _ordered(places, rows.formulas):
        rows.add(place)
    return pa.table({modes.name: rows.cells[modes.name] for modes in columns})


def _ordered(places: Sequence[Place], by_target: Mapping[str, Formula]) -> Iterator[Place]:
    """Columns after those that they need."""
    waiting, done = list(places), set[str]()
    while waiting:
        ready = [place for place in waiting if all(name in done for name in _needs(place.own.modes, by_target))]
        for place in ready or waiting[:1]:
            waiting.remove(place)
            done.add(place.own.modes.name)
            yield place


def _needs(modes: ColumnModes, by_target: Mapping[str, Formula]) -> Iterator[str]:
    yield from modes.bases
    if modes.name in by_target:
        yield from (name for name, _ in by_target[modes.name].terms)


class _Rows:
    """Columns so far: cells, choices by state, numbers (times in seconds) and what clocks show."""

    def __init__(self, draws: _Draws, relations: Relations):
        self.draws = draws
        self.formulas = {formula.target: formula for formula in relations.formulas}
        self.pairs = relations.choice_pairs
        self.cells = dict[str, pa.Array]()
        self.states = dict[str, np.ndarray]()
        self.numbers = dict[str, np.ndarray]()
        self.clocks = dict[str, np.ndarray]()

    def add(self, place: Place) -> None:
        """One column more."""
        modes = place.own.modes
        choice = self._choice(place.own)
        absent = (choice == modes.choices - 1) & modes.missing if modes.choices else np.ones(len(choice), bool)
        if modes.numeric:
            self._add_numbers(place, choice, absent)
        elif modes.templates:
            self.cells[modes.name] = self._put_together(place, choice, absent)
        else:
            words = [*(modes.spellings or modes.values), None]
            texts = pa.array(words, pa.string()).take(pa.array(np.where(absent, len(modes.values), choice)))
            self.cells[modes.name] = cell_writers.cast(self._by_calendar(modes, texts, absent), modes.form)

    def _choice(self, leaf: Leaf, mask: bool = True) -> np.ndarray:
        """Which choice of a column, or of a part of it, each row is."""
        modes = leaf.modes
        first = leaf.start + bool(modes.centres)
        if modes.choices < 2:
            return np.zeros(len(self.draws.matrix), np.int64)
        scores = self.draws.matrix[:, first : first + modes.choices].astype(np.float64)
        if mask and not modes.templates:
            scores = scores - NEVER * self._penalties(modes)
        choice = _choose(scores, self.draws.chance(leaf))
        if mask:
            self.states[modes.name] = choice_pairs.states(modes)[choice]
        return choice

    def _penalties(self, modes: ColumnModes) -> np.ndarray:
        """(rows, choices): with how many of the choices so far each choice does not go."""
        own = choice_pairs.states(modes)
        total = np.zeros((len(self.draws.matrix), modes.choices))
        for one in self.pairs:
            if one.second == modes.name and one.first in self.states:
                total += ~choice_pairs.matrix(one, own.max() + 1)[self.states[one.first]][:, own]
            elif one.first == modes.name and one.second in self.states:
                size = int(max(self.states[one.second].max(), max((i for row in one.allowed for i in row), default=0)))
                total += ~choice_pairs.matrix(one, size + 1)[:, self.states[one.second]].T[:, own]
        return total

    # numbers and times

    def _add_numbers(self, place: Place, choice: np.ndarray, absent: np.ndarray) -> None:
        modes, zones = place.own.modes, None
        if modes.parts:
            numbers, zones = self._sum(place)
        else:
            numbers = self._leaf_numbers(place.own, choice)
        formula = self.formulas.get(modes.name)
        computed = None if formula is None else self._computed(formula) / modes.unit
        numbers = self._within(modes, numbers)
        if computed is not None:
            numbers = np.where(np.isnan(computed), numbers, computed)
        if modes.decimals >= 0:
            numbers = np.round(numbers, modes.decimals)
        if computed is None and modes.bases:
            numbers = self._not_below(modes, numbers)
        seconds = np.where(absent, np.nan, numbers * modes.unit)
        self.numbers[modes.name] = seconds
        if modes.kind == "time":
            self.clocks[modes.name] = cell_writers.clock(seconds, modes, zones)
        fraction = self.draws.uniform(place.own, 3)[:, 2]
        self.cells[modes.name] = cell_writers.write(modes, numbers, absent, zones, fraction)

    def _leaf_numbers(self, leaf: Leaf, choice: np.ndarray) -> np.ndarray:
        """Numbers by their modes: one of the spikes, or an offset from one of the centres."""
        modes = leaf.modes
        centres, spikes = np.array([*modes.centres, 0.0]), np.array([*modes.spikes, 0.0])
        mode, spike = np.minimum(choice, len(modes.centres)), np.clip(choice - len(modes.centres), 0, len(modes.spikes))
        offset = self._offset(leaf) * np.array([*modes.reaches, 0.0])[mode] if modes.centres else 0.0
        numbers = np.clip(centres[mode] + offset, modes.low, modes.high)
        if modes.grid:
            numbers = _nearest(numbers, np.array(modes.grid))
        elif modes.step:
            numbers = number_modes.snap(numbers, modes.step, modes.origin)
        numbers = np.where(choice < len(modes.centres), numbers, spikes[spike])
        return np.round(numbers, modes.decimals) if modes.decimals >= 0 else numbers

    def _offset(self, leaf: Leaf) -> np.ndarray:
        """The way from a centre, -1 to 1, drawn by its spread where there is one."""
        offset = np.clip(self.draws.matrix[:, leaf.start].astype(np.float64), -1, 1)
        first, second = self.draws.chance(leaf, 1), self.draws.chance(leaf, 2)
        if self.draws.spreads is not None and first is not None and second is not None:
            normal = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
            offset = offset + self.draws.spreads[:, leaf.offset] * normal
        return np.clip(offset, -1, 1)

    def _sum(self, place: Place) -> tuple[np.ndarray, np.ndarray | None]:
        """What the parts of a column are together, in its unit, and the zone of each row where there is one."""
        modes, values, zones = place.own.modes, list[np.ndarray](), None
        for leaf in place.nested:
            choice = self._choice(leaf, mask=False)
            if leaf.modes.numeric:
                values.append(self._leaf_numbers(leaf, choice))
            else:
                zones = np.array(leaf.modes.values, object)[choice]
        own = tuple(part for part in modes.parts if part.numeric)
        if own[0].name == "rest":
            return values[0], zones
        if modes.relative:
            base = np.fmax.reduce([self.numbers[name] for name in modes.bases]) / modes.unit
            anywhere = modes.low + self.draws.uniform(place.own, 3)[:, 1] * (modes.high - modes.low)
            return np.where(np.isnan(base), anywhere, base) + values[0], zones
        return cell_writers.in_utc(time_parts.put_together(values, own), modes, zones) / modes.unit, zones

    def _within(self, modes: ColumnModes, numbers: np.ndarray) -> np.ndarray:
        """Numbers within their limits: times by whole weeks, so that weekday and clock stay."""
        if not modes.parts:
            return numbers
        if modes.kind == "time" and not modes.relative and (week := WEEK / modes.unit) < modes.high - modes.low:
            numbers = numbers + np.ceil(np.maximum(modes.low - numbers, 0) / week) * week
            return numbers - np.ceil(np.maximum(numbers - modes.high, 0) / week) * week
        numbers = np.clip(numbers, modes.low, modes.high) if not modes.relative else numbers
        return number_modes.snap(numbers, modes.step, modes.origin) if modes.step else numbers

    def _not_below(self, modes: ColumnModes, numbers: np.ndarray) -> np.ndarray:
        """Numbers that are not below what they never are below."""
        least = np.fmax.reduce([self.numbers[name] for name in modes.bases]) / modes.unit + modes.gap
        bad = numbers < least - ROUNDING * np.abs(least)
        if not bad.any():
            return numbers
        better = least
        if modes.grid:
            grid = np.array([*modes.grid, np.inf])
            better = grid[np.searchsorted(grid, np.where(np.isnan(least), 0, least)).clip(0, len(modes.grid))]
            better = np.where(np.isinf(better), least, better)
        elif modes.step:
            better = np.ceil((least - modes.origin) / modes.step - ROUNDING) * modes.step + modes.origin
        if modes.decimals >= 0:
            better = np.ceil(better * 10.0**modes.decimals - 1e-6) / 10.0**modes.decimals
        return np.where(bad, better, numbers)

    def _computed(self, formula: Formula) -> np.ndarray:
        """What others say that a column of numbers or times is, NaN where they do not."""
        if formula.kind == "calendar":
            return formulas.calendar_part(self.clocks[formula.terms[0][0]], formula.part)
        return formulas.evaluate(formula, self.numbers)

    # texts

    def _by_calendar(self, modes: ColumnModes, texts: pa.Array, absent: np.ndarray) -> pa.Array:
        """Texts as the date of their row says them."""
        formula = self.formulas.get(modes.name)
        if formula is None:
            return texts
        parts = formulas.calendar_part(self.clocks[formula.terms[0][0]], formula.part)
        spelled = dict(zip(modes.values, modes.spellings, strict=True)) if modes.spellings else {}
        names = [None if np.isnan(part) else formula.names.get(str(int(part))) for part in parts]
        pairs = zip(names, texts.to_pylist(), absent.tolist(), strict=True)
        return pa.array(
            [text if name is None or gone else spelled.get(name, name) for name, text, gone in pairs], pa.string()
        )

    def _put_together(self, place: Place, choice: np.ndarray, absent: np.ndarray) -> pa.Array:
        """Texts of the template that each row has."""
        modes, leaves = place.own.modes, iter(place.nested)
        options = list[list[str]]()
        for template in modes.templates:
            slots = []
            for slot in template.slots:
                leaf = next(leaves)
                slots.append(self._slot(leaf) if slot.modes else self._characters(leaf, slot.alphabets))
            options.append(text_templates.write(template, slots, len(choice)))
        texts = [None if gone else options[i][row] for row, (i, gone) in enumerate(zip(choice, absent, strict=True))]
        return cell_writers.cast(pa.array(texts, pa.string()), modes.form)

    def _slot(self, leaf: Leaf) -> np.ndarray | list[str]:
        choice = self._choice(leaf, mask=False)
        if leaf.modes.numeric:
            return self._leaf_numbers(leaf, choice)
        return [leaf.modes.values[i] for i in choice]

    def _characters(self, leaf: Leaf, alphabets: Sequence[str]) -> list[str]:
        return text_templates.characters(alphabets, self.draws.uniform(leaf, len(alphabets)))


def _choose(scores: np.ndarray, chance: np.ndarray | None) -> np.ndarray:
    """The highest choice, or one sampled by the softmax of the scores."""
    if chance is None:
        return scores.argmax(axis=1)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1)
    return (chance[:, None] * shares[:, -1:] > shares[:, :-1]).sum(axis=1)


def _nearest(numbers: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Each number as the nearest one of a grid."""
    above = np.searchsorted(grid, numbers).clip(1, max(len(grid) - 1, 1))
    if len(grid) == 1:
        return np.full_like(numbers, grid[0])
    return np.where(numbers - grid[above - 1] <= grid[above] - numbers, grid[above - 1], grid[above])
