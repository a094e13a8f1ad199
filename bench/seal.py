"""What a run leaves: metrics, costs, predictions, weights, and the Record that seals its folder in the spool."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data import splits
from bench.data.imagedata import ImageData
from bench.disk import write_atomically
from bench.models import origin
from bench.parts import metrics as entered
from bench.parts import source
from bench.schema.errors import OutOfTime, RequestError, RunFailed
from bench.schema.experiment import Experiment
from bench.schema.own import SOURCE, Metrics, own_parts
from bench.schema.run_key import run_key
from bench.track.outcome import new_record, write_settings
from bench.track.record import OWN_METRICS, Status
from bench.track.spool import Spool
from bench.train.metrics import confusion, metrics, reliability
from bench.train.own_metrics import on_request, own_metrics
from bench.train.result import Result
from bench.train.robustness import robustness

NO_MORE = Metrics()  # than what is always measured


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
            **({OWN_METRICS: entered.describe_metrics([m.name for m in exp.metrics.own])} if exp.metrics.own else {}),
        },
    )  # fmt: skip
    goes_on = isinstance(outcome, OutOfTime)
    return spool.put(record, name or title(exp), sweep or exp.tracking.experiment, goes_on=goes_on)


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
    """An .npz of what was said of each image of val and test; `bench.analysis.predictions` reads it."""
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
