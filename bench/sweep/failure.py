"""The outcome of a run that could not seal one itself: its process died, or a request turned out wrong in a worker."""

from __future__ import annotations

import time
from pathlib import Path

from bench.schema.experiment import flat
from bench.sweep.plan import Point
from bench.track.provenance import provenance
from bench.track.record import TUNING, Record
from bench.track.spool import Spool


def seal_failure(spool: Spool, point: Point, title: str, reason: str, threads: int) -> Path:
    """Seal a FAILED outcome; returns its folder in the spool."""
    spool.folder(point.key)
    record = Record(
        key=point.key,
        sweep=title,
        axes=point.axes,
        seed=point.seed,
        status="failed",
        reason=reason,
        config={k: v for k, v in flat(point.experiment).items() if not k.startswith("tracking.")},
        provenance={
            **provenance(),
            **({"claims_sha256": point.claims} if point.claims else {}),
            **({TUNING: "true"} if point.tuning else {}),
            "threads": str(point.experiment.trainer.threads or threads),
            "data_fingerprint": point.data,
            "started": f"{time.time():.3f}",
        },
    )
    return spool.put(record, point.name, title)
