"""Models of timm and torchvision, by name: built, fitted to small images, their norms and activations swapped."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.models import swap
from bench.models.bias import before_norms
from bench.models.blank import blank_output, undrawn
from bench.models.drops import check_drops, drop_nothing_else, no_dropout, nothing_to_drop
from bench.models.stem import patches, small_stem
from bench.parts import listing
from bench.parts.load import function
from bench.schema.errors import RequestError, unknown_name
from bench.schema.model import NormLayer, Timm, Torchvision

# What timm has in place of the models that come from torchvision.
NOT_IN_TIMM = {
    "googlenet": "its successors are there: inception_v3, inception_v4, inception_resnet_v2",
    "alexnet": "the oldest there is vgg11",
    "squeezenet1_1": "as small are mobilenetv3_small_050 and lcnet_050",
}
LARGEST = 640  # pixels; where the search for a model's smallest input gives up
USUAL = (1, 2, 4, 8, 16, 32, 64, 96, 128, 224, 256, 299, 384, LARGEST)  # pixels a side


def zoo(model: Timm | Torchvision, kind: NormLayer, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The named network with its own initialisation, no weights loaded: [B, C, H, W] -> logits [B, classes].

    Raises:
        RequestError: the name is unknown, the network cannot take these images, this stem, this norm_layer,
            this activation or this drop_path; the message says what it takes.
    """
    make = _timm if isinstance(model, Timm) else _torchvision
    try:
        net = construct(make, model, kind, shape, classes)
        check_patches(net, model.name, shape)
        with before_norms(net) as biased:
            logits = _logits(net, shape)
        if isinstance(model, Timm):
            check_drops(lambda: construct(make, model, kind, shape, 2), model, shape)
    except RequestError:
        raise
    except Exception as error:  # whatever a library's network raises while it is built or looked at
        raise _refusal_of(model, kind, shape, error) from error
    if logits != (1, classes):
        raise _no_classifier(model.name, logits)
    if kind.name in swap.INSERTED and not swap.has_already(net, kind):  # published weights have these biases
        for layer in biased:
            layer.bias = None
    return net


