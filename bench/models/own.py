"""Networks of somebody's own: built by their function, held to what every network here is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.models.blank import blank_output
from bench.models.norm_layer import norm
from bench.parts.load import error_of, function
from bench.parts.signature import arguments, takes_norm
from bench.schema.errors import RequestError
from bench.schema.model import NormLayer, OwnModel


def own(model: OwnModel, kind: NormLayer, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network that the user's function makes: float32 [B, C, H, W] -> logits [B, classes].

    Raises:
        RequestError: when the function fails, or what it makes is no classifier of such images.
    """
    make = function("model", model.own)
    given: dict[str, Any] = {"norm": factory(kind)} if takes_norm(make) else {}
    named = f"model '{model.name}'"
    settings = arguments(make, model.own.values, "model")
    with _seed_generators():
        try:
            net = make(shape, classes, **given, **settings)
        except RequestError:
            raise
        except Exception as error:
            raise error_of(f"{named} cannot be built for images of {_of(shape)}", error) from error
    if not isinstance(net, nn.Module):
        raise RequestError(f"{named} gives back {type(net).__name__}. Expected a network, torch.nn.Module.")
    try:
        logits = blank_output(net, shape)
    except Exception as error:
        other = {str(p.dtype) for p in net.parameters()} - {"torch.float32"}
        hint = f", float32 (its weights: {', '.join(sorted(other))})" if other else ""
        raise error_of(f"{named} cannot take images of {_of(shape)}{hint}", error) from error
    _check(logits, classes, named)
    if (head := model.own.says("head")) is not None:
        net.__dict__["head_path"] = head
    return net


def factory(kind: NormLayer) -> Any:
    """`norm(channels, dim=2)` for a network that makes its norms by it; nn.Identity where there is none."""

    def made(channels: int, dim: int = 2) -> nn.Module:
        return norm(kind, channels, dim) or nn.Identity()

    return made


def _check(logits: Any, classes: int, named: str) -> None:
    if isinstance(logits, dict):
        keys = ", ".join(map(str, logits))
        raise RequestError(f"{named} gives back a dict ({keys}). Expected logits [B, {classes}]: return one of them.")
    if isinstance(logits, tuple | list):
        raise RequestError(
            f"{named} gives back a {type(logits).__name__} of {len(logits)}. Expected logits [B, {classes}]: "
            "return the one that classifies."
        )
    if not isinstance(logits, Tensor):
        raise RequestError(f"{named} gives back {type(logits).__name__}. Expected logits, a tensor [B, {classes}].")
    if tuple(logits.shape) != (1, classes):
        given = "x".join(map(str, logits.shape)) or "a single number"
        raise RequestError(
            f"{named} makes {given} of one image. Expected 1x{classes}: a score for each of the {classes} classes."
            + (" Flatten before the last layer." if logits.dim() > 2 else "")
        )
    if not logits.is_floating_point():
        raise RequestError(f"{named} gives back {logits.dtype} scores. Expected floating-point logits.")


def _of(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


@contextmanager
def _seed_generators() -> Iterator[None]:
    """The seed of the run for other generators too, should the code draw from them; all are put back after."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 (theirs, not ours)
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
