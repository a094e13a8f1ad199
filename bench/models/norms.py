"""Which norms a network has, by kind. The notion is wide, so that nothing that a swap leaves in place is overlooked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

# Every class defined in these modules normalises something, and so does every class derived from one of them.
HOMES = {
    *("torch.nn.modules.batchnorm", "torch.nn.modules.instancenorm", "torch.nn.modules.normalization"),
    *("timm.layers.norm", "timm.layers.norm_act", "timm.layers.evo_norm", "timm.layers.filter_response_norm"),
    *("timm.layers.grn", "timm.layers.inplace_abn", "timm.layers.split_batchnorm"),
    "timm.layers.std_conv",  # weight standardisation
}


def norm_kind(module: nn.Module) -> str | None:
    """batch, layer, group, instance or weight; for any other norm its class; None for what is no norm itself.

    layer is over all channels of an image, a pixel or a token alike. Norms of single vectors inside attention (the
    lengths of queries and keys in swin v2 and xcit) are a part of attention, not of the network's norm_layer.
    """
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return "batch"
    if isinstance(module, nn.modules.instancenorm._InstanceNorm):
        return "instance"
    if isinstance(module, nn.GroupNorm):
        return "layer" if module.num_groups == 1 else "group"
    if isinstance(module, nn.LayerNorm):
        return "layer"
    if is_parametrized(module, "weight") or hasattr(module, "weight_g"):
        return "weight"
    name = type(module).__name__
    leaf = next(module.children(), None) is None
    if any(base.__module__ in HOMES for base in type(module).__mro__) or (leaf and "norm" in name.lower()):
        return name
    return None


def norms_of(net: nn.Module) -> dict[str, str]:
    """Path -> kind of every norm in a network."""
    modules = [(path, module) for path, module in net.named_modules() if "parametrizations" not in path.split(".")]
    kinds = {path: norm_kind(module) for path, module in modules}
    return {path: kind for path, kind in kinds.items() if kind is not None}


def describe(norms: dict[str, str]) -> str:
    """`3 layer norms, 1 RmsNorm2d (the first is stem.norm)`."""

    def words(kind: str, count: int) -> str:
        name = f"{kind} norm{'s' * (count > 1)}" if kind.islower() else kind  # or a class
        return f"{count} {name}"

    counted = ", ".join(words(kind, count) for kind, count in tally(norms.values()).items())
    return f"{counted} (the first is {next(iter(norms))})"


def tally(kinds: Iterable[str]) -> dict[str, int]:
    """Kind -> how many, the most frequent first."""
    return dict(Counter(kinds).most_common())
