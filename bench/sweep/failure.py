"""The outcome of a run that could not seal one itself: its process died, or a request turned out wrong in a worker."""

from __future__ import annotations

import time
from pathlib import Path

from bench.sweep.plan import Point
from bench.track.outcome import new_record, write_settings
from bench.track.spool import Spool


def seal_failure(spool: Spool, point: Point, title: str, reason: str, threads: int | None = None) -> Path:
    """Seal a FAILED outcome; returns its folder in the spool."""
    exp = point.experiment
    write_settings(spool.folder(point.key), exp)
    record = new_record(
        exp, point.key, status="failed", reason=reason, started=time.time(), threads=exp.trainer.threads or threads,
        data=point.data, sweep=title, axes=point.axes, claims=point.claims, tuning=point.tuning,
    )  # fmt: skip
    return spool.put(record, point.name, title)
