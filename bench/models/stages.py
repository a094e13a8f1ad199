"""A network's stages from input to head, and the cut between backbone and head, for every family."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bench.schema.errors import RequestError

# torchvision's networks do not say where their head is.
TORCHVISION_HEADS = {"AlexNet": "classifier.6", "SqueezeNet": "classifier.1", "GoogLeNet": "fc"}


@dataclass(frozen=True)
class Stage:
    """A run of consecutive layers.

    Attributes:
        name: as `transfer.trainable_from` takes it; "stem" is the first stage of a timm model, "head" the last of all.
        modules: the outermost modules of the stage; no module is in two stages. Modules without parameters
            (dropout, pooling) belong to the stage before them, so none is left out.
        parameters: all of the stage, also those that the network holds itself (a vit's position embedding).
    """

    name: str
    modules: tuple[nn.Module, ...]
    parameters: tuple[nn.Parameter, ...]


def stages(module: nn.Module) -> list[Stage]:
    """The stages of a network that `bench.models.build` made, in order; every parameter is in exactly one.

    Own models: one stage a layer or block. timm: its coarse groups. VGG and torchvision's flat networks:
    cut after each max pooling.
    """
    number = _numbers(module)
    head = head_name(module)
    last = max(number.values()) + 1
    number = {name: last if _within(name, head) else n for name, n in number.items()}
    modules: dict[int, list[nn.Module]] = {n: [] for n in sorted(set(number.values()))}
    here = next(iter(modules))

    def walk(parent: nn.Module, prefix: str) -> None:
        nonlocal here
        for name, child in parent.named_children():
            found = {n for p, n in number.items() if _within(p, prefix + name)}
            if len(found) > 1:
                walk(child, f"{prefix}{name}.")
                continue
            here = found.pop() if found else here
            modules[here].append(child)

    walk(module, "")
    held = dict(module.named_parameters())
    names = _names(number, last, stem=hasattr(module, "group_matcher"))
    return [
        Stage(names[n], tuple(found), tuple(held[p] for p, m in number.items() if m == n))
        for n, found in modules.items()
    ]


def head_name(module: nn.Module) -> str:
    """The dotted name of the head, the layer that makes logits: its weights start with `<name>.`."""
    wanted = TORCHVISION_HEADS.get(type(module).__name__) or getattr(module, "head_path", None)
    if wanted is None and hasattr(module, "get_classifier"):
        classifier: Any = module.get_classifier
        wanted = next((name for name, child in module.named_modules() if child is classifier()), None)
    elif wanted is None and isinstance(getattr(module, "head", None), nn.Linear | nn.Sequential):
        wanted = "head"
    elif wanted is None:
        wanted = _last_affine(module)
    if not wanted:
        raise RequestError(f"{type(module).__name__} has no single head that could be cut off: use another model.")
    return wanted


def _last_affine(module: nn.Module) -> str | None:
    """The affine layer that holds the last parameters, if there is one: the head of a network of somebody's own."""
    last = next(reversed([name for name, _ in module.named_parameters()]), "").rpartition(".")[0]
    return last if last and isinstance(module.get_submodule(last), nn.Linear) else None


def head(module: nn.Module) -> nn.Module:
    """The layer that makes logits: nn.Linear, but for squeezenet, where it is a 1x1 convolution before pooling."""
    return module.get_submodule(head_name(module))


class Backbone(nn.Module):
    """A network without its head, sharing the weights: [B, C, H, W] -> features [B, D], the head's input.

    squeezenet's features are pooled after the cut, as its head is a convolution.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        *path, last = head_name(module).split(".")
        # Shallow copies of the head's parents only: the network itself keeps its head.
        self.network = here = _shallow(module)
        for name in path:
            child = _shallow(here.get_submodule(name))
            here._modules[name] = child
            here = child
        here._modules[last] = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Features [B, D] of images [B, C, H, W]."""
        return self.network(images).flatten(1)  # type: ignore[no-any-return]


def _shallow(module: nn.Module) -> nn.Module:
    twin = copy.copy(module)
    twin.__dict__["_modules"] = dict(module._modules)
    return twin


def _numbers(module: nn.Module) -> dict[str, int]:
    """Parameter name -> ordinal of its stage, before the head is told apart."""
    names = [name for name, _ in module.named_parameters()]
    if isinstance(features := getattr(module, "features", None), nn.Sequential) and all(
        name.isdigit() for name, _ in features.named_children()
    ):
        return _flat_numbers(module, features, names)
    if hasattr(module, "group_matcher"):
        from timm.models import group_parameters

        matcher: Any = module.group_matcher
        return dict(group_parameters(module, matcher(coarse=True), reverse=True))
    order = {child: i for i, (child, _) in enumerate(module.named_children())}
    return {name: order[name.split(".")[0]] for name in names}


def _flat_numbers(module: nn.Module, features: nn.Sequential, names: list[str]) -> dict[str, int]:
    """For networks that list single layers: a stage ends at a pooling, or where `model.stem=small` took it out."""
    order, at = {}, 0
    for name, child in features.named_children():
        order[f"features.{name}"] = at
        at += isinstance(child, nn.MaxPool2d | nn.Identity)
    for name in names:
        if not name.startswith("features."):
            order.setdefault(name.rpartition(".")[0], at := at + 1)
    return {name: next(n for prefix, n in order.items() if _within(name, prefix)) for name in names}


def _names(number: dict[str, int], last: int, stem: bool) -> dict[int, str]:
    """Stage names: the shortest dotted prefix of a stage's first parameter that no other stage shares."""
    names: dict[int, str] = {last: "head"}
    first = min(number.values())
    for n in sorted(set(number.values()) - {last}):
        parts = next(p for p, m in number.items() if m == n).split(".")
        prefixes = [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
        names[n] = next(p for p in prefixes if all(m == n for q, m in number.items() if _within(q, p)))
    if stem and len(names) > 1:
        names[first] = "stem"
    return names


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")
