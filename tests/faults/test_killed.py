"""A sweep that is killed over and over is, in the end, the sweep that nobody disturbed."""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from bench.track.record import Record
from bench.track.spool import Spool
from bench.track.store import LEASES, Store, existing
from tests.services.database import Postgres, postgres  # noqa: F401
from tests.sweep.calling import RUNS, TINY, Warm

KILLS = 6  # each moment and each clock twice; the rest is for many_kills.py
SEED = 20261122
CLOCKS = (0.0, 3600.0, -3600.0)  # seconds by which it is set, call by call
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.xdist_group("faults")]


class Reader(threading.Thread):
    """Somebody who looks at the sweep all the time, as `bench table` and the plan of a second launch do."""

    def __init__(self, folder: Path, uri: str | None) -> None:
        super().__init__(daemon=True)
        self.folder, self.uri = folder, uri
        self.looks = 0
        self.error: BaseException | None = None
        self.still = threading.Lock()  # held while the folder is moved
        self.stop = threading.Event()
        self.start()

    @property
    def store(self) -> str:
        return self.uri or f"sqlite:///{self.folder}/mlflow.db"

    def run(self) -> None:
        try:
            while not self.stop.wait(0.2):
                with self.still:
                    self.look()
        except BaseException as error:
            self.error = error

    def look(self) -> None:
        store = existing(self.store)
        waiting = Spool(self.folder / ".imagebench" / "spool").pending()
        if store is not None:
            store.deliver_waiting(waiting)
            self.looks += bool(store.records("adhoc"))

    def move(self) -> None:
        """Move the project: folder, store, files and spool."""
        with self.still:
            self.folder = self.folder.rename(self.folder.with_name(f"{self.folder.name}-moved"))

    def ended(self) -> int:
        """How many points have ended, those included that wait for the store."""
        with self.still:
            self.look()
            store = existing(self.store)
            return len(store.records("adhoc")) if store is not None else 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.join()


def killed_until_done(
    folder: Path, words: tuple[str, ...], most: int = KILLS, seed: int = SEED, uri: str | None = None
) -> tuple[int, Path]:
    """Call the sweep and kill its process group at random moments, `most` times; then let it finish.

    The kills take turns: while it starts (planning, opening the store, importing), while the first runs train, and
    after a run was reported, when outcomes are sealed, delivered and the next points claimed. A kill of a start comes
    before a run can end, and once most runs are done there is no other: the sweep lasts until the last kill, however
    fast the machine. All the while somebody reads; the clock is set between the calls; and a project with its store in
    its folder is moved after every second kill.

    Returns:
        How often it was killed, and where the project lies in the end.
    """
    rng = random.Random(seed)
    print(f"kill delays drawn with seed {seed}")
    start_seconds, kills = 8.0, 0
    with Reader(folder, uri) as reader:
        while kills < most:
            moment = kills % 3 if reader.ended() < RUNS * 2 // 3 else 0
            spool = reader.folder / ".imagebench" / "spool"
            begun = time.time()
            call = Warm(reader.folder, *words, clock=CLOCKS[kills % len(CLOCKS)])
            if moment == 0:
                until = begun + rng.uniform(0.2, start_seconds)
                call.wait_until(lambda: time.time() >= until or touched(spool, begun))  # noqa: B023
            elif moment == 1:
                call.wait_until(lambda: touched(spool, begun))  # noqa: B023
                start_seconds = min(start_seconds, time.time() - begun)
                time.sleep(rng.uniform(0, 0.3))
            else:
                call.wait_until(lambda: call.done() >= 1)  # noqa: B023
                time.sleep(rng.uniform(0, 0.2))
            if call.process.poll() is not None:
                break
            call.kill()
            call.process.wait()
            kills += 1
            if uri is None and kills % 2 == 0:
                reader.move()
        last = Warm(reader.folder, *words)
        assert last.finish() == 0, last.said
        assert reader.error is None, reader.error
    assert reader.looks > 0
    print(f"killed {kills} times, read {reader.looks} times")
    return kills, reader.folder


