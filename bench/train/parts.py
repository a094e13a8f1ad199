"""How batches are cut into parts, and what cannot be trained on a part of one image."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from bench.data.batches import smallest_share
from bench.data.cuts import bounds
from bench.schema.errors import RequestError
from bench.schema.training import Trainer

# Averages over the images of a part; instance norm raises the same error for one pixel, on a part of any size.
NORMS = (nn.modules.batchnorm._BatchNorm,)


def sizes(count: int, batch_size: int) -> list[int]:
    """Images in each global batch of an epoch of `count` images."""
    return [stop - start for start, stop in pairwise(bounds(count, batch_size, drop_last=False))]


def parts(settings: Trainer, size: int, world: int) -> int:
    """How many parts a device's share of a batch of `size` is cut into, equal but for one image.

    As many on every device, which wait for each other after each part.
    """
    return min(settings.accumulate, smallest_share(size, world))


def check(
    settings: Trainer, net: nn.Module, shape: tuple[int, ...], count: int, world: int,
    mode: Callable[[nn.Module], object] = nn.Module.train,
) -> None:  # fmt: skip
    """Find out before training whether batch norm would meet a single value a channel somewhere in an epoch.

    Args:
        mode: puts a network into the mode in which it is trained: what is frozen does not normalise by the batch.

    Raises:
        RequestError: it would, in the smallest part of the smallest batch.
    """
    found = [
        (smallest_share(size, world) // parts(settings, size, world), size)
        for size in sizes(count, settings.batch_size)
    ]
    images, size = min(found)
    if images > 1 or not any(isinstance(m, NORMS) for m in net.modules()):
        return
    twin = copy.deepcopy(net)
    mode(twin)
    like = next(twin.parameters())
    try:
        with torch.random.fork_rng([]), torch.no_grad():
            twin(torch.zeros(1, *shape, device=like.device))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        cut = (
            f" trainer.accumulate={settings.accumulate} cuts it into single images." if settings.accumulate > 1 else ""
        )
        lower = "a smaller trainer.accumulate, " if settings.accumulate > 1 else ""
        raise RequestError(
            f"Batch norm cannot train on one image, and {count} images in batches of {settings.batch_size} end in one "
            f"of {size}.{cut} Choose {lower}another trainer.batch_size or another norm_layer."
        ) from None
