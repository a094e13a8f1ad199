"""A loss of one's own: loss=NAME, in the place of optim.loss."""

import torch
from torch.nn import functional

from bench.parts import loss


@loss
def NAME(logits: torch.Tensor, targets: torch.Tensor, *, gamma: float = 2.0) -> torch.Tensor:
    """Focal loss (Lin et al. 2017, arXiv:1708.02002, eq. 4): what is known well already counts less.

    targets are int64 [B], or float [B, K] where an augmentation mixes images. The mean over the batch is given back.
    """
    cross_entropy = functional.cross_entropy(logits, targets, reduction="none")
    return ((1 - torch.exp(-cross_entropy)) ** gamma * cross_entropy).mean()
