"""One experiment, top to bottom."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench import data as images
from bench import models, offer
from bench.data import splits
from bench.data.imagedata import ImageData
from bench.disk import write_atomically
from bench.models import origin
from bench.parts import metrics as entered
from bench.parts import source
from bench.parts.load import fresh
from bench.schema.errors import OutOfTime, RequestError, RunFailed
from bench.schema.experiment import Experiment, run_key
from bench.schema.own import SOURCE, Metrics, own_parts
from bench.track.outcome import new_record, write_settings
from bench.track.record import OWN_METRICS, Status
from bench.track.spool import RESUME, Spool
from bench.track.starts import Starts
from bench.track.store import Store
from bench.train.allocator import keep_freed_memory
from bench.train.checkpoint import epochs_done
from bench.train.fit import Told, fit
from bench.train.heads import fit_transfer
from bench.train.knn import score_by_distance
from bench.train.loop import OnEpoch
from bench.train.metrics import confusion, metrics, reliability
from bench.train.own_metrics import on_request, own_metrics
from bench.train.result import Result
from bench.train.robustness import robustness
from bench.train.stacked import fit as stacked
from bench.train.stacked import trial
from bench.train.stacked.which import are_compatible, reason_alone

NO_MORE = Metrics()  # than what is always measured


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
    fresh()
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


def seal(
    exp: Experiment,
    data: ImageData,
    outcome: Result | Exception,
    started: float,
    spool: Spool,
    *,
    together: int = 1,
    sweep: str = "",
    axes: dict[str, Any] | None = None,
    name: str = "",
    claims: str = "",
    tuning: bool = False,
) -> Path:
    """Measure what training handed back, or note what it died of, and seal the run's folder in the spool."""
    key = run_key(exp, data.fingerprint)
    folder = spool.place(key)
    status: Status = "finished"
    reason, found, costs = "", {}, {}
    try:
        if isinstance(outcome, Exception):
            raise outcome
        found = {**measure(outcome, data, exp.metrics), **robustness(exp.corrupt, data, outcome.classify)}
        costs = {**outcome.costs, "cost/selected_epoch": float(outcome.selected_epoch)}
        write_files(folder, exp, data, outcome)
    except RequestError:
        raise
    except Exception as error:
        # Whatever a run dies of belongs to its Record; the sweep goes on.
        status, reason = "failed", reason_of(error)
        write_atomically(folder / "traceback.txt", traceback.format_exc())

    digest = outcome.started_from if isinstance(outcome, Result) else ""
    weights = {"weights_sha256": digest} if digest else {}
    if kept := source.text(own_parts(exp)):
        write_atomically(folder / SOURCE, kept)
    write_settings(folder, exp)
    record = new_record(
        exp, key, status=status, reason=reason, started=started, threads=torch.get_num_threads(), data=data.fingerprint,
        sweep=sweep, axes=axes, claims=claims, tuning=tuning, measured=found, costs=costs,
        more={
            **({"together": str(together)} if together > 1 else {}),  # runs in one program, which share its costs
            "test_fingerprint": data.test_fingerprint,
            **({"skipped_images": str(len(data.skipped))} if data.skipped else {}),
            "images": f"{len(data.train)}/{len(data.val)}/{len(data.test)}",  # train / val / test
            **weights,
            **({OWN_METRICS: entered.named([own.name for own in exp.metrics.own])} if exp.metrics.own else {}),
        },
    )  # fmt: skip
    goes_on = isinstance(outcome, OutOfTime)
    return spool.put(record, name or title(exp), sweep or exp.tracking.experiment, goes_on=goes_on)


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
    from bench.pretrained import fetched  # Hydra, which few runs need

    with tempfile.TemporaryDirectory() as folder:
        asked = exp.transfer.preprocess == "weights" and exp.transfer.input is None
        path = fetched(starts or Store(exp.tracking.uri), run, Path(folder), preprocessing=asked)
        return fit_transfer(exp, data, path, on_epoch, checkpoint)


