"""Where the numbers of each column stand in a row that a network gives, and which random numbers it is drawn with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lamina.tasks.generation.state import ColumnModes

CHANCES = 3  # random numbers of a column: for its choice, and two for its offset
CHARACTERS = ColumnModes(name="", kind="category")  # of which no network knows


class Leaf(NamedTuple):
    """What is encoded by itself: where its numbers start, which of the offsets is its own, its first random number."""

    modes: ColumnModes
    start: int
    offset: int
    chance: int


class Place(NamedTuple):
    """A column: itself, then its parts, or the slots of its templates one after the other."""

    own: Leaf
    nested: tuple[Leaf, ...]


def layout(columns: Sequence[ColumnModes]) -> tuple[list[Place], int]:
    """The place of each column, and how many random numbers a row takes."""
    places, start, offset, chance = list[Place](), 0, 0, CHANCES * len(columns)
    for i, modes in enumerate(columns):
        own = Leaf(modes, start, offset, CHANCES * i)
        start, offset, nested = start + sum(modes.own_blocks), offset + bool(modes.centres), list[Leaf]()
        slots = [slot for template in modes.templates for slot in template.slots]
        for part, count in (
            *((part, CHANCES) for part in modes.parts),
            *((slot.modes or CHARACTERS, CHANCES if slot.modes else len(slot.alphabets)) for slot in slots),
        ):
            nested.append(Leaf(part, start, offset, chance))
            start, offset, chance = start + sum(part.blocks), offset + part.offsets, chance + count
        places.append(Place(own, tuple(nested)))
    return places, chance


def uniform(seeds: Sequence[int], count: int) -> np.ndarray:
    """Numbers between 0 and 1, (seeds, count), a function of each seed: SplitMix64, Steele et al. 2014."""
    start = _mix(np.asarray(seeds, np.uint64) + np.uint64(0xA0761D6478BD642F))
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((_mix(start[:, None] + steps) >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
