"""Running committed runs again from their recorded settings, into a scratch place that nothing else reads."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.compose import compose
from bench.schema.experiment import Experiment, experiment
from bench.track.record import Record
from bench.track.spool import Spool

# Settings of the other machine, not of the experiment; `threads` is set from the provenance.
ELSEWHERE = (
    *("dataset.root", "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    *("trainer.threads", "trainer.max_minutes"),
)


def experiment_of(record: Record, seed: int, threads: int | None, overrides: Mapping[str, Any]) -> Experiment:
    """The Experiment that a record's flat settings describe.

    Args:
        seed: training seed to use.
        threads: CPU threads of the run.
        overrides: flat settings that replace the recorded ones, such as where a dataset lies here.

    Raises:
        RequestError: for settings that this version does not have.
    """
    here = {name: value for name, value in record.config.items() if name not in ELSEWHERE and name != "seed"}
    config = nested({**here, **overrides})
    for part, value in compose([]).items():
        config.setdefault(part, value)  # a part that is younger than the record: its default means "as before"
    config["seed"] = seed
    config.setdefault("trainer", {})["threads"] = threads
    return experiment(config)


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"optim.lr": 0.1}` as `{"optim": {"lr": 0.1}}`."""
    out: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        place = out
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return out


def again(
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
    place = execute(exp, sweep="again", axes=axes, spool=Spool(Path(scratch) / "spool"))
    record, _ = Spool.read(place)
    return dataclasses.replace(record, axes=axes)
