"""What every layer of a network does with an image: its output's shape, receptive field, parameters and FLOPs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.explain.fields import ALL, Fields

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
DULL = (nn.Identity, nn.Dropout, nn.Flatten, nn.ZeroPad2d, nn.ReflectionPad2d)  # no picture of their own


@dataclass(frozen=True)
class Layer:
    """One use of a module without children, in the order in which they are used.

    Attributes:
        shape: of its output for one image, without the batch.
        parameters: 0 where the same module was used before.
        flops: of this use.
        field: side of the square of input pixels that one output value can see; `fields.ALL` once every pixel is seen,
            None where that is not known (`bench.explain.fields`).
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    parameters: int
    flops: int
    field: float | None


def layers(net: nn.Module, shape: tuple[int, int, int]) -> list[Layer]:
    """Every layer that one image of `shape` (C, H, W) passes, in evaluation mode."""
    found: list[Layer] = []
    names = {module: name for name, module in net.named_modules()}
    before: dict[nn.Module, int] = {}
    like = next(net.parameters())
    image = torch.zeros(1, *shape, device=like.device)
    fields = Fields(image)

    def start(module: nn.Module, inputs: Any) -> None:
        before[module] = counter.get_total_flops()

    def end(module: nn.Module, inputs: Any, out: Any) -> None:
        if not isinstance(out, Tensor):
            return
        own = 0 if any(layer.module is module for layer in found) else sum(p.numel() for p in module.parameters())
        flops = counter.get_total_flops() - before[module]
        side = fields.of(out)
        seen = ALL if side is not None and side >= 2 * max(shape[1:]) else side
        found.append(Layer(names[module], module, tuple(out.shape[1:]), own, flops, seen))

    hooks: list[Any] = []
    for module in net.modules():
        if not list(module.children()):
            hooks += [module.register_forward_pre_hook(start), module.register_forward_hook(end)]
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter, fields:
            net(image)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def spatial(found: list[Layer], most: int, fill: bool = True) -> list[Layer]:
    """Up to `most` layers whose outputs are maps: the last one of each size, pooling aside.

    Args:
        fill: where these are fewer, other convolutions too, spread over the depth.
    """
    maps = [layer for layer in found if len(layer.shape) == 3 and max(layer.shape[1:]) > 1]
    last: dict[int, Layer] = {}
    for layer in maps:
        if not isinstance(layer.module, (*DULL, *POOLS, *ADAPTIVE)):
            last[layer.shape[-1]] = layer
    chosen = list(last.values())
    if fill and len(chosen) < most:
        rest = [m for m in maps if m not in chosen and isinstance(m.module, nn.Conv2d)]
        step = max(1, len(rest) // max(1, most - len(chosen)))
        chosen += rest[::step][: most - len(chosen)]
    order = {id(layer): i for i, layer in enumerate(found)}
    return sorted(chosen, key=lambda layer: order[id(layer)])[-most:]


def outputs(net: nn.Module, wanted: list[Layer], x: Tensor) -> list[Tensor]:
    """What layers give for a batch: [B, C, H, W] each."""
    kept: dict[int, Tensor] = {}

    def keep(number: int, out: Tensor) -> None:
        kept[number] = out.detach()

    hooks = [layer.module.register_forward_hook(lambda m, a, out, n=n: keep(n, out)) for n, layer in enumerate(wanted)]
    try:
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return [kept[n] for n in range(len(wanted))]
