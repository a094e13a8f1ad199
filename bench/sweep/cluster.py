"""Sweeps through Hydra's launcher plugins: joblib, ray, submitit (Slurm, local), basic."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.compose import groups
from bench.compose.overrides import check_override, parse
from bench.process import start_time
from bench.schema.errors import RequestError
from bench.schema.training import Trainer
from bench.sweep import machine
from bench.sweep.engine import EngineFailed, JobDied, first_line, through_hydra
from bench.sweep.job import URI_VARIABLE, Job
from bench.sweep.launch_result import LaunchResult, View
from bench.sweep.plan import Point
from bench.sweep.watcher import Watcher
from bench.track.address import redact
from bench.track.lease import Leases
from bench.track.owner import Owner
from bench.track.spool import Spool
from bench.track.store import Store

LOCAL = "local"
EXTRAS = {"ray": "ray", "submitit_slurm": "slurm", "submitit_local": "slurm"}
HERE = ("basic", "joblib", "submitit_local", "ray")  # share one machine's cores, as they come
SLURM_JOBS = 8  # how many, where --workers does not say
EMPTY_LAUNCHES = 2  # launches that bring nothing to an end, one after the other, until no more are tried
ENDING_SECONDS = 5.0  # that interrupted jobs of this machine get to end


def launch(
    todo: Sequence[Point], title: str, store: Store, spool: Spool, before: set[str], count: int | None,
    planned: int, view: View, overrides: Sequence[str], patience: float,
) -> LaunchResult:  # fmt: skip
    """Run points in `count` jobs of a Hydra launcher and wait for them.

    Args:
        before: run ids of what had ended for these points and is to be run again.
        planned: points of the whole sweep, which decide a run's share of the cores.
        overrides: `hydra/launcher=NAME` and the launcher's own settings, `hydra.launcher.partition=gpu`.

    Raises:
        RequestError: for an unknown launcher or setting, or one whose extra is not installed.
    """
    name = name_of(overrides)
    among = min(places(name, count, todo[0].experiment.trainer), planned)
    secret = redact(store.uri) != store.uri and name.startswith("submitit")  # submitit pickles jobs into files
    job = Job(
        points=[_without_address(p) for p in todo],
        title=title,
        uri=None if secret else store.uri,
        spool=spool.root,
        before=before,
        count=min(among, len(todo)),
        threads=threads(overrides, count, planned, todo[0].experiment.trainer),
        folder=Path.cwd(),
        alone=name != "basic",
        own_gpus=name == "joblib",  # the other engines give out GPUs themselves, or have one job only
        patience=patience,
        leader=(os.getpid(), start_time(os.getpid())) if name in HERE else None,
    )
    store.lease_run(title)  # made once, before any job could need it
    store.parent(title, make=True)
    store.check_place(title)  # here, as what a job meets comes back as a line of its log
    outcome = LaunchResult()
    returned: list[Any] = []
    with environment(URI_VARIABLE, store.uri if secret else None), Watcher(todo, title, store, before, view) as watcher:
        try:
            returned = _until_done(job, name, list(overrides), watcher)
        except KeyboardInterrupt:
            outcome.signal = signal.SIGINT
            if name.startswith("submitit"):
                view.say("Interrupted: jobs that the scheduler has go on without this command (scancel ends them).")
    ended = watcher.look()
    if outcome.signal:
        outcome.ran, ended = list(ended.values()), {}
        _mark_interrupted(title, store, spool)
    for result in returned:
        with suppress(Exception):  # which was told
            outcome.ran += [ended.pop(key) for key in result.return_value if key in ended]
    outcome.elsewhere = list(ended.values())
    outcome.left = len(todo) - len(outcome.ran) - len(outcome.elsewhere)
    return outcome


def threads(overrides: Sequence[str], count: int | None, planned: int, trainer: Trainer) -> int | None:
    """CPU threads of a run in a job; None where the scheduler says it to the job. Arguments as of `launch`."""
    name = name_of(overrides)
    return machine.threads(min(places(name, count, trainer), planned)) if name in HERE else None


def _until_done(job: Job, name: str, overrides: list[str], watcher: Watcher) -> list[Any]:
    """What the jobs return; where some died, as many again for the points that are left.

    Points that a dead job held are taken by those that go on. Where none goes on (joblib ends all its processes with
    the first that dies), new ones are started on this machine: as long as each launch brings a point to an end, and
    once more. What a scheduler ended is left to whoever ended it.

    Raises:
        RequestError: when the engine could not start a job.
    """
    from hydra.core.utils import JobReturn, JobStatus

    returned: list[Any] = []
    empty = 0  # launches that brought nothing to an end
    while True:
        before, taken = watcher.look(), watcher.taken()
        left = [p for p in job.points if p.key not in before]
        if not left:  # others have brought the last ones to an end
            return returned
        again = dataclasses.replace(job, points=left, count=min(job.count, len(left)))
        try:
            found = through_hydra(again, name, list(overrides))
        except EngineFailed as error:
            if watcher.taken() == taken:
                raise
            found = [JobReturn(status=JobStatus.FAILED, _return_value=JobDied(first_line(error)))]
        returned += found
        for result in found:  # before the store is asked, which may be what they have met
            try:
                _ = result.return_value  # raises what the job raised
            except Exception as error:
                watcher.view.say(f"A job ended early: {type(error).__name__}: {first_line(error)}")
        ended = watcher.look()
        empty = 0 if len(ended) > len(before) else empty + 1
        died = any(isinstance(result._return_value, JobDied) for result in found)
        if not died or name not in HERE or len(ended) == len(job.points) or empty >= EMPTY_LAUNCHES:
            return returned
        watcher.view.say("A job died: what it ran goes on in a new one.")


def places(name: str, count: int | None, trainer: Trainer) -> int:
    """Among how many jobs of a launcher its machine is divided: `count`, or what suits the launcher."""
    if name == "basic":
        return 1
    if count is not None:
        return count
    if name == "submitit_slurm":
        return SLURM_JOBS
    return machine.places(trainer.accelerator, trainer.devices) if name == "joblib" else machine.cores()


def _mark_interrupted(title: str, store: Store, spool: Spool) -> None:
    """Mark runs whose job has ended without bringing them to an end; the jobs of this machine end with the command."""
    leases = Leases(store, store.lease_run(title), Owner.here(spool.root))
    deadline = time.monotonic() + ENDING_SECONDS
    while True:
        open_ = [key for key, lease in leases.refresh().items() if not lease.ended]
        living = [key for key in open_ if leases.owner_of(key) is not None]
        if not living or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    experiment = store.experiment(title)
    for key in set(open_) - set(living):
        for run in store.runs_of_key(key, experiment):
            if run.status == "RUNNING":
                store.mark(run.run_id, "KILLED")
    leases.owner.over()


def name_of(overrides: Sequence[str]) -> str:
    """The launcher that the overrides choose; `local` is this project's own pool and none of Hydra's.

    Raises:
        RequestError: when none is chosen, or it is not installed.
    """
    known = groups()
    known["hydra/launcher"] = (LOCAL, *known["hydra/launcher"])
    chosen = [o.value() for o in parse(overrides) if o.key_or_group == "hydra/launcher"]
    if len(chosen) != 1:
        raise RequestError(
            f"{' '.join(overrides)}: expected one hydra/launcher=NAME. Known: {', '.join(known['hydra/launcher'])}."
        )
    name = str(chosen[0])
    if name == LOCAL and len(overrides) > 1:
        raise RequestError(f"{' '.join(overrides)}: the pool of this machine has no settings but --workers N.")
    if name == LOCAL:
        return name
    if name not in known["hydra/launcher"] and name in EXTRAS:
        raise RequestError(f"hydra/launcher={name} needs an extra: pip install 'imagebench[{EXTRAS[name]}]'.")
    for override in parse(overrides):
        check_override(override, known)
    return name


def _without_address(point: Point) -> Point:
    tracking = dataclasses.replace(point.experiment.tracking, uri=None)
    return dataclasses.replace(point, experiment=dataclasses.replace(point.experiment, tracking=tracking))


@contextmanager
def environment(name: str, value: str | None) -> Iterator[None]:
    """A variable for the processes that are started inside the block; None sets nothing."""
    if value is None:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
