"""Never lost, never twice: what a sweep does when it is disturbed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from bench.sweep import launch, pool
from bench.sweep.plan import Point, at_scale, points
from bench.sweep.worker import work
from bench.track import locks
from bench.track.record import write_csv
from bench.track.spool import Spool
from bench.track.store import Store
from tests.sweep.calling import RUNS, TINY, Call, Warm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("sweep")]
HERE = ("hydra/launcher=basic",)  # no process of its own has to start for what workers do not change


def attempts(store: Store) -> dict[str, int]:
    """Run key -> number of times that somebody took it."""
    taken: dict[str, int] = {}
    for name in store.params(store.lease_run("adhoc")):
        key, _, rest = name.partition("/")
        if rest.isdecimal():
            taken[key] = max(taken.get(key, 0), int(rest))
    return taken


def workers_of(call: Call) -> list[psutil.Process]:
    """The worker processes of a running sweep."""
    found = []
    for process in psutil.Process(call.process.pid).children(recursive=True):
        with suppress(psutil.Error):  # it ends in this moment
            found += [process] if "popen_loky_posix" in " ".join(process.cmdline()) else []
    return found


def test_two_launches_at_the_same_moment_share_the_points(tmp_path: Path) -> None:
    """From two folders into one store that does not exist yet; between their starts somebody sets the clock."""
    uri = f"tracking.uri=sqlite:///{tmp_path}/shared.db"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    words = ("sweep", *TINY, uri, "--workers", "1", "--json")
    calls = [Warm(tmp_path / name, *words, clock=clock) for name, clock in (("one", 0.0), ("two", 3600.0))]
    for call in calls:
        assert call.finish() == 0, call.said
    found = [call.json() for call in calls]
    assert sum(f["ran"] for f in found) == RUNS
    assert all(f["ran"] + f["elsewhere"] + f["skipped"] == RUNS for f in found)
    store = Store(f"sqlite:///{tmp_path}/shared.db")
    rows = [r for r in store.rows("adhoc") if "run_key" in r.tags]
    assert len(rows) == len({r.tags["run_key"] for r in rows}) == RUNS
    assert set(attempts(store).values()) == {1}
    assert len([r for r in store.rows("adhoc") if "run_key" not in r.tags]) == 1  # one parent


def test_an_interrupted_sweep_marks_what_ran_and_goes_on(folder: Path, bench_json: Any) -> None:
    words = (*TINY, "trainer.stack=off", "--workers", "1")
    call = Call(folder, "sweep", *words)
    assert call.wait_until(lambda: call.done() >= 2)
    call.kill(signal.SIGINT)
    assert call.finish() == 130, call.said
    assert "The same command goes on" in call.said
    store = Store()
    before = store.records("adhoc")
    assert 2 <= len(before) < RUNS
    assert "RUNNING" not in {r.status for r in store.rows("adhoc") if "run_key" in r.tags}
    assert not psutil.pid_exists(call.process.pid)
    (parent,) = [r for r in store.rows("adhoc") if "run_key" not in r.tags]
    assert parent.status == "KILLED"
    assert f"{len(before)} finished" in parent.tags["mlflow.note.content"]

    again = bench_json("sweep", *words)
    assert again["skipped"] == len(before)
    assert again["ran"] == RUNS - len(before)
    rows = [r for r in store.rows("adhoc") if "run_key" in r.tags]
    assert len(rows) == RUNS  # what was interrupted went on in the same MLflow run
    assert {r.status for r in store.rows("adhoc")} == {"FINISHED"}
    assert {r.status for r in rows} == {"FINISHED"}


def test_a_run_that_kills_its_worker_twice_has_failed_and_the_others_go_on(folder: Path) -> None:
    """The first point is long; its worker is killed as the memory limit kills, twice."""
    words = ("--axes", "trainer.epochs=20000,1", "--seeds", "1", "dataset=digits", "model=linear", "--workers", "1")
    call = Call(folder, "sweep", *words)
    spool = folder / ".imagebench" / "spool"
    for again in ("", "trying it again"):
        assert call.wait_until(lambda again=again: again in call.said and any(spool.glob("*")))
        (worker,) = workers_of(call)
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        for place in spool.glob("*"):
            place.rename(folder / f"seen-{again}")  # so that the second attempt's folder is noticed
    assert call.finish() == 1, call.said
    records = {r.axes["trainer.epochs"]: r for r in Store().records("adhoc")}
    assert records[1].status == "finished"
    assert records[20000].status == "failed"
    assert "worker process died 2 times" in records[20000].reason
    assert records[20000].config["model.family"] == "linear"
    assert records[20000].provenance["data_fingerprint"] == records[1].provenance["data_fingerprint"]


def test_workers_do_not_outlive_a_killed_sweep(folder: Path) -> None:
    call = Call(
        folder, "sweep", "--axes", "trainer.epochs=20000,30000", "--seeds", "1", "dataset=digits", "model=linear"
    )
    assert call.wait_until(lambda: any((folder / ".imagebench" / "spool").glob("*")))
    workers = workers_of(call)
    assert workers
    call.process.kill()  # the process alone, not its group
    _, alive = psutil.wait_procs(workers, timeout=120)
    assert not alive


def test_failures_have_reasons_and_are_retried_when_asked(folder: Path, bench: Any) -> None:
    words = ("--axes", "optim.lr=0.1,1e30", "--seeds", "2", "dataset=digits", "model=dnn", "optim=sgd", *HERE)
    status, out, err = bench("sweep", *words, "trainer.epochs=2", "--json")
    assert status == 1
    assert json.loads(out) | {"ran": 4, "failed": 2} == json.loads(out)
    assert "FAILED: diverged" in err
    first = Store().records("adhoc")
    assert all("diverged" in r.reason for r in first if r.status == "failed")

    status, out, err = bench("sweep", *words, "trainer.epochs=2", "--json")
    assert (status, json.loads(out)["ran"]) == (1, 0)
    assert "--retry-failed" in err

    status, out, _ = bench("sweep", *words, "trainer.epochs=2", "--retry-failed", "--json")
    assert status == 1
    assert json.loads(out) | {"ran": 2, "failed": 2, "skipped": 2} == json.loads(out)
    assert len(Store().records("adhoc")) == 6  # the earlier failures stay to be seen


def test_a_run_that_takes_too_long_has_failed(folder: Path, bench: Any) -> None:
    words = ("--axes", "trainer.epochs=1,20000", "--seeds", "1", "dataset=digits", "model=linear", *HERE)
    status, out, _ = bench("sweep", *words, "trainer.max_minutes=0.03", "--json")
    assert status == 1
    assert json.loads(out) | {"ran": 2, "failed": 1} == json.loads(out)
    (failed,) = [r for r in Store().records("adhoc") if r.status == "failed"]
    assert "trainer.max_minutes=0.03" in failed.reason


def test_committed_records_count_as_done(folder: Path, bench: Any, bench_json: Any) -> None:
    """A clone without a store runs only the seeds that are new."""
    words = ("--axes", "optim.lr=0.1,0.01", "dataset=digits", "model=linear", "trainer.epochs=1", *HERE)
    bench_json("sweep", *words, "--seeds", "2")
    write_csv(Store().records("adhoc"), folder / "results" / "adhoc" / "records.csv")
    words += (f"tracking.uri=sqlite:///{folder}/clone.db",)

    status, out, err = bench("sweep", *words, "--seeds", "3", "--dry-run", "--json")
    assert status == 0
    assert json.loads(out) | {"planned": 6, "skipped": 4, "committed": 4, "ran": 0} == json.loads(out)
    assert "4 finished (4 from committed records), 2 to do" in err
    fresh = bench_json("sweep", *words, "--seeds", "3", "--dry-run", "--fresh")
    assert (fresh["committed"], fresh["skipped"]) == (0, 0)

    found = bench_json("sweep", *words, "--seeds", "3")
    assert (found["ran"], found["committed"]) == (2, 4)
    assert {r.seed for r in Store(f"sqlite:///{folder}/clone.db").records("adhoc")} == {2}


def test_what_is_left_of_a_sweep_runs_as_the_whole_would_have(folder: Path, bench_json: Any) -> None:
    """The last point alone gets its share of the cores and no more: other thread counts give other last digits."""
    words = ("--axes", "optim.lr=0.1,0.01", "dataset=digits", "model=dnn", "trainer.epochs=2", "--seeds", "1")
    words += ("trainer.batch_size=256", "--workers", "2")
    bench_json("sweep", *words)
    whole = Store().records("adhoc")
    write_csv(whole[:1], folder / "results" / "adhoc" / "records.csv")
    clone = f"sqlite:///{folder}/clone.db"
    assert bench_json("sweep", *words, f"tracking.uri={clone}")["ran"] == 1
    (left,) = Store(clone).records("adhoc")
    (wanted,) = (r for r in whole if r.key == left.key)
    assert left.provenance["threads"] == wanted.provenance["threads"]
    assert left.metrics == wanted.metrics


def test_a_damaged_file_of_committed_records_is_told(folder: Path, bench: Any) -> None:
    place = folder / "results" / "adhoc" / "records.csv"
    place.parent.mkdir(parents=True)
    place.write_text("key,sweep\n")
    status, _, err = bench("sweep", "--axes", "optim.lr=0.1,0.01", "dataset=digits", "--dry-run")
    assert status == 2
    assert "records.csv" in err


def test_planning_touches_neither_torch_nor_mlflow(folder: Path) -> None:
    """10,000 points (`make perf` takes the time)."""
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from bench.sweep.file import from_axes\n"
        "from bench.sweep.plan import points\n"
        "made = points(from_axes('adhoc', ['optim.lr=' + ','.join(f'0.{i:03}' for i in range(1, 101))], "
        "['dataset=digits'], 100))\n"
        "assert len({p.key for p in made}) == 10_000\n"
        "assert not {'torch', 'mlflow', 'pytorch_lightning'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_points_know_their_data() -> None:
    from bench.sweep.file import from_axes

    sweep = at_scale(from_axes("adhoc", ["split.seed=0,1"], ["dataset=digits"], 2), "small")
    made = points(sweep)
    assert len({p.data for p in made}) == 2
    assert len({p.key for p in made}) == 4


@pytest.mark.parametrize("launcher", ["joblib", "basic"])
def test_an_interrupted_launcher_marks_what_ran_and_says_how_to_go_on(folder: Path, launcher: str) -> None:
    words = ("--axes", "trainer.epochs=1,2,20000", "--seeds", "2", "dataset=digits", "model=linear")
    words += (f"hydra/launcher={launcher}", "--workers", "2", "trainer.stack=off")  # point by point, as they stand
    call = Call(folder, "sweep", *words)
    assert call.wait_until(lambda: call.done() >= 4)  # what is left is long: the signal cannot come between two runs
    store = Store()
    assert call.wait_until(lambda: any(r.status == "RUNNING" for r in store.rows("adhoc") if "run_key" in r.tags))
    call.kill(signal.SIGINT)
    assert call.finish() == 130, call.said
    assert "The same command goes on" in call.said
    rows = [r for r in store.rows("adhoc") if "run_key" in r.tags]
    assert {r.status for r in rows} == {"FINISHED", "KILLED"}


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_killed_run_of_a_job_fails_and_jobs_end_with_their_launch(folder: Path, launcher: str) -> None:
    """The process that trains is killed twice, as the memory limit kills: the others go on. Then the launch is."""
    words = ("--axes", "trainer.epochs=20000,1", "--seeds", "1", "dataset=digits", "model=linear")
    words += (f"hydra/launcher={launcher}", "trainer.stack=off")
    spool, begun = folder / ".imagebench" / "spool", 0.0

    def trains() -> bool:
        with suppress(FileNotFoundError):
            return any(p.stat().st_mtime > begun for p in spool.glob("*/.progress"))
        return False

    def short_is_done() -> bool:  # or its process would be killed too, wherever both begin at once
        time.sleep(0.3)
        found = Store().records("adhoc") if (folder / "mlflow.db").exists() else []
        return any(r.status == "finished" for r in found)

    call = Call(folder, "sweep", *words, "--workers", "2")  # joblib's one job is the launch itself
    assert call.wait_until(short_is_done)
    for _ in range(2):
        assert call.wait_until(trains)
        workers = [p for p in workers_of(call) if p.ppid() != call.process.pid]  # joblib's jobs look like them
        assert workers
        for worker in workers:
            worker.kill()
        psutil.wait_procs(workers, timeout=120)
        begun = time.time()
    assert call.finish() == 1, call.said
    (failed, finished) = sorted(Store().records("adhoc"), key=lambda r: -r.axes["trainer.epochs"])
    assert (failed.status, finished.status) == ("failed", "finished")
    assert "its worker process died 2 times" in failed.reason

    call = Call(folder, "sweep", *words, "--workers", "2", "--retry-failed")
    begun = time.time()
    assert call.wait_until(trains)
    family = psutil.Process(call.process.pid).children(recursive=True)
    assert family
    call.process.kill()  # the process alone, not its group
    _, alive = psutil.wait_procs(family, timeout=120)
    assert not alive


def test_a_sweep_that_others_have_finished_makes_no_store(folder: Path, bench_json: Any) -> None:
    """Where the committed records have all of it, there is nothing to record."""
    words = ("--axes", "optim.lr=0.1,0.01", "dataset=digits", "model=linear", "trainer.epochs=1", "--seeds", "1", *HERE)
    bench_json("sweep", *words)
    write_csv(Store().records("adhoc"), folder / "results" / "adhoc" / "records.csv")
    found = bench_json("sweep", *words, f"tracking.uri=sqlite:///{folder}/clone.db")
    assert (found["ran"], found["committed"]) == (0, 2)
    assert not (folder / "clone.db").exists()


@pytest.mark.cold
def test_workers_end_where_the_store_cannot_be_made(folder: Path, bench: Any) -> None:
    """They are started before it: they import while it is made."""
    (folder / ".other.db.lock").mkdir()  # which is no lock that can be taken
    words = ("--axes", "model=linear,dnn", "--seeds", "1", "dataset=digits")
    before = set(psutil.Process().children())
    status, _, err = bench("sweep", *words, f"tracking.uri=sqlite:///{folder}/other.db")
    assert status == 2
    assert "cannot be used" in err
    left = set(psutil.Process().children()) - before
    assert [p for p in left if "resource_tracker" not in " ".join(p.cmdline())] == []


@pytest.mark.parametrize("error", [None, "died", "failed", "interrupted"])
def test_a_run_whose_outcome_a_looker_delivers_is_not_run_again(
    folder: Path, bench: Any, monkeypatch: pytest.MonkeyPatch, error: str | None
) -> None:
    """`bench table` brings what waits to the store: the sweep took the run for one that had not begun or had ended.

    In the same moment the worker may die, or fail with another run, or the whole launch may be interrupted.
    """
    ran: list[str] = []

    def looked_at(given: Sequence[Point], *rest: Any) -> Any:
        found = work(given, *rest)
        ran.extend(p.key for p in given)
        if len(ran) <= 2:
            assert Store().deliver_waiting(Spool().pending()) == 1
        if error == "interrupted":
            os.kill(os.getpid(), signal.SIGINT)
        if error in ("died", "interrupted"):
            raise pool.Died("its process was killed")
        if error == "failed":
            raise MemoryError("of the next run")
        return found

    monkeypatch.setattr(pool, "work", looked_at)
    words = ("--axes", "optim.lr=0.1,0.01", "dataset=digits", "model=linear", "trainer.epochs=1", "--seeds", "1")
    status, out, err = bench("sweep", *words, "trainer.stack=off", "hydra/launcher=basic", "--json")
    found, cut = json.loads(out), error == "interrupted"
    assert (found["failed"], len(ran)) == (0, found["ran"] + found["elsewhere"] if not cut else 1), err
    assert status == (130 if cut else 0)
    rows = [r for r in Store().rows("adhoc") if "run_key" in r.tags]
    assert [r.status for r in rows if r.tags["run_key"] in ran] == ["FINISHED"] * len(ran)
    assert not list((folder / ".imagebench" / "spool").glob("*"))


@pytest.mark.parametrize("wakes", [True, False])
def test_a_looker_that_is_suspended_in_its_delivery_holds_nobody_up(
    folder: Path, bench: Any, monkeypatch: pytest.MonkeyPatch, wakes: bool
) -> None:
    """It has one outcome's lock: the other runs go on, and the sweep waits no longer than its patience."""
    monkeypatch.setattr(locks, "SECONDS", 0.05)
    monkeypatch.setattr(launch, "RETRY_SECONDS", 0.1)
    locked: list[FileLock] = []

    def suspended(given: Sequence[Point], *rest: Any) -> Any:
        found = work(given, *rest)
        if not locked:
            (place,) = Spool().pending()
            locked.append(FileLock(place / ".lock"))
            locked[0].acquire()
            assert Store().deliver_waiting([place], said.append) == 0
        elif wakes:
            locked[0].release()
        return found

    said: list[str] = []
    monkeypatch.setattr(pool, "work", suspended)
    words = ("sweep", "--axes", "optim.lr=0.1,0.01", "dataset=digits", "model=linear", "trainer.epochs=1")
    words += ("--seeds", "1", "trainer.stack=off", "hydra/launcher=basic", "--patience", "0.02")
    status, _, err = bench(*words)
    assert "was suspended (Ctrl-Z" in said[0]
    assert "was suspended (Ctrl-Z" in err
    assert (status, len(Store().records("adhoc"))) == ((0, 2) if wakes else (1, 1)), err
    locked[0].release()
    assert bench(*words)[0] == 0
    rows = [r for r in Store().rows("adhoc") if "run_key" in r.tags]
    assert [r.status for r in rows] == ["FINISHED"] * 2


