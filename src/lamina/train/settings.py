"""Settings of training. What is left out is filled in from the architecture's own suggestion, then from here."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lamina import config
from lamina.schema import Windows
from lamina.train.augmentation import Step, by_name


@dataclass(frozen=True)
class Examples:
    """Encoded rows: inputs by name (rows, ...) and the encoded target (rows,), or windows of a long series.

    A target of another length in each row is padded with -1 to (rows, most, ...); `lengths` (rows,) tells how much of
    it is there. `contiguous`: each row goes on where the one before ended, as the pieces of one text do, so that a
    network can carry its state from batch to batch. `padding`: by input (rows, steps) of texts, the id behind the end
    of a short one, so that texts of about one length share a batch, which is as wide as they need.
    """

    inputs: Mapping[str, np.ndarray | Windows]
    target: np.ndarray | Windows
    lengths: np.ndarray | None = None
    contiguous: bool = False
    padding: Mapping[str, int] = field(default_factory=dict)


def concat(parts: Sequence[Examples]) -> Examples:
    """The rows of several; texts are padded to the longest."""
    first = parts[0]
    inputs = {}
    for name, values in first.inputs.items():
        arrays = [np.asarray(values), *(np.asarray(part.inputs[name]) for part in parts[1:])]
        if name in first.padding:
            width = max(array.shape[1] for array in arrays)
            fills = [((0, 0), (0, width - array.shape[1])) for array in arrays]
            arrays = [
                np.pad(array, fill, constant_values=first.padding[name])
                for array, fill in zip(arrays, fills, strict=True)
            ]
        inputs[name] = np.concatenate(arrays)
    target = np.concatenate([np.asarray(part.target) for part in parts])
    return Examples(inputs, target, padding=first.padding)


@dataclass(frozen=True)
class Preview:
    """What the `model` that a network serves is asked as it learns, always the same; `draw` makes its answers text."""

    inputs: Mapping[str, np.ndarray]
    draw: Callable[[dict[str, np.ndarray]], str]


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
TIME = r"(\d+(?:\.\d+)?)\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|hr?|days?|d)?(?![a-z])"


class AdamW(config.Config):
    """Loshchilov and Hutter 2019."""

    kind: Literal["adamw"] = "adamw"
    weight_decay: float = Field(default=1e-2, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)


class Adam(config.Config):
    """Kingma and Ba 2015."""

    kind: Literal["adam"] = "adam"
    betas: tuple[float, float] = (0.9, 0.999)


class SGD(config.Config):
    """Stochastic gradient descent with Nesterov momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)


class Muon(config.Config):
    """Orthogonalised momentum for hidden matrices, AdamW at `lr` x `rest` for everything else. Jordan et al. 2024."""

    kind: Literal["muon"] = "muon"
    momentum: float = Field(default=0.95, ge=0, lt=1)
    weight_decay: float = Field(default=1e-2, ge=0)
    rest: float = Field(default=0.1, gt=0)


class Cosine(config.Config):
    """Linear warm-up, then half a cosine down to zero."""

    kind: Literal["cosine"] = "cosine"
    warmup: float = Field(default=0.02, ge=0, lt=1)


class OneCycle(config.Config):
    """Cosine up for the first `peak` of the run, cosine down to zero after. Smith and Topin 2018."""

    kind: Literal["one_cycle"] = "one_cycle"
    peak: float = Field(default=0.3, gt=0, lt=1)


class Linear(config.Config):
    """Linear warm-up, then straight down to zero."""

    kind: Literal["linear"] = "linear"
    warmup: float = Field(default=0.02, ge=0, lt=1)


class Constant(config.Config):
    """Linear warm-up, then the same learning rate to the end."""

    kind: Literal["constant"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)


Optimizer = Annotated[AdamW | Adam | SGD | Muon, BeforeValidator(by_name), Field(discriminator="kind")]
Schedule = Annotated[Cosine | OneCycle | Linear | Constant, BeforeValidator(by_name), Field(discriminator="kind")]


def seconds(text: Any) -> Any:
    """`60s`, `10 minutes`, `1.5h`, `1h30m` or a number of seconds, as seconds. Errors: ValueError for other text."""
    if not isinstance(text, str):
        return text
    parts = re.findall(TIME, text.strip().lower())
    if not parts or "".join(number + unit for number, unit in parts) != re.sub(r"[\s,]|\band\b", "", text.lower()):
        raise ValueError("should be a time, such as 90s, 10 minutes, 2h or 1h30m")
    return sum(float(number) * UNITS[unit[:1] or "s"] for number, unit in parts)


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0)]


def in_order(plan: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    steps = [step for step, _ in plan]
    if steps[:1] != [0] or steps != sorted(steps) or any(total < max(step, 1) for step, total in plan):
        raise ValueError("must be pairs [step, steps of the run], the first of step 0, in order")
    return plan


Plan = Annotated[tuple[tuple[int, int], ...], AfterValidator(in_order)]


class Config(config.Config):
    """How to train. Times are seconds or `90s`, `10 minutes`, `1h`; shares are between 0 and 1."""

    epochs: int = Field(default=30, ge=1, description="passes over the training rows")
    budget: Seconds | None = Field(default=None, description="time for training; the schedule is sized to it")
    plan: Plan | None = Field(
        default=None, description="how many steps a run with a budget had, from a step on; it is written by that run"
    )
    steps_per_epoch: int | None = Field(
        default=None, ge=1, description="batches of an epoch, where it is not to be a whole pass over the rows"
    )
    batch_size: int = Field(default=256, ge=1, description="rows per batch")
    lr: float = Field(default=1e-3, gt=0, description="peak learning rate")
    optimizer: Optimizer = Field(default=AdamW(), description="adamw, adam, sgd or muon, with its settings")
    schedule: Schedule = Field(default=Cosine(), description="cosine, one_cycle, linear or constant, with its settings")
    augment: tuple[Step, ...] = Field(default=(), description="changes made to images, in order, by name")
    augment_with: str | None = Field(
        default=None, description="a generator of rows or images, or a file of rows, to learn from as well"
    )
    augment_share: float = Field(default=0.5, gt=0, le=20, description="rows of `augment_with` for each training row")
    clip: float | None = Field(default=None, gt=0, description="largest gradient norm")
    accumulate: int = Field(default=1, ge=1, description="batches per step")
    ema: float | None = Field(default=None, gt=0, lt=1, description="decay of the moving average of weights, per step")
    patience: int | None = Field(
        default=None, ge=1, description="epochs without a better validation loss before stopping"
    )
    keep: Literal["best", "last"] = Field(
        default="best", description="the weights that are kept: best by validation loss, or last of all"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="of the arithmetic; auto measures")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="where to compute; auto takes the best"
    )
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads; decided by the size of the network when absent"
    )
    checkpoint_every: Seconds = Field(default=30.0, description="seconds between checkpoints")

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.budget is not None and self.plan is not None:
            raise ValueError(
                "by its plan a run has its steps, whatever the time, and the budget would be ignored. Take the plan "
                "away with --set train.plan= or leave out the budget"
            )
        return self

    def with_plan(self, plan: Sequence[Sequence[int]]) -> Self:
        """Training for the same steps, in place of the same time."""
        return self.model_copy(update={"budget": None, "plan": tuple((step, total) for step, total in plan)})
