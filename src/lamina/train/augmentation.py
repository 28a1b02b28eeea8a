"""Changes made to images while training, by name, each with its settings; `image_augmentation` carries them out."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lamina import config

Share = Annotated[float, Field(ge=0, le=1)]


class Flip(config.Config):
    """Left and right changed, for half the images."""

    kind: Literal["flip"] = "flip"


class FlipVertical(config.Config):
    """Top and bottom changed, for half the images."""

    kind: Literal["flip_vertical"] = "flip_vertical"


class Shift(config.Config):
    """Moved by up to `pixels` either way, in both directions."""

    kind: Literal["shift"] = "shift"
    pixels: int = Field(default=2, ge=1, le=256)


class Rotate(config.Config):
    """Turned by up to `degrees` either way."""

    kind: Literal["rotate"] = "rotate"
    degrees: float = Field(default=10.0, gt=0, le=180)


class Scale(config.Config):
    """Larger or smaller by up to the share `by`."""

    kind: Literal["scale"] = "scale"
    by: float = Field(default=0.1, gt=0, lt=1)


class Crop(config.Config):
    """A window of at least the share `smallest` of the area, brought back to full size."""

    kind: Literal["crop"] = "crop"
    smallest: float = Field(default=0.5, gt=0, lt=1)


class Colour(config.Config):
    """Brightness, contrast and saturation changed by up to the share `by`."""

    kind: Literal["colour"] = "colour"
    by: float = Field(default=0.3, gt=0, lt=1)


class Blur(config.Config):
    """A 3 x 3 blur, for a share of the images."""

    kind: Literal["blur"] = "blur"
    share: Share = 0.2


class Jpeg(config.Config):
    """What JPEG of a quality between `low` and `high` loses, for a share of the images."""

    kind: Literal["jpeg"] = "jpeg"
    low: int = Field(default=60, ge=1, le=100)
    high: int = Field(default=95, ge=1, le=100)
    share: Share = 0.5


class Resize(config.Config):
    """Shrunk to between the share `smallest` of the side and all of it, and back, for a share of the images."""

    kind: Literal["resize"] = "resize"
    smallest: float = Field(default=0.5, gt=0, lt=1)
    share: Share = 0.3


class Erase(config.Config):
    """A square of the share `size` of the side greyed out, for a share of the images. DeVries and Taylor 2017."""

    kind: Literal["erase"] = "erase"
    share: Share = 0.5
    size: float = Field(default=0.3, gt=0, lt=1)


class Mixup(config.Config):
    """Each image laid over another one, the labels in proportion. Zhang et al. 2018."""

    kind: Literal["mixup"] = "mixup"
    alpha: float = Field(default=0.2, gt=0)


class CutMix(config.Config):
    """A rectangle of another image pasted in, the labels in proportion. Yun et al. 2019."""

    kind: Literal["cutmix"] = "cutmix"
    alpha: float = Field(default=1.0, gt=0)


class TrivialAugment(config.Config):
    """One random operation at a random strength for each image. Mueller and Hutter 2021."""

    kind: Literal["trivial_augment"] = "trivial_augment"


def by_name(value: Any) -> Any:
    """`flip` as `{kind: flip}`; lists as tuples, because what a validator returns is checked as Python values."""
    value = {"kind": value} if isinstance(value, str) else value
    if isinstance(value, dict):
        return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    return value


Step = Annotated[
    Flip
    | FlipVertical
    | Shift
    | Rotate
    | Scale
    | Crop
    | Colour
    | Blur
    | Jpeg
    | Resize
    | Erase
    | Mixup
    | CutMix
    | TrivialAugment,
    Field(discriminator="kind"),
    BeforeValidator(by_name),  # last, so that it sees a bare name before the names are told apart
]

GEOMETRY = (Flip, FlipVertical, Shift, Rotate, Scale, Crop)
MIXING = (Mixup, CutMix)
