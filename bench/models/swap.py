"""Other norms, activations and first convolutions for networks that were built by timm or torchvision."""

from __future__ import annotations

import math

import torch
from torch import nn

from bench.models.activation import activation, initialise
from bench.models.heads import head_names, in_heads
from bench.models.layers import silence
from bench.models.norm_layer import NormAct, norm, normalise_weight
from bench.models.norms import describe, norms_of
from bench.schema.errors import RequestError
from bench.schema.model import ALL_NORMS, Activation, NormLayer

OWN = ("batch", "layer")  # what networks have throughout, that no other norm can be put into
INSERTED = ("batch", "layer", "group", "instance", "own")  # norms that are modules
# Networks, and layers of timm's (mobilevitv2), that call functions for their activations, which no module swap reaches.
FUNCTIONAL = {"GoogLeNet", "LinearSelfAttention"}
# timm's names for activations, apart from torch's own classes; gates (sigmoid, hardsigmoid) are no activations.
ACTIVATION_NAMES = {
    *("ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "CELU", "SELU", "GELU", "GELUTanh", "QuickGELU"),
    *("SiLU", "Swish", "SwishMe", "Mish", "MishMe", "HardMish", "HardMishMe"),
    *("Hardswish", "HardSwish", "HardSwishMe"),
}


def supported_norms(net: nn.Module) -> tuple[str, ...]:
    """The norm_layers that a network of timm or torchvision takes, besides `native`: with no other norm beside them.

    - networks all of whose norms are batch, group or per-pixel layer norms of [B, C, H, W]: all;
    - networks that list their convolutions in `features` (vgg, alexnet, squeezenet): all;
    - networks with layer norm alone, over tokens (transformers), or batch norm alone: that;
    - any other, which keeps a norm of tokens, vectors or weights whatever is swapped: none.
    """
    every, images = norms_of(net), _norms(net)
    if is_convnext(net):  # whose layer norms are all of [B, C, H, W] where another norm is asked for
        images = {path: net.get_submodule(path) for path, kind in every.items() if kind == "layer"}
    if every.keys() - images.keys():
        return tuple(kind for kind in OWN if set(every.values()) == {kind})
    if not images and not isinstance(_features(net), nn.Sequential):
        return ("none", "weight")
    out = {*ALL_NORMS}
    if has_fixed_activation(net):
        out.discard("selu")
    if any(path.startswith("head") for path in images):
        out.discard("instance")  # after global pooling there is one pixel, which has no deviation
    return tuple(n for n in ALL_NORMS if n in out)


def has_fixed_activation(net: nn.Module) -> bool:
    """Whether some of its activations are no modules."""
    return any(type(module).__name__ in FUNCTIONAL for module in net.modules())


def is_convnext(net: nn.Module) -> bool:
    """Whether it is a ConvNeXt of timm."""
    return type(net).__name__ == "ConvNeXt"


def replace_norms(net: nn.Module, kind: NormLayer, name: str) -> None:
    """Put `kind` where the network has norms, in place; where there are none, after `features`' convolutions.

    `bench.models.zoo` then takes the bias of every convolution right before a norm.
    A new norm starts with the scale and shift of the old one (zero in the last norm of timm's residual blocks).
    Without norms (none, weight, selu) every convolution has a bias, and a convolution before such a zero scale
    starts at zero, so that residual blocks start as the identity either way.

    Raises:
        RequestError: the network cannot take it; the message says what it takes.
    """
    options = supported_norms(net)
    mine = kind.own is not None  # can be put where any other can
    if kind.name not in options and not (mine and "group" in options):
        stays = {p: k for p, k in norms_of(net).items() if p not in _norms(net) or p.startswith("head")}
        raise _refusal(kind, name, options, stays)
    if not has_already(net, kind):
        _replace(net, kind, name)
    if not mine and (left := other_norms(net, kind)):
        raise _refusal(kind, name, tuple(n for n in options if n != kind.name), left)


def has_already(net: nn.Module, kind: NormLayer) -> bool:
    """Whether a network that takes `kind` has it throughout, in a form that is not swapped (tokens, ConvNeXt's own)."""
    mixed = kind.own is None and bool(norms_of(net).keys() - _norms(net).keys())
    return mixed or (is_convnext(net) and kind.name == "layer")


def other_norms(net: nn.Module, kind: NormLayer) -> dict[str, str]:
    """Path -> kind of the norms in a network that are not of the kind asked for."""
    right = {kind.name}
    if kind.name == "group":
        right.add("layer")  # channels that no number of groups divides make one
    return {path: found for path, found in norms_of(net).items() if found not in right}


def _refusal(kind: NormLayer, name: str, options: tuple[str, ...], left: dict[str, str]) -> RequestError:
    stays = f" Norms that would stay: {describe(left)}." if left else ""
    return RequestError(
        f"norm_layer '{kind.name}' is not for {name}; it takes {', '.join(('native', *options))}.{stays}"
    )


def _replace(net: nn.Module, kind: NormLayer, name: str) -> None:
    found = _norms(net)
    if kind.name in INSERTED:
        if not found:
            _insert(net, kind)
        for path, old in found.items():
            _swap(net, path, old, kind)
        return
    _remove(net, found)
    for layer in net.modules():  # a norm's output was nobody else's to write over; a convolution's may be
        if getattr(layer, "inplace", False):
            layer.inplace = False  # type: ignore[assignment]
    if kind.name == "selu":
        replace_activations(net, "selu", name)
        for path, layer in list(net.named_modules()):
            if isinstance(layer, nn.Dropout):
                replace(net, path, nn.AlphaDropout(layer.p))
    if kind.name == "weight":
        heads = head_names(net)
        for path, layer in list(net.named_modules()):
            if isinstance(layer, nn.Conv2d | nn.Linear) and not in_heads(path, heads):
                _normalise(layer)


def replace_activations(net: nn.Module, wanted: Activation, name: str) -> None:
    """Put another activation where the network has one, in place; weights are drawn anew to suit it.

    Convolutions that start at zero stay so. Gates stay as they are.

    Raises:
        RequestError: the network's activations are not modules.
    """
    found = [path for path, m in net.named_modules() if type(m).__name__ in ACTIVATION_NAMES]
    if not found or has_fixed_activation(net):
        raise RequestError(f"model.activation and norm_layer=selu cannot be set for {name}: its activation is fixed.")
    for path in found:
        replace(net, path, activation(wanted))
    heads = head_names(net)
    for path, layer in net.named_modules():
        drawn = isinstance(layer, nn.Conv2d | nn.Linear) and (layer.weight.is_meta or bool(layer.weight.any()))
        if drawn and not in_heads(path, heads):
            initialise(layer, wanted)


def replace_first_convolution(net: nn.Module, channels: int) -> None:
    """Give a network another number of input channels, in place."""
    path, old = next((p, m) for p, m in net.named_modules() if isinstance(m, nn.Conv2d))
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    replace(net, path, new)


def replace(net: nn.Module, path: str, new: nn.Module) -> None:
    """Put `new` where the submodule `path` is."""
    parent, _, child = path.rpartition(".")
    net.get_submodule(parent).register_module(child, new)


def _features(net: nn.Module) -> nn.Module | None:
    return getattr(net, "features", None)


def _norms(net: nn.Module) -> dict[str, nn.Module]:
    """Path -> norm of [B, C, H, W]."""
    wanted = (nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
    return {
        path: m
        for path, m in net.named_modules()
        if isinstance(m, wanted) or type(m).__name__ in ("LayerNorm2d", "LayerNorm2dFp32")
    }


def _channels(layer: nn.Module) -> int:
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    return len(weight)


def _swap(net: nn.Module, path: str, old: nn.Module, kind: NormLayer) -> None:
    new = norm(kind, _channels(old), dim=2)
    assert new is not None
    with torch.no_grad():
        for name in ("weight", "bias"):
            before, after = getattr(old, name), getattr(new, name, torch.empty(0))
            if before is None:  # some norms have no shift
                continue
            if kind.own is None or (isinstance(after, nn.Parameter) and after.shape == before.shape):
                after.copy_(before)  # one of somebody's own may have no scale and shift of this form
    replace(net, path, _with_activation(old, new))


def _with_activation(old: nn.Module, new: nn.Module) -> nn.Module:
    """`new` and what timm's fused norm does after `old`, if it is one."""
    if not hasattr(old, "act"):
        return new
    return NormAct(new, old.get_submodule("drop"), old.get_submodule("act"))


def _remove(net: nn.Module, found: dict[str, nn.Module]) -> None:
    """Take out all norms; give every convolution a bias."""
    last: dict[str, nn.Conv2d] = {}  # parent -> its latest convolution
    for path, layer in list(net.named_modules()):
        parent = path.rpartition(".")[0]
        if isinstance(layer, nn.Conv2d):
            last[parent] = layer
            if layer.bias is None:
                layer.bias = nn.Parameter(torch.zeros(layer.out_channels, device=layer.weight.device))
        if path in found:
            scale = layer.get_parameter("weight")
            if parent in last and not scale.is_meta and not scale.any():
                silence(last[parent])
            replace(net, path, _with_activation(layer, nn.Identity()))


def _insert(net: nn.Module, kind: NormLayer) -> None:
    """A norm after every convolution of `features`."""
    features, heads = net.get_submodule("features"), head_names(net)
    for path, layer in list(features.named_modules()):
        if isinstance(layer, nn.Conv2d) and not in_heads(f"features.{path}", heads):
            made = norm(kind, layer.out_channels, dim=2)
            assert made is not None
            replace(features, path, nn.Sequential(layer, made))


def _normalise(layer: nn.Module) -> None:
    """Weight normalisation that also starts at zero where the weight does: direction at random, length zero."""
    weight = layer.get_parameter("weight")
    silent = not weight.is_meta and not bool(weight.any())
    if silent:
        nn.init.normal_(weight, std=1 / math.sqrt(weight[0].numel()))
    normalise_weight(layer)
    if silent:
        silence(layer)