def touched(spool: Path, since: float) -> bool:
    """Whether a run has begun, or ended, since then."""
    for place in spool.glob("[!.]*"):
        with suppress(FileNotFoundError):
            if place.stat().st_mtime > since:
                return True
    return False


def science(records: list[Record]) -> dict[str, Any]:
    """What must not differ: everything but times and memory."""
    return {r.key: (r.status, r.axes, r.seed, r.metrics, r.costs["cost/selected_epoch"], r.config) for r in records}


def check(uri: str, undisturbed: list[Record], folder: Path) -> None:
    """Every point once, every record complete, every number the same."""
    store = Store(uri)
    records = store.records("adhoc")
    assert len(records) == RUNS
    assert len({r.key for r in records}) == RUNS
    assert {r.status for r in records} == {"finished"}
    assert science(records) == science(undisturbed)
    assert not list((folder / ".imagebench" / "spool").glob("*/*"))

    expected = {f.path for f in store.client.list_artifacts(records[0].run_id)}
    assert {"curves.csv", "confusion.json", "weights.pt", "config.yaml"} <= expected
    parents = set()
    for row in store.rows("adhoc"):
        if "run_key" not in row.tags:
            continue
        assert row.status == "FINISHED"
        parents.add(row.tags["mlflow.parentRunId"])
        assert {f.path for f in store.client.list_artifacts(row.run_id)} == expected
        for metric in ("epoch/val_accuracy", "epoch/train_loss"):
            assert [m.step for m in store.client.get_metric_history(row.run_id, metric)] == [1, 2]
        for metric in row.metrics:
            if not metric.startswith("epoch/"):
                assert len(store.client.get_metric_history(row.run_id, metric)) == 1, metric
    assert parents == {store.parent("adhoc")}
    assert len([r for r in store.rows("adhoc") if "run_key" not in r.tags]) == 1
    assert len(store.rows(LEASES)) == 1


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("undisturbed")
    call = Warm(folder, "sweep", *TINY)
    assert call.finish() == 0, call.said
    records = Store(f"sqlite:///{folder}/mlflow.db").records("adhoc")
    assert len(records) == RUNS
    return records


def test_sqlite(tmp_path: Path, undisturbed: list[Record]) -> None:
    (tmp_path / "project").mkdir()
    kills, folder = killed_until_done(tmp_path / "project", ("sweep", *TINY, "--workers", "1"))
    assert kills >= KILLS
    check(f"sqlite:///{folder}/mlflow.db", undisturbed, folder)


def test_postgres(tmp_path: Path, undisturbed: list[Record], postgres: Postgres) -> None:  # noqa: F811
    uri = postgres.database("killed")
    kills, _ = killed_until_done(tmp_path, ("sweep", *TINY, f"tracking.uri={uri}"), uri=uri)
    assert kills >= KILLS
    check(uri, undisturbed, tmp_path)


def writing(database: Path) -> bool:
    """Whether somebody is in the middle of writing, or of reading, which keeps writers from their commit."""
    with closing(sqlite3.connect(database, timeout=0.2)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return True
        connection.rollback()
        return False


def test_a_suspended_launch_wakes_up_beside_the_one_that_took_over(tmp_path: Path, undisturbed: list[Record]) -> None:
    """Both finish, every value is told once. The second runs as on another machine, where process ids say nothing."""
    uri = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    sleeper = Warm(tmp_path / "one", "sweep", *TINY, uri, "--workers", "1")
    assert sleeper.wait_until(lambda: sleeper.done() >= 3)
    sleeper.kill(signal.SIGSTOP)
    while writing(tmp_path / "mlflow.db"):  # whoever sleeps in the middle of a transaction keeps everybody waiting
        sleeper.kill(signal.SIGCONT)
        time.sleep(0.05)
        sleeper.kill(signal.SIGSTOP)
    other = Warm(tmp_path / "two", "sweep", *TINY, uri, "--workers", "1", elsewhere=True)
    try:
        assert other.finish(180) == 0, other.said
    finally:
        sleeper.kill(signal.SIGCONT)
    assert sleeper.finish(180) == 0, sleeper.said
    check(f"sqlite:///{tmp_path}/mlflow.db", undisturbed, tmp_path / "two")
