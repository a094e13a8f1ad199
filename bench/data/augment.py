"""Augmentation on the batch, on its device, with a fresh draw for every image.

    augment = make(settings, data)                      # once; None where nothing is to be done
    images, targets = augment(images, labels, generator(seed, epoch, step, len(images), rank, world))

Draws depend on (seed, epoch, step, position in the global batch) only: one device and two agree, as do CPU and GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from bench.data import colour, geometry, mixing, policies
from bench.data.batches import share
from bench.data.imagedata import ImageData
from bench.parts.load import function
from bench.parts.signature import arguments
from bench.schema.errors import RequestError
from bench.schema.own import Own
from bench.schema.pixels import Augment


class Draws:
    """Uniform random numbers, one row for each image of this device's share of a global batch."""

    def __init__(self, stream: torch.Generator, count: int, positions: Tensor | None) -> None:
        self.stream, self.count, self.positions = stream, count, positions

    def uniform(self, columns: int) -> Tensor:
        """float32 [B, columns] in [0, 1), on the CPU."""
        drawn = torch.rand(self.count, columns, generator=self.stream)
        return drawn if self.positions is None else drawn[self.positions]


class SideBySide(Draws):
    """The draws of several runs, whose batches lie one after the other in one."""

    def __init__(self, runs: Sequence[Draws]) -> None:
        self.runs = runs

    def uniform(self, columns: int) -> Tensor:
        """float32 [S * B, columns] in [0, 1): each run's own draws."""
        return torch.cat([run.uniform(columns) for run in self.runs])


# images [B, C, H, W], uint8 or float in 0..255; labels int64 [B] -> images, targets: int64 [B] or float [B, K].
Augmentation = Callable[[Tensor, Tensor, Draws], tuple[Tensor, Tensor]]


def generator(seed: int, epoch: int, step: int, count: int, rank: int = 0, world: int = 1) -> Draws:
    """The draws for one step.

    Args:
        seed: the training seed.
        epoch, step: from 0; step counts the batches of this epoch.
        count: images in the *global* batch.
        rank, world: this device, and how many there are (see `bench.data.batches.share`).
    """
    words = np.random.SeedSequence([seed, epoch, step]).generate_state(2, np.uint32)
    stream = torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
    return Draws(stream, count, share(count, rank, world) if world > 1 else None)


