"""What every layer of a network does with an image: its output's shape, receptive field, parameters and FLOPs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.explain.fields import ALL, Field, Fields

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
        axes: which of the shape's are height and width; None where the output is no map.
        field: side of the square of input pixels that one output value can see; `fields.ALL` once every pixel is seen,
            None where that is not known (`bench.explain.fields`).
        window: that square's middle for the first value, and the step to the next; None where `field` is.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    parameters: int
    flops: int
    axes: tuple[int, int] | None
    field: float | None
    window: Field | None

    @property
    def maps(self) -> tuple[int, int, int]:
        """(C, H, W) of its output, for a layer with `axes`; some networks have their channels last."""
        channels, height, width = (self.shape[axis] for axis in self._order)
        return channels, height, width

    def channels_first(self, out: Tensor) -> Tensor:
        """Its output for a batch as [B, C, H, W]."""
        return out.permute(0, *(axis + 1 for axis in self._order))

    def as_it_was(self, maps: Tensor) -> Tensor:
        """[B, C, H, W] in the order of its output."""
        return maps.permute(0, *(self._order.index(axis) + 1 for axis in range(3)))

    @property
    def _order(self) -> tuple[int, int, int]:
        assert self.axes is not None
        height, width = self.axes
        return 3 - height - width, height, width


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
        known = fields.of(out)
        side = known.side if known else None
        seen = ALL if side is not None and side >= 2 * max(shape[1:]) else side
        axes = map_axes(module, out, known, shape[1:])
        found.append(Layer(names[module], module, tuple(out.shape[1:]), own, flops, axes, seen, known))

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


def map_axes(module: nn.Module, out: Tensor, known: Field | None, size: tuple[int, int]) -> tuple[int, int] | None:
    """Which axes of an output, but for the batch's, are height and width; None where it is no map.

    Where the field is not known, as after attention, it is a map if two sides are those of the image over one whole
    number: windows, and what attention multiplies, are none.
    """
    if out.ndim != 4 or len(out) != 1 or isinstance(module, nn.Softmax):
        return None
    if known is not None:
        return known.axes[0] - 1, known.axes[1] - 1
    if isinstance(module, nn.Conv2d):
        return 1, 2
    for down, across in ((1, 2), (0, 1)):
        step = round(size[0] / out.shape[down + 1])
        if step and all(
            out.shape[axis + 1] in (side // step, -(-side // step))
            for axis, side in zip((down, across), size, strict=True)
        ):
            return down, across
    return None


def spatial(found: list[Layer], most: int, fill: bool = True) -> list[Layer]:
    """Up to `most` layers whose outputs are maps: the last one of each size, pooling aside.

    Args:
        fill: where these are fewer, other convolutions too, spread over the depth.
    """
    maps = [layer for layer in found if layer.axes and max(layer.maps[1:]) > 1]
    last: dict[int, Layer] = {}
    for layer in maps:
        if not isinstance(layer.module, (*DULL, *POOLS, *ADAPTIVE)):
            last[layer.maps[-1]] = layer
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
        kept[number] = wanted[number].channels_first(out.detach())

    hooks = [layer.module.register_forward_hook(lambda m, a, out, n=n: keep(n, out)) for n, layer in enumerate(wanted)]
    try:
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return [kept[n] for n in range(len(wanted))]


@contextmanager
def first_channels(layer: Layer) -> Iterator[nn.Module]:
    """A module whose output is the layer's as [B, C, H, W], for what takes other orders for that one."""
    probe = nn.Identity()

    def through(module: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        return layer.as_it_was(probe(layer.channels_first(out)))

    hook = layer.module.register_forward_hook(through)
    try:
        yield probe
    finally:
        hook.remove()
