"""Lightning's Fabric for one run (devices, precision, strategy), and torch's switches.

Fabric instead of the Trainer: the epochs are then a loop that can be read (`bench.train.loop`), a step costs one call
instead of a round of hooks, and a process imports half as much.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from bench.imports import spare, without_compiler, without_module
from bench.schema.errors import RequestError
from bench.schema.training import Trainer
from bench.train.sharded import shard

# Fabric imports torchmetrics to learn its version, which brings torchvision's models and scipy.signal, and torch's
# compiler for one check of a type.
with without_module("torchmetrics"), without_compiler():
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment
    from lightning_fabric.strategies import ModelParallelStrategy, Strategy
    from lightning_fabric.utilities.exceptions import MisconfigurationException

# Input channels below which oneDNN may write past its memory: a vector's width, 8 with AVX2 and 16 with AVX-512.
BLOCK = 16
NARROW = 64  # channels that a convolution looks at around a pixel, at most, for `is_narrow`
ASKING = "PYTORCH_NVML_BASED_CUDA_CHECK"  # torch's variable: how `torch.cuda.is_available` finds out


def launch(settings: Trainer) -> Fabric:
    """Fabric on this process' device; of several processes (`bench.train.distributed`) each makes its own.

    Raises:
        RequestError: for an accelerator or a precision that this machine does not have.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    if not settings.compile:
        spare(torch.optim.Optimizer)
    several = settings.devices * settings.num_nodes > 1
    try:
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes if several else 1,
            strategy=strategy(settings) if several else "auto",
            precision=settings.precision if settings.precision.endswith("mixed") else "32-true",  # type: ignore[arg-type]
            # Named, as inside a Slurm job Lightning would take the sweep's tasks for its own.
            plugins=[LightningEnvironment()],
        )
    except (MisconfigurationException, ValueError, RuntimeError, ModuleNotFoundError) as error:
        raise RequestError(
            f"trainer.accelerator={settings.accelerator} trainer.devices={settings.devices}: "
            f"{str(error).splitlines()[0].rstrip('.')}. 'bench doctor' says what this machine has."
        ) from None
    if settings.precision == "16-mixed" and fabric.device.type == "cpu":
        raise RequestError("trainer.precision=16-mixed needs a GPU. On a CPU use 32 or bf16-mixed.")
    fabric.launch()
    return fabric


def strategy(settings: Trainer) -> str | Strategy:
    """How several devices share a training."""
    if settings.strategy == "ddp":
        return "ddp"
    return ModelParallelStrategy(_shard_net, settings.devices * settings.num_nodes, 1)


def _shard_net(net: nn.Module, mesh: Any) -> nn.Module:
    shard(net, mesh["data_parallel"])
    return net


def layout(settings: Trainer, device: torch.device, net: nn.Module) -> torch.memory_format:
    """How images lie in memory; it changes no result but rounding.

    Channels last is what a GPU's tensor cores read. On a CPU pooling and depthwise convolutions are vectorised over the
    channels then: training is 1.1 to 1.8 times faster for networks of narrow or depthwise convolutions, while wide ones
    gain or lose (VGG-11 takes 1.3 times as long) and group norm loses.
    """
    wanted = settings.channels_last == "always"
    if settings.channels_last == "auto" and settings.strategy != "fsdp":  # which shares out contiguous weights only
        wanted = device.type == "cuda" or is_narrow(net)
    unsafe = device.type == "cpu" and writes_past_its_memory(net)
    return torch.channels_last if wanted and not unsafe else torch.contiguous_format


def writes_past_its_memory(net: nn.Module) -> bool:
    """Whether a CPU cannot train a network with channels last: oneDNN's gradient of a 1x1 convolution with a stride.

    With few input channels it is wrong, hangs, or ends the process (oneDNN issue 6035); groups go another way.
    """
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    return any(m.kernel_size == (1, 1) and m.stride != (1, 1) and m.in_channels < BLOCK for m in convs)


def is_narrow(net: nn.Module) -> bool:
    """Whether there are convolutions, none of which looks at many channels around a pixel, and no group norm."""
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    around = [m.in_channels // m.groups for m in convs if m.kernel_size != (1, 1)]
    grouped = any(isinstance(m, nn.GroupNorm) and m.num_groups > 1 for m in net.modules())
    return bool(convs) and max(around, default=0) <= NARROW and not grouped


def matmul_precision() -> str:
    """Torch's; "highest" where somebody has set it for one backend alone, of which torch only says that."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return "highest"


@contextmanager
def switches(settings: Trainer) -> Iterator[None]:
    """Torch's global switches for one run; those of before are put back.

    `trainer.deterministic` asks for deterministic algorithms and turns off cuDNN's search for the fastest one, which
    may choose differently each time. Precision `32` means 32 bits, also where a GPU would take TF32.
    """
    cudnn, tf32 = torch.backends.cudnn, settings.precision != "32"
    memory: Any = torch.utils.deterministic  # made by torch at run time, so unknown to a type checker
    before = (
        torch.get_deterministic_debug_mode(),
        cudnn.benchmark,
        cudnn.deterministic,
        cudnn.allow_tf32,
        matmul_precision(),
        memory.fill_uninitialized_memory,
    )
    asking = os.environ.get(ASKING)
    # cuBLAS reads this when it starts; without it, it is not deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        _set_deterministic(1 if settings.deterministic else 0, settings.compile)
        cudnn.benchmark, cudnn.deterministic = not settings.deterministic, settings.deterministic
        cudnn.allow_tf32 = tf32
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        memory.fill_uninitialized_memory = False  # for finding mistakes; a write more for every tensor
        if not torch.cuda.is_available():
            # Adam asks for a GPU in every step; as Lightning has set it, that looks for the driver's files each time,
            # which was a tenth of the time of a small dense net.
            os.environ[ASKING] = "0"
        yield
    finally:
        _set_deterministic(before[0], settings.compile)
        cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = before[1:4]
        torch.set_float32_matmul_precision(before[4])
        memory.fill_uninitialized_memory = before[5]
        if asking is None:
            os.environ.pop(ASKING, None)
        else:
            os.environ[ASKING] = asking


def _set_deterministic(mode: int, compiles: bool) -> None:
    """Torch's mode of deterministic algorithms: 0 off, 1 warn where there is none, 2 raise there."""
    if compiles:
        torch.use_deterministic_algorithms(mode > 0, warn_only=mode == 1)  # tells the compiler too, which it imports
    else:
        torch.set_deterministic_debug_mode(mode)
