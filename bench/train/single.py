"""The learner of one network, on one device or on several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from bench.data.augment import generator
from bench.data.batches import Batches
from bench.models import cost, transfer
from bench.models.norm_layer import synchronise
from bench.schema.experiment import Experiment
from bench.train import lightning, loss, own_step, parts, sharded
from bench.train import optim as optimizers
from bench.train.budget import Budget
from bench.train.clock import Clock
from bench.train.diagnostics import PROBE, gradient_norms
from bench.train.examples import Examples
from bench.train.fabric import Fabric, layout
from bench.train.failure import names_what_failed
from bench.train.result import Classify
from bench.train.scoring import classifier, score
from bench.train.selection import State
from bench.train.step import TrainingStep
from bench.train.test_time import average_views, averages_views

DROPOUT, START, SCORES = 1, 2, 3  # what the global generators are seeded for


class Single:
    """One run; see `bench.train.learner.Learner`.

    Args:
        net: its network, which ends up with the selected weights.
        examples: what it is trained on, on Fabric's device.
    """

    kind = "single"

    def __init__(self, exp: Experiment, net: nn.Module, examples: Examples, fabric: Fabric) -> None:
        settings = exp.trainer
        self.exp, self.examples, self.fabric = exp, examples, fabric
        self.device, self.first, self.world = fabric.device, fabric.is_global_zero, fabric.world_size
        self.views = averages_views(exp, examples.augmentation, self.world)
        last = partial(
            transfer.training_mode, transfer=exp.transfer, epoch=settings.epochs - 1
        )  # most of it is trained
        parts.check(settings, net, examples.shape, len(examples.splits["train"]), self.world, last)
        self.params, self.flops = cost.parameters(net), cost.flops(net, examples.shape)
        images = len(examples.shape) == 3  # not features, which have no channels to be last
        self.layout = layout(settings, self.device, net) if images else torch.contiguous_format
        net = net.to(memory_format=self.layout)
        if self.world > 1 and settings.sync_batchnorm:
            net = synchronise(net)
        transfer.freeze(net, exp.transfer)
        self.training_mode, self.epoch = partial(transfer.training_mode, net, exp.transfer), 0
        wrapped = fabric.setup_module(net)
        labels = examples.labels[examples.splits["train"]]
        self.sizes = parts.sizes(len(examples.splits["train"]), settings.batch_size)  # of the global batches
        self.budget = Budget(settings, self.sizes)
        lightning.attach(exp, net, len(self.sizes), self.budget.total)
        own_step.seed_generators(exp, training_seed(exp.seed, START))
        criterion = loss.make(exp.optim, net, exp.loss.own if exp.loss else None, labels)
        self.step = own_step.make(exp, net, criterion)
        if settings.compile:
            net.compile()
        # One device needs no wrapper, which costs as much as a layer of a small net.
        self.net, self.forward = net, net if self.world == 1 else wrapped
        # The gradient scaler of 16-bit floats has to unscale before clipping, which a fused optimizer does too late,
        # and the fused sgd does not know sharded tensors.
        fused = settings.precision != "16-mixed" and not sharded.is_sharded(exp)
        groups = transfer.groups(net, exp.transfer, exp.optim.lr)
        if exp.optim.decayed == "weights":
            groups = optimizers.split_by_decay(groups, net)
        if exp.optim.layer_decay != 1:
            groups = optimizers.split_by_layer(groups, net, exp.optim)
        configured, scheduler = lightning.optimizer_of(exp, net, len(self.sizes))
        self.optimizer = configured or optimizers.optimizer(exp.optim, groups, fused=fused)
        mine = exp.schedule.own if exp.schedule else None
        self.schedule = scheduler or optimizers.schedule(
            exp.optim, self.optimizer, self.budget.total, mine, self.budget.place
        )
        self.stepper: Any = fabric.setup_optimizers(self.optimizer)
        self.parameters = list(net.parameters())

    @names_what_failed
    def train(self, epoch: int, clock: Clock) -> list[float]:
        """One optimizer step for each batch."""
        self.steps = self.images = 0
        exp, examples, rank = self.exp, self.examples, self.fabric.global_rank
        batches = Batches(
            examples.rows, examples.labels, examples.splits["train"], exp.trainer.batch_size, True, exp.seed,
            rank=rank, world=self.world, sampling=exp.trainer.sampling,
        )  # fmt: skip
        batches.set_epoch(epoch)
        self.loss_sum = torch.zeros((), device=self.device)  # read once, at the end
        # Dropout's draws depend on seed, epoch and device only, so a resumed run repeats them.
        torch.manual_seed(dropout_seed(exp.seed, epoch, rank))
        own_step.seed_generators(exp, dropout_seed(exp.seed, epoch, rank))
        self.epoch = epoch
        if exp.transfer.unfreeze_every:
            transfer.freeze(self.net, exp.transfer, epoch)
        self.training_mode(epoch)
        self.step.begin(self.net, epoch)
        for number, (rows, labels) in enumerate(batches):
            clock.check(epoch)
            if number and self.budget.over(epoch, number):  # an epoch that was begun has one step
                break
            rows, labels = rows.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
            self.counted = False
            closure = partial(self._gradient, rows, labels, epoch, number)
            if exp.trainer.precision == "16-mixed":  # whose gradient scaler takes no closure
                closure()
                self.stepper.step()
            else:
                self.stepper.step(closure)
            self.last_lr = float(self.optimizer.param_groups[0]["lr"])
            if self.schedule is not None:
                self.schedule.step()
            self.step.end(self.net)
            self.steps, self.images = self.steps + 1, self.images + self.sizes[number]
        if self.world > 1:
            dist.all_reduce(self.loss_sum)
        return [float(self.loss_sum) / self.images]

    def _gradient(self, rows: Tensor, targets: Tensor, epoch: int, number: int) -> Tensor:
        """Gradient of the loss over the global batch, in as many parts as asked for; gives the loss."""
        settings, size = self.exp.trainer, self.sizes[number]
        if self.examples.augmentation is not None:  # of 32 bits, whatever the network computes in
            draws = generator(self.exp.seed, epoch, number, size, self.fabric.global_rank, self.world)
            rows, targets = self.examples.augmentation(rows, targets, draws)
        with self.fabric.autocast():
            for parameter in self.parameters:
                parameter.grad = None
            count = parts.parts(settings, size, self.world)
            found = torch.zeros((), device=self.device)
            for part, wanted in zip(rows.tensor_split(count), targets.tensor_split(count), strict=True):
                loss = self.step.loss(self.forward, self.prepare_rows(part), wanted)
                # Gradients are averaged over devices; this makes them the mean over the images of the global batch.
                weight = len(part) * self.world / size
                self.fabric.backward(loss if weight == 1 else loss * weight)
                found += loss.detach() if count == 1 else loss.detach() * len(part) / len(rows)
                if not self.counted:  # an optimizer may look twice
                    self.loss_sum.add_(loss.detach(), alpha=len(part))
            self.counted = True
            # Pascanu et al. 2013, arXiv:1211.5063.
            if settings.clip is not None:
                self.fabric.strategy.precision.unscale_gradients(self.optimizer)
                nn.utils.clip_grad_norm_(self.parameters, settings.clip)
        return found

    def prepare_rows(self, rows: Tensor) -> Tensor:
        """The network's input for stored rows, in the memory format of the run."""
        return self.examples.prepare(rows).contiguous(memory_format=self.layout)

    @names_what_failed
    def scores(self, split: str) -> Tensor:
        """Log-probabilities float32 [1, n, K]; each image is scored on exactly one device."""
        indices = self.examples.splits[split]
        net = self.step.scored(self.net)
        own_step.seed_generators(self.exp, training_seed(self.exp.seed, SCORES))
        with self.fabric.autocast():
            if self.world == 1:
                return score(net, self.prepare_rows, self.examples.rows, indices).unsqueeze(0)
            rank = self.fabric.global_rank
            for buffer in net.buffers():
                dist.broadcast(buffer, 0)  # running statistics may differ where batch norm is not synchronized
            mine = indices[rank :: self.world]
            # A sharded network computes on all devices or on none: where shares differ by one image, a repeated one
            # makes them equal, and its scores are dropped.
            longest = -(-len(indices) // self.world)
            part = score(net, self.prepare_rows, self.examples.rows, torch.cat([mine, indices[: longest - len(mine)]]))
            sharded.release(net)
        found = torch.zeros(len(indices), part.shape[1], device=part.device)
        found[rank :: self.world] = part[: len(mine)]
        dist.all_reduce(found)  # a sum with zeros: exact
        return found.unsqueeze(0)

    def final_scores(self, split: str) -> Tensor:
        """The same, or with `augment.test_time` the mean over views."""
        if not self.views:
            return self.scores(split)
        assert self.examples.augmentation is not None
        rows, indices = self.examples.rows, self.examples.splits[split]
        net, augmentation, autocast = self.net, self.examples.augmentation, self.fabric.autocast
        return average_views(self.exp, net, self.prepare_rows, augmentation, rows, indices, autocast).unsqueeze(0)

    def lr(self, s: int) -> float:
        """Of the first group of parameters."""
        return self.last_lr

    def gradients(self, s: int) -> dict[str, float]:
        """Norms of the gradient on the first training images."""
        if not self.exp.trainer.gradients:
            return {}
        probe, mode = self.examples.splits["train"][:PROBE], partial(self.training_mode, self.epoch)
        inputs = self.prepare_rows(self.examples.rows[probe])
        return gradient_norms(self.net, inputs, self.examples.labels[probe], self.step.criterion, mode)

    def weights(self, s: int) -> State:
        """Whole, wherever pieces of them lie."""
        return sharded.gather_state(self.step.scored(self.net))

    def use(self, s: int, weights: State) -> None:
        """Put a whole state into the network, which may be sharded, and into what is scored."""
        sharded.restore(self.net, weights)
        self.step = TrainingStep(self.step.criterion)  # the network is what was kept, and no average of it

    def state(self, s: int) -> dict[str, Any]:
        """Network, optimizer, schedule, gradient scaler, and what the training step keeps."""
        return {
            "net": sharded.gather_state(self.net),
            "optimizer": sharded.optimizer_state(self.net, self.optimizer),
            "schedule": self.schedule.state_dict() if self.schedule is not None else {},
            "scaler": self.fabric.strategy.precision.state_dict(),
            "step": self.step.state_dict(),
        }

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """The one state."""
        (state,) = states
        sharded.restore(self.net, state["net"])
        sharded.load_optimizer_state(self.net, self.optimizer, state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.fabric.strategy.precision.load_state_dict(state["scaler"])
        self.step.load_state_dict(state["step"])

    def classify(self, s: int) -> Classify | None:
        """The network on other images; nothing where it was trained on features."""
        if self.examples.trained_on is None:
            return None
        return classifier(self.net, self.prepare_rows, self.device, self.fabric.autocast)

    def agree(self, due: bool) -> bool:
        """Of several processes the first one's clock counts."""
        return bool(self.fabric.broadcast(due))


def dropout_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """The seed of torch's global generator, which dropout draws from, for one epoch on one device."""
    return training_seed(seed, DROPOUT, epoch, rank)


def training_seed(seed: int, use: int, epoch: int = 0, rank: int = 0) -> int:
    """One seed for each use of random numbers in a training."""
    low, high = np.random.SeedSequence([seed, epoch, rank, use]).generate_state(2, np.uint32)
    return int(high) << 31 | int(low) >> 1
