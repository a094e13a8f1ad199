"""Networks that are looked at for their shapes: on a black image, and without memory where no weights matter."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

FILLS = frozenset({"fill_", "zero_", "uniform_", "normal_", "trunc_normal_", "erfinv_", "mul_", "add_", "clamp_"})


def blank_output(module: nn.Module, shape: tuple[int, ...]) -> Any:
    """What the module makes of one black image of `shape`, its mode and running statistics left alone."""
    like = next(itertools.chain(module.parameters(), module.buffers()), torch.empty(0))
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            return module(torch.zeros(1, *shape, device=like.device))
    finally:
        for m, training in modes:
            m.training = training


def undrawn() -> AbstractContextManager[Any]:
    """Under `torch.device("meta")`: build networks without drawing weights, which nothing would hold.

    Each of the six steps that draw one tensor from a truncated normal distribution runs through PyTorch's reference
    implementation in Python there, which is most of the time that a large network takes to build.
    """
    return _Undrawn() if torch.get_default_device().type == "meta" else nullcontext()


class _Undrawn(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if args and isinstance(args[0], Tensor) and args[0].is_meta and getattr(func, "__name__", "") in FILLS:
            return args[0]
        return func(*args, **(kwargs or {}))
