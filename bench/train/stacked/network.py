"""Several networks of one form as one: parameters along a leading axis, batched matrix products, grouped convolutions.

Between convolutions activations are [B, S * C, H, W], so that a convolution with S groups and a batch norm over S * C
channels treat each of the S networks apart. In dense layers they are [S, F, B]: a batched product with weights
[S, O, F] needs no transposition, and batch norm sees [1, S * F, B], one contiguous row a channel. On a CPU that is
faster than torch.func.vmap over one network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.activation import ACTIVATIONS
from bench.train.selection import State

Step = Callable[[Tensor], Tensor]

POINTWISE = (*ACTIVATIONS.values(), nn.Identity)
SPATIAL = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.ZeroPad2d, nn.BatchNorm2d, nn.InstanceNorm2d)
FLAT = (nn.Linear, nn.BatchNorm1d, nn.LayerNorm)
EITHER = (*POINTWISE, nn.Dropout, nn.GroupNorm)


def layers(net: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of nested nn.Sequentials by name, in the order of the computation."""
    if type(net) is not nn.Sequential:
        yield prefix.removesuffix("."), net
        return
    for name, inner in net.named_children():
        yield from layers(inner, f"{prefix}{name}.")


def can_stack(nets: Sequence[nn.Module]) -> bool:
    """Whether the networks are chains of known layers that differ in nothing but weights and dropout rates."""
    forms = {re.sub(r"Dropout\(p=[^,]*,", "Dropout(", str(net)) for net in nets}
    return len(forms) == 1 and all(
        all(_is_followed(layer) for _, layer in layers(net)) and _is_plain(net) for net in nets
    )


def _is_plain(net: nn.Module) -> bool:
    """Whether each layer stands in one place, and everything is trained."""
    places = [id(module) for _, module in net.named_modules(remove_duplicate=False)]
    return len(places) == len(set(places)) and all(weight.requires_grad for weight in net.parameters())


def _is_followed(layer: nn.Module) -> bool:
    """Whether `Stacked` computes what this layer does, with its settings."""
    if type(layer) not in {*SPATIAL, *FLAT, *EITHER, nn.Flatten}:
        return False
    if isinstance(layer, nn.Conv2d):
        return layer.padding_mode == "zeros"
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return layer.affine and layer.track_running_stats and layer.momentum is not None
    if isinstance(layer, nn.InstanceNorm2d):
        return layer.affine and not layer.track_running_stats
    if isinstance(layer, nn.LayerNorm | nn.GroupNorm):
        return layer.weight is not None and layer.bias is not None
    return not isinstance(layer, nn.Flatten) or (layer.start_dim, layer.end_dim) == (1, -1)


