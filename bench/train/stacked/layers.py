"""What each layer of several networks computes at once; see `network.Stacked`, the program, for the shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import pad

from bench.models.activation import ACTIVATIONS
from bench.models.layers import DropPath
from bench.models.resnet import Block, Subsample

Step = Callable[[Tensor], Tensor]


class Program(Protocol):
    """What a layer reads of the program that it is a part of: `network.Stacked`."""

    size: int
    tensors: dict[str, Tensor]
    generators: list[torch.Generator]
    training: bool


POINTWISE = (*ACTIVATIONS.values(), nn.Identity)
SPATIAL = (nn.MaxPool2d, nn.AvgPool2d, nn.ZeroPad2d, nn.AdaptiveAvgPool2d)  # treat channels apart
WEIGHTED = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d)
OTHERS = (nn.Flatten, nn.Dropout, Subsample, DropPath)
NESTED = (nn.Sequential, Block)


def is_followed(module: nn.Module) -> bool:
    """Whether `follow` computes what this module does, with its settings."""
    if type(module) in NESTED:
        return all(is_followed(inner) for inner in module.children())
    if type(module) not in {*POINTWISE, *SPATIAL, *WEIGHTED, *OTHERS}:
        return False
    if isinstance(module, nn.Conv2d):
        return module.padding_mode == "zeros"
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return module.affine and module.track_running_stats and module.momentum is not None
    if isinstance(module, nn.InstanceNorm2d):
        return module.affine and not module.track_running_stats
    if isinstance(module, nn.LayerNorm | nn.GroupNorm):
        return module.weight is not None and module.bias is not None
    return not isinstance(module, nn.Flatten) or (module.start_dim, module.end_dim) == (1, -1)


def follow(program: Program, name: str, alike: Sequence[nn.Module]) -> Step:
    """What the modules, one of each network, compute together.

    Args:
        name: of the module in its network, with a dot at the end; its parameters are in `program.tensors`.
    """
    first = alike[0]

    def inner(child: str) -> Step:
        return follow(program, f"{name}{child}.", [module.get_submodule(child) for module in alike])

    if isinstance(first, nn.Sequential):
        return chain([inner(child) for child, _ in first.named_children()])
    if isinstance(first, Block):
        conv1, conv2, act, shortcut, drop_path = map(inner, ("conv1", "conv2", "act", "shortcut", "drop_path"))
        if first.plain:
            return lambda x: act(conv2(conv1(x)))

        def block(x: Tensor) -> Tensor:
            x = image(x)
            return act(shortcut(x) + drop_path(conv2(conv1(x))))

        return block
    if isinstance(first, nn.Flatten):
        return lambda x: flatten(x, program.size)
    if isinstance(first, nn.Dropout):
        return dropout(program, [module.p for module in alike if isinstance(module, nn.Dropout)])
    if isinstance(first, DropPath):
        return drop_paths(program, first.rate)
    if isinstance(first, Subsample):
        return lambda x: _subsample(first, x, program.size)
    if isinstance(first, WEIGHTED):
        return parametric_layer(program, name, first)
    if isinstance(first, SPATIAL):
        return lambda x: first(image(x))
    return first  # pointwise


def chain(steps: Sequence[Step]) -> Step:
    """One after the other."""

    def run(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return run


def image(x: Tensor) -> Tensor:
    """[S, B, C, H, W], as given, -> [B, S * C, H, W]."""
    return x.transpose(0, 1).flatten(1, 2) if x.dim() == 5 else x


def flatten(x: Tensor, size: int) -> Tensor:
    """[S, B, C, H, W] as given, or [B, S * C, H, W], -> [S, B, C * H * W]."""
    if x.dim() == 5:
        return x.flatten(2)
    return x if x.dim() == 3 else x.reshape(len(x), size, -1).transpose(0, 1).contiguous()


class Affine(torch.autograd.Function):
    """Batched products whose sums have the order of torch's linear layer, forwards and backwards.

    Autograd's own gradient of a batched product is computed transposed, and rounds differently.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x [S, B, I], weight [S, O, I], bias [S, O] -> [S, B, O]."""
        ctx.save_for_backward(x, weight)
        if bias is None:
            return torch.bmm(x, weight.transpose(1, 2))
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """Of x, weight and bias."""
        (grad,), (x, weight) = grads, ctx.saved_tensors
        of_x, _, of_bias = ctx.needs_input_grad
        return (
            torch.bmm(grad, weight) if of_x else None,
            torch.bmm(grad.transpose(1, 2), x),
            grad.sum(1) if of_bias else None,
        )


