"""The learner of several runs as one program: a step of all of them at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.augment import generator
from bench.data.batches import Batches, bounds
from bench.models import cost
from bench.schema.experiment import Experiment
from bench.train import optim as optimizers
from bench.train import parts as cutting
from bench.train.budget import Budget
from bench.train.clock import Clock
from bench.train.examples import Examples
from bench.train.fabric import Fabric
from bench.train.loss import criterion
from bench.train.result import Classify
from bench.train.scoring import classifier
from bench.train.selection import State
from bench.train.single import dropout_seed
from bench.train.stacked import slots
from bench.train.stacked.network import Stacked

SCORED = 256  # images scored at once, whatever the number of runs: sums in another order give other last digits
READY_BYTES = 512 * 2**20  # scaled images are kept where they take no more


class Program:
    """Runs for which `which.compatible` and `network.can_stack` hold; see `bench.train.learner.Learner`.

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
        cutting.check(self.settings, nets[0], examples.shape, len(examples.splits["train"]), 1)
        self.params, self.flops = cost.parameters(nets[0]), cost.flops(nets[0], examples.shape)
        self.net = Stacked(nets, self.device)
        self.loss = criterion(first.optim, reduction="none")
        train = examples.splits["train"].cpu()
        self.orders = [
            Batches(examples.rows, examples.labels, train, 1, True, exp.seed, sampling=first.trainer.sampling)
            for exp in exps
        ]
        self.cuts = bounds(len(train), first.trainer.batch_size, drop_last=False)
        self.budget = Budget(first.trainer, [stop - start for start, stop in pairwise(self.cuts)])
        # Prepared once instead of in every epoch, where nothing changes the images in between.
        self.ready: Tensor | None = None
        rows, plain = examples.rows, examples.augmentation is None
        if plain and isinstance(rows, Tensor) and 4 * len(rows) * examples.size <= READY_BYTES:
            self.ready = torch.cat([examples.prepare(part) for part in rows.split(1024)])
        self.optimizers, self.schedules = self._optimizers()

    def train(self, epoch: int, clock: Clock) -> list[float]:
        """One optimizer step of every run for each batch."""
        self.steps = self.images = 0
        for exp, stream in zip(self.exps, self.net.generators, strict=True):
            stream.manual_seed(dropout_seed(exp.seed, epoch))
        orders = torch.stack([batches.order(epoch) for batches in self.orders])  # [S, N]
        total = torch.zeros(len(self.exps), device=self.device)
        self.net.train()
        for step, (start, stop) in enumerate(pairwise(self.cuts)):
            clock.check(epoch)
            if step and self.budget.over(epoch, step):
                break
            total.add_(self.step(orders[:, start:stop], epoch, step), alpha=stop - start)
            self.steps, self.images = self.steps + 1, stop
        return (total / self.images).tolist()  # type: ignore[no-any-return]

    def step(self, chosen: Tensor, epoch: int, step: int) -> Tensor:
        """One optimizer step of every run on its own images, int64 [S, B]; the losses [S]."""
        pixels, targets = self._batch(chosen, epoch, step)
        self.last_lrs = [float(o.param_groups[0]["lr"]) for o in self.optimizers]
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=len(self.optimizers) == 1)
        logits = self.net(pixels).transpose(1, 2)
        losses = self.loss(logits.flatten(0, 1), targets.flatten(0, 1)).view(chosen.shape).mean(1)
        losses.sum().backward()
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            if schedule is not None:
                schedule.step()
        return losses.detach()  # type: ignore[no-any-return]

    def _batch(self, chosen: Tensor, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Prepared images [S, B, C, H, W] and targets [S, B] (or [S, B, K])."""
        size, flat, examples = chosen.shape[1], chosen.flatten().to(self.device), self.examples
        targets = examples.labels.index_select(0, flat).unflatten(0, chosen.shape)
        if self.ready is not None:
            return self.ready.index_select(0, flat).unflatten(0, chosen.shape), targets
        images = examples.rows[flat].unflatten(0, chosen.shape)
        if examples.augmentation is not None:
            parts = [
                examples.augmentation(one, wanted, generator(exp.seed, epoch, step, size))
                for one, wanted, exp in zip(images, targets, self.exps, strict=True)
            ]
            images, targets = torch.stack([p[0] for p in parts]), torch.stack([p[1] for p in parts])
        return examples.prepare(images.flatten(0, 1)).unflatten(0, chosen.shape), targets

    @torch.inference_mode()
    def scores(self, split: str) -> Tensor:
        """Log-probabilities float32 [S, n, K] of the same images by every network."""
        self.net.eval()
        logits = []
        for part in self.examples.splits[split].split(SCORED):
            rows = self.examples.rows
            pixels = self.examples.prepare(rows[part]) if self.ready is None else self.ready.index_select(0, part)
            logits.append(self.net(pixels.expand(len(self.exps), *pixels.shape)))
        return torch.log_softmax(torch.cat(logits, dim=2), dim=1).transpose(1, 2)

    final_scores = scores  # of one view

    def lr(self, s: int) -> float:
        """Of run s in its last step."""
        return self.last_lrs[s if len(self.optimizers) > 1 else 0]

    def gradients(self, s: int) -> dict[str, float]:
        """Not observed here."""
        return {}

    def weights(self, s: int) -> State:
        """Views of the program's tensors."""
        return self.net.state(s)

    def use(self, s: int, weights: State) -> None:
        """Put them back, into the run's own network too."""
        self.net.load(s, weights)
        self.nets[s].load_state_dict(weights)

    def state(self, s: int) -> dict[str, Any]:
        """A run's slice of everything, so that what is left of a killed program can go on in other company."""
        return {
            "net": {name: tensor.clone() for name, tensor in self.net.state(s).items()},
            "slots": slots.taken(self.optimizers, s),
            "steps": 0 if self.schedules[0] is None else self.schedules[0].last_epoch,
        }

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Of all runs; a schedule goes on where the first one's is, as they have done the same number of steps."""
        for s, state in enumerate(states):
            self.net.load(s, state["net"])
        slots.load(self.optimizers, [state["slots"] for state in states])
        for schedule in self.schedules:
            slots.load_schedule(schedule, states[0]["steps"])

    def classify(self, s: int) -> Classify | None:
        """The run's own network on other images."""
        return classifier(self.nets[s].to(self.device), self.examples.prepare, self.device)

    def agreed(self, due: bool) -> bool:
        """There is one process."""
        return due

    def seconds_a_step(self, steps: int) -> float:
        """The fastest of `steps` training steps, after two to warm up."""
        chosen = torch.stack([batches.order(0) for batches in self.orders])[:, : self.settings.batch_size]
        self.net.train()
        times = []
        for _ in range(steps + 2):
            started = time.perf_counter()
            self.step(chosen, 0, 0)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            times.append(time.perf_counter() - started)
        return min(times[2:])

    def _optimizers(self):  # type: ignore[no-untyped-def]
        """One optimizer over the stacked parameters; one for each run, over views of them, where lr or decay differ."""
        settings = [exp.optim for exp in self.exps]
        if all(s == settings[0] for s in settings):
            made = [optimizers.optimizer(settings[0], self.net.parameters())]
        else:
            made = []
            for whole in self.net.parameters():
                whole.grad = torch.zeros_like(whole)
            for s, optim in enumerate(settings):
                views = [nn.Parameter(whole.detach()[s]) for whole in self.net.parameters()]
                for view, whole in zip(views, self.net.parameters(), strict=True):
                    assert whole.grad is not None
                    view.grad = whole.grad[s]  # backward adds in place, so the view stays the gradient
                made.append(optimizers.optimizer(optim, views))
        return made, [optimizers.schedule(s, o, self.budget.total) for s, o in zip(settings, made, strict=False)]
