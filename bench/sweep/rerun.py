"""Running experiments again, into a scratch place that nothing else reads."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.schema.experiment import Experiment
from bench.track.record import Record
from bench.track.spool import Spool


def rerun(
    wanted: Sequence[tuple[Experiment, dict[str, Any]]], workers: int, on_done: Callable[[Record], None]
) -> list[Record]:
    """Run each (Experiment, axes) once and return the Records in the same order. No store sees them.

    Runs go to worker processes with the thread environment that `bench.sweep.launch` gives its own, so that the same
    seeds on the same machine give the same numbers.
    """
    from concurrent.futures import as_completed

    from joblib.externals.loky import get_reusable_executor

    threads = max((exp.trainer.threads or 1) for exp, _ in wanted)
    pinned = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    found: dict[int, Record] = {}
    with tempfile.TemporaryDirectory(prefix="imagebench-again-") as scratch:
        pool = get_reusable_executor(max_workers=workers, timeout=None, env=pinned)
        futures = {pool.submit(_run, exp, axes, str(Path(scratch) / str(i))): i for i, (exp, axes) in enumerate(wanted)}
        try:
            for future in as_completed(futures):
                record: Record = future.result()
                found[futures[future]] = record
                on_done(record)
        finally:
            for future in futures:
                future.cancel()
            pool.shutdown(wait=len(found) == len(futures), kill_workers=len(found) < len(futures))
    return [found[i] for i in range(len(wanted))]


def _run(exp: Experiment, axes: dict[str, Any], scratch: str) -> Record:
    """In a worker: one run, whose outcome leaves this process as a Record only."""
    from bench.run import execute

    os.environ["IMAGEBENCH_STATE"] = scratch
    (place,) = execute([exp], labels=[{"sweep": "again", "axes": axes}], spool=Spool(Path(scratch) / "spool"))
    record, _ = Spool.read(place)
    return dataclasses.replace(record, axes=axes)
