"""A sweep's two runs of its own in a store: one holds its leases, the other is the parent of its runs."""

from __future__ import annotations

from bench.schema.errors import RequestError
from bench.track.connection import LEASES
from bench.track.index import ExperimentRow
from bench.track.runs import Runs

LEASE_RUN_TAG = "imagebench.ledger"  # of a sweep's experiment: the id of the run with its leases


class SweepRuns(Runs):
    """A store as `bench.track.runs.Runs`, and each sweep's own runs in it; the same ones for everybody who asks."""

    def __init__(self, uri: str | None = None) -> None:
        super().__init__(uri)
        self._parents: dict[str, str] = {}

    def _known(self, name: str) -> ExperimentRow | None:
        """The experiment of that name.

        Raises:
            RequestError: where somebody has given it another name: its runs would be run again.
        """
        found = super()._known(name)
        if found is None and not name.startswith(LEASES):
            leases = {row.run_id for row in self.rows(LEASES, values=False) if row.tags.get("sweep") == name}
            theirs = [e for e in (self._active() if leases else ()) if e.tags.get(LEASE_RUN_TAG) in leases]
            for other in theirs:
                if other.name == name:
                    return other  # made since the first look
                if not other.name.startswith(LEASES):
                    raise RequestError(
                        f"The MLflow experiment '{name}' in {self.shown} is called '{other.name}' now: its runs would "
                        f"be run again. Name it back with 'MLFLOW_TRACKING_URI={self.shown} mlflow experiments rename "
                        f"--experiment-id {other.id} --new-name {name}', or use another --name, tracking.experiment "
                        "or tracking.uri."
                    )
        return found

    def lease_run(self, sweep: str) -> str:
        """The run that holds a sweep's leases, the same one for everybody who asks.

        Names of experiments are unique in a store and an experiment is made together with its tags, so the first
        to make the sweep's experiment decides. An experiment that somebody else made before has no such tag: then
        one of its own, `imagebench-claims/NAME`, carries it; so too where the run was deleted for good (`mlflow gc`).
        """
        for name in (sweep, f"{LEASES}/{sweep}"):
            found = self._known(name)
            if found is None:
                mine = self.create(self.experiment(LEASES), sweep, {"sweep": sweep})
                with self._asking():
                    self.client.set_terminated(mine)  # it runs nothing: no list should show it as RUNNING for ever
                found = self._make(name, {LEASE_RUN_TAG: mine})
                if found.tags.get(LEASE_RUN_TAG) != mine:
                    with self._asking():
                        self.client.delete_run(mine)
            if LEASE_RUN_TAG in found.tags and self.has(found.tags[LEASE_RUN_TAG]):
                return found.tags[LEASE_RUN_TAG]
        raise RequestError(f"The experiment '{LEASES}/{sweep}' in {self.shown} is not ours. Rename it, then try again.")

    def parent(self, sweep: str, make: bool = False) -> str | None:
        """The run that a sweep's runs are nested under, one for everybody; None unless `make`, where there is none."""
        if sweep not in self._parents:
            known = self._known(sweep)
            if not make and (known is None or LEASE_RUN_TAG not in known.tags):
                return None
            lease_run = self.lease_run(sweep)
            name, number = "parent", 1
            while not ((found := self.params(lease_run).get(name)) and self.has(found)):
                if found is not None:  # deleted for good since
                    number += 1
                    name = f"parent.{number}"
                elif not make:
                    return None
                elif not self.set_once(lease_run, name, mine := self.start(sweep, sweep, {"sweep": sweep})):
                    self.remove(mine)
            self._parents[sweep] = found
        return self._parents[sweep]
