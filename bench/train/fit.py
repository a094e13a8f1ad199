"""Training with Lightning, selection on val, one look at test."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.data import augment
from bench.data.augment import Augmentation
from bench.data.batches import Batches, place
from bench.data.imagedata import ImageData
from bench.models import cost, preprocess, transfer
from bench.models.norm_layer import synchronise
from bench.schema.errors import RequestError, RunFailed
from bench.schema.experiment import Experiment
from bench.train import distributed, loss, sharded
from bench.train.checkpoint import resumable
from bench.train.diagnostics import PROBE, Gradients
from bench.train.engine import interruptible, layout, lightning, switches
from bench.train.memory import peak_memory_mb, reset_peak_memory
from bench.train.result import Classify, Result
from bench.train.task import STEPS_A_CALL, Calls, Task, score
from bench.train.views import averaged, requested
from bench.train.watch import OnEpoch, Watch, scores

__all__ = ["Inputs", "OnEpoch", "fit"]

Inputs = tuple[nn.Module, Augmentation | None]  # stored images -> the net's input; what training images go through


def fit(
    exp: Experiment,
    data: ImageData,
    net: nn.Module,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
    inputs: Inputs | None = None,
) -> Result:
    """Train `net`, select an epoch on val, score val and test at that epoch.

    Args:
        on_epoch: called after every epoch with its row of the history.
        checkpoint: file that keeps the state of the training, at most every 30 seconds. Where it exists already the
            training goes on from it; all numbers but the seconds are then those of an undisturbed run.
        inputs: in place of the Experiment's preprocessing and augmentation, for data that are not pixels.

    Raises:
        RunFailed: when the loss becomes NaN or infinite, memory runs out or `trainer.max_minutes` pass.
        RequestError: when this machine lacks what `trainer` asks for.
    """
    if distributed.several(exp.trainer):
        if inputs is not None or exp.transfer.unfreeze_every:
            raise RequestError("Features and transfer.unfreeze_every work on one device: set trainer.devices=1.")
        result = distributed.run(train, exp, data, net, on_epoch, checkpoint)
        return dataclasses.replace(result, classify=classifier(net, preprocess.make(exp, data), torch.device("cpu")))
    return train(exp, data, net, on_epoch, checkpoint, inputs)


def train(
    exp: Experiment,
    data: ImageData,
    net: nn.Module,
    on_epoch: OnEpoch | None,
    checkpoint: Path | None,
    inputs: Inputs | None = None,
) -> Result:
    """`fit`, on this process' device, under torch's switches for the run."""
    with switches(exp.trainer), interruptible():
        return _train(exp, data, net, on_epoch, checkpoint, inputs)


def _train(
    exp: Experiment,
    data: ImageData,
    net: nn.Module,
    on_epoch: OnEpoch | None,
    checkpoint: Path | None,
    inputs: Inputs | None,
) -> Result:
    prepare, augmentation = inputs or (preprocess.make(exp, data), augment.make(exp.augment, data))
    several_views = requested(exp, augmentation, exp.trainer.devices * exp.trainer.num_nodes)
    shape = prepared_shape(prepare, data)
    flops = cost.flops(net, shape)
    trainer = lightning(exp.trainer, [])
    device, world = trainer.strategy.root_device, trainer.world_size
    # The whole set lies on the device as uint8: no loader, no copy per step.
    images, labels = place(data, device), torch.from_numpy(data.labels).to(device)
    where = {split: torch.from_numpy(data.split(split)).to(device) for split in ("train", "val", "test")}
    batches = Batches(
        images, labels, where["train"], exp.trainer.batch_size, True, exp.seed, rank=trainer.global_rank, world=world
    )
    memory = layout(exp.trainer, device, net)
    net = net.to(memory_format=memory)  # type: ignore[call-overload]
    if world > 1 and exp.trainer.sync_batchnorm:
        net = synchronise(net)
    transfer.freeze(net, exp.transfer)  # after the conversion, which makes new modules that would not be held
    task = Task(
        exp,
        net,
        prepare,
        augmentation,
        loss.make(exp.optim, net),
        len(data.train),
        memory,
    )
    watch = Watch(exp, images, labels, where["val"], on_epoch, checkpoint)
    trainer.callbacks.append(watch)  # type: ignore[attr-defined]
    probe = where["train"][:PROBE]
    observer = Gradients(net, lambda: task.prepared(images[probe]), labels[probe], task.loss)
    if exp.trainer.gradients:
        trainer.callbacks.append(observer)  # type: ignore[attr-defined]
    reset_peak_memory(device)
    try:
        started = time.perf_counter()
        trainer.fit(
            task,
            train_dataloaders=Calls(batches, STEPS_A_CALL if world == 1 else 1),
            ckpt_path=resumable(exp, checkpoint),
            weights_only=True,
        )
        seconds = watch.seconds + time.perf_counter() - started
        sharded.restore(net, watch.selection.best)
        task.to(device)
        if several_views:
            assert augmentation is not None
            evaluated = partial(averaged, exp, net, task.prepared, augmentation, images)
        else:
            evaluated = partial(scores, trainer, task, images)
        val, test = (evaluated(where[split]).cpu().numpy() for split in ("val", "test"))
    except torch.OutOfMemoryError as error:
        raise RunFailed(f"out of memory: {str(error).splitlines()[0]}") from None
    return Result(
        val_scores=val,
        test_scores=test,
        history=watch.selection.history,
        gradients=observer.rows,
        classify=None if inputs else classifier(net, task.prepared, device),
        costs={
            "cost/params": cost.parameters(net),
            "cost/flops": flops,
            "cost/fit_seconds": seconds,
            "cost/images_per_second": len(data.train) * exp.trainer.epochs / seconds,
            "cost/peak_memory_mb": peak_memory_mb(device),
        },
        selected_epoch=watch.selection.selected,
        state={name: tensor.cpu().contiguous() for name, tensor in watch.selection.best.items()},
        trained_on=None if inputs else preprocess.as_input(prepare, shape),
    )


def classifier(net: nn.Module, prepare: Callable[[Tensor], Tensor], device: torch.device) -> Classify:
    """The network on other images: uint8 [B, C, H, W] -> log-probabilities float32 [B, K]."""
    return lambda images: score(net, prepare, images.to(device), torch.arange(len(images)))


def prepared_shape(prepare: nn.Module, data: ImageData) -> tuple[int, int, int]:
    """(C, H, W) of one input of the network."""
    c, h, w = prepare(torch.from_numpy(data.images[data.train[:1]])).shape[1:]
    return c, h, w