@pytest.mark.parametrize("when", ["before a run", "behind a run"])
def test_a_project_that_is_moved_while_it_runs(
    folder: Path, bench: Any, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The launch ends and says so; nothing is left where the project was, and where it is the same command goes on."""
    here, there = folder / "here", folder / "there"
    here.mkdir()
    (folder / "mlflow.db").rename(here / "mlflow.db")
    monkeypatch.chdir(here)
    ran: list[str] = []

    def moved(given: Sequence[Point], *rest: Any) -> Any:
        ran.extend(p.key for p in given)
        if len(ran) == 2 and when == "before a run":
            here.rename(there)
        found = work(given, *rest)
        if len(ran) == 2 and when == "behind a run":
            here.rename(there)
        return found

    monkeypatch.setattr(pool, "work", moved)
    words = ("--axes", "optim.lr=0.1,0.01,0.001", "dataset=digits", "model=linear", "trainer.epochs=1", "--seeds", "1")
    words = ("sweep", *words, "trainer.stack=off", "hydra/launcher=basic")
    status, _, err = bench(*words)
    assert status == 2, err
    assert f"The folder {here} was moved or deleted" in err, err
    assert "answers again" not in err
    assert not here.exists()

    monkeypatch.chdir(there)
    status, _, err = bench(*words)
    assert status == 0, err
    rows = [r for r in Store().rows("adhoc") if "run_key" in r.tags]
    assert [r.status for r in rows] == ["FINISHED"] * 3
    assert len(ran) == (4 if when == "before a run" else 3)
    assert not list((there / ".imagebench" / "spool").glob("*"))
