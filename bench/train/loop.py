"""The loop: epochs, deadline, selection on val, checkpoint, out of memory, costs, Result.

It drives a `Learner`, the networks of one run or of several that are trained as one program; what a step does is the
learner's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench.schema.errors import OutOfTime, RunFailed
from bench.schema.experiment import Experiment
from bench.train import checkpoint
from bench.train.budget import to_target
from bench.train.clock import Clock
from bench.train.energy import Meter
from bench.train.learner import Learner
from bench.train.memory import peak_memory_mb, reset_peak_memory
from bench.train.result import Result
from bench.train.selection import Selection, row

OnEpoch = Callable[[int, dict[str, float]], None]  # (which run, its row of the history)


Make = Callable[[Sequence[int]], Learner]  # of some of the runs, by their numbers


@dataclass
class Run:
    """What one run has shown so far, and the file that keeps its state."""

    exp: Experiment
    file: Path | None
    selection: Selection
    gradients: list[dict[str, float]] = field(default_factory=list)
    failed: RunFailed | None = None
    steps: int = 0
    images: int = 0

    @property
    def over(self) -> bool:
        """Whether it has failed, or waited in vain for an improvement on val."""
        patience, done = self.exp.trainer.patience, len(self.selection.history)
        return self.failed is not None or (patience is not None and done - self.selection.selected >= patience)


def fit(
    exps: Sequence[Experiment], make: Make, on_epoch: OnEpoch | None = None, files: Sequence[Path | None] = ()
) -> list[Result | RunFailed]:
    """Train each run, select its epoch on val, score val and test there; one that fails does not disturb the others.

    Where memory is too small for all runs, halves of them are trained one after the other; a run that it is too small
    for by itself has failed.

    Args:
        on_epoch: called with each row of the history.
        files: a checkpoint for each run, written at most every 30 seconds; those that are there are of the same epoch,
            and the training goes on from them: all numbers but the seconds are then those of an undisturbed one.

    Returns:
        `cost/fit_seconds` is a run's share of the whole, `cost/peak_memory_mb` the whole's.
    """
    runs = [Run(exp, file, Selection(exp.trainer)) for exp, file in zip(exps, files or [None] * len(exps), strict=True)]
    try:
        return _fit(make(range(len(runs))), runs, on_epoch)
    except torch.OutOfMemoryError as error:
        if len(runs) == 1:
            return [RunFailed(f"out of memory: {str(error).splitlines()[0]}")]
    torch.cuda.empty_cache()  # outside the handler, whose traceback holds on to the tensors
    out: list[Result | RunFailed] = []
    for part in (range(len(runs) // 2), range(len(runs) // 2, len(runs))):
        told = None if on_epoch is None else lambda s, found, start=part.start: on_epoch(start + s, found)
        some = [exps[s] for s in part], lambda chosen, part=part: make([part[s] for s in chosen])
        out += fit(*some, told, [runs[s].file for s in part])
    return out


def _fit(learner: Learner, runs: Sequence[Run], on_epoch: OnEpoch | None) -> list[Result | RunFailed]:
    settings, count = runs[0].exp.trainer, len(runs)
    val = learner.examples.labels[learner.examples.splits["val"]]
    reset_peak_memory(learner.device)
    begun, before = _resume(learner, runs)
    clock = learner.budget.clock = Clock(settings, count, before)
    meter = Meter()
    if not begun:
        _observe(learner, runs, 0)
    saved = time.monotonic()
    for epoch in learner.budget.epochs(begun):
        try:
            losses = learner.train(epoch, clock)
        except OutOfTime as error:  # but not for those that are over
            for run in runs:
                run.failed = run.failed if run.over else error
            break
        scores, seconds = learner.scores("val"), clock.seconds()
        for s, run in enumerate(runs):
            if run.over:
                continue
            run.steps, run.images = run.steps + learner.steps, run.images + learner.images
            found = row(run.exp, epoch + 1, learner.lr(s), losses[s], scores[s], val, seconds)
            try:
                run.selection.add(found, lambda s=s: learner.weights(s))  # type: ignore[misc]
            except RunFailed as error:
                run.failed = error
                continue
            if on_epoch is not None and learner.first:
                on_epoch(s, found)
        _observe(learner, runs, epoch + 1)
        meter.read()
        if all(run.over for run in runs):
            break
        due = any(run.file for run in runs) and not learner.budget.over(epoch + 1)
        if due and learner.agree(time.monotonic() - saved >= checkpoint.CHECKPOINT_SECONDS):
            _save(learner, runs, epoch + 1, clock.seconds() / count)
            saved = time.monotonic()
    joules = None if begun else meter.read()  # of an interrupted training a part is missing
    return _results(learner, runs, clock.seconds() / count, None if joules is None else joules / count)


def _observe(learner: Learner, runs: Sequence[Run], epoch: int) -> None:
    for s, run in enumerate(runs):
        if run.failed is None and len(run.selection.history) == epoch and (norms := learner.gradients(s)):
            run.gradients.append({"epoch": float(epoch), **norms})


def _save(learner: Learner, runs: Sequence[Run], epoch: int, seconds: float) -> None:
    """Write each run's state after so many epochs, and its share of the seconds."""
    for s, run in enumerate(runs):
        state = {
            "epoch": epoch,
            "seconds": seconds,
            "failed": run.failed.reason if run.failed else "",
            "selection": run.selection.state_dict(),
            "gradients": run.gradients,
            "done": (run.steps, run.images),
            "learner": learner.state(s),
        }
        if run.file is not None and learner.first:
            checkpoint.write(run.file, run.exp, learner.kind, state)


