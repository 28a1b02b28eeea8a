"""Settings of dimensionality reduction, and what it learns of its training rows."""

from typing import Literal

from pydantic import Field

from lamina import config
from lamina.tasks._unlabelled.row_layout import Layout

MOST = 4096  # coordinates


class Config(config.Config):
    kind: Literal["dimensionality_reduction"] = "dimensionality_reduction"
    dimensions: int = Field(default=2, ge=1, le=MOST, description="numbers that each row becomes")


class State(config.Config):
    """How columns of a table become one vector, None of images and series; what coordinates are called before their
    number; and where those of held-out rows are: the lowest, the median and the highest of each.
    """

    layout: Layout | None = None
    prefix: str = Field(default="z", max_length=20)
    low: tuple[float, ...] = Field(default=(), max_length=MOST)
    centre: tuple[float, ...] = Field(default=(), max_length=MOST)
    high: tuple[float, ...] = Field(default=(), max_length=MOST)
