"""What every layer of a network does with an image: its output's shape, receptive field, parameters and FLOPs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
DULL = (nn.Identity, nn.Dropout, nn.Flatten, nn.ZeroPad2d, nn.ReflectionPad2d)  # no picture of their own


@dataclass(frozen=True)
class Layer:
    """One module without children, in the order in which it is used.

    Attributes:
        shape: of its output for one image, without the batch.
        field: side of the square of input pixels that one output value can see; None once every pixel is seen.
        jump: input pixels between neighbouring outputs.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    parameters: int
    flops: int
    field: int | None
    jump: float


def layers(net: nn.Module, shape: tuple[int, int, int]) -> list[Layer]:
    """Every layer that one image of `shape` (C, H, W) passes, in evaluation mode.

    Receptive fields follow Araujo et al. 2019 (doi:10.23915/distill.00021): field + (kernel - 1) * jump for each
    convolution and pooling. Where branches meet, outside of any layer, the largest field of those before counts.
    """
    side = max(shape[1:])
    known: dict[int, tuple[float, float]] = {}  # of a tensor: (field, jump)
    alive: list[Tensor] = []  # a freed tensor's number would be given to another
    found: list[Layer] = []
    names = {module: name for name, module in net.named_modules()}

    def look(x: Tensor) -> tuple[float, float]:
        if id(x) in known:
            return known[id(x)]
        spatial = [layer for layer in found if len(layer.shape) == 3 and layer.field is not None]
        return max((float(layer.field or 0) for layer in spatial), default=1.0), side / max(x.shape[-2:])

    def after(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        x = inputs[0]
        field, jump = look(x) if x.ndim == 4 else (float("inf"), 1.0)
        if isinstance(module, (nn.Conv2d, *POOLS)):
            kernel, stride, dilation = (
                _largest_field(getattr(module, n, 1)) for n in ("kernel_size", "stride", "dilation")
            )
            field, jump = field + (kernel - 1) * dilation * jump, jump * stride
        elif isinstance(module, ADAPTIVE):
            field = float("inf")
        if out.ndim < 4:
            field = float("inf")
        known[id(out)] = field, jump
        alive.extend((x, out))
        own = sum(p.numel() for p in module.parameters())
        seen = None if field >= 2 * side else round(field)
        found.append(Layer(names[module], module, tuple(out.shape[1:]), own, 0, seen, jump))

    hooks = [module.register_forward_hook(after) for module in net.modules() if not list(module.children())]
    like = next(net.parameters())
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, *shape, device=like.device))
    finally:
        for hook in hooks:
            hook.remove()
    counts = counter.get_flop_counts()
    prefix = type(net).__name__
    return [
        Layer(
            one.name,
            one.module,
            one.shape,
            one.parameters,
            sum(counts.get(f"{prefix}.{one.name}" if one.name else prefix, {}).values()),
            one.field,
            one.jump,
        )
        for one in found
    ]


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


def _largest_field(value: int | tuple[int, ...] | str | None) -> int:
    return max(value) if isinstance(value, tuple) else value if isinstance(value, int) else 1
