"""The MLflow run of an attempt at a point: one that an interrupted attempt left, or a new one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bench.track.index import Row
from bench.track.lease import Lease, Leases
from bench.track.record import Record
from bench.track.rows import ENDED, counts, record_of
from bench.track.sweep_runs import SweepRuns


def begin(
    store: SweepRuns, leases: Leases, key: str, replaced: Lease | None, experiment: str, name: str,
    tags: Mapping[str, str], before: Collection[str], look: bool,
) -> str | Record:  # fmt: skip
    """A run that shows as RUNNING, for a point that was just taken.

    The run of an owner that only fell silent is deleted: it may wake up and write into its own, which a store then
    refuses. One that gave up or is dead writes no more.

    Args:
        replaced: the lease before this one.
        before: run ids of what had ended for the point and does not count.
        look: whether there may be runs of it.

    Returns:
        The id of the run; or what the point ended as, where that was told in the moment before it was taken.
    """
    attempt = leases.mine[key]
    gone = replaced is None or replaced.ended or replaced.owner.lives(leases.owner) is False
    left = None
    if look or attempt > 1:
        rows = store.runs_of_key(key, store.experiment(experiment))
        ended = [r for r in rows if counts(r) and r.run_id not in before]
        if ended:
            record = record_of(next((r for r in ended if r.status == "FINISHED"), ended[-1]))
            leases.end(key, record.status)
            return record
        for run in rows:
            if run.status in ENDED or (run.tags.get("outcome") and "attempt" not in run.tags):  # a run by itself
                continue
            ours = gone or attempt_of(run) == attempt
            if left is None and ours and not run.metrics and not run.params:
                left = run.run_id
            else:  # killed in the middle of a delivery, or perhaps only asleep: its numbers must not mix with ours
                store.remove(run.run_id)
    if left is None:
        parent = store.parent(experiment)
        more = {"run_key": key, "attempt": str(attempt), **({"mlflow.parentRunId": parent} if parent else {})}
        return store.start(experiment, name, {**tags, **more})
    store.mark(left, "RUNNING")
    store.tag(left, "attempt", str(attempt))
    return left


def attempt_of(run: Row) -> int:
    """Under which attempt a run was begun; 0 where it does not say."""
    text = run.tags.get("attempt", "")
    return int(text) if text.isascii() and text.isdecimal() else 0
