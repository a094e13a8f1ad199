"""Where a network is cut: its heads, the backbone before them, and the heads alone on the backbone's features."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from bench.schema.errors import RequestError

# torchvision's networks do not say where their head is.
TORCHVISION_HEADS = {"AlexNet": "classifier.6", "SqueezeNet": "classifier.1", "GoogLeNet": "fc"}
BESIDE = {"VOLO": ("aux_head",)}  # heads besides the one that timm names, which evaluation adds to it


def head_names(net: nn.Module) -> tuple[str, ...]:
    """The dotted names of the layers that make logits: their weights start with `<name>.`.

    Several where the network's logits are the mean of several (deit_distilled, levit, crossvit), as timm evaluates
    them. What stands around such a layer in timm's classifier (pooling, batch norm) is the backbone's.

    Raises:
        RequestError: none is known.
    """
    names = _declared_heads(net)
    if not names:
        raise RequestError(f"{type(net).__name__} has no head that could be cut off: use another model.")
    found = [inner for name in names for inner in _innermost(net, name)]
    return (*found, *BESIDE.get(type(net).__name__, ()))


def _declared_heads(net: nn.Module) -> list[str]:
    known = TORCHVISION_HEADS.get(type(net).__name__) or getattr(net, "head_path", None)
    if known:
        return [known]
    if hasattr(net, "get_classifier"):
        get: Any = net.get_classifier
        classifier = get()
        wanted = classifier if isinstance(classifier, tuple | list) else [classifier]
        return [name for one in wanted for name, child in net.named_modules() if child is one and name]
    if isinstance(getattr(net, "head", None), nn.Linear | nn.Sequential):
        return ["head"]
    # The affine layer that holds the last parameters: the head of a network of somebody's own.
    last = next(reversed([name for name, _ in net.named_parameters()]), "").rpartition(".")[0]
    return [last] if last and isinstance(net.get_submodule(last), nn.Linear) else []


def _innermost(net: nn.Module, name: str) -> list[str]:
    """The layers in timm's classifier that make logits; itself, where it has hidden layers."""
    module = net.get_submodule(name)
    if isinstance(module, nn.Linear | nn.Conv2d) or type(module) is nn.Sequential:
        return [name]
    if isinstance(module, nn.ModuleList):
        return [inner for child, _ in module.named_children() for inner in _innermost(net, f"{name}.{child}")]
    affine = {f"{name}.{n}": m for n, m in module.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    classes = getattr(net, "num_classes", None)
    made = [n for n, m in affine.items() if classes in (getattr(m, "out_features", None), m.weight.shape[0])]
    return made if made and len(made) == len(affine) else [name]


def in_heads(name: str, heads: tuple[str, ...]) -> bool:
    """Whether a module or tensor of that name is a head or in one."""
    return any(name == head or name.startswith(head + ".") for head in heads)


class Backbone(nn.Module):
    """A network without its heads, sharing the weights: [B, C, H, W] -> features [B, D].

    They are what the network's own pooling hands to the head; of several heads one after the other. A head that makes
    scores of each position, with pooling after it (squeezenet), has the mean over the positions.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        # Shallow copies of the heads' parents only: the network itself keeps its heads.
        self.network = _shallow(net)
        copies = {"": self.network}

        def copied(path: str) -> nn.Module:
            if path not in copies:
                above, _, name = path.rpartition(".")
                copies[path] = copied(above)._modules[name] = _shallow(net.get_submodule(path))
            return copies[path]

        self.taps = []
        for path in head_names(net):
            above, _, name = path.rpartition(".")
            self.taps.append(Tap(isinstance(net.get_submodule(path), nn.Conv2d)))
            copied(above)._modules[name] = self.taps[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Features [B, D] of images [B, C, H, W]."""
        self.network(images)
        return torch.cat([tap.take() for tap in self.taps], 1)


class Tap(nn.Module):
    """In the place of a head: keeps what reaches it and passes on one score of zero, which nobody reads."""

    def __init__(self, convolution: bool) -> None:
        super().__init__()
        self.convolution = convolution
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[B, D, H, W] -> [B, 1, H, W] for a convolution, else [..., D] -> [..., 1]."""
        self.seen = x
        return (x[:, :1] if self.convolution else x[..., :1]) * 0

    def take(self) -> Tensor:
        """[B, D], once."""
        assert self.seen is not None
        x, self.seen = self.seen, None
        if self.convolution:
            return x.flatten(2).mean(2)
        return x if x.dim() == 2 else x.flatten(1, -2).mean(1)


class Readout(nn.Module):
    """A network's heads on its backbone's features: [B, D] -> logits [B, K], the mean over the heads."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.names = head_names(net)
        self.heads = nn.ModuleList(net.get_submodule(name) for name in self.names)
        self.widths = [_inputs(head) for head in self.heads]

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B, K] of features [B, D]."""
        logits = []
        for head, part in zip(self.heads, features.split(self.widths, 1), strict=True):
            logits.append(head(part[..., None, None]).flatten(1) if isinstance(head, nn.Conv2d) else head(part))
        return logits[0] if len(logits) == 1 else torch.stack(logits).mean(0)

    def rename(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A state of this module under the network's names."""
        out = {}
        for name, tensor in state.items():
            _, number, rest = name.split(".", 2)
            out[f"{self.names[int(number)]}.{rest}"] = tensor
        return out


@torch.no_grad()
def readout(net: nn.Module, images: Tensor) -> Readout | None:
    """The heads on features, where that is the network's own function; None where more happens between (volo).

    Found by comparing both on some `images` [B, C, H, W], with heads drawn at random for it.
    """
    out, modes = Readout(net), [(module, module.training) for module in net.modules()]
    before = {name: tensor.clone() for name, tensor in out.state_dict().items()}
    net.eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in out.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(1, parameter[0].numel()) ** 0.5)
    expected, found = net(images), out(Backbone(net)(images))
    out.load_state_dict(before)
    for module, training in modes:
        module.training = training
    same = expected.shape == found.shape and torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
    return out if same else None


def _inputs(head: nn.Module) -> int:
    """How many features a head takes."""
    first = next(m for m in head.modules() if isinstance(m, nn.Linear | nn.Conv2d))
    return first.weight.shape[1]


def _shallow(module: nn.Module) -> nn.Module:
    twin = copy.copy(module)
    twin.__dict__["_modules"] = dict(module._modules)
    return twin
