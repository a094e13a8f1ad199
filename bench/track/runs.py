"""Runs of a tracking store: their tags, parameters, metrics and files, read and written."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.schema.errors import Missing, RequestError
from bench.track import artifacts
from bench.track.address import sqlite_file
from bench.track.connection import Connection
from bench.track.index import Row, infinite_again

MADE = "imagebench.made"  # tag of a run in a server: of the one request that made it


class Runs(Connection):
    """Reading goes past MLflow where that is safe (`bench.track.index`); writing is MLflow's."""

    @contextmanager
    def _writing(self, run_id: str) -> Iterator[None]:
        """As `_asking`; a run that was there and is no more is told in our words.

        Raises:
            RequestError: then.
        """
        from mlflow.exceptions import MlflowException

        try:
            with self._asking():
                yield
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise RequestError(
                f"{self.shown} has no run {run_id} any more: it was put back from a backup, or is another store now. "
                "Results that it lacks wait in the spool; the same command goes on."
            ) from None

    def params(self, run_id: str) -> dict[str, str]:
        """The parameters of a run."""
        if self.index is not None:
            return self.index.params(run_id)
        with self._asking():
            return dict(self.client.get_run(run_id).data.params)

    def param(self, run_id: str, key: str) -> str | None:
        """One parameter of a run."""
        return self.index.param(run_id, key) if self.index is not None else self.params(run_id).get(key)

    def tag_of(self, run_id: str, key: str) -> str | None:
        """One tag of a run."""
        if self.index is not None:
            return self.index.tag(run_id, key)
        with self._asking():
            return self.client.get_run(run_id).data.tags.get(key)

    def tag(self, run_id: str, key: str, value: str) -> None:
        """Set one tag of a run."""
        with self._writing(run_id):
            self.client.set_tag(run_id, key, value)

    def set_once(self, run_id: str, key: str, value: str) -> bool:
        """Write a parameter; False where it has another value already. Atomic: the database refuses a second one."""
        from mlflow.exceptions import MlflowException

        with self._writing(run_id):
            try:
                self.client.log_param(run_id, key, value, synchronous=True)
            except MlflowException as error:
                if "Changing param values is not allowed" not in str(error):
                    raise
                return False
        return True

    def set_params(self, run_id: str, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Write parameters and tags of a run in one request for each hundred."""
        from mlflow.entities import Param, RunTag

        entries = [Param(k, v) for k, v in params.items()]
        with self._writing(run_id):
            for start in range(0, max(len(entries), 1), 100):
                labels = [RunTag(k, v) for k, v in tags.items()] if start == 0 else []
                self.client.log_batch(run_id, [], entries[start : start + 100], labels, synchronous=True)

    def rows(self, experiment: str, values: bool = True) -> list[Row]:
        """Every run of an experiment, oldest first; empty where there is no such experiment.

        Args:
            values: parameters and metrics too, not only tags.
        """
        known = self._known(experiment)
        if known is None:
            return []
        self._standing(known)
        if self.index is not None:
            return self.index.runs(known.id, values)
        rows: list[Row] = []
        token = None
        while True:
            with self._asking():
                page = self.client.search_runs(
                    [known.id], max_results=1000, order_by=["attributes.start_time ASC"], page_token=token
                )
            rows += [row_of(run) for run in page]
            token = page.token
            if not token:
                return rows

    def runs_of_key(self, key: str, experiment: str) -> list[Row]:
        """The runs with this run key, oldest first. `experiment` is the id."""
        if self.index is not None:
            return self.index.runs(experiment, run_key=key)
        with self._asking():
            found = self.client.search_runs(
                [experiment], f"tags.run_key = '{key}'", order_by=["attributes.start_time ASC"]
            )
        return [row_of(run) for run in found]

    def revive(self, run_id: str) -> None:
        """Restore a run that somebody deleted."""
        with self._asking():
            if self.client.get_run(run_id).info.lifecycle_stage == "deleted":
                self.client.restore_run(run_id)

    def start(self, experiment: str, name: str, tags: dict[str, str], started: float | None = None) -> str:
        """Make a run that shows as RUNNING; returns its id. `experiment` is the name, `started` seconds since 1970."""
        identity = self.experiment(experiment)
        self.check_place(experiment)
        return self.create(identity, name, tags, started)

    def create(self, experiment: str, name: str, tags: dict[str, str], started: float | None = None) -> str:
        """The same in an experiment of that id, once: where an answer gets lost, MLflow's client asks again."""
        server, mark = self.uri.startswith("http"), uuid.uuid4().hex
        tags = {**tags, "mlflow.runName": name, **({MADE: mark} if server else {})}
        with self._asking():
            run_id = self.client.create_run(experiment, int((started or time.time()) * 1000), tags, name).info.run_id
            for made in self.client.search_runs([experiment], f"tags.`{MADE}` = '{mark}'") if server else ():
                if made.info.run_id != run_id:
                    self.client.delete_run(made.info.run_id)
        return str(run_id)

    def check_place(self, experiment: str) -> None:
        """Make sure that this user can leave files with runs of an experiment: before anything is trained.

        Raises:
            RequestError: with a remedy, where not.
        """
        known = self._known(experiment)
        if known is None or experiment in self._places:
            return
        file = sqlite_file(self.uri)
        folder = artifacts.local(known.location) if file is None else file.parent / artifacts.FOLDER / experiment
        if folder is not None:
            artifacts.writable(folder, self.uri)
        self._places.add(experiment)

    def mark(self, run_id: str, status: str) -> None:
        """Set a run's status: RUNNING again, or ended as FINISHED, FAILED or KILLED."""
        with self._writing(run_id):
            if status == "RUNNING":
                self.client.update_run(run_id, status)
            else:
                self.client.set_terminated(run_id, status)

    def remove(self, run_id: str) -> None:
        """Delete a run, as MLflow deletes: it can be restored."""
        with self._asking():
            self.client.delete_run(run_id)

    def place_of(self, run_id: str) -> tuple[str, str]:
        """Name of a run's experiment, and the address of its files.

        Raises:
            Missing: when there is no such run.
        """
        if self.index is not None:
            found = self.index.place(run_id)
            if found is None:
                raise Missing(f"No run '{run_id}' in {self.shown}.")
            return found
        from mlflow.exceptions import MlflowException

        try:
            with self._asking():
                info = self.client.get_run(run_id).info
                return str(self.client.get_experiment(info.experiment_id).name), str(info.artifact_uri or "")
        except MlflowException as error:
            raise Missing(f"No run '{run_id}' in {self.shown}: {self._clean(error)}") from None

    def has(self, run_id: str) -> bool:
        """Whether there is such a run, deleted ones that can be restored too."""
        try:
            self.place_of(run_id)
        except Missing:
            return False
        return True

    def files_of(self, run_id: str) -> Path | None:
        """The folder on this machine that holds a run's files; None where only MLflow reaches them."""
        experiment, address = self.place_of(run_id)
        return artifacts.folder_of(self.uri, experiment, run_id, address)

    def add_files(self, run_id: str, files: Iterable[Path], folder: str | None = None) -> None:
        """Log files as artifacts of a run, in a folder of its artifacts where one is named.

        Raises:
            RequestError: for a full disk or a folder that may not be written.
        """
        place = self.files_of(run_id)
        for file in files:
            if place is not None:
                artifacts.put(file, place / folder if folder else place, self.uri)
            else:
                with self._asking():
                    self.client.log_artifact(run_id, str(file), folder)

    def artifacts(self, run_id: str) -> Path:
        """A folder with all files of a run, downloaded where they are not on this machine.

        Raises:
            RequestError: when they are not where the run says.
        """
        from mlflow.exceptions import MlflowException

        folder = self.files_of(run_id)
        if folder is not None:
            if not folder.is_dir():
                raise Missing(f"Run '{run_id}' in {self.shown}: there is no folder {folder}.")
            return folder
        try:
            with self._asking():
                return Path(self.client.download_artifacts(run_id, ""))
        except (MlflowException, OSError) as error:
            raise RequestError(f"Run '{run_id}' in {self.shown}: {self._clean(error)}") from None


def row_of(run: Any) -> Row:
    """MLflow's Run as a Row."""
    info, data = run.info, run.data
    metrics = {name: infinite_again(value) for name, value in data.metrics.items()}
    row = Row(info.run_id, info.status, info.start_time or 0, dict(data.tags), dict(data.params), metrics)
    row.join()
    return row
