"""Settings of encoder and decoder."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lamina import config


class Config(config.Config):
    kind: Literal["transformer"] = "transformer"
    width: int = Field(default=256, ge=8, le=1 << 13, description="numbers of each step in every layer")
    depth: int = Field(default=4, ge=1, le=48, description="blocks of attention and dense layers")
    heads: int = Field(default=4, ge=1, le=64, description="ways of looking, which share the width")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share zeroed in what each layer adds")

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of twice the heads (got {self.width} and {self.heads})")
        return self
