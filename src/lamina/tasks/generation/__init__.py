"""New pictures or rows like those of the data, of a class where one is asked for."""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina import config
from lamina.schema import Output
from lamina.tasks import classification

target = "category"
aimless = True
generative = True
metrics = ("frechet_distance", "fidelity", "diversity")
baselines = ()
plots = ("learning",)
calibration = "none"

LOSS = "generation"
MOST = 10_000  # classes
POINTS = 101  # of the spread of a critic's scores
ALIKE = 0.4  # of the spread of real ones' features, below which a generator has collapsed
AWAY = 10.0  # times the best distance, above which it has diverged


class Config(config.Config):
    kind: Literal["generation"] = "generation"


class Made(config.Config):
    """How one column of a table is written in numbers, and what its cells may be.

    Text is one of `values`, which had `shares` of the training rows. A number is one of `spikes`, which many rows
    share, or near one of `centres`: then it is its way from there in parts of `reaches`. A `missing` cell is one more
    choice. Numbers stay between `low` and `high`, have at most `decimals` (any where it is -1) and, where there is a
    `grid`, are on it; times are counted in `unit` seconds. `form` says what a cell is given as. A column with one
    choice only has no numbers.
    """

    name: str = Field(max_length=10_000)
    kind: str
    form: str = Field(default="text", max_length=40)
    missing: bool = False
    values: tuple[str, ...] = Field(default=(), max_length=MOST)
    shares: tuple[float, ...] = Field(default=(), max_length=MOST)
    spikes: tuple[float, ...] = Field(default=(), max_length=MOST)
    centres: tuple[float, ...] = Field(default=(), max_length=1000)
    spreads: tuple[float, ...] = Field(default=(), max_length=1000)
    reaches: tuple[float, ...] = Field(default=(), max_length=1000)
    grid: tuple[float, ...] = Field(default=(), max_length=MOST)
    low: float = 0.0
    high: float = 0.0
    decimals: int = Field(default=-1, ge=-1, le=12)
    unit: int = Field(default=1, ge=1, le=86_400)

    @property
    def choices(self) -> int:
        return len(self.values) + len(self.centres) + len(self.spikes) + self.missing

    @property
    def blocks(self) -> tuple[int, ...]:
        """Widths of the numbers of a cell: 1 for a way, more for a choice."""
        choice = (self.choices,) if self.choices > 1 else ()
        return (1, *choice) if self.centres else choice


class Critic(config.Config):
    """What its scores mean, by real rows held out from training: the middle one of each class, and how they are spread
    about it, 101 numbers, the lowest first; `told`: where the class of a row is told, or there is none.
    """

    middles: tuple[float, ...] = Field(min_length=1, max_length=MOST)
    told: tuple[float, ...] = Field(min_length=POINTS, max_length=POINTS)
    untold: tuple[float, ...] = Field(min_length=POINTS, max_length=POINTS)


class State(config.Config):
    """The classes that can be asked for, none where the data has no label, and how many training rows each has; of a
    table, how its columns are written; where a bundle has a critic, what its scores mean.
    """

    classes: tuple[str, ...] = Field(default=(), max_length=MOST)
    counts: tuple[int, ...] = Field(default=(), max_length=MOST)
    columns: tuple[Made, ...] = Field(default=(), max_length=MOST)
    critic: Critic | None = None


def suits(values: pa.Array) -> float:
    """Never by the target: that something new is wanted has to be said."""
    return 0.0


def fit(values: pa.Array | None, cfg: Config) -> State:
    """`values`: training labels as text without nulls, or None where there is no label."""
    if values is None:
        return State()
    found = {c["values"]: c["counts"] for c in values.value_counts().to_pylist()}
    whole = all(v.lstrip("-").isdigit() for v in found)
    classes = sorted(found, key=int) if whole else sorted(found)
    return State(classes=tuple(classes), counts=tuple(found[c] for c in classes))


def unknown(values: pa.Array, state: State) -> np.ndarray:
    """A mask of the labels that no training row had."""
    return classification.codes(values, state.classes) < 0


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows,) int64 codes of the classes."""
    return classification.codes(values, state.classes)


def truth(encoded: np.ndarray, state: State) -> np.ndarray:
    return encoded


def output(state: State, cfg: Config) -> Output:
    """As many numbers as classes: what a network is told, and not what it answers."""
    return Output(size=len(state.classes), loss=LOSS)


def quick(raw: dict[str, np.ndarray], encoded: np.ndarray, state: State) -> dict[str, float]:
    """The loss of held-out rows where a network has one (`loss`, (rows, 1)) and the first of its parts, else the
    distance of `real` and `fake` features (rows, features).
    """
    if "loss" in raw:
        loss, *parts = ((name, float(values.mean())) for name, values in raw.items())
        return dict([loss, *(parts[:1] or [("nats", loss[1])])])
    distance = frechet(raw["real"], raw["fake"])
    spread = float(raw["fake"].std(0).mean() / max(raw["real"].std(0).mean(), 1e-12))
    return {"loss": distance, "frechet_distance": distance, "spread": spread}


def warning(found: dict[str, float], best: float, epoch: int) -> str:
    """What is wrong with a generator by what `quick` found, in a sentence, or nothing; `best`: the loss of `epoch`."""
    if found.get("spread", 1.0) < ALIKE:
        return (
            f"What is made is all alike: its spread is {found['spread']:.0%} of that of real ones. The generator has "
            "collapsed: try train.lr lower, or model.penalty higher."
        )
    if "spread" in found and found["loss"] > AWAY * best > 0:
        return (
            f"What is made has moved away from real ones since epoch {epoch}, whose weights are kept: try train.lr "
            "lower, or model.penalty higher."
        )
    return ""


def frechet(real: np.ndarray, fake: np.ndarray) -> float:
    """Distance of two clouds (rows, features) as if each were normal: Heusel et al. 2017, without the square root."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    gap = real.mean(0) - fake.mean(0)
    first, second = (np.atleast_2d(np.cov(values, rowvar=False)) for values in (real, fake))
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    mixed = np.sqrt(np.clip(np.linalg.eigvalsh(root @ second @ root), 0, None)).sum()
    return float(gap @ gap + np.trace(first) + np.trace(second) - 2 * mixed)


def labels(said: Any, count: int, state: State, rng: np.random.Generator) -> np.ndarray:
    """Codes of the classes to make, (count,): those said, or as often as the training rows had them."""
    if not state.classes:
        return np.zeros(count, np.int64)
    if said is None:
        shares = np.array(state.counts) / sum(state.counts)
        return rng.choice(len(state.classes), count, p=shares)
    return np.full(count, state.classes.index(said))
