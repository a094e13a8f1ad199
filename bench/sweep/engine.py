"""The engines of Hydra's launcher plugins, started from here; and what they say when a job is killed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from bench.compose.session import hydra_session, translate_errors
from bench.schema.errors import RequestError
from bench.sweep.job import Job
from bench.track.spool import state_folder


class EngineFailed(RequestError):
    """A launcher's engine did not start its jobs, or lost them."""


class JobDied(RuntimeError):
    """A job ended without a word: its process was killed."""


def through_hydra(job: Job, name: str, overrides: list[str]) -> list[Any]:
    """What Hydra's multirun does, with our jobs instead of one job for each combination."""
    from hydra._internal.callbacks import Callbacks
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext, RunMode

    if name.startswith("submitit") and not any("submitit_folder" in o for o in overrides):
        overrides.append(f"hydra.launcher.submitit_folder='{state_folder() / 'submitit' / '%j'}'")
    if name == "joblib" and not any("n_jobs" in o for o in overrides):
        overrides.append(f"hydra.launcher.n_jobs={job.count}")
    with hydra_session() as session, translate_errors():
        hydra = session.hydra
        assert hydra is not None
        config = hydra.compose_config("config", overrides, RunMode.MULTIRUN, from_shell=False)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
        launcher = Plugins.instance().instantiate_launcher(context, job, config)
        if name.startswith("submitit"):
            _results_alone_on_stdout()
        try:
            with each_for_itself() if name.startswith("submitit") else nullcontext():
                return list(launcher.launch([[] for _ in range(job.count)], initial_job_idx=0))
        except RequestError:
            raise
        except Exception as error:  # of the engine: what a job raises comes back with its result
            raise EngineFailed(
                f"hydra/launcher={name} could not start or end its jobs: {type(error).__name__}: {first_line(error)}\n"
                "Call from where its engine answers (for Slurm 'sinfo' tells), or leave hydra/launcher away."
            ) from error


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip() or "no message").splitlines()[0]


@contextmanager
def each_for_itself() -> Iterator[None]:
    """Inside the block a job of submitit that was killed gives an error as its result, and the others are waited for.

    The plugin asks one job after the other for its result, and leaves all behind with the first that has none.
    """
    import submitit
    from hydra.core.utils import JobReturn, JobStatus

    class Waited:
        def __init__(self, job: Any) -> None:
            self.job = job

        def results(self) -> list[Any]:
            try:
                return list(self.job.results())
            except Exception as error:
                return [JobReturn(status=JobStatus.FAILED, _return_value=JobDied(first_line(error)))]

    class Executor(submitit.AutoExecutor):
        def map_array(self, *words: Any) -> list[Any]:
            return [Waited(job) for job in super().map_array(*words)]

    before = submitit.AutoExecutor
    submitit.AutoExecutor = Executor  # type: ignore[misc]
    try:
        yield
    finally:
        submitit.AutoExecutor = before  # type: ignore[misc]


def _results_alone_on_stdout() -> None:
    """Submitit tells its warnings on both streams: standard error is enough, standard output is for results."""
    import submitit  # noqa: F401  (sets up its logger)

    logger = logging.getLogger("submitit")
    logger.handlers = [h for h in logger.handlers if h.name != "submitit_out"]
