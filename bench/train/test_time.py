"""Evaluation on several augmented views of each image, where `augment.test_time` asks for it."""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from bench.data.augment import Augmentation, generator
from bench.data.batches import Images
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.train.examples import Prepare
from bench.train.scoring import Autocast, score

AT_ONCE = 512  # images
FIRST_VIEW = 2**31  # in the place of an epoch: far from any that training reaches


def averages_views(exp: Experiment, augmentation: Augmentation | None, world: int) -> bool:
    """Whether views are averaged at evaluation.

    Raises:
        RequestError: where `augment.test_time` cannot be done.
    """
    if not exp.augment.test_time:
        return False
    if augmentation is None:
        raise RequestError(
            "augment.test_time averages over augmented views, but nothing is augmented: choose augment=."
        )
    if exp.augment.mixup or exp.augment.cutmix:
        raise RequestError("augment.test_time: mixup and cutmix mix images of different labels, so they are no views.")
    if world > 1:
        raise RequestError("augment.test_time works on one device: set trainer.devices=1.")
    return True


@torch.inference_mode()
def average_views(
    exp: Experiment,
    net: nn.Module,
    prepare: Prepare,
    augmentation: Augmentation,
    images: Images,
    indices: Tensor,
    autocast: Autocast = nullcontext,
) -> Tensor:
    """Log of the mean probability over an image as it is and `augment.test_time` augmented views of it, [N, K].

    Draws depend on the seed, the view and the place in `indices` only.
    """
    out = []
    for step, part in enumerate(indices.split(AT_ONCE)):
        plain, everything = images[part], torch.arange(len(part), device=part.device)
        views = [score(net, prepare, plain, everything, autocast=autocast)]
        for view in range(exp.augment.test_time):
            draws = generator(exp.seed, FIRST_VIEW + view, step, len(part))
            changed, _ = augmentation(plain, everything, draws)
            views.append(score(net, prepare, changed, everything, autocast=autocast))
        out.append(torch.logsumexp(torch.stack(views), 0) - math.log(len(views)))
    return torch.cat(out)
