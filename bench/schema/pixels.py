"""What happens to pixels before the model sees them: pixel_norm, augmentation, and corruption at evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.schema.own import Own, own_or_named
from bench.schema.part import part

Probability = Annotated[float, Field(ge=0, le=1)]
Relative = Annotated[float, Field(ge=0, lt=1)]
Pixels = Annotated[int, Field(ge=0)]
Sigma = Annotated[float, Field(gt=0, le=20)]


@part
class PixelNorm:
    """How input pixels are scaled: none 0..255, unit 0..1, symmetric -1..1, standardize by the train split's
    mean and standard deviation per channel."""

    name: Literal["none", "unit", "symmetric", "standardize", "own"] = "standardize"  # how
    own: Own | None = None

    def __post_init__(self) -> None:
        own_or_named(self.name, self.own, "pixel_norm")


@part
class Augment:
    """Random changes to training images, drawn anew for each image in each epoch.

    They are made in the order of the settings here. Never at evaluation, unless `test_time` asks for it: then the
    selected model's scores are averaged over the image as it is and so many augmented views of it.
    """

    name: str = "none"  # for people: what these settings are called; it changes nothing
    flip: Probability = 0.0  # of a horizontal flip
    flip_vertical: Probability = 0.0  # of a vertical flip
    shift: Pixels = 0  # pixels, uniform in [-shift, shift] on both axes, edges filled with zero
    crop: Pixels = 0  # pad by so many pixels on each side and cut the image's size out of it anywhere
    crop_fill: Literal["zero", "reflect", "edge"] = "zero"  # what the padding of `crop` holds
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees, uniform in +-rotate
    scale: Relative = 0.0  # enlarged by a factor uniform in 1 +- scale
    # A published policy of colour and shape changes.
    policy: Literal["none", "randaugment", "trivialaugment"] = "none"
    policy_ops: Annotated[int, Field(gt=0, le=8)] = 2  # randaugment: operations an image
    policy_magnitude: Annotated[float, Field(ge=0, le=30)] = 9.0  # randaugment
    brightness: Relative = 0.0  # factor uniform in 1 +- brightness; so for contrast and saturation
    contrast: Relative = 0.0  # factor uniform in 1 +- contrast
    saturation: Relative = 0.0  # factor uniform in 1 +- saturation
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # turn uniform in +-hue, where 1 is the whole circle
    grey: Probability = 0.0  # of an image without colours
    blur: Probability = 0.0  # of a Gaussian blur
    blur_sigma: tuple[Sigma, Sigma] = (0.1, 2.0)  # pixels, uniform
    cutout: Pixels = 0  # side of a black square
    erase: Probability = 0.0  # of a black rectangle
    mixup: Annotated[float, Field(ge=0)] = 0.0  # alpha of Beta(alpha, alpha); 0: none. With cutmix: one of the two
    cutmix: Annotated[float, Field(ge=0)] = 0.0  # alpha of Beta(alpha, alpha); 0: none
    test_time: Annotated[int, Field(ge=0, le=100)] = 0  # views a test image is scored by, besides itself; 0: none
    own: Own | None = None  # after all of these but mixup and cutmix

    def __post_init__(self) -> None:
        if self.blur_sigma[0] > self.blur_sigma[1]:
            raise ValueError(f"blur_sigma: expected (smallest, largest), got {self.blur_sigma}.")


CorruptionName = Literal[
    "translation", "rotation", "scale", "brightness", "contrast", "noise", "blur", "occlusion", "clutter"
]


@part
class Corrupt:
    """Changes to test images by which a trained model is measured again: the classic challenges of vision.

    Applied at evaluation only; each name is measured at each severity, with the same draws for every model.
    """

    names: tuple[CorruptionName, ...] = ()  # which are measured
    own: tuple[Own, ...] = ()
    # How strong, each measured.
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0  # of all draws
