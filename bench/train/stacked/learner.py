"""The learner of several runs as one program: a step of all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.augment import SideBySide, generator
from bench.data.batches import Batches
from bench.data.cuts import bounds
from bench.models import cost
from bench.schema.experiment import Experiment
from bench.train import loss, own_step
from bench.train import optim as optimizers
from bench.train import parts as cutting
from bench.train.budget import Budget
from bench.train.clock import Clock
from bench.train.diagnostics import PROBE, gradient_norms
from bench.train.examples import Examples
from bench.train.fabric import Fabric
from bench.train.failure import names_what_failed
from bench.train.result import Classify
from bench.train.scoring import at_once, classifier
from bench.train.selection import State
from bench.train.single import dropout_seed
from bench.train.stacked.network import Stacked
from bench.train.stacked.optimizer import Optimizer
from bench.train.step import Averaged, TrainingStep
from bench.train.test_time import average_views, averages_views

SCORED = 256  # images scored at once where a network has images inside, whose memory is that of all runs
READY_BYTES = 512 * 2**20  # scaled images are kept where they take no more


class Program:
    """Runs for which `which.are_compatible` and `network.can_stack` hold; see `bench.train.learner.Learner`.

    Args:
        nets: a network for each run, which end up with the selected weights.
        examples: what all of them are trained on, on Fabric's device.
    """

    kind = "stacked"
    first = True  # of one device

    def __init__(
        self, exps: Sequence[Experiment], nets: Sequence[nn.Module], examples: Examples, fabric: Fabric
    ) -> None:
        first = exps[0]
        self.exps, self.examples, self.nets, self.settings = exps, examples, nets, first.trainer
        self.device = fabric.device
        self.views = averages_views(first, examples.augmentation, 1)
        train, rows = examples.splits["train"].cpu(), examples.rows
        cutting.check(self.settings, nets[0], examples.shape, len(train), 1)
        self.params, self.flops = cost.parameters(nets[0]), cost.flops(nets[0], examples.shape)
        self.net = Stacked(nets, self.device)
        labels = examples.labels[examples.splits["train"]]
        self.criteria = [loss.make(exp.optim, net, None, labels) for exp, net in zip(exps, nets, strict=True)]
        self.each: list[TrainingStep] = [own_step.make(*run) for run in zip(exps, nets, self.criteria, strict=True)]
        averages = [step.average.module for step in self.each if isinstance(step, Averaged)]
        self.scored = Stacked(averages, self.device) if averages else self.net
        sampling = first.trainer.sampling
        self.orders = [Batches(rows, examples.labels, train, 1, True, exp.seed, sampling=sampling) for exp in exps]
        self.cuts = bounds(len(train), first.trainer.batch_size, drop_last=False)
        self.budget = Budget(first.trainer, [stop - start for start, stop in pairwise(self.cuts)])
        # Prepared once instead of in every epoch, where nothing changes the images in between.
        self.ready: Tensor | None = None
        plain = examples.augmentation is None
        if plain and isinstance(rows, Tensor) and 4 * len(rows) * examples.size <= READY_BYTES:
            self.ready = torch.cat([examples.prepare(part) for part in rows.split(1024)])
        spatial = any(isinstance(m, nn.Conv2d) for m in nets[0].modules())
        self.block = SCORED if spatial else at_once(examples.size)
        self.optimizer = Optimizer(exps, self.net, nets)
        self.schedule = optimizers.schedule(first.optim, self.optimizer.inner, self.budget.total)

    @names_what_failed
    def train(self, epoch: int, clock: Clock) -> list[float]:
        """One optimizer step of every run for each batch."""
        self.steps = self.images = 0
        for exp, stream in zip(self.exps, self.net.generators, strict=True):
            stream.manual_seed(dropout_seed(exp.seed, epoch))
        orders = torch.stack([batches.order(epoch) for batches in self.orders])  # [S, N]
        total = torch.zeros(len(self.exps), device=self.device)
        self.net.train()
        for number, (start, stop) in enumerate(pairwise(self.cuts)):
            clock.check(epoch)
            if number and self.budget.over(epoch, number):
                break
            self.step(orders[:, start:stop], epoch, number, total)
            self.steps, self.images = self.steps + 1, stop
        return [float(one) / self.images for one in total]

    def step(self, chosen: Tensor, epoch: int, number: int, total: Tensor) -> None:
        """One optimizer step of every run on its own images, int64 [S, B]; adds to the sums of the losses [S]."""
        images, targets = self._batch(chosen, epoch, number)
        size, settings = chosen.shape[1], self.settings
        self.last_lrs = self.optimizer.lrs()
        self.net.zero_grad()
        count = cutting.parts(settings, size, 1)
        for part, wanted in zip(images.tensor_split(count, 1), targets.tensor_split(count, 1), strict=True):
            losses = torch.stack([f(*one) for f, *one in zip(self.criteria, self.net(part), wanted, strict=True)])
            weight = part.shape[1] / size
            (losses if weight == 1 else losses * weight).sum().backward()
            total.add_(losses.detach(), alpha=part.shape[1])
        self.net.share_gradients()
        if settings.clip is not None:
            for net in self.nets:
                nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        self.optimizer.inner.step()
        if self.schedule is not None:
            self.schedule.step()
        for step, net in zip(self.each, self.nets, strict=True):
            step.end(net)

    def _batch(self, chosen: Tensor, epoch: int, number: int) -> tuple[Tensor, Tensor]:
        """Prepared images [S, B, C, H, W] and targets [S, B] (or [S, B, K])."""
        size, flat, examples = chosen.shape[1], chosen.flatten().to(self.device), self.examples
        targets = examples.labels.index_select(0, flat)
        if self.ready is not None:
            return (x.unflatten(0, chosen.shape) for x in (self.ready.index_select(0, flat), targets))  # type: ignore[return-value]
        images = examples.rows[flat]
        if examples.augmentation is not None:
            draws = [generator(exp.seed, epoch, number, size) for exp in self.exps]
            mixed = self.exps[0].augment.mixup or self.exps[0].augment.cutmix
            if mixed and size % 2:  # pairs of neighbours must not reach over from run to run
                each = [
                    examples.augmentation(*one)
                    for one in zip(images.split(size), targets.split(size), draws, strict=True)
                ]
                images, targets = (torch.cat(together) for together in zip(*each, strict=True))
            else:
                images, targets = examples.augmentation(images, targets, SideBySide(draws))
        return examples.prepare(images).unflatten(0, chosen.shape), targets.unflatten(0, chosen.shape)

    @names_what_failed
    @torch.inference_mode()
    def scores(self, split: str) -> Tensor:
        """Log-probabilities float32 [S, n, K] of the same images by every network."""
        self.scored.eval()
        logits = []
        for part in self.examples.splits[split].split(self.block):
            rows = self.examples.rows
            pixels = self.examples.prepare(rows[part]) if self.ready is None else self.ready.index_select(0, part)
            logits.append(self.scored(pixels.expand(len(self.exps), *pixels.shape)))
        return torch.log_softmax(torch.cat(logits, dim=1), dim=2)

    def final_scores(self, split: str) -> Tensor:
        """The same, or with `augment.test_time` the mean over each run's own views."""
        if not self.views:
            return self.scores(split)
        prepare, augmentation, rows = self.examples.prepare, self.examples.augmentation, self.examples.rows
        assert augmentation is not None
        indices = self.examples.splits[split]
        runs = zip(self.exps, self.nets, strict=True)
        return torch.stack([average_views(exp, net, prepare, augmentation, rows, indices) for exp, net in runs])

    def lr(self, s: int) -> float:
        """Of run s in its last step."""
        return self.last_lrs[s]

    def gradients(self, s: int) -> dict[str, float]:
        """Norms of the gradient on the first training images."""
        if not self.settings.gradients:
            return {}
        probe = self.examples.splits["train"][:PROBE]
        inputs = self.examples.prepare(self.examples.rows[probe])
        return gradient_norms(self.nets[s], inputs, self.examples.labels[probe], self.criteria[s])

    def weights(self, s: int) -> State:
        """Views of the program's tensors."""
        return self.each[s].scored(self.nets[s]).state_dict()

    def use(self, s: int, weights: State) -> None:
        """Put them back; what is scored is then no average any more."""
        self.nets[s].load_state_dict(weights)
        self.scored = self.net

    def state(self, s: int) -> dict[str, Any]:
        """A run's slice of everything, so that what is left of a killed program can go on in other company."""
        return {
            "net": {name: tensor.clone() for name, tensor in self.nets[s].state_dict().items()},
            "slots": self.optimizer.slots(s),
            "steps": 0 if self.schedule is None else self.schedule.last_epoch,
            "step": {name: tensor.clone() for name, tensor in self.each[s].state_dict().items()},
        }

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Of all runs; a schedule goes on where the first one's is, as they have done the same number of steps."""
        for net, step, state in zip(self.nets, self.each, states, strict=True):
            net.load_state_dict(state["net"])
            step.load_state_dict(state["step"])
        self.optimizer.load([state["slots"] for state in states])
        if self.schedule is not None:
            self.optimizer.after(states[0]["steps"], self.schedule)

    def classify(self, s: int) -> Classify | None:
        """The run's own network on other images."""
        return classifier(self.nets[s], self.examples.prepare, self.device)

    def agree(self, due: bool) -> bool:
        """There is one process."""
        return due