class Stacked(nn.Module):
    """S networks for which `can_stack` holds, as one: float32 [S, B, C, H, W] -> logits [S, K, B].

    Attributes:
        tensors: name in a single network -> its S parameters or buffers as one tensor [S, ...].
        generators: one for each network, which dropout draws from as a single network draws from torch's own
            (on a CPU number for number).
    """

    def __init__(self, nets: Sequence[nn.Module], device: torch.device) -> None:
        super().__init__()
        self.size = len(nets)
        self.tensors: dict[str, Tensor] = {}
        states = [net.state_dict(keep_vars=True) for net in nets]
        for name, first in states[0].items():
            whole = torch.stack([state[name].detach() for state in states]).to(device)
            self.tensors[name] = nn.Parameter(whole) if isinstance(first, nn.Parameter) else whole
        self.generators = [torch.Generator(device) for _ in nets]
        self.steps: list[Step] = []
        form = "given"  # of the activations: as given, image or flat
        others = [dict(layers(net)) for net in nets]
        for name, layer in layers(nets[0]):
            if type(layer) is nn.Flatten:
                self.steps.append(self._flat_from_image if form == "image" else _flat_from_given)
                form = "flat"
                continue
            if form == "given":
                self.steps.append(_image_from_given)
                form = "image"
            self.steps.append(self._step(name, layer, form, [other[name] for other in others]))

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """The stacked parameters."""
        yield from (t for t in self.tensors.values() if isinstance(t, nn.Parameter))

    def forward(self, x: Tensor) -> Tensor:
        """float32 [S, B, C, H, W] -> logits [S, K, B]."""
        for step in self.steps:
            x = step(x)
        return x

    def state(self, s: int) -> State:
        """Network s as its own state_dict; views."""
        return {name: whole.detach()[s] for name, whole in self.tensors.items()}

    def load(self, s: int, state: State) -> None:
        """Give network s the weights of a state_dict."""
        for name, tensor in state.items():
            self.tensors[name].detach()[s] = tensor

    def _step(self, name: str, layer: nn.Module, form: str, alike: Sequence[nn.Module]) -> Step:
        weight, bias = (self.tensors.get(f"{name}.{part}") for part in ("weight", "bias"))
        if isinstance(layer, nn.Linear):
            assert weight is not None
            if bias is None:
                return lambda x: torch.bmm(weight, x)
            return lambda x: torch.baddbmm(bias.unsqueeze(2), weight, x)
        if isinstance(layer, nn.Conv2d):
            assert weight is not None
            stride, padding, dilation, groups = layer.stride, layer.padding, layer.dilation, self.size * layer.groups
            return lambda x: F.conv2d(
                x, weight.flatten(0, 1), None if bias is None else bias.flatten(), stride, padding, dilation, groups
            )
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            return self._batch_norm(name, layer)
        if isinstance(layer, nn.LayerNorm):
            assert weight is not None
            assert bias is not None
            shape, eps = list(layer.normalized_shape), layer.eps
            return lambda x: (
                F.layer_norm(x.transpose(1, 2), shape, eps=eps) * weight.unsqueeze(1) + bias.unsqueeze(1)
            ).transpose(1, 2)
        if isinstance(layer, nn.GroupNorm):
            assert weight is not None
            assert bias is not None
            groups, eps = self.size * layer.num_groups, layer.eps

            def group_norm(x: Tensor) -> Tensor:
                scaled = x if form == "image" else x.permute(2, 0, 1).flatten(1)  # [B, S * F]
                scaled = F.group_norm(scaled, groups, weight.flatten(), bias.flatten(), eps)
                return scaled if form == "image" else scaled.unflatten(1, (self.size, -1)).permute(1, 2, 0)

            return group_norm
        if isinstance(layer, nn.InstanceNorm2d):
            assert weight is not None
            assert bias is not None
            eps = layer.eps
            return lambda x: F.instance_norm(x, weight=weight.flatten(), bias=bias.flatten(), eps=eps)
        if isinstance(layer, nn.Dropout):
            return self._dropout([a.p for a in alike if isinstance(a, nn.Dropout)], form)
        return layer  # pointwise, or over space alone

    def _batch_norm(self, name: str, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Step:
        weight, bias, mean, var, count = (
            self.tensors[f"{name}.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        )

        momentum = layer.momentum or 0.0

        def step(x: Tensor) -> Tensor:
            if self.training:
                count.add_(1)
            rows = x if x.dim() == 4 else x.reshape(1, -1, x.shape[2])
            scaled = F.batch_norm(
                rows, mean.view(-1), var.view(-1), weight.flatten(), bias.flatten(), self.training, momentum, layer.eps
            )
            return scaled.view_as(x)

        return step

    def _dropout(self, rates: Sequence[float], form: str) -> Step:
        def step(x: Tensor) -> Tensor:
            if not self.training:
                return x
            if form == "flat":
                size = (x.shape[2], x.shape[1])
            else:
                size = (x.shape[0], x.shape[1] // self.size, *x.shape[2:])
            noise = torch.empty(self.size, *size, device=x.device)
            for kept, rate, generator in zip(noise, rates, self.generators, strict=True):
                kept.bernoulli_(1 - rate, generator=generator).div_(1 - rate)
            return x * (noise.transpose(1, 2) if form == "flat" else noise.transpose(0, 1).flatten(1, 2))

        return step

    def _flat_from_image(self, x: Tensor) -> Tensor:
        """[B, S * C, H, W] -> [S, C * H * W, B]."""
        return x.reshape(len(x), self.size, -1).permute(1, 2, 0)


def _flat_from_given(x: Tensor) -> Tensor:
    """[S, B, C, H, W] -> [S, C * H * W, B]."""
    return x.flatten(2).transpose(1, 2)


def _image_from_given(x: Tensor) -> Tensor:
    """[S, B, C, H, W] -> [B, S * C, H, W]."""
    return x.transpose(0, 1).flatten(1, 2)
