"""The MLflow store.

One MLflow experiment a sweep; one run a run key. Parameters are the flat settings, `epoch/...` metrics the
curves, `val/...`, `test/...` and `cost/...` the final numbers, each logged once. Only `connection`, `runs`, `delivery`,
`unavailable` and this file import mlflow, each where it is first needed: what needs no writing needs no import of it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path

from bench.schema.errors import Missing, RequestError
from bench.track import delivery
from bench.track.address import checked_uri, default_uri, redact, sqlite_file
from bench.track.connection import LEASES, LEASES_TAGS
from bench.track.lease import LeaseLost
from bench.track.locks import Held
from bench.track.pages import VIEW, view
from bench.track.record import Record
from bench.track.rows import ENDED, counts, odd_because, oddities, record_of
from bench.track.runs import row_of
from bench.track.spool import Spool
from bench.track.sweep_runs import SweepRuns

__all__ = ["ENDED", "LEASES", "Store", "default_uri", "existing", "record_of", "redact"]


class Store(SweepRuns):
    """Runs and their records in one MLflow tracking store.

    Args:
        uri: whatever MLflow takes; None for SQLite in the working directory.

    Raises:
        RequestError: when the store cannot be reached, is of a kind that MLflow refuses, or needs a migration.
    """

    def __init__(self, uri: str | None = None) -> None:
        super().__init__(uri)
        self.oddities: list[str] = []  # what was found in the runs last read, a line each

    def last_experiment(self) -> str:
        """The experiment with runs of ours that changed last; "" where there is none."""
        ours = set(self.experiments())
        with self._asking():
            found = self.client.search_experiments(order_by=["last_update_time DESC"])
        return next((e.name for e in found if e.name in ours and e.name != "Default"), "")

    def show_runs(self, experiment: str) -> str:
        """Tell MLflow's pages how to show an experiment's runs, and not to show the leases; returns its id."""
        known, leases = self.experiment(experiment), self._known(LEASES)
        with self._asking():
            self.client.set_experiment_tag(known, VIEW, view(self.rows(experiment)))
            if leases is not None:
                for name, value in LEASES_TAGS.items():  # a store of before has no such tags
                    self.client.set_experiment_tag(leases.id, name, value)
        return known

    def latest(self, key: str, experiment: str) -> Record | None:
        """The record of one run key: of the first finished run, else of the last that failed."""
        runs = [r for r in self.runs_of_key(key, self.experiment(experiment)) if counts(r)]
        finished = [r for r in runs if r.status == "FINISHED"]
        return record_of((finished or runs[-1:])[0]) if runs else None

    def records(self, experiment: str) -> list[Record]:
        """Every ended run of an experiment, oldest first; empty where the experiment does not exist."""
        rows = self.rows(experiment)
        self.oddities = oddities(rows)
        return [record_of(r) for r in rows if counts(r)]

    def find(self, keys: Iterable[str], experiment: str) -> dict[str, Record]:
        """Ended runs of `experiment` by run key: the first finished one, else the last that failed."""
        found: dict[str, Record] = {}
        wanted = set(keys)
        known = self._known(experiment) if len(wanted) == 1 else None
        if known is not None:  # one run must not cost the reading of ten thousand
            ended = [record_of(r) for r in self.runs_of_key(next(iter(wanted)), known.id) if counts(r)]
        else:
            ended = self.records(experiment)
        for record in ended:
            if record.key in wanted and not (record.key in found and found[record.key].status == "finished"):
                found[record.key] = record
        return found

    def get(self, run_id: str) -> Record:
        """The Record of one run.

        Raises:
            RequestError: when there is no such run, or it is not one of ours.
            StoreUnavailable: when the store does not answer.
        """
        from mlflow.exceptions import MlflowException

        try:
            with self._asking():
                run = self.client.get_run(run_id)
        except MlflowException as error:
            raise RequestError(f"No run '{run_id}' in {self.shown}: {self._clean(error)}") from None
        if "run_key" not in run.data.tags:
            raise RequestError(f"Run '{run_id}' in {self.shown} was not made by imagebench: it has no run_key tag.")
        row = row_of(run)
        if reason := odd_because(row):
            raise RequestError(f"Run '{run_id}' in {self.shown} does not count: {reason}.")
        return record_of(row)

    def artifact(self, run_id: str, name: str, folder: Path) -> Path:
        """Download one artifact of a run into `folder`.

        Raises:
            Missing: when the run has no such artifact.
            StoreUnavailable: when the store does not answer.
        """
        from mlflow.exceptions import MlflowException

        if (file := self._own_file(run_id, name)) is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            return Path(shutil.copyfile(file, folder / name))
        try:
            with self._asking():
                # A server that lacks a file answers the download as if it were out of order itself.
                there = self.client.list_artifacts(run_id, name.rpartition("/")[0] or None)
                if name not in {file.path for file in there}:
                    raise Missing(f"Run '{run_id}' has no artifact '{name}' in {self.shown}.")
                return Path(self.client.download_artifacts(run_id, name, str(folder)))
        except (MlflowException, OSError) as error:
            raise Missing(f"Run '{run_id}' has no artifact '{name}': {self._clean(error)}") from None

    def read_file(self, run_id: str, name: str) -> bytes:
        """The content of one artifact of a run; errors as of `artifact`."""
        if (file := self._own_file(run_id, name)) is not None:
            return file.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            return self.artifact(run_id, name, Path(folder)).read_bytes()

    def _own_file(self, run_id: str, name: str) -> Path | None:
        """An artifact that lies on this machine; None where only MLflow reaches it."""
        own = self.files_of(run_id)
        if own is None:
            return None
        file = (own / name).resolve()
        if not file.is_file() or not file.is_relative_to(own.resolve()):  # a link leads out of it
            raise Missing(f"Run '{run_id}' has no artifact '{name}' in {own}.")
        return file

    def deliver_waiting(
        self,
        places: Iterable[Path],
        say: Callable[[str], None] = lambda _: None,
        moved: Collection[str] = (),
        fresh: bool = False,
        patient: bool = False,
    ) -> int:
        """Bring what waits in the spool for this store, or for none, into it; how many there were.

        A sweep that runs beside this moves its outcomes itself at any moment. One that was taken over stays: who holds
        its point decides.

        Args:
            say: told in one line what waits for other stores.
            moved: addresses of stores whose outcomes are to come here.
            fresh: as of `deliver`.
            patient: wait for another process that delivers one of them, however long it takes.

        Raises:
            NotTaken: for outcomes that MLflow refuses, once all others are delivered.
        """
        count = 0
        others: Counter[str] = Counter()
        refused: list[str] = []
        held: list[str] = []
        for place in places:
            with suppress(FileNotFoundError, LeaseLost):
                meant = Spool.store_of(place)
                if meant not in ("", self.address, *moved):
                    others[meant] += 1
                    continue
                try:
                    self._deliver_patiently(place, say, fresh) if patient else self.deliver(place, fresh)
                except Held as error:
                    held.append(str(error))
                    continue
                except delivery.NotTaken as error:  # one outcome keeps no other one waiting
                    refused.append(f"{error} It waits in {place}.")
                    continue
                count += 1
        if others:
            waiting = ", ".join(f"{n} for {store}" for store, n in sorted(others.items()))
            say(f"Results wait for other stores: {waiting}. bench sync tracking.uri=STORE delivers them.")
        if held:
            say(f"Results that wait for delivery: {len(held)}. {held[0]}")
        if refused:
            raise delivery.NotTaken("\n".join(refused))
        return count

    def _deliver_patiently(self, place: Path, say: Callable[[str], None], fresh: bool) -> str:
        told = False
        while True:
            try:
                return self.deliver(place, fresh)
            except Held as error:
                if not told:
                    say(f"{error} Waiting for its end.")
                told = True

    def deliver(self, place: Path, fresh: bool = False) -> str:
        """Bring a sealed outcome of the spool into the store; see `bench.track.delivery.deliver`."""
        return delivery.deliver(self, place, fresh)


def existing(uri: str | None) -> Store | None:
    """The store, or None where it would have to be made first."""
    file = sqlite_file(checked_uri(uri))
    return None if file is not None and not file.exists() else Store(uri)