def measure(result: Result, data: ImageData, asked: Metrics = NO_MORE) -> dict[str, float]:
    """Metrics of each split that was scored under their own names: `val/accuracy`, `test/nll`, ...

    Args:
        asked: those to measure too, ours on request and somebody's own.
    """
    out = {}
    scored = {"val": result.val_scores, "test": result.test_scores, "train": result.train_scores}
    for split, scores in scored.items():
        if scores is None:
            continue
        labels = data.labels[data.split(split)]
        found = {
            **metrics(scores, labels),
            **on_request(asked.names, scores, labels, data.classes),
            **own_metrics(asked.own, scores, labels, data.classes),
        }
        out.update({f"{split}/{metric}": value for metric, value in found.items()})
    return out


def predictions(result: Result, data: ImageData) -> bytes:
    """An .npz of what was said of each image of val and test; `bench.report.predictions` reads it."""
    arrays = {}
    for split, scores in (("val", result.val_scores), ("test", result.test_scores)):
        true = data.labels[data.split(split)]
        arrays[f"{split}_true"] = true.astype(np.uint16)
        arrays[f"{split}_class"] = scores.argmax(axis=1).astype(np.uint16)
        own = scores[np.arange(len(true)), true]
        with np.errstate(over="ignore"):  # below -65504 is -inf, a probability of 0
            arrays[f"{split}_logp"] = own.astype(np.float16)
        sharing = (scores == own[:, None]).sum(1) * (scores.max(1) == own)
        if (sharing > 1).any():
            arrays[f"{split}_sharing"] = sharing.astype(np.uint16)
    np.savez_compressed(out := io.BytesIO(), **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def write_files(folder: Path, exp: Experiment, data: ImageData, result: Result) -> None:
    """What a run leaves beside its numbers: curves, confusion matrix, reliability, predictions, split membership,
    weights.

    Beside the weights, preprocessing.json says what images they were trained on (`bench.models.origin`).
    """
    for name, rows in (("curves.csv", result.history), ("gradients.csv", result.gradients)):
        if rows:
            table = io.StringIO(newline="")
            writer = csv.DictWriter(table, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
            write_atomically(folder / name, table.getvalue())
    labels = data.labels[data.test]
    matrix = confusion(result.test_scores, labels)
    write_atomically(
        folder / "confusion.json", json.dumps({"split": "test", "classes": data.classes, "counts": matrix.tolist()})
    )
    write_atomically(folder / "reliability.json", json.dumps(reliability(result.test_scores, labels)))
    write_atomically(folder / "predictions.npz", predictions(result, data))
    splits.save(data, folder / "split.npz")
    # What somebody who brings other images has to know.
    seen = {"shape": data.shape, "classes": data.classes, "spans": data.entry.spans if data.entry is not None else {}}
    write_atomically(folder / "images.json", json.dumps(seen))
    if result.state is not None:
        torch.save(result.state, weights := io.BytesIO())
        write_atomically(folder / "weights.pt", weights.getvalue())
        if result.trained_on is not None:
            digest = hashlib.sha256(weights.getbuffer()).hexdigest()
            write_atomically(folder / origin.FILE, origin.to_json(result.trained_on, digest))


def reason_of(error: BaseException) -> str:
    """One line that says why a run failed."""
    if isinstance(error, RunFailed):
        return error.reason
    return f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}"


def title(exp: Experiment) -> str:
    """A run's name for people: `cnn · batch · lr 0.1 · seed 2`."""
    words = [exp.model.family if not hasattr(exp.model, "name") else str(exp.model.name)]
    if exp.norm_layer.name != "native":
        words.append(exp.norm_layer.own.name if exp.norm_layer.own else exp.norm_layer.name)
    if exp.trains:
        words.append(f"lr {exp.optim.lr:g}")
    return " · ".join([*words, f"seed {exp.seed}"])


offer(__name__)  # bench.run("dataset=digits")
