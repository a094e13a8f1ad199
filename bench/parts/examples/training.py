"""A way of training of one's own: training=NAME."""

import copy
from typing import Annotated

import torch
from pydantic import Field

from bench.parts import training


@training
class NAME:
    """The weights' exponential moving average is what is scored (Polyak & Juditsky 1992, with a window).

    Leave out what is as usual. Here too: begin(net, epoch), and loss(net, inputs, targets, criterion).
    """

    def __init__(self, *, decay: Annotated[float, Field(gt=0, lt=1)] = 0.99) -> None:
        self.decay = decay

    def start(self, net):
        """Once, before the training."""
        self.average = copy.deepcopy(net).eval()

    @torch.no_grad()
    def end(self, net):
        """After each step of the optimizer."""
        for kept, now in zip(self.average.state_dict().values(), net.state_dict().values(), strict=True):
            kept.lerp_(now, 1 - self.decay) if kept.is_floating_point() else kept.copy_(now)

    def scored(self, net):
        """The network that is scored on val and test, and kept."""
        return self.average
