"""What a network learns from one batch, and what happens between steps: the part of a training to write anew."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bench.schema.errors import RequestError
from bench.train.loss import Loss


class TrainingStep:
    """The usual step: the loss of the network's outputs. A subclass may keep state between steps and epochs.

    Around it the learner prepares and augments the batch, cuts it into parts, does the backward pass, clips, and calls
    `optimizer.step(closure)`: an optimizer that looks twice, as SAM does, gets the same images and draws both times.
    """

    def __init__(self, loss: Loss) -> None:
        self.criterion = loss

    def begin(self, net: nn.Module, epoch: int) -> None:
        """Before the first step of an epoch, counted from 0."""

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a part of a batch, to be differentiated.

        Args:
            net: as it is called in training; of several devices, what averages gradients over them.
            inputs: float32 [B, C, H, W], or features [B, D].
            targets: int64 [B], or float [B, K] where labels were mixed.
        """
        return self.criterion(net(inputs), targets)

    def end(self, net: nn.Module) -> None:
        """After the optimizer has moved the weights."""

    def scored(self, net: nn.Module) -> nn.Module:
        """The network that is scored, selected and kept: `net` itself, or an average of it."""
        return net

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs; tensors, numbers and text."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""


class Averaged(TrainingStep):
    """The usual step, and a running average of weights and running statistics that is scored in place of them.

    After each step average = decay * average + (1 - decay) * weights (Polyak & Juditsky 1992; Tarvainen & Valpola 2017,
    arXiv:1703.01780, eq. 3); it begins as the weights after the first one.
    """

    def __init__(self, loss: Loss, net: nn.Module, decay: float) -> None:
        super().__init__(loss)
        self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

    def end(self, net: nn.Module) -> None:
        """One more step in the average."""
        self.average.update_parameters(net)
        for mine, now in zip(self.average.module.buffers(), net.buffers(), strict=True):
            if not mine.is_floating_point():  # position indices, masks, counts: there is no mean of them
                mine.copy_(now)

    def scored(self, net: nn.Module) -> nn.Module:
        """The average."""
        return self.average.module

    def state_dict(self) -> dict[str, Any]:
        """The average, and of how many steps."""
        return self.average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.average.load_state_dict(state)


def scalar(value: Any, named: str) -> Tensor:
    """A loss, if it is one.

    Raises:
        RequestError: it is not.
    """
    if not isinstance(value, Tensor) or value.dim() or not value.requires_grad:
        what = f"a tensor of {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        hint = " without a gradient" if isinstance(value, Tensor) and not value.dim() else ""
        raise RequestError(f"{named} gives back {what}{hint}. Expected the mean over the batch, one number that can be "
                           "differentiated.")  # fmt: skip
    return value
