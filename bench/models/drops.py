"""What a network of timm leaves out at random in training: only what model.dropout and model.drop_path say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from bench.schema.errors import RequestError
from bench.schema.model import Timm


def drop_nothing_else(net: nn.Module, model: Timm) -> None:
    """Set to zero what timm drops by itself where a setting says 0 (rexnet's dropout of 0.2, swin's drop_path of 0.1).

    A network that a file of the user's registers keeps what that file says.
    """
    if model.own is not None:
        return
    for module in net.modules():
        if not model.dropout:
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
            if isinstance(getattr(module, "drop_rate", None), float):
                module.drop_rate = 0.0  # type: ignore[assignment]
        if not model.drop_path and isinstance(getattr(module, "drop_prob", None), float):
            module.drop_prob = 0.0  # type: ignore[assignment]


def check_drops(build: Callable[[], nn.Module], model: Timm, shape: tuple[int, int, int]) -> None:
    """Whether what the settings say is dropped: a few networks take a setting and heed it nowhere.

    Args:
        build: the network, called once, without memory.

    Raises:
        RequestError: nothing is.
    """
    if not model.dropout and not model.drop_path:
        return
    with torch.device("meta"), torch.no_grad():
        net = build().train()
        with _Draws() as draws:
            net(torch.zeros(2, *shape))
    if model.drop_path and not draws.masks:
        raise nothing_to_drop(model.name)
    if model.dropout and not any(abs(rate - model.dropout) < 1e-9 for rate in draws.rates):
        raise no_dropout(model.name)


def nothing_to_drop(name: str) -> RequestError:
    """model.drop_path of a network that has no use for it."""
    return RequestError(f"model.drop_path: {name} has no residual blocks that could be dropped.")


def no_dropout(name: str) -> RequestError:
    """model.dropout of a network that has no use for it."""
    return RequestError(f"model.dropout: {name} has no dropout. Leave it out, or choose another model.")


class _Draws(TorchFunctionMode):
    """Notes what is drawn within: masks, as timm's stochastic depth makes them, and the rates of dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.masks, self.rates = False, set[float]()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        self.masks = self.masks or name in ("bernoulli_", "bernoulli", "rand")
        if "dropout" in name:
            rate = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
            training = kwargs.get("training", args[2] if len(args) > 2 else True)
            self.rates |= {float(rate)} if training else set()
        if name == "scaled_dot_product_attention":
            self.rates.add(float(kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0)))
        return function(*args, **kwargs)
