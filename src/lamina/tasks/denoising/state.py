"""What denoising is set to, and what it learned of training rows."""

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from lamina import config

Form = Literal["image", "series", "table"]
Deviation = Annotated[float, Field(ge=0, le=1e6)]
SIGMA: dict[Form, tuple[float, float]] = {"image": (0.0, 55.0), "series": (0.0, 1.0), "table": (0.0, 1.0)}
WHITE = 255.0  # of images, in whose units the deviation of noise is said


class Config(config.Config):
    kind: Literal["denoising"] = "denoising"
    noise: Literal["both", "gaussian", "quantized"] = Field(
        default="both",
        description="what is added to clean images: gaussian, of any size; the same quantized, cut off at black and "
        "white and rounded, as files of 8 bits hold it; or both, each for half of the crops",
    )
    sigma: tuple[Deviation, Deviation] | Deviation | None = Field(
        default=None,
        description="deviation of the noise, one or a range to draw from: of images on the scale of 0 to 255, 0 to "
        "55 when unset; of series in deviations of each channel, 0 to 1 when unset",
    )
    test_time_augmentation: Literal[1, 2, 4, 8] = Field(
        default=1,
        validation_alias=AliasChoices("test_time_augmentation", "views"),  # its earlier name
        description="1, 2, 4 or 8 views of each image, mirrored and turned by right angles, whose predictions are "
        "averaged: 8 take 8 times as long and leave a little less noise (Timofte et al. 2016); images alone",
    )
    clean: str = Field(
        default="clean", description="the folder of clean images, of which those of equal name beside it are noisy"
    )

    @model_validator(mode="after")
    def _check_sigma(self) -> Self:
        low, high = self.sigma if isinstance(self.sigma, tuple) else (0.0, 1.0 if self.sigma is None else self.sigma)
        if low > high or high <= 0:
            raise ValueError("sigma must be a number above 0, or two, of which the second is greater")
        return self

    def levels(self, form: Form) -> tuple[float, float]:
        """The least and the largest deviation of noise."""
        if self.sigma is None:
            return SIGMA[form]
        return self.sigma if isinstance(self.sigma, tuple) else (self.sigma, self.sigma)


class State(config.Config):
    """What is denoised: images of one column, recordings of one column, or the rows of a table in their order, whose
    `columns` are the channels. `mean` and `std` are those of training series, by channel. `sigma`: the noise that it
    learned from, none where noisy rows came with clean ones.
    """

    form: Form
    channels: int = Field(ge=1, le=1 << 16)
    columns: tuple[str, ...] = Field(min_length=1, max_length=1 << 16)
    mean: tuple[float, ...] = Field(default=(), max_length=1 << 16)
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(), max_length=1 << 16)
    sigma: tuple[Deviation, Deviation] | None = None

    @model_validator(mode="after")
    def _of_one_size(self) -> Self:
        if self.form != "image" and not len(self.mean) == len(self.std) == self.channels:
            raise ValueError("mean and std must have one number for each channel")
        if len(self.columns) != (self.channels if self.form == "table" else 1):
            raise ValueError("columns must be one, or of a table one for each channel")
        if self.form == "image" and self.channels not in (1, 3):
            raise ValueError("images have 1 or 3 channels")
        return self
