"""The one program that trains several runs: a step of all of them, their epochs, checkpoints and scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.data import augment, pixel_norm
from bench.data.augment import generator
from bench.data.batches import Batches, bounds, place
from bench.data.imagedata import ImageData
from bench.models import cost, preprocess
from bench.schema.errors import OutOfTime, RunFailed
from bench.schema.experiment import Experiment
from bench.train import checkpoint, stacked_checkpoint
from bench.train import optim as optimizers
from bench.train.engine import layout, lightning
from bench.train.loss import criterion
from bench.train.memory import peak_memory_mb, reset_peak_memory
from bench.train.result import Classify, Result
from bench.train.selection import Selection, row
from bench.train.stacked import Stacked
from bench.train.task import dropout_seed, score

OnEpoch = Callable[[int, dict[str, float]], None]  # (which run, its row of the history)

SCORED = 256  # images scored at once, whatever the number of runs: sums in another order give other last digits
READY_BYTES = 512 * 2**20  # scaled images are kept where they take no more


class Program:
    """Several runs for which `bench.train.alike.compatible` and `bench.train.stacked.can_stack` hold, as one."""

    def __init__(self, exps: Sequence[Experiment], data: ImageData, nets: Sequence[nn.Module]) -> None:
        first = exps[0]
        self.exps, self.data, self.nets, self.trainer = exps, data, nets, first.trainer
        self.device = lightning(first.trainer, []).strategy.root_device
        self.params, self.flops = cost.parameters(nets[0]), cost.flops(nets[0], data.shape)
        self.net = Stacked(nets, self.device)
        self.layout = layout(first.trainer, self.device, self.net)
        self.scale = pixel_norm.make(first.pixel_norm, data).to(self.device)
        self.augment = augment.make(first.augment, data)
        self.loss = criterion(first.optim, reduction="none")
        images = place(data, self.device)
        self.images, self.labels = images, torch.from_numpy(data.labels).to(self.device)
        train = torch.from_numpy(data.train)
        self.orders = [Batches(self.images, self.labels, train, 1, True, exp.seed) for exp in exps]
        self.cuts = bounds(len(train), first.trainer.batch_size, drop_last=False)
        # Scaled once instead of in every epoch, where nothing changes the images in between.
        self.ready: Tensor | None = None
        if not self.augment and isinstance(images, Tensor) and 4 * images.numel() <= READY_BYTES:
            self.ready = torch.cat([self.scale(part) for part in images.split(1024)])
        self.optimizers, self.schedules = self._optimizers()

    def fit(self, on_epoch: OnEpoch | None, files: Sequence[Path | None]) -> list[Result | RunFailed]:
        """All epochs, then the scores of each run at its selected epoch.

        Args:
            files: each run's checkpoint: read where there is one, which then all of them have, of the same epoch.
        """
        reset_peak_memory(self.device)
        selections = [Selection(self.trainer) for _ in self.exps]
        failed: dict[int, RunFailed] = {}
        val = torch.from_numpy(self.data.val).to(self.device)
        begun, before = self._resume(files, selections, failed)
        started = time.perf_counter() - before
        saved = time.monotonic()
        for epoch in range(begun, self.trainer.epochs):
            losses = self.train(epoch, started)
            scores = self.scores(val)
            seconds = time.perf_counter() - started
            for s, (selection, loss) in enumerate(zip(selections, losses.tolist(), strict=True)):
                if s in failed:
                    continue
                found = row(epoch + 1, self._lr(s), loss, scores[s], self.labels[val], seconds)
                try:
                    selection.add(found, lambda s=s: self.net.state(s))  # type: ignore[misc]
                except RunFailed as error:
                    failed[s] = error
                    continue
                if on_epoch is not None:
                    on_epoch(s, found)
            if len(failed) == len(self.exps):
                break
            due = time.monotonic() - saved >= checkpoint.CHECKPOINT_SECONDS
            if due and epoch + 1 < self.trainer.epochs:
                self._save(files, selections, failed, epoch + 1, (time.perf_counter() - started) / len(self.exps))
                saved = time.monotonic()
        return self._results(selections, failed, (time.perf_counter() - started) / len(self.exps))

    def _save(
        self, files: Sequence[Path | None], selections: Sequence[Selection], failed: dict[int, RunFailed],
        epoch: int, seconds: float,
    ) -> None:  # fmt: skip
        """Write each run's state after so many epochs, and its share of the seconds."""
        for s, (exp, file, selection) in enumerate(zip(self.exps, files, selections, strict=True)):
            if file is not None:
                state = {
                    "epoch": epoch,
                    "seconds": seconds,
                    "failed": failed[s].reason if s in failed else "",
                    "net": {name: tensor.clone() for name, tensor in self.net.state(s).items()},
                    "slots": stacked_checkpoint.slots(self.optimizers, s),
                    "selection": selection.state_dict(),
                }
                stacked_checkpoint.write(exp, file, state)

    def _resume(
        self, files: Sequence[Path | None], selections: Sequence[Selection], failed: dict[int, RunFailed]
    ) -> tuple[int, float]:
        """Take over what checkpoints hold; the epochs and the seconds that were done."""
        states = [stacked_checkpoint.read(exp, file) for exp, file in zip(self.exps, files, strict=True)]
        if not all(states):
            return 0, 0.0
        for s, state in enumerate(states):
            self.net.load(s, state["net"])
            selections[s].load_state_dict(state["selection"])
            if state["failed"]:
                failed[s] = RunFailed(state["failed"])
        stacked_checkpoint.load_slots(self.optimizers, [state["slots"] for state in states])
        begun = int(states[0]["epoch"])
        for schedule in self.schedules:
            stacked_checkpoint.load_schedule(schedule, begun * (len(self.cuts) - 1))
        return begun, sum(state["seconds"] for state in states)

    def _results(
        self, selections: Sequence[Selection], failed: dict[int, RunFailed], seconds: float
    ) -> list[Result | RunFailed]:
        """The scores of each run at its selected epoch; `seconds` is a run's share of the training."""
        for s, selection in enumerate(selections):
            if s not in failed:
                self.net.load(s, selection.best)
                self.nets[s].load_state_dict(selection.best)
        val, test = (
            self.scores(torch.from_numpy(part).to(self.device)).cpu().numpy()
            for part in (self.data.val, self.data.test)
        )
        costs = {
            "cost/params": self.params,
            "cost/flops": self.flops,
            "cost/fit_seconds": seconds,
            "cost/images_per_second": len(self.data.train) * self.trainer.epochs / seconds,
            "cost/peak_memory_mb": peak_memory_mb(self.device),
        }
        return [
            failed[s]
            if s in failed
            else Result(
                val_scores=val[s],
                test_scores=test[s],
                history=selection.history,
                costs=costs,
                selected_epoch=selection.selected,
                classify=self._classifier(self.nets[s].to(self.device)),
                state={name: tensor.cpu() for name, tensor in selection.best.items()},
                trained_on=preprocess.as_input(self.scale, self.data.shape),
            )
            for s, selection in enumerate(selections)
        ]

    def _classifier(self, net: nn.Module) -> Classify:
        return lambda images: score(net, self.scale, images.to(self.device), torch.arange(len(images)))

    def train(self, epoch: int, started: float) -> Tensor:
        """One epoch; each run's mean loss over its images [S].

        Raises:
            OutOfTime: when `trainer.max_minutes` have passed for each of the runs.
        """
        for exp, generator_ in zip(self.exps, self.net.generators, strict=True):
            generator_.manual_seed(dropout_seed(exp.seed, epoch))
        orders = torch.stack([batches.order(epoch) for batches in self.orders])  # [S, N]
        total = torch.zeros(len(self.exps), device=self.device)
        limit = self.trainer.max_minutes
        self.net.train()
        for step, (start, stop) in enumerate(pairwise(self.cuts)):
            if limit is not None and time.perf_counter() - started > 60 * limit * len(self.exps):
                raise OutOfTime(f"stopped after trainer.max_minutes={limit:g}, in epoch {epoch + 1}")
            total.add_(self.step(orders[:, start:stop], epoch, step), alpha=stop - start)
        return total / orders.shape[1]

    def step(self, chosen: Tensor, epoch: int, step: int) -> Tensor:
        """One optimizer step of every run on its own images, int64 [S, B]; the losses [S]."""
        pixels, targets = self._batch(chosen, epoch, step)
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
        """Scaled images [S, B, C, H, W] and targets [S, B] (or [S, B, K])."""
        size, flat = chosen.shape[1], chosen.flatten().to(self.device)
        targets = self.labels.index_select(0, flat).unflatten(0, chosen.shape)
        if self.ready is not None:
            return self.ready.index_select(0, flat).unflatten(0, chosen.shape), targets
        images = self.images[flat].unflatten(0, chosen.shape)
        if self.augment is not None:
            parts = [
                self.augment(one, wanted, generator(exp.seed, epoch, step, size))
                for one, wanted, exp in zip(images, targets, self.exps, strict=True)
            ]
            images, targets = torch.stack([p[0] for p in parts]), torch.stack([p[1] for p in parts])
        return self.scale(images.flatten(0, 1)).unflatten(0, chosen.shape), targets

    @torch.inference_mode()
    def scores(self, indices: Tensor) -> Tensor:
        """Log-probabilities float32 [S, len(indices), K] of the same images by every network."""
        self.net.eval()
        logits = []
        for part in indices.split(SCORED):
            pixels = self.scale(self.images[part]) if self.ready is None else self.ready.index_select(0, part)
            logits.append(self.net(pixels.expand(len(self.exps), *pixels.shape)))
        return torch.log_softmax(torch.cat(logits, dim=2), dim=1).transpose(1, 2)

    def seconds_a_step(self, steps: int) -> float:
        """The fastest of `steps` training steps, after two to warm up."""
        chosen = torch.stack([batches.order(0) for batches in self.orders])[:, : self.trainer.batch_size]
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
        steps = self.trainer.epochs * (len(self.cuts) - 1)
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
        return made, [optimizers.schedule(s, o, steps) for s, o in zip(settings, made, strict=False)]

    def _lr(self, s: int) -> float:
        which = self.optimizers[s if len(self.optimizers) > 1 else 0]
        return float(which.param_groups[0]["lr"])