def parametric_layer(program: Program, name: str, layer: nn.Module) -> Step:
    """A layer with parameters."""
    size, tensors = program.size, program.tensors
    weight, bias = tensors[f"{name}weight"], tensors.get(f"{name}bias")
    if isinstance(layer, nn.Linear):
        return lambda x: Affine.apply(x, weight, bias)
    if isinstance(layer, nn.Conv2d):
        stride, padding, dilation, groups = layer.stride, layer.padding, layer.dilation, size * layer.groups
        return lambda x: F.conv2d(
            image(x), weight.flatten(0, 1), None if bias is None else bias.flatten(), stride, padding, dilation, groups
        )
    assert bias is not None
    eps: float = layer.eps  # type: ignore[assignment]
    if isinstance(layer, nn.LayerNorm):
        shape = list(layer.normalized_shape)
        return lambda x: one_by_one(lambda i, one: F.layer_norm(one, shape, weight[i], bias[i], eps), x)
    if isinstance(layer, nn.InstanceNorm2d):
        return lambda x: F.instance_norm(image(x), weight=weight.flatten(), bias=bias.flatten(), eps=eps)
    if isinstance(layer, nn.GroupNorm):
        groups = layer.num_groups

        def group_norm(x: Tensor) -> Tensor:
            if x.dim() == 3:
                return one_by_one(lambda i, one: F.group_norm(one, groups, weight[i], bias[i], eps), x)
            return F.group_norm(image(x), size * groups, weight.flatten(), bias.flatten(), eps)

        return group_norm
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    return batch_norm(program, name, layer)


def batch_norm(program: Program, name: str, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Step:
    """Batch norm with the running statistics of every network."""
    parts = ("running_mean", "running_var", "weight", "bias")
    mean, var, weight, bias = wholes = [program.tensors[f"{name}{part}"] for part in parts]
    count, momentum, eps = program.tensors[f"{name}num_batches_tracked"], layer.momentum or 0.0, layer.eps

    def step(x: Tensor) -> Tensor:
        training = program.training
        if training:
            count.add_(1)
        if x.dim() == 3:
            each = [whole.unbind() for whole in wholes]
            return one_by_one(
                lambda i, one: F.batch_norm(
                    one, each[0][i], each[1][i], each[2][i], each[3][i], training, momentum, eps
                ),
                x,
            )
        statistics = mean.view(-1), var.view(-1)
        return F.batch_norm(image(x), *statistics, weight.flatten(), bias.flatten(), training, momentum, eps)

    return step


def one_by_one(norm: Callable[[int, Tensor], Tensor], x: Tensor) -> Tensor:
    """A norm of each network's own rows, [S, B, F]: side by side in one call they would be summed in another order."""
    return torch.stack([norm(i, one) for i, one in enumerate(x.unbind())])


def dropout(program: Program, rates: Sequence[float]) -> Step:
    """Each network's draws from its own stream."""
    size = program.size

    def step(x: Tensor) -> Tensor:
        if not program.training:
            return x
        shape = x.shape[1:] if x.dim() == 3 else (len(x), x.shape[1] // size, *x.shape[2:])
        noise = torch.empty(size, *shape, device=x.device)
        for kept, rate, generator in zip(noise, rates, program.generators, strict=True):
            kept.bernoulli_(1 - rate, generator=generator).div_(1 - rate)
        return x * (noise if x.dim() == 3 else noise.transpose(0, 1).flatten(1, 2))

    return step


def drop_paths(program: Program, rate: float) -> Step:
    """`bench.models.layers.DropPath`, each network's draws from its own stream."""

    def step(x: Tensor) -> Tensor:
        if not program.training or rate == 0:
            return x
        drawn = [torch.rand(len(x), 1, 1, 1, device=x.device, generator=g) for g in program.generators]
        keep = torch.cat(drawn, 1) >= rate  # [B, S, 1, 1]
        return x * keep.repeat_interleave(x.shape[1] // program.size, 1) / (1 - rate)

    return step


def _subsample(layer: Subsample, x: Tensor, size: int) -> Tensor:
    """`Subsample`, with each network's new channels behind its own."""
    kept = x[:, :, :: layer.stride, :: layer.stride].unflatten(1, (size, -1))
    return pad(kept, (0, 0, 0, 0, 0, layer.new_channels)).flatten(1, 2)
