"""The LightningModule: pixels to loss, and nothing on the hot path but that."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from bench.data.augment import Augmentation, generator
from bench.data.batches import Batches, Images, bounds, smallest_share
from bench.models import transfer
from bench.schema.errors import OutOfTime
from bench.schema.experiment import Experiment
from bench.train import optim as optimizers
from bench.train import sharded

Prepare = Callable[[Tensor], Tensor]  # uint8 [B, C, H, W] -> the net's input
Loss = Callable[[Tensor, Tensor], Tensor]  # (logits [B, K], targets) -> mean over the batch

# Lightning's hooks around a training step cost as much as the step of a small net: one round of hooks for so many.
STEPS_A_CALL = 64

MOST_VALUES = 2**22  # input values that are scored at once: 1,024 images of 32x32x3, 27 of 224x224x3


class Task(pl.LightningModule):
    """Trains `net` on uint8 batches; the loss of an epoch is summed on the device and read once.

    Args:
        net: float32 [B, C, H, W] -> logits [B, K].
        pixel_norm: uint8 [B, C, H, W] -> float32 [B, C, H, W].
        augment: (images, labels, draws) -> (images, targets), or None.
        loss: mean over a batch.
        count: training images.
        layout: memory format of the images.
    """

    def __init__(
        self,
        exp: Experiment,
        net: nn.Module,
        pixel_norm: nn.Module,
        augment: Augmentation | None,
        loss: Loss,
        count: int,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.pixel_norm = net, pixel_norm
        self.exp, self.augment, self.loss, self.count, self.layout = exp, augment, loss, count, layout
        cuts = bounds(count, exp.trainer.batch_size, drop_last=False)
        self.sizes = [stop - start for start, stop in itertools.pairwise(cuts)]  # of the global batches
        self.step, self.loss_sum = 0, torch.zeros(())
        self.deadline: float | None = None  # of time.monotonic()

    def configure_model(self) -> None:
        """Called by Lightning when the devices are known: the network is shared out, then compiled."""
        if sharded.asked(self.exp):
            assert self.device_mesh is not None, "made by the strategy of `bench.train.engine`"
            sharded.shard(self.net, self.device_mesh["data_parallel"])
        if self.exp.trainer.compile:
            self.net.compile()

    def configure_optimizers(self) -> Any:
        """Optimizer, and the per-step schedule where the lr changes."""
        trainer = self.exp.trainer
        # The gradient scaler of 16-bit floats has to unscale before clipping, which a fused optimizer does too late,
        # and the fused sgd does not know sharded tensors.
        fused = trainer.precision != "16-mixed" and not sharded.asked(self.exp)
        parameters = transfer.groups(self.net, self.exp.transfer, self.exp.optim.lr)
        optimizer = optimizers.optimizer(self.exp.optim, parameters, fused=fused)
        schedule = optimizers.schedule(self.exp.optim, optimizer, trainer.epochs * len(self.sizes))
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """A new sum, and dropout's draws: they depend on seed, epoch and device only, so a resumed run repeats them."""
        self.step, self.loss_sum = 0, torch.zeros((), device=self.device)
        torch.manual_seed(dropout_seed(self.exp.seed, self.current_epoch, self.global_rank))
        if self.exp.transfer.unfreeze_every:
            transfer.freeze(self.net, self.exp.transfer, self.current_epoch)

    def training_step(self, batches: Iterable[tuple[Tensor, Tensor]], index: int) -> None:
        """One optimizer step for each batch of images uint8 [B, C, H, W] and labels int64 [B].

        Raises:
            OutOfTime: when `trainer.max_minutes` have passed.
        """
        optimizer, schedule = self.optimizers(), self.lr_schedulers()
        for images, labels in batches:
            if self.deadline is not None and time.monotonic() > self.deadline:
                limit = self.exp.trainer.max_minutes
                raise OutOfTime(f"stopped after trainer.max_minutes={limit:g}, in epoch {self.current_epoch + 1}")
            self.batch = images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
            optimizer.step(self._gradient)  # type: ignore[union-attr, call-arg]
            if schedule is not None:
                schedule.step()  # type: ignore[union-attr, call-arg]
            self.step += 1

    def _gradient(self) -> None:
        """Gradient of the loss over the global batch, in as many parts as asked for."""
        images, targets = self.batch
        size, world = self.sizes[self.step], self.trainer.world_size
        if self.augment is not None:
            draws = generator(self.exp.seed, self.current_epoch, self.step, size, self.global_rank, world)
            images, targets = self.augment(images, targets, draws)
        self.net.zero_grad()
        # As many on every device, which wait for each other after each part.
        parts = min(self.exp.trainer.accumulate, smallest_share(size, world))
        for pixels, wanted in zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True):
            loss = self.loss(self.net(self.prepared(pixels)), wanted)
            self.loss_sum.add_(loss.detach(), alpha=len(pixels))
            # Gradients are averaged over devices; this makes them the mean over the images of the global batch.
            weight = len(pixels) * world / size
            self.manual_backward(loss if weight == 1 else loss * weight)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Clip the gradient's norm (Pascanu et al. 2013, arXiv:1211.5063); a gradient scaler has unscaled it by now."""
        if self.exp.trainer.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.exp.trainer.clip)

    def prepared(self, images: Tensor) -> Tensor:
        """The network's input for images uint8 [B, C, H, W]: scaled float32, in the memory format of the run."""
        return self.pixel_norm(images).contiguous(memory_format=self.layout)  # type: ignore[no-any-return]


class Calls:
    """Batches in handfuls, for Lightning's Trainer: each item iterates over up to `steps` batches."""

    def __init__(self, batches: Batches, steps: int) -> None:
        self.batches, self.steps = batches, steps

    def __len__(self) -> int:
        return -(-len(self.batches) // self.steps)

    @property
    def sampler(self) -> Batches:
        """What Lightning calls `set_epoch` on."""
        return self.batches

    def __iter__(self) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
        batches = iter(self.batches)
        for _ in range(len(self)):
            yield itertools.islice(batches, self.steps)


def dropout_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """The seed of torch's global generator, which dropout draws from, for one epoch on one device."""
    import numpy as np

    low, high = np.random.SeedSequence([seed, epoch, rank, 1]).generate_state(2, np.uint32)
    return int(high) << 31 | int(low) >> 1


@torch.inference_mode()
def score(
    net: nn.Module,
    prepare: Callable[[Tensor], Tensor],
    images: Images,
    indices: Tensor,
    batch_size: int = 1024,
) -> Tensor:
    """Log-probabilities float32 [len(indices), K] in evaluation mode; the net's mode is put back afterwards.

    Args:
        prepare: uint8 [B, C, H, W] -> the net's input.
        images: uint8 [N, C, H, W], indexable by
        indices: int64, which images and in which order.
    """
    training = net.training
    net.eval()
    # Small images go through together; large ones would fill the memory with activations.
    batch_size = max(1, min(batch_size, MOST_VALUES // max(1, prepare(images[indices[:1]]).numel())))
    try:
        logits = [net(prepare(images[part])).float() for part in indices.split(batch_size)]
    finally:
        net.train(training)
    return torch.log_softmax(torch.cat(logits), dim=1)