def make(augment: Augment, data: ImageData) -> Augmentation | None:
    """The augmentation for a setting, or None where it changes nothing.

    Raises:
        RequestError: for a setting that images of this size cannot have.
    """
    _check(augment, data)
    steps = [
        step for step in (*_geometric(augment), *_colour_steps(augment), *_erase_steps(augment)) if step is not None
    ]
    mix = _mixing(augment, len(data.classes))
    mine = None if augment.own is None else own_step(augment.own)
    if not steps and mix is None and mine is None:
        return None

    def apply(images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        for step in steps:
            images = step(images, draws)
        if mine is not None:
            images, targets = mine(images, labels, draws)
            if mix is None:
                return images, targets
            if targets is not labels:
                raise RequestError("mixup and cutmix mix labels, which your own augmentation has changed: leave one.")
        return (images, labels) if mix is None else mix(images, labels, draws)

    return apply


def own_step(own: Own) -> Augmentation:
    """The step of somebody's own, held to what a step is.

    Raises:
        RequestError: where the code is not there or has changed; in use where it gives back something else.
    """
    change = function("augmentation", own)
    settings = arguments(change, own.values, "augmentation")

    def step(images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        made = change(images, labels, draws, **settings)
        named = f"augmentation '{own.name}'"
        if not isinstance(made, tuple) or len(made) != 2 or not all(isinstance(m, Tensor) for m in made):
            raise RequestError(f"{named} gives back {type(made).__name__}. Expected (images, targets), two tensors.")
        if made[0].shape != images.shape or len(made[1]) != len(labels):
            given, wanted = (" x ".join(map(str, shape)) for shape in (made[0].shape, images.shape))
            raise RequestError(f"{named} gives back {given} images and {len(made[1])} targets for {wanted} and "
                               f"{len(labels)}. Both keep their size.")  # fmt: skip
        return made

    return step


Step = Callable[[Tensor, Draws], Tensor]


def _draw(images: Tensor, draws: Draws, columns: int) -> Tensor:
    return draws.uniform(columns).to(images.device, non_blocking=True)


def _around(uniform: Tensor, reach: float) -> Tensor:
    """Uniform in [1 - reach, 1 + reach]."""
    return 1 + reach * (2 * uniform - 1)


def _geometric(a: Augment) -> Iterator[Step]:
    if a.flip:
        yield lambda x, d: geometry.flip(x, _draw(x, d, 1)[:, 0] < a.flip)
    if a.flip_vertical:
        yield lambda x, d: geometry.flip(x, _draw(x, d, 1)[:, 0] < a.flip_vertical, axis=-2)
    if a.shift:
        yield lambda x, d: geometry.shift(x, _offsets(_draw(x, d, 2), a.shift), a.shift)
    if a.crop:
        yield lambda x, d: geometry.shift(x, _offsets(_draw(x, d, 2), a.crop), a.crop, a.crop_fill)
    if a.rotate or a.scale:

        def turned(images: Tensor, draws: Draws) -> Tensor:
            drawn = _draw(images, draws, 2)
            matrix = geometry.rotation(a.rotate * (2 * drawn[:, 0] - 1), _around(drawn[:, 1], a.scale))
            return geometry.affine(images, matrix, torch.zeros_like(drawn))

        yield turned


def _offsets(uniform: Tensor, largest: int) -> Tensor:
    return (uniform * (2 * largest + 1)).long() - largest


def _colour_steps(a: Augment) -> Iterator[Step]:
    if a.policy == "randaugment":
        yield lambda x, d: policies.randaugment(x, [_draw(x, d, 2) for _ in range(a.policy_ops)], a.policy_magnitude)
    if a.policy == "trivialaugment":
        yield lambda x, d: policies.trivialaugment(x, _draw(x, d, 3))
    if a.brightness:
        yield lambda x, d: colour.brightness(x, _around(_draw(x, d, 1)[:, 0], a.brightness))
    if a.contrast:
        yield lambda x, d: colour.contrast(x, _around(_draw(x, d, 1)[:, 0], a.contrast))
    if a.saturation:
        yield lambda x, d: colour.saturation(x, _around(_draw(x, d, 1)[:, 0], a.saturation))
    if a.hue:
        yield lambda x, d: colour.hue(x, a.hue * (2 * _draw(x, d, 1)[:, 0] - 1))
    if a.grey:
        yield lambda x, d: _some(x, _draw(x, d, 1)[:, 0] < a.grey, colour.grey)
    if a.blur:

        def blurred(images: Tensor, draws: Draws) -> Tensor:
            drawn = _draw(images, draws, 2)
            low, high = a.blur_sigma
            sigma = torch.where(drawn[:, 0] < a.blur, low + (high - low) * drawn[:, 1], 0.0)
            return colour.blur(images, sigma, high)

        yield blurred


def _some(images: Tensor, which: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.where(which[:, None, None, None], change(images), images)


def _erase_steps(a: Augment) -> Iterator[Step]:
    if a.cutout:
        yield lambda x, d: cutout(x, _draw(x, d, 2), a.cutout)
    if a.erase:
        yield lambda x, d: erase(x, _draw(x, d, 5), a.erase)


def cutout(images: Tensor, drawn: Tensor, side: int) -> Tensor:
    """A black square of `side` pixels, cut off at the edges (DeVries & Taylor 2017, arXiv:1708.04552).

    Args:
        drawn: [B, 2] in 0..1, the centre's row and column.
    """
    height, width = images.shape[-2:]
    top = (drawn[:, 0] * height).long() - side // 2
    left = (drawn[:, 1] * width).long() - side // 2
    extent = torch.full_like(top, side)
    return images * ~geometry.rectangles(images, top, left, extent, extent)


def erase(images: Tensor, drawn: Tensor, probability: float) -> Tensor:
    """A black rectangle of 2 to 33 % of the area, aspect 0.3 to 3.3 (Zhong et al. 2017, arXiv:1708.04896).

    One that does not fit is cut to the image, where the paper draws again.

    Args:
        drawn: [B, 5] in 0..1: whether, area, aspect, row, column.
    """
    height, width = images.shape[-2:]
    area = (0.02 + 0.31 * drawn[:, 1]) * height * width
    aspect = torch.exp((2 * drawn[:, 2] - 1) * math.log(3.3))
    tall = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    tall = torch.where(drawn[:, 0] < probability, tall, torch.zeros_like(tall))
    top = (drawn[:, 3] * (height - tall + 1)).long()
    left = (drawn[:, 4] * (width - wide + 1)).long()
    return images * ~geometry.rectangles(images, top, left, tall.long(), wide.long())


def _mixing(a: Augment, classes: int) -> Augmentation | None:
    """Mixup, CutMix, or for each image one of the two."""
    if not a.mixup and not a.cutmix:
        return None
    up, cut = (mixing.beta_table(alpha) if alpha else None for alpha in (a.mixup, a.cutmix))

    def apply(images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        uniform = draws.uniform(4)  # which of the two, own share, row, column
        made = []
        for table in (up, cut):
            own = mixing.beta(uniform[:, 1], table) if table is not None else None
            made.append(None if own is None else own.to(images.device, non_blocking=True))
        uniform = uniform.to(images.device, non_blocking=True)
        results = []
        if made[0] is not None:
            results.append(mixing.mixup(images, made[0]))
        if made[1] is not None:
            results.append(mixing.cutmix(images, made[1], uniform[:, 2], uniform[:, 3]))
        mixed, own = results[0]
        if len(results) == 2:
            second = uniform[:, 0] < 0.5
            mixed = torch.where(second[:, None, None, None], results[1][0].float(), mixed)
            own = torch.where(second, results[1][1], own)
        return mixed, mixing.soft_targets(labels, own, classes)

    return apply


def _check(a: Augment, data: ImageData) -> None:
    _, height, width = data.shape
    side = min(height, width)
    for name in ("shift", "crop", "cutout"):
        value = getattr(a, name)
        if value >= max(side, 1) and value > 0:
            raise RequestError(f"augment.{name}={value}: the images are {height} x {width}; expected less than {side}.")
