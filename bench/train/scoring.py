"""A network's scores of images, whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from bench.data.batches import Images
from bench.train.examples import Prepare
from bench.train.result import Classify

Autocast = Callable[[], AbstractContextManager[object]]  # what a network computes under

MOST_VALUES = 2**22  # input values that are scored at once: 1,024 images of 32x32x3, 27 of 224x224x3


def at_once(values: int, most: int = 1024) -> int:
    """How many inputs of so many values: small images together; large ones would fill the memory with activations."""
    return max(1, min(most, MOST_VALUES // max(1, values)))


@torch.inference_mode()
def score(
    net: nn.Module,
    prepare: Prepare,
    images: Images,
    indices: Tensor,
    batch_size: int = 1024,
    autocast: Autocast = nullcontext,
) -> Tensor:
    """Log-probabilities float32 [len(indices), K] in evaluation mode; the net's mode is put back afterwards.

    Args:
        prepare: uint8 [B, C, H, W] -> the net's input.
        images: uint8 [N, C, H, W], indexable by
        indices: int64, which images and in which order.
        autocast: the precision that the network is trained in; images are prepared in 32 bits.
    """
    training = net.training
    net.eval()
    size = at_once(prepare(images[indices[:1]]).numel(), batch_size)
    logits = []
    try:
        for part in indices.split(size):
            inputs = prepare(images[part])
            with autocast():
                logits.append(net(inputs).float())
    finally:
        net.train(training)
    return torch.log_softmax(torch.cat(logits), dim=1)


def classifier(
    net: nn.Module, prepare: Callable[[Tensor], Tensor], device: torch.device, autocast: Autocast = nullcontext
) -> Classify:
    """The network on other images: uint8 [B, C, H, W] -> log-probabilities float32 [B, K]."""
    return lambda images: score(net, prepare, images.to(device), torch.arange(len(images)), autocast=autocast)


def autocast_of(precision: str, device: str = "cpu") -> Autocast:
    """The autocast of `trainer.precision` on a kind of device; none for 16-mixed on a CPU."""
    kinds = {"bf16-mixed": torch.bfloat16} | ({"16-mixed": torch.float16} if device != "cpu" else {})
    return partial(torch.autocast, device, kinds.get(precision), enabled=precision in kinds)
