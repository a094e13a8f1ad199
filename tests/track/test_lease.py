"""Leases: one launch a point, whoever asks at the same moment, and whoever dies."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from bench.schema.errors import RequestError
from bench.track.lease import Leases
from bench.track.owner import Owner
from bench.track.store import Store
from tests.services.database import Postgres, mlflow_server, postgres  # noqa: F401

RACERS, POINTS = 4, 20
pytestmark = pytest.mark.xdist_group("services")

RACE = """
import sys
from pathlib import Path
from bench.track.lease import Leases
from bench.track.owner import Owner
from bench.track.store import Store
points = int(sys.argv[1])
for uri in sys.argv[2:]:
    store = Store(uri)
    lease_run = store.lease_run("race")
    with Leases(store, lease_run, Owner.here(Path("."))) as leases:
        print("ready", flush=True)
        sys.stdin.readline()
        print(" ".join(str(i) for i in range(points) if leases.take(f"{i:064}")), flush=True)
"""

OWNER = """
from pathlib import Path
from bench.track.owner import Owner
print(Owner.here(Path(".")).text(), flush=True)
input()
"""


@pytest.mark.slow
def test_processes_that_take_the_same_points_at_the_same_moment(folder: Path, postgres: Postgres) -> None:  # noqa: F811
    """Each point goes to exactly one of them: on SQLite, on PostgreSQL, and behind a server."""
    with mlflow_server(postgres.database("race2"), folder) as address:
        stores = [f"sqlite:///{folder}/mlflow.db", postgres.database("race"), address]
        words = [sys.executable, "-c", RACE, str(POINTS), *stores]
        racers = [
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(RACERS)
        ]
        for store in stores:
            for racer in racers:
                assert racer.stdout is not None
                assert racer.stdout.readline() == "ready\n", store
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write("go\n")
                racer.stdin.flush()
            taken = [int(word) for racer in racers if racer.stdout for word in racer.stdout.readline().split()]
            assert sorted(taken) == list(range(POINTS)), store
        assert [racer.wait() for racer in racers] == [0] * RACERS


def test_a_value_is_written_once(folder: Path) -> None:
    store = Store()
    lease_run = store.lease_run("x")
    assert store.set_once(lease_run, "a", "1")
    assert store.set_once(lease_run, "a", "1")  # a request that was repeated
    assert not store.set_once(lease_run, "a", "2")
    assert store.params(lease_run) == {"a": "1"}


def test_a_store_that_was_put_back_from_an_old_backup_says_so(folder: Path) -> None:
    """The run with the leases is younger than the backup: MLflow's own error ended the launch, and its heartbeat."""
    store = Store()
    shutil.copy("mlflow.db", "backup.db")
    with Leases(store, store.lease_run("x"), Owner.here(folder), beat=0.05) as leases:
        store.client._tracking_client.store.engine.dispose()
        shutil.copy("backup.db", "mlflow.db")
        with pytest.raises(RequestError, match="put back from a backup"):
            leases.take("a" * 64)
        time.sleep(0.2)
        assert leases._thread.is_alive()


def test_a_database_that_another_file_replaces_says_so(folder: Path) -> None:
    """MLflow's connections stay with the file that is gone: it was told that this user may not write."""
    store = Store()
    lease_run = store.lease_run("x")
    shutil.copy("mlflow.db", "backup.db")
    Path("backup.db").replace("mlflow.db")
    with pytest.raises(RequestError, match="another file than before: it was put back"):
        store.tag(lease_run, "a", "1")


def test_everybody_gets_the_same_lease_run_and_parent(folder: Path) -> None:
    Store().experiment("made elsewhere")
    for name in ("new", "made elsewhere"):
        with ThreadPoolExecutor(4) as threads:
            runs = set(threads.map(lambda _, name=name: Store().lease_run(name), range(4)))
            parents = set(threads.map(lambda _, name=name: Store().parent(name, make=True), range(4)))
        assert len(runs) == len(parents) == 1
        assert len(Store().rows(name)) == 1


