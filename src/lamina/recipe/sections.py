"""What a recipe consists of."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializeAsAny

from lamina.config import Config, as_text, as_tuple
from lamina.data._splits import Auto, Split
from lamina.schema import MISSING, Preset

SECTIONS = {"data": "data", "task": "tasks", "model": "models"}


class Unused(Config):
    """A column that the network does not see."""

    kind: str


class Rest(Config):
    """The settings that belong to no plug-in; checked together."""

    target: Annotated[str | None, BeforeValidator(as_text)] = None
    missing: Annotated[tuple[str, ...], BeforeValidator(as_tuple)] = MISSING
    literal: Annotated[tuple[str, ...] | None, BeforeValidator(as_tuple)] = None
    seed: int = Field(0, ge=0, lt=1 << 63)
    name: str | None = None
    preset: Preset = "default"
    split: Split = Auto()


class Recipe(Config):
    """Every choice of a run. `train` holds only what was said; without a `model`, the data decides."""

    data: SerializeAsAny[Config]
    target: str | None = None
    task: SerializeAsAny[Config] | None = None
    columns: dict[str, SerializeAsAny[Config]] = {}
    missing: tuple[str, ...] = MISSING
    literal: tuple[str, ...] | None = None
    split: Split
    model: SerializeAsAny[Config] | None = None
    preset: Preset = "default"
    train: dict[str, Any] = {}
    seed: int = 0
    name: str | None = None
    also: dict[str, SerializeAsAny[Config]] = {}
