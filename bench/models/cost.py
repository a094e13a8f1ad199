"""What a model costs: parameters and floating point operations."""

from __future__ import annotations

import logging

from torch import nn

from bench.imports import spare, without_module
from bench.models.blank import blank_output

logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)  # it would say that triton is not there
with without_module("triton"):  # whose kernels it could count, at the price of a tenth of the start-up
    from torch.utils import flop_counter


def parameters(module: nn.Module) -> int:
    """How many numbers are learned or could be: all parameters, frozen ones too, buffers not."""
    return sum(p.numel() for p in module.parameters())


def flops(module: nn.Module, shape: tuple[int, ...]) -> int | None:
    """Floating point operations for one input of `shape`, such as (C, H, W), in evaluation mode.

    A multiplication and an addition count as two. Matrix products, convolutions and attention are
    counted, as is usual; elementwise work (activations, norms, pooling) is not. The module's mode
    and running statistics stay as they are. None where counting fails: a cost never fails a run.
    """
    learned = [p for p in module.parameters() if p.requires_grad]
    for parameter in learned:  # the counter stumbles over views of them (cait, pit)
        parameter.requires_grad_(False)
    spare(flop_counter._FlopCounterMode)
    try:
        with flop_counter.FlopCounterMode(display=False) as counter:
            blank_output(module, shape)
        return counter.get_total_flops()
    except Exception:  # torch's counter takes the network apart, and networks do what they like
        return None
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
