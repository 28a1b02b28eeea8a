"""Settings of encoder and decoder."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lamina import config


class Config(config.Config):
    kind: Literal["transformer"] = "transformer"
    width: int | None = Field(
        default=None, ge=8, le=1 << 13, description="numbers of each step; 128 when unset, and 192 for the next token"
    )
    depth: int | None = Field(
        default=None,
        ge=1,
        le=48,
        description="blocks of attention and dense layers; 2 when unset, and 4 for the next token",
    )
    heads: int = Field(default=4, ge=1, le=64, description="ways of looking, which share the width")
    dropout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="share zeroed in what each layer adds; 0.1 when unset, none for the next token",
    )

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.width and self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of twice the heads (got {self.width} and {self.heads})")
        return self

    def sizes(self, width: int, depth: int, dropout: float) -> tuple[int, int, float]:
        """Width, depth and dropout, with others in place of those that are unset; the width in whole heads."""
        width = self.width or -(-width // (2 * self.heads)) * 2 * self.heads
        return width, self.depth or depth, dropout if self.dropout is None else self.dropout
