"""One training on several devices: a process each, started from here, so that nothing else is launched twice.

The calling process trains nothing; it passes the history on and hands back the one Result. The global batch is the
setting: each process takes its share of it (`bench.data.batches.share`), gradients are averaged over the images of
the global batch, and each image of val and test is scored once.

On several machines the same command is started once on each, with NODE_RANK, MASTER_ADDR and MASTER_PORT in its
environment; the machine of rank 0 records the run.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import queue
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench import models
from bench.data.batches import smallest_share
from bench.data.cuts import bounds
from bench.data.imagedata import ImageData
from bench.process import end_with, start_time
from bench.schema.errors import OutOfTime, RequestError, RunFailed
from bench.schema.experiment import Experiment
from bench.schema.training import Trainer
from bench.train import sharded
from bench.train.result import Result

Told = Callable[[dict[str, float]], None]
Train = Callable[[Experiment, ImageData, nn.Module, Told | None, Path | None], Result]

TOLD = {error.__name__: error for error in (RunFailed, OutOfTime, RequestError)}  # by a process to the caller
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def uses_several_devices(settings: Trainer) -> bool:
    """Whether a training uses more than one device."""
    return settings.devices * settings.num_nodes > 1


def run(
    train: Train, exp: Experiment, data: ImageData, net: nn.Module, on_epoch: Told | None, checkpoint: Path | None
) -> Result:
    """`train` in `trainer.devices` processes; the Result of the first one.

    Args:
        train: a function of a module, called in each process.
        net: as `bench.models.build` makes it for the Experiment, with any state; ends up with the trained one.

    Raises:
        RequestError, RunFailed: as raised by `train` in any of them, or when one dies.
        SystemExit: on a machine of another rank than 0, when its part is done.
    """
    check(exp, data, net)
    settings = exp.trainer
    rank = settings.node
    environment = {
        "NODE_RANK": str(rank),
        "WORLD_SIZE": str(settings.devices * settings.num_nodes),
        "MASTER_ADDR": os.environ["MASTER_ADDR"] if settings.num_nodes > 1 else "127.0.0.1",
        "MASTER_PORT": os.environ["MASTER_PORT"] if settings.num_nodes > 1 else str(free_port()),
        "OMP_NUM_THREADS": str(threads := max(1, torch.get_num_threads() // settings.devices)),
    }
    images: Any = Lent(data.images) if isinstance(data.images, np.memmap) else data.images
    lent = dataclasses.replace(data, images=images)
    # The network goes as its state and is built anew there: torch pickles no weight-normalised layer.
    job = pickle.dumps((train, exp, lent, net.state_dict(), checkpoint))
    context = torch.multiprocessing.get_context("spawn")
    messages = context.Queue()
    processes = [
        context.Process(target=_process, args=(job, environment, local, threads, os.getpid(), messages), daemon=True)
        for local in range(settings.devices)
    ]
    with use_spawn():
        for process in processes:
            process.start()
    try:
        result = _collect(messages, processes, on_epoch if rank == 0 else None)
    finally:
        for process in processes:
            process.kill()
            process.join()
    if rank > 0:
        raise SystemExit(0)
    assert result.state is not None
    net.load_state_dict(result.state)
    return result


@contextmanager
def use_spawn() -> Iterator[None]:
    """Spawn is the start method that new processes are told of; a sweep's worker would pass on loky, unknown there."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(before, force=True)


def check(exp: Experiment, data: ImageData, net: nn.Module) -> None:
    """Refuse what several devices cannot do, before processes are started.

    Raises:
        RequestError: see there.
    """
    settings = exp.trainer
    world = settings.devices * settings.num_nodes
    if sharded.is_sharded(exp):
        sharded.check(exp)
    if settings.accelerator == "tpu":
        raise RequestError("trainer.accelerator=tpu works with trainer.devices=1 only.")
    cuda = settings.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    if cuda and torch.cuda.device_count() < settings.devices:
        raise RequestError(
            f"trainer.devices={settings.devices}, but this machine shows {torch.cuda.device_count()} GPU(s). "
            "Lower trainer.devices, or set trainer.accelerator=cpu."
        )
    if settings.sync_batchnorm and not cuda and any(isinstance(m, NORMS) for m in net.modules()):
        raise RequestError(
            "trainer.sync_batchnorm=true: batch norm can be synchronized between GPUs only, not between processes on a "
            "CPU. With trainer.sync_batchnorm=false each process normalises by its own share of the batch, which is "
            "another experiment; norm_layer=group needs no synchronization."
        )
    cuts = bounds(len(data.train), settings.batch_size, drop_last=False)
    smallest = min(stop - start for start, stop in pairwise(cuts))
    if smallest_share(smallest, world) == 0:
        raise RequestError(
            f"The smallest batch of an epoch has {smallest} images, which {world} devices cannot share in pairs. "
            "Raise trainer.batch_size or lower trainer.devices."
        )
    missing = [n for n in ("MASTER_ADDR", "MASTER_PORT") if settings.num_nodes > 1 and n not in os.environ]
    if missing:
        raise RequestError(
            f"trainer.num_nodes={settings.num_nodes} needs {' and '.join(missing)} in the environment of the command "
            "on each machine: address and a free port of the first one, and NODE_RANK (0, 1, ...)."
        )


class Lent:
    """A memory map that travels to another process as its file's name."""

    def __init__(self, images: np.memmap) -> None:
        self.images = images

    def __reduce__(self) -> Any:
        images = self.images
        if images.filename is None or Path(images.filename).stat().st_size != images.nbytes:
            return np.array, (np.asarray(images),)
        return np.memmap, (str(images.filename), images.dtype, "c", 0, images.shape)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _collect(messages: Any, processes: list[Any], on_epoch: Told | None) -> Result:
    """The first process' Result, once all have ended well."""
    results: dict[int, Result] = {}
    where: Exception | None = None  # the traceback of a library's error
    while len(results) < len(processes):
        try:
            kind, local, content = messages.get(timeout=0.5)
        except queue.Empty:
            dead = next((i for i, p in enumerate(processes) if p.exitcode is not None and i not in results), None)
            if dead is not None and messages.empty():
                code = processes[dead].exitcode
                raise RunFailed(
                    f"process {dead} of {len(processes)} died (exit code {code}); often out of memory"
                ) from None
            continue
        if kind == "row" and on_epoch is not None:
            on_epoch(content)
        elif kind == "result":
            results[local] = pickle.loads(content)
        elif kind == "traceback":
            where = RuntimeError(content)
        elif kind in TOLD:
            raise TOLD[kind](content) from where
        elif kind == "error":
            raise RuntimeError(content)
    return results[0]


def _process(job: bytes, environment: dict[str, str], local: int, threads: int, parent: int, messages: Any) -> None:
    """One of the processes: trains on its device, tells the caller about it."""
    end_with(parent, start_time(parent))
    os.environ.update(environment, LOCAL_RANK=str(local))
    torch.set_num_threads(threads)
    try:
        train, exp, data, state, checkpoint = pickle.loads(job)
        net = models.build(exp, data.shape, len(data.classes))
        net.load_state_dict(state)
        result = train(exp, data, net, lambda row: messages.put(("row", local, row)), checkpoint)
        messages.put(("result", local, pickle.dumps(dataclasses.replace(result, classify=None))))
    except (RunFailed, RequestError) as error:
        if error.__cause__ is not None:
            messages.put(("traceback", local, traceback.format_exc()))
        messages.put((type(error).__name__, local, str(error)))
    except BaseException as error:
        messages.put(("error", local, f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))
    time.sleep(3600)  # until the caller, which has all it needs, ends this process
