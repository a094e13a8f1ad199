"""The end of a search: the best one on test, once; recorded as a run, reported, exported."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest

from bench.auto.search import Search, Tried
from bench.data.finding import by_number
from bench.data.imagedata import ImageData
from bench.data.inspection import Inspection
from bench.explain.drawing import draw
from bench.explain.picture import Picture
from bench.explain.subject import Subject
from bench.protocol import ledger
from bench.reopen import open_run
from bench.run import execute
from bench.schema.errors import RequestError
from bench.schema.run_key import run_key
from bench.seal import seal
from bench.serve.classifier import OfRun
from bench.serve.export import ALLOWED, check, export
from bench.track.record import Record
from bench.track.spool import Spool
from bench.track.store import Store

EXPERIMENT = "auto"  # of the store
KINDS = ("confusion", "mistakes", "precision_recall", "calibration", "label_errors", "saliency", "neighbours")


def record_best(best: Tried, data: ImageData, store: Store) -> Record:
    """Score the best one on test, and record it as the run that `bench run` would have made of its settings."""
    assert best.exp is not None
    assert best.result is not None
    exp = dataclasses.replace(best.exp, tracking=dataclasses.replace(best.exp.tracking, experiment=EXPERIMENT))
    spool, started = Spool(store=store.address), time.time() - best.seconds
    key = run_key(exp, data.fingerprint)

    def waits(text: str) -> None:
        print(text, file=sys.stderr)

    with spool.alone(key, waits):
        # An earlier command may not have lived to deliver it.
        sealed = [place] if (place := spool.find_sealed(key)) is not None else []
        store.deliver_waiting(sealed, waits, fresh=True, patient=True)
        if best.result.classify is None:  # neighbours and means on features: nothing is trained twice
            (place,) = execute([exp], spool=spool)
        else:
            stored = torch.from_numpy(np.asarray(data.images[data.test]))
            scores = best.result.classify(stored).cpu().numpy()
            result = dataclasses.replace(best.result, test_scores=scores)
            spool.folder(key)
            place = seal(exp, data, result, started, spool)
        record = store.get(store.deliver(place, fresh=True))
    if record.status != "finished":
        raise RequestError(f"The best candidate could not be scored on test: {record.reason}")
    return record


def interval(record: Record, images: int) -> tuple[float, float, float]:
    """Test accuracy with its 95% interval (Wilson 1927)."""
    accuracy = record.metrics["test/accuracy"]
    ends = binomtest(round(accuracy * images), images).proportion_ci(method="wilson")
    return accuracy, float(ends.low), float(ends.high)


def looks(best: Tried, data: ImageData, store: Store) -> int:
    """How many different runs have been scored on these test images by now, as far as is known; this one is one."""
    assert best.exp is not None
    exp = dataclasses.replace(best.exp, tracking=dataclasses.replace(best.exp.tracking, uri=store.address))
    return max(1, ledger.looks([exp], [data.fingerprint])[data.fingerprint])


def report(
    record: Record, data: ImageData, found: Inspection, search: Search, store: Store, out: Path, looked: int
) -> Path:
    """The page of the best run on its test images, with what was tried and what there is to say of the images."""
    subject = Subject(open_run(store, record.run_id), store, "test")
    drawn = draw(
        subject,
        KINDS,
        out / "report",
        before=[candidates_table(search, record, len(data.test), looked), labels(data, found)],
    )
    return drawn.files[0]


def candidates_table(search: Search, record: Record, images: int, looked: int = 1) -> Picture:
    """The table of candidates."""
    rows = [
        (
            t.name,
            f"{t.accuracy:.1%}" if t.accuracy is not None else "",
            f"{t.nll:.3f}" if t.nll is not None else "",
            t.epochs or "",
            f"{t.seconds:.1f}",
            "chosen" if t is search.best else t.note,
        )
        for t in search.tried
    ]
    accuracy, low, high = interval(record, images)
    again = "is not." if looked == 1 else f"is too, as {looked} runs have been scored on these images by now."
    caption = (
        f"Chosen by its accuracy on val, then scored on test, once: {accuracy:.1%} of {images} images, with a 95% "
        f"interval from {low:.1%} to {high:.1%}. Val chose among several, so its number is a little too good; test's "
        f"{again}"
    )
    head = ("candidate", "val accuracy", "val NLL", "epochs", "seconds", "")
    return Picture("tried", "What was tried, and what it cost", caption, head=head, rows=rows)


def labels(data: ImageData, found: Inspection) -> Picture:
    """How many images each class has, and warnings."""
    warnings = " ".join(f"{f.level.capitalize()}: {f.reason} {f.remedy}" for f in found.findings)
    left_out = (
        f" {len(data.skipped)} {by_number(len(data.skipped), 'file was', 'files were')} left out, such as "
        f"{data.skipped[0]}."
        if data.skipped
        else ""
    )
    rows = [(name, *found.counts[:, k].tolist()) for k, name in enumerate(data.classes)]
    return Picture(
        "labels", "The images", f"{len(data.labels)} images of {len(data.classes)} classes.{left_out} {warnings}",
        head=("class", "train", "val", "test"), rows=rows,
    )  # fmt: skip


def export_run(record: Record, store: Store, folder: Path) -> tuple[str, str]:
    """Export the run; (what `bench predict` takes, why not where it is the run itself)."""
    try:
        model = OfRun(open_run(store, record.run_id, device="cpu").in_32_bits())
        path = export(model, "onnx", folder)
        found = check(model, path)
        if found.difference <= ALLOWED:
            return str(folder), ""
        path.unlink()
        return record.run_id[:12], f"a probability of the exported form differed by {found.difference:.2g}"
    except RequestError as error:
        return record.run_id[:12], str(error)


def facts(search: Search) -> list[dict[str, Any]]:
    """What was tried, for programs."""
    return [
        {"family": t.family, "name": t.name, "val_accuracy": t.accuracy, "val_nll": t.nll, "epochs": t.epochs,
         "seconds": t.seconds, "note": t.note, "chosen": t is search.best}
        for t in search.tried
    ]  # fmt: skip
