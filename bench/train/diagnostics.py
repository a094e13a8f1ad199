"""What happens inside a network while it learns: the gradient's norm, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]  # (logits [B, K], labels [B]) -> scalar

PROBE = 256  # images: enough for a stable norm, little beside an epoch


def gradient_norms(
    net: nn.Module, images: Tensor, labels: Tensor, loss: Loss, training_mode: Callable[[], object] | None = None
) -> dict[str, float]:
    """L2 norm of the loss gradient with respect to each layer's weights, first layer first.

    Layers are the convolutions and linear maps that are trained; names are the modules'. The network is in training
    mode meanwhile, as that is where its gradients flow, and left as it was.

    Args:
        training_mode: puts it there; None: `net.train()`.
    """
    # Under weight normalisation a layer's weight is made of two parameters: both count.
    layers = {
        name: [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    layers = {name: parameters for name, parameters in layers.items() if parameters}
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    modes, state = [(module, module.training) for module in net.modules()], torch.get_rng_state()
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad():
        (training_mode or net.train)()
        flat = [p for parameters in layers.values() for p in parameters]
        found = dict(zip(flat, torch.autograd.grad(loss(net(images), labels), flat, allow_unused=True), strict=True))
    for module, mode in modes:
        module.training = mode
    torch.set_rng_state(state)
    with torch.no_grad():
        for name, buffer in net.named_buffers():
            buffer.copy_(buffers[name])
    return {
        name: math.hypot(*(float(g.norm()) for p in parameters if (g := found[p]) is not None))
        for name, parameters in layers.items()
    }