def _resume(learner: Learner, runs: Sequence[Run]) -> tuple[int, float]:
    """Take over what checkpoints hold; the epochs and the seconds that were done."""
    states = [checkpoint.read(run.file, run.exp, learner.kind) for run in runs]
    if not all(states):
        return 0, 0.0
    for run, state in zip(runs, states, strict=True):
        run.selection.load_state_dict(state["selection"])
        run.gradients = state["gradients"]
        run.steps, run.images = state["done"]
        run.failed = RunFailed(state["failed"]) if state["failed"] else None
    learner.load([state["learner"] for state in states])
    return int(states[0]["epoch"]), sum(state["seconds"] for state in states)


def _results(learner: Learner, runs: Sequence[Run], seconds: float, joules: float | None) -> list[Result | RunFailed]:
    """The scores of each run at its selected epoch; test is looked at here, once."""
    for s, run in enumerate(runs):
        if run.failed is None:
            learner.use(s, run.selection.best)
    splits = ("val", "test", "train") if runs[0].exp.metrics.train else ("val", "test")
    alive = any(run.failed is None for run in runs)
    scores = {split: learner.final_scores(split).cpu().numpy() if alive else None for split in splits}
    costs = {
        "cost/params": learner.params,
        "cost/fit_seconds": seconds,
        "cost/peak_memory_mb": peak_memory_mb(learner.device),
    }
    if joules is not None:
        costs["cost/cpu_joules"] = joules
    if learner.flops is not None:
        costs["cost/flops"] = learner.flops
    return [
        run.failed
        or Result(
            **{f"{split}_scores": found[s] for split, found in scores.items()},  # type: ignore[index]
            history=run.selection.history,
            gradients=run.gradients,
            classify=learner.classify(s),
            costs={
                **costs,
                "cost/images_per_second": run.images / seconds,
                **to_target(run.exp.trainer, run.selection.history, learner.budget.each, run.steps),
            },
            selected_epoch=run.selection.selected,
            state={name: tensor.cpu().contiguous() for name, tensor in run.selection.best.items()},
            trained_on=learner.examples.trained_on,
        )
        for s, run in enumerate(runs)
    ]