def construct(make: Callable, model: Any, kind: NormLayer, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network of `zoo`, without the check that it takes the images."""
    with undrawn():
        net: nn.Module = make(model, kind, shape, classes)
    if model.stem == "small":
        native = dataclasses.replace(model, stem="native")
        small_stem(net, model.name, lambda: smallest_input(native, NormLayer(), shape[0]))
    if kind.name != "native":
        swap.replace_norms(net, kind, model.name)
    if model.activation is not None:
        swap.replace_activations(net, model.activation, model.name)
    if model.dropout and kind.name == "selu" and not any(isinstance(m, nn.AlphaDropout) for m in net.modules()):
        raise RequestError(f"{model.name} calls ordinary dropout, which norm_layer=selu cannot take: model.dropout=0.")
    return net


def check_patches(net: nn.Module, name: str, shape: tuple[int, int, int]) -> None:
    """Whether a network that cuts images into patches sees all of them: timm leaves out what is no whole patch.

    Raises:
        RequestError: at the right or the bottom pixels would be left out.
    """
    cut = patches(net)
    if cut is None:
        return
    patch = max(int(side) for side in cut.stride)
    if min(shape[1:]) < patch or not any(side % step for side, step in zip(shape[1:], cut.stride, strict=True)):
        return
    met: list[Tensor] = []  # what reaches it, which some pad
    hook = cut.register_forward_pre_hook(lambda _, inputs: met.append(inputs[0]))
    try:
        blank_output(net, shape)
    finally:
        hook.remove()
    unseen = max(side % step for side, step in zip(met[0].shape[-2:], cut.stride, strict=True)) if met else 0
    if unseen:
        least = -(-max(shape[1:]) // patch) * patch
        hint = ", or model.stem=small (patches of 4)" if type(net).__name__ == "VisionTransformer" and patch > 4 else ""
        raise RequestError(
            f"{name} cuts images into patches of {patch}x{patch}, and of {shape[1]}x{shape[2]} it would never see "
            f"{unseen} pixel{'s' * (unseen > 1)} at an edge. Use a multiple: transfer.size={least}{hint}."
        )


def smallest_input(model: Timm | Torchvision, kind: NormLayer, channels: int = 3) -> int:
    """Pixels along the side of the smallest square image that the network takes (found by trying, without memory).

    Not every size above the smallest is taken (patches, windows): the powers of two and the usual sizes are tried
    first, with the one that the model was made for among them.

    Raises:
        RequestError: none up to `LARGEST` is taken, the network makes no class scores, or a setting is not for it.
    """
    make = _timm if isinstance(model, Timm) else _torchvision
    others: list[tuple[int, ...]] = []  # what it makes of an image in place of scores
    once = not (isinstance(model, Timm) and has_fixed_input(model.name))
    built: dict[int, nn.Module] = {}

    def takes(side: int) -> bool:
        shape = (channels, side, side)
        try:
            with torch.device("meta"):
                net = built.get(0) or construct(make, model, kind, shape, 2)
                if once:
                    built[0] = net  # one network for all sizes
                made = _logits(net, shape)
        except RequestError:
            raise
        except Exception:  # whatever a library's network raises
            return False
        others.extend([made] if made != (1, 2) else [])
        return made == (1, 2)

    sides = sorted({*USUAL, *own_sides(model)})
    works = next((side for side in sides if takes(side)), None)
    if works is None and others:
        raise _no_classifier(model.name, others[0])
    if works is None:
        raise TakesNone(f"{model.name} takes no square image up to {LARGEST} pixels.")
    fails = 0
    while works - fails > 1:
        middle = (works + fails) // 2
        works, fails = (middle, fails) if takes(middle) else (works, middle)
    return works


class TakesNone(RequestError):
    """A network takes no square image of any size that was tried."""


def _no_classifier(name: str, made: tuple[int, ...]) -> RequestError:
    return RequestError(
        f"{name} makes {made or 'no tensor'} of an image, not a score for each class: it is no classifier."
    )


def own_sides(model: Timm | Torchvision) -> set[int]:
    """Pixels a side of the images that timm says a model was made for."""
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(model.name) if isinstance(model, Timm) else None
    sizes = (config.input_size, config.min_input_size, config.test_input_size) if config is not None else ()
    return {int(max(size[1:])) for size in sizes if size}


def timm_names() -> list[str]:
    """The names of timm's models, sorted."""
    import timm

    return timm.list_models()


def raise_to_stride(net: nn.Module, least: int) -> int:
    """The smallest size worth using: `least`, but no less than the total stride that timm states for the network."""
    return max(least, max((int(i.get("reduction", 1)) for i in getattr(net, "feature_info", None) or []), default=1))


def has_fixed_input(name: str) -> bool:
    """Whether timm builds the model for one image size: it has a table of positions, or windows."""
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    return config is not None and bool(config.fixed_input_size)


def check_name(name: str) -> None:
    """Whether timm has the model; a tag of its weights may follow after a dot (`resnet18.a1_in1k`).

    Raises:
        RequestError: with the nearest name.
    """
    import timm

    if ":" in name or "/" in name:
        raise RequestError(f"model.name '{name}': expected a name in timm's registry, not an address.")
    if name in NOT_IN_TIMM:
        raise RequestError(f"timm has no '{name}' ({NOT_IN_TIMM[name]}): model={name} is torchvision's.")
    if not timm.is_model(name):
        names = [*timm_names(), *listing.names("timm")]
        raise unknown_name(
            "timm model", name, names, f"timm has {len(names)}: 'bench models PATTERN --timm' lists them."
        )
    base, _, tag = name.partition(".")
    tags = [weights.partition(".")[2] for weights in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        raise unknown_name(f"weights of timm model '{base}':", tag, tags, f"Without a tag: model.name={base}.")


def _timm(model: Timm, kind: NormLayer, shape: tuple[int, int, int], classes: int) -> nn.Module:
    import timm

    if model.own is not None:
        function("timm", model.own)  # imports the file, which registers it
    check_name(model.name)
    options: dict[str, Any] = {}
    if model.dropout:
        options["drop_rate"] = model.dropout
    if model.drop_path:
        options["drop_path_rate"] = model.drop_path
    if has_fixed_input(model.name):
        options["img_size"] = shape[1:]
    entry = timm.model_entrypoint(model.name)
    family = inspect.getmodule(entry)
    if model.stem == "small" and family is not None and family.__name__.endswith((".vision_transformer", ".deit")):
        options["patch_size"] = 4
    if family is not None and family.__name__.endswith(".convnext") and kind.name not in ("native", "layer"):
        options["conv_mlp"] = True  # activations stay [B, C, H, W], which every norm takes
    plain_vgg = family is not None and family.__name__.endswith(".vgg") and not entry.__name__.endswith("_bn")
    if plain_vgg and kind.name in swap.INSERTED:
        options["norm_layer"] = nn.BatchNorm2d  # where `swap.replace_norms` then puts what is wanted
    try:
        net = timm.create_model(model.name, pretrained=False, num_classes=classes, in_chans=shape[0], **options)
    except TypeError as error:
        if "drop_path_rate" in str(error):
            raise nothing_to_drop(model.name) from None
        if "drop_rate" in str(error):
            raise no_dropout(model.name) from None
        raise
    drop_nothing_else(net, model)
    return net


def _torchvision(model: Torchvision, kind: NormLayer, shape: tuple[int, int, int], classes: int) -> nn.Module:
    from torchvision import models

    make = {"alexnet": models.alexnet, "squeezenet1_1": models.squeezenet1_1, "googlenet": models.googlenet}
    # GoogLeNet's auxiliary heads are a remedy of 2014 against vanishing gradients, before batch norm.
    options: dict[str, Any] = {"aux_logits": False, "init_weights": True} if model.name == "googlenet" else {}
    if model.dropout is not None:
        options["dropout"] = model.dropout
    net = make[model.name](weights=None, num_classes=classes, **options)
    if shape[0] != 3:
        swap.replace_first_convolution(net, shape[0])
    return net


def _logits(net: nn.Module, shape: tuple[int, int, int]) -> tuple[int, ...]:
    """The shape of what the network makes of one image; () where that is no tensor."""
    return tuple(getattr(blank_output(net, shape), "shape", ()))


def _refusal_of(model: Any, kind: NormLayer, shape: tuple[int, int, int], error: Exception) -> RequestError:
    """What to say when a network was not built or did not take an image: the model, its settings, the reason."""
    c, h, w = shape
    line = str(error).strip().partition("\n")[0]
    reason = line if line and not isinstance(error, KeyError) else f"{type(error).__name__} {line}".strip()
    try:
        least = smallest_input(model, kind, c)
    except TakesNone:
        return RequestError(f"{model.name} cannot be used: {_set(model, kind)}it fails by itself ({reason}).")
    except RequestError as of_setting:  # which nobody had come to yet
        return of_setting
    if least > min(h, w):
        hint = ", or model.stem=small" if model.stem != "small" and _has_small_stem(model, least, c) else ""
        return RequestError(
            f"{model.name} cannot take {h}x{w} images ({reason}). Its smallest input is {least}x{least}: "
            f"transfer.size={max(least, 32)}{hint}."
        )
    return RequestError(
        f"{model.name} cannot take {h}x{w} images ({reason}), {_set(model, kind)}though it takes {least}x{least}: "
        f"another transfer.size may do, such as {max([least, *own_sides(model)])}."
    )


def _has_small_stem(model: Any, side: int, channels: int) -> bool:
    try:
        with torch.device("meta"):
            construct(_timm if isinstance(model, Timm) else _torchvision, dataclasses.replace(model, stem="small"),
                      NormLayer(), (channels, side, side), 2)  # fmt: skip
    except Exception:  # none, or none that can be built
        return False
    return True


def _set(model: Any, kind: NormLayer) -> str:
    """`with model.stem=small, ` and the like: what was not left at its default."""
    chosen = {f"model.{f.name}": getattr(model, f.name) for f in dataclasses.fields(model)}
    defaults = {f"model.{f.name}": f.default for f in dataclasses.fields(model)}
    words = [f"{n}={v}" for n, v in chosen.items() if n not in ("model.family", "model.name") and v != defaults[n]]
    if kind.name != "native":
        words.append(f"norm_layer={kind.name}")
    return f"with {', '.join(words)}, " if words else ""
