"""Biases that a norm makes useless: which convolutions hand their output straight to a norm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from bench.models.norm_layer import NormAct

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, NormAct)  # timm's own norms are subclasses


@contextmanager
def before_norms(net: nn.Module) -> Iterator[list[nn.Conv2d]]:
    """Within, a forward pass adds to the list every convolution with a bias whose output a norm takes as it is.

    Found by following tensors, as names and orders of registration say nothing certain of the flow. A norm that
    sees the output transposed (ConvNeXt's own, over the channels of each pixel) does not count.
    """
    found: list[nn.Conv2d] = []
    made: dict[int, tuple[nn.Conv2d, Tensor, int]] = {}  # the tensors are held, so that no id is given twice

    def out_of(layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        made[id(output)] = layer, output, output._version

    def into(_norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        layer, output, version = made.get(id(inputs[0]), (None, None, 0))
        # An activation in place in between would hand on the same tensor, in a later version.
        if layer is not None and output is not None and output._version == version and layer not in found:
            found.append(layer)

    hooks = [m.register_forward_pre_hook(into) for m in net.modules() if isinstance(m, NORMS)]
    hooks += [m.register_forward_hook(out_of) for m in net.modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
