"""A network's stages from input to head, for every family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from bench.models.heads import head_names, in_heads


@dataclass(frozen=True)
class Stage:
    """A run of consecutive layers.

    Attributes:
        name: as `transfer.trainable_from` takes it; "stem" is the first stage of a timm model, "head" the last
            of all, with all heads.
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
    heads = head_names(module)
    last = max(number.values()) + 1
    number = {name: last if in_heads(name, heads) else n for name, n in number.items()}
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


def _numbers(module: nn.Module) -> dict[str, int]:
    """Parameter name -> ordinal of its stage, before the head is told apart."""
    names = [name for name, _ in module.named_parameters()]
    if isinstance(features := getattr(module, "features", None), nn.Sequential) and all(
        name.isdigit() for name, _ in features.named_children()
    ):
        return _flat_numbers(module, features, names)
    if (grouped := _timm_numbers(module)) is not None:
        return grouped
    order = {child: i for i, (child, _) in enumerate(module.named_children())}
    return {name: order.get(name.split(".")[0], 0) for name in names}  # what the network holds itself comes first


def _timm_numbers(module: nn.Module) -> dict[str, int] | None:
    """timm's coarse groups; None where it states none (rdnet refuses to)."""
    if not hasattr(module, "group_matcher"):
        return None
    from timm.models import group_parameters

    matcher: Any = module.group_matcher
    try:
        return dict(group_parameters(module, matcher(coarse=True), reverse=True))
    except Exception:  # whatever a library's network raises
        return None


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
