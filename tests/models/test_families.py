"""All of timm's families, without memory: what is swapped is swapped wholly, or is refused."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from bench.models import swap, zoo
from bench.models.blank import undrawn
from bench.models.heads import head_names, in_heads
from bench.models.norms import norms_of
from bench.models.overview import count
from bench.schema.errors import RequestError
from bench.schema.model import NormLayer, Timm
from tests.models.families import SMALLEST, families, family

CLASSES = {
    "batch": nn.modules.batchnorm._BatchNorm,
    "layer": (nn.LayerNorm, nn.GroupNorm),
    "group": nn.GroupNorm,
    "instance": nn.InstanceNorm2d,
}


def blank(name: str, kind: str = "native") -> nn.Module:
    """The network without memory, for images of its own size."""
    from timm.models import get_pretrained_cfg

    with torch.device("meta"), undrawn():
        return zoo._timm(Timm(family="timm", name=name), NormLayer(name=kind), get_pretrained_cfg(name).input_size, 10)


def foreign(net: nn.Module, kind: str) -> list[str]:
    """Modules that look like a norm by class or by name, and are not of the kind: a notion of its own."""
    out = []
    for path, module in net.named_modules():
        if "parametrizations" in path:
            continue
        inner = [m for m in module.modules() if m is not module and not isinstance(m, nn.Identity)]
        named = "norm" in type(module).__name__.lower() and not any(hasattr(m, "weight") for m in inner)
        standardised = "StdConv" in type(module).__name__
        mine = isinstance(module, CLASSES[kind]) if kind in CLASSES else type(module).__name__ == "NormAct"
        if (named or standardised) and not mine and type(module).__name__ != "NormAct" and not _empty(module):
            out.append(f"{path}: {type(module).__name__}")
        if kind == "layer" and isinstance(module, nn.GroupNorm) and module.num_groups != 1:
            out.append(f"{path}: groups")
    return out


def _empty(module: nn.Module) -> bool:
    """Whether it is a mere frame around what may once have been a norm."""
    return bool(list(module.children())) and not list(module.parameters(recurse=False))


def test_the_list_has_every_family_once():
    assert len({family(name) for name in SMALLEST}) == len(SMALLEST) > 90


@pytest.mark.slow
def test_every_norm_of_a_network_is_of_the_kind_asked_for_or_it_is_refused():
    """By classes and names of the modules, whatever the code that swaps takes for a norm."""
    wrong, accepted = {}, 0
    for name in families():
        native = blank(name)
        options = swap.supported_norms(native)
        for kind in ("none", "batch", "layer", "instance", "weight"):  # group goes the way of batch, selu that of none
            if swap.is_convnext(native):
                net = blank(name, kind)
            else:  # one that is refused is not changed
                net = copy.deepcopy(native) if kind in options else native
            try:
                with torch.device("meta"):
                    swap.replace_norms(net, NormLayer(name=kind), name)
            except RequestError as error:
                if kind in options or "it takes native" not in str(error):
                    wrong[name, kind] = str(error)
                continue
            accepted += 1
            left = foreign(net, kind)
            if kind == "weight":
                layers = [(n, m) for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
                left += [n for n, m in layers if not is_parametrized(m) and not in_heads(n, head_names(native))]
            if left or kind not in options:
                wrong[name, kind] = left[:3] or "is not among the options"
    assert not wrong
    assert accepted > 150


@pytest.mark.parametrize(
    ("name", "kind", "stays"),
    [
        ("levit_128s", "none", "48 batch norms"),
        ("levit_128s", "layer", "48 batch"),
        ("efficientvit_b0", "layer", "1 layer norm "),  # which had the key of another network
        ("convnextv2_atto", "batch", "12 GlobalResponseNorm"),
        ("maxvit_pico_rw_256", "layer", "layer"),
        ("nf_regnet_b0", "none", "ScaledStdConv2d"),
        ("mobilenetv5_base", "batch", "RmsNorm"),
        ("resnetv2_50d_evos", "none", "EvoNorm2dS0"),
        ("convnext_atto", "instance", "head.norm"),
    ],
)
def test_what_would_stay_is_said(name, kind, stays):
    net = blank(name, kind)
    with pytest.raises(RequestError, match=f"'{kind}' is not for {name}; it takes native.*would stay: .*{stays}"):
        swap.replace_norms(net, NormLayer(name=kind), name)


def test_norms_are_counted_by_kind():
    model = Timm(family="timm", name="efficientvit_b0")
    assert count(model, (3, 224, 224), 10).norms == {"batch": 26, "layer": 1}
    net = nn.Sequential(
        nn.GroupNorm(1, 4), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4), nn.RMSNorm(4), nn.SyncBatchNorm(4)
    )
    assert list(norms_of(net).values()) == ["layer", "group", "instance", "RMSNorm", "batch"]