def test_what_ended_is_free_and_what_a_living_process_holds_is_not(folder: Path) -> None:
    store = Store()
    lease_run = store.lease_run("x")
    with Leases(store, lease_run, Owner.here(folder)) as one, Leases(store, lease_run, Owner.here(folder)) as two:
        assert one.take("a")
        two.refresh()
        assert two.owner_of("a") == one.owner
        one.end("a", "finished")
        one._flush("1")
        two.refresh()
        assert two.owner_of("a") is None
        assert two.take("a")
        assert two.known["a"].attempt == 2
        assert not one.take("a")  # it does not know of the second attempt, and cannot repeat its number


def test_a_dead_process_on_this_machine_holds_nothing(folder: Path) -> None:
    store = Store()
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stdout is not None
    owner = Owner.read(process.stdout.readline())
    lease_run = store.lease_run("x")
    me = Owner.here(folder)
    Leases(store, lease_run, owner).take("a")
    mine = Leases(store, lease_run, me)
    mine.refresh()
    assert owner.lives(me)
    assert mine.owner_of("a") == owner
    process.kill()
    process.wait()
    assert mine.owner_of("a") is None
    # The number of the process may be given again; the tick of its start is not.
    assert me.start is not None
    assert not dataclasses.replace(me, start=me.start - 100).lives(me)
    assert Owner.read(me.text()) == me


def test_setting_the_clock_kills_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's boot time in seconds moves with the clock, and with it what psutil calls a process' creation."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stdout is not None
    owner = Owner.read(process.stdout.readline())
    later = psutil.boot_time() + 3600
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: later)
    assert (
        abs(psutil.Process(process.pid).create_time() - time.time()) > 3000
    )  # the clock has been set, as psutil sees it
    assert owner.lives(Owner.here(folder))
    process.kill()
    process.wait()
    assert not owner.lives(Owner.here(folder))


def test_another_namespace_of_time_is_another_machine(folder: Path) -> None:
    """Ticks since boot are shifted in it: only the heartbeat tells whether its processes live."""
    words = ["unshare", "--time", "--boottime", "3600", "--fork", sys.executable, "-c", OWNER]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder)
    assert process.stdout is not None
    text = process.stdout.readline()
    if not text:
        pytest.skip("this kernel or this user makes no namespace of time")
    assert Owner.read(text).lives(Owner.here(folder)) is None
    process.communicate("")


@pytest.mark.parametrize("text", ["no owner", "[]", '{"pid": 3}'])
def test_a_lease_that_somebody_edited_holds_its_point_until_it_is_silent(folder: Path, text: str) -> None:
    store = Store()
    lease_run = store.lease_run("x")
    assert store.set_once(lease_run, "a/1", text)
    mine = Leases(store, lease_run, Owner.here(folder), silence=0.1)
    mine.refresh()
    assert mine.owner_of("a") is not None
    time.sleep(0.2)
    assert mine.owner_of("a") is None
    assert mine.take("a")


def test_a_silent_heartbeat_on_another_machine_is_a_dead_owner(folder: Path) -> None:
    store = Store()
    lease_run = store.lease_run("x")
    there = dataclasses.replace(Owner.here(folder), machine="elsewhere/boot/space", launch="there")
    other = Leases(store, lease_run, there, beat=0.2, silence=60)
    with other:
        assert other.take("a")
        mine = Leases(store, lease_run, Owner.here(folder), silence=3)
        mine.refresh()
        assert mine.lives(there) is None  # it may be dead since long
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert mine.owner_of("a") == there
            time.sleep(0.2)
        assert mine.lives(there)
        other._stop.set()  # it falls silent, as in a power cut
        other._thread.join()
        store.tag(lease_run, "beat.there", "last")
        assert mine.owner_of("a") == there
        time.sleep(3.3)
        assert mine.owner_of("a") is None


def test_an_earlier_life_of_a_requeued_job_is_dead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    before = dataclasses.replace(Owner.here(tmp_path), machine="other/boot/space")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    now = Owner.here(tmp_path)
    assert before.lives(now) is False
    assert now.lives(now) is True
