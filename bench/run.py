"""One experiment, top to bottom."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench import data as images
from bench import models, offer
from bench.data.imagedata import ImageData
from bench.parts.load import forget_modules, places_in_key
from bench.parts.reads import watch_reads
from bench.schema.errors import RequestError, RunFailed
from bench.schema.experiment import Experiment
from bench.schema.offered import SHIPPED
from bench.schema.own import kind_of, own_parts
from bench.schema.run_key import run_key
from bench.seal import reason_of, seal
from bench.track.spool import RESUME, Spool
from bench.track.starts import Starts
from bench.track.store import Store
from bench.train.allocator import keep_freed_memory
from bench.train.checkpoint import epochs_done
from bench.train.fit import Told, fit
from bench.train.heads import fit_transfer
from bench.train.knn import score_by_distance
from bench.train.loop import OnEpoch
from bench.train.result import Result
from bench.train.stacked import fit as stacked
from bench.train.stacked import trial
from bench.train.stacked.which import are_compatible, reason_alone


def execute(
    exps: Sequence[Experiment],
    *,
    labels: Sequence[Mapping[str, Any]] = (),
    spool: Spool | None = None,
    on_epoch: OnEpoch | None = None,
    told: Callable[[int, str], None] | None = None,
    rest: bool = True,
) -> list[Path]:
    """Run Experiments and leave the outcome of each, finished or failed, sealed in the spool.

    Those that `bench.train.stacked.which` lets stack, and that ask for it, are trained as one program; others one
    after the other. What one run dies of is in its own Record alone.

    Args:
        labels: for each what it is a point of, `sweep` and `axes`, the digest of that sweep's `claims`, whether it is
            for `tuning` only, and `name`, for people; a single run has none.
        on_epoch: called with the place of a run in `exps` and each row of its history.
        told: called with a number of runs, and "" where they are one program, or why they are trained alone.
        rest: whether runs that make no program are all run, or only the first of them.

    Returns:
        The sealed folders.

    Raises:
        RequestError: for what is wrong with the request; nothing is recorded then. Also for what a run died of, on a
            machine that only takes part in it.
    """
    spool, labels = spool or Spool(), labels or [{}] * len(exps)
    forget_modules()
    data = images.load(exps[0].dataset, exps[0].split)
    if exps[0].trainer.threads is not None:
        torch.set_num_threads(exps[0].trainer.threads)
    joins = exps[0].joins
    files = [spool.folder(run_key(exp, data.fingerprint), joins) / RESUME for exp in exps]
    nets, why = as_one_program(exps, data, files)

    def apart(why: str, rest: bool = True) -> list[Path]:
        out = []
        for s, (exp, label) in enumerate(zip(exps, labels, strict=True)):
            if s and not rest:
                break
            each = None if on_epoch is None else lambda _, row, s=s: on_epoch(s, row)
            out += execute([exp], labels=[label], spool=spool, on_epoch=each)
            if told is not None:
                told(1, why)
        return out

    if nets is None and len(exps) > 1:
        return apart(why, rest)
    started = time.time()
    outcomes: Sequence[Result | Exception]
    try:
        if nets is None:
            told_row = None if on_epoch is None else lambda row: on_epoch(0, row)
            outcomes = [train(exps[0], data, told_row, files[0], spool.starts)]
        else:
            with keep_freed_memory():
                outcomes = stacked.fit(exps, data, nets, on_epoch, files)
    except RequestError:
        raise
    except Exception as error:
        if joins:
            raise RequestError(f"The part of this machine failed: {reason_of(error)}") from error
        if len(exps) > 1 and exps[0].trainer.stack == "auto":  # nobody asked for a program: what one dies of is its own
            for file in files:
                file.unlink(missing_ok=True)
            return apart("one program of them failed")
        outcomes = [error] * len(exps)
    if told is not None:
        told(len(exps), why)
    return [
        seal(exp, data, outcome, started, spool, together=1 if nets is None else len(nets), **label)
        for exp, outcome, label in zip(exps, outcomes, labels, strict=True)
    ]


def as_one_program(
    exps: Sequence[Experiment], data: ImageData, files: Sequence[Path]
) -> tuple[list[nn.Module] | None, str]:
    """The runs' networks, where they are to be trained as one program; None where each is trained alone, and why.

    What was begun as one program goes on as one, whoever of it is left; where every bit is to be that of a run alone,
    and is not in the new company, it starts over.
    """
    first = exps[0]
    if why := reason_alone(first):
        return None, why
    if not all(are_compatible(first, exp) for exp in exps):
        return None, "they differ in more than numbers"
    begun = any(epochs_done(file, exp, stacked.Program.kind) for exp, file in zip(exps, files, strict=True))
    if len(exps) == 1 and not begun:
        return None, "no other run of its kind was to do"
    nets = [models.build(exp, data.shape, len(data.classes)) for exp in exps]
    if first.model.family == "own" and not stacked.can_stack(nets):
        return None, "a layer of their network is not stacked"
    if first.trainer.stack == "auto" and (why := trial.reason_alone(exps, data, nets, begun)):
        return None, why
    return nets, ""


@keep_freed_memory()
def train(
    exp: Experiment,
    data: ImageData,
    on_epoch: Told | None,
    checkpoint: Path | None = None,
    starts: Starts | None = None,
) -> Result:
    """The Result of an Experiment on its data, whatever the model family; see `fit` for the checkpoint.

    Args:
        starts: where earlier runs were copied to, with `transfer.weights=run:ID`; None reads them from the store.
    """
    with heard(exp):
        return _train(exp, data, on_epoch, checkpoint, starts)


def heard(exp: Experiment) -> AbstractContextManager[None]:
    """Inside, an Experiment's own parts may read what its key knows; the small pass before does not see all epochs.

    Raises:
        RunFailed: after it, for what else they have read.
    """
    owns = [(kind_of(exp, group), own) for group, own in own_parts(exp)
            if group != "dataset" and own.code != SHIPPED]  # fmt: skip
    if not owns:
        return nullcontext()
    files, names = (frozenset().union(*some) for some in zip(*(places_in_key(*one) for one in owns), strict=True))
    return watch_reads(", ".join(f"{kind} '{own.name}'" for kind, own in owns), files, names=names, fault=RunFailed)


def _train(
    exp: Experiment, data: ImageData, on_epoch: Told | None, checkpoint: Path | None, starts: Starts | None
) -> Result:
    if exp.transfer.mode != "scratch":
        return transfer(exp, data, on_epoch, checkpoint, starts)
    if not exp.trains:
        if exp.augment.test_time:
            raise RequestError(
                f"augment.test_time averages views for networks; {exp.model.family} scores one image: leave it out."
            )
        return score_by_distance(exp, data)
    return fit(exp, data, models.build(exp, data.shape, len(data.classes)), on_epoch, checkpoint)


def transfer(
    exp: Experiment,
    data: ImageData,
    on_epoch: Told | None,
    checkpoint: Path | None = None,
    starts: Starts | None = None,
) -> Result:
    """The Result of an Experiment that starts from given weights."""
    kind, _, run = exp.transfer.weights.partition(":")
    if kind != "run":
        return fit_transfer(exp, data, None, on_epoch, checkpoint)
    from bench.pretrained import fetch_weights  # Hydra, which few runs need

    with tempfile.TemporaryDirectory() as folder:
        asked = exp.transfer.preprocess == "weights" and exp.transfer.input is None
        path = fetch_weights(starts or Store(exp.tracking.uri), run, Path(folder), preprocessing=asked)
        return fit_transfer(exp, data, path, on_epoch, checkpoint)


offer(__name__)  # bench.run("dataset=digits")
