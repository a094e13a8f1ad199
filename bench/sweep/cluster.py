"""Sweeps through Hydra's launcher plugins: joblib, ray, submitit (Slurm, local), basic."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.compose import checked, groups, hydra_session, parse, translated
from bench.process import started
from bench.schema.errors import RequestError
from bench.schema.training import Trainer
from bench.sweep import machine
from bench.sweep.job import URI_VARIABLE, Job
from bench.sweep.launch_result import LaunchResult, View
from bench.sweep.plan import Point
from bench.track.address import redacted
from bench.track.lease import Leases
from bench.track.owner import Owner
from bench.track.spool import Spool, state_folder
from bench.track.store import ENDED, Store, record_of
from bench.track.unavailable import StoreUnavailable

LOCAL = "local"
EXTRAS = {"ray": "ray", "submitit_slurm": "slurm", "submitit_local": "slurm"}
HERE = ("basic", "joblib", "submitit_local", "ray")  # share one machine's cores, as they come
SLURM_JOBS = 8  # how many, where --workers does not say
POLL_SECONDS = 3.0
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
    jobs = min(among, len(todo))
    secret = redacted(store.uri) != store.uri and name.startswith("submitit")  # submitit pickles jobs into files
    job = Job(
        points=[_without_address(p) for p in todo],
        title=title,
        uri=None if secret else store.uri,
        spool=spool.root,
        before=before,
        count=jobs,
        places=among,
        folder=Path.cwd(),
        shared_machine=name in HERE,
        own_gpus=name == "joblib",  # the other engines give out GPUs themselves, or have one job only
        patience=patience,
        leader=(os.getpid(), started(os.getpid())) if name in HERE else None,
    )
    store.lease_run(title)  # made once, before any job could need it
    store.parent(title, make=True)
    outcome = LaunchResult()
    with environment(URI_VARIABLE, store.uri if secret else None), Watcher(todo, title, store, before, view) as watcher:
        try:
            returned = _through_hydra(job, name, jobs, list(overrides))
        except KeyboardInterrupt:
            returned, outcome.signal = [], signal.SIGINT
            if name.startswith("submitit"):
                view.say("Interrupted: jobs that the scheduler has go on without this command (scancel ends them).")
    ended = watcher.look()
    if outcome.signal:
        outcome.ran, ended = list(ended.values()), {}
        _mark_interrupted(title, store, spool)
    for result in returned:
        try:
            ran = result.return_value  # raises what the job raised
        except Exception as error:
            view.say(f"A job ended early: {type(error).__name__}: {_first(error)}")
        else:
            outcome.ran += [ended.pop(key) for key in ran if key in ended]
    outcome.elsewhere = list(ended.values())
    outcome.left = len(todo) - len(outcome.ran) - len(outcome.elsewhere)
    return outcome


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
        checked(override, known)
    return name


def _through_hydra(job: Job, name: str, jobs: int, overrides: list[str]) -> list[Any]:
    """What Hydra's multirun does, with our jobs instead of one job for each combination."""
    from hydra._internal.callbacks import Callbacks
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext, RunMode

    if name.startswith("submitit") and not any("submitit_folder" in o for o in overrides):
        overrides.append(f"hydra.launcher.submitit_folder='{state_folder() / 'submitit' / '%j'}'")
    if name == "joblib" and not any("n_jobs" in o for o in overrides):
        overrides.append(f"hydra.launcher.n_jobs={jobs}")
    with hydra_session() as session, translated():
        hydra = session.hydra
        assert hydra is not None
        config = hydra.compose_config("config", overrides, RunMode.MULTIRUN, from_shell=False)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
        launcher = Plugins.instance().instantiate_launcher(context, job, config)
        if name.startswith("submitit"):
            _results_alone_on_stdout()
        try:
            return list(launcher.launch([[] for _ in range(jobs)], initial_job_idx=0))
        except RequestError:
            raise
        except Exception as error:  # of the engine: what a job raises comes back with its result
            raise RequestError(
                f"hydra/launcher={name} could not start or end its jobs: {type(error).__name__}: {_first(error)}\n"
                "Call from where its engine answers (for Slurm 'sinfo' tells), or leave hydra/launcher away."
            ) from error


def _first(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip() or "no message").splitlines()[0]


def _results_alone_on_stdout() -> None:
    """Submitit tells its warnings on both streams: standard error is enough, standard output is for results."""
    import submitit  # noqa: F401  (sets up its logger)

    logger = logging.getLogger("submitit")
    logger.handlers = [h for h in logger.handlers if h.name != "submitit_out"]


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


class Watcher:
    """Tells the view what jobs elsewhere bring to an end, by looking into the store now and then."""

    def __init__(self, todo: Sequence[Point], title: str, store: Store, before: set[str], view: View) -> None:
        self.points = {p.key: p for p in todo}
        self.title, self.store, self.before, self.view = title, store, before, view
        self.seen: dict[str, Any] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watcher")

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> dict[str, Any]:
        """Records of the points that have ended since the launch, by run key."""
        for row in self.store.rows(self.title):
            key = row.tags.get("run_key", "")
            if key in self.points and key not in self.seen and row.status in ENDED and row.run_id not in self.before:
                self.seen[key] = record_of(row)
                self.view.done(self.points[key], self.seen[key])
        return dict(self.seen)

    def _watch(self) -> None:
        pause = POLL_SECONDS
        while not self._stop.wait(pause):
            begun = time.monotonic()
            try:
                self.look()
            except StoreUnavailable:
                continue
            pause = max(POLL_SECONDS, 10 * (time.monotonic() - begun))  # a large sweep is not read all the time
