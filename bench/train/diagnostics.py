"""What happens inside a network while it learns: the gradient's norm, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]  # (logits [B, K], labels [B]) -> scalar

PROBE = 256  # images: enough for a stable norm, little beside an epoch


class Gradients(pl.Callback):
    """Gradient norms on one fixed batch, before training and after each epoch.

    Observing changes nothing: the random state, the running statistics and the gradients are put back.

    Args:
        net: the network itself, whatever wraps it during training.
        images: gives the probe prepared for the net, float32 [B, C, H, W], once training has placed everything.
        labels: int64 [B], on the net's device.

    Attributes:
        rows: one mapping an epoch, 0 before training: `epoch` and the L2 norm for each layer with weights.
    """

    def __init__(self, net: nn.Module, images: Callable[[], Tensor], labels: Tensor, loss: Loss) -> None:
        self.net, self.images, self.labels, self.loss = net, images, labels, loss
        self.rows: list[dict[str, float]] = []

    def on_train_start(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        """The network as it was initialised; a resumed run has this row already."""
        if not self.rows:
            self._observe(0)

    def on_train_epoch_end(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        """The network after an epoch."""
        self._observe(trainer.current_epoch + 1)

    def _observe(self, epoch: int) -> None:
        self.rows.append({"epoch": float(epoch), **gradient_norms(self.net, self.images(), self.labels, self.loss)})

    def state_dict(self) -> dict[str, Any]:
        """Called by Lightning for a checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called by Lightning when it resumes."""
        self.rows = list(state_dict["rows"])


def gradient_norms(net: nn.Module, images: Tensor, labels: Tensor, loss: Loss) -> dict[str, float]:
    """L2 norm of the loss gradient with respect to each layer's weights, first layer first.

    Layers are the convolutions and linear maps that are trained; names are the modules'. The network is in training
    mode meanwhile, as that is where its gradients flow, and left as it was.
    """
    # Under weight normalisation a layer's weight is made of two parameters: both count.
    layers = {
        name: [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    layers = {name: parameters for name, parameters in layers.items() if parameters}
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    training, state = net.training, torch.get_rng_state()
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad():
        net.train()
        flat = [p for parameters in layers.values() for p in parameters]
        found = dict(zip(flat, torch.autograd.grad(loss(net(images), labels), flat, allow_unused=True), strict=True))
    net.train(training)
    torch.set_rng_state(state)
    with torch.no_grad():
        for name, buffer in net.named_buffers():
            buffer.copy_(buffers[name])
    return {
        name: math.hypot(*(float(g.norm()) for p in parameters if (g := found[p]) is not None))
        for name, parameters in layers.items()
    }
