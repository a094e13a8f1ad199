"""A launch that was suspended past its lease: the point is somebody else's, and what it did itself does not count."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.sweep.file import from_axes
from bench.sweep.lease_holder import LeaseHolder
from bench.sweep.plan import Point, points
from bench.track import delivery
from bench.track.lease import LeaseLost, Leases
from bench.track.owner import Owner
from bench.track.record import Record
from bench.track.spool import Spool
from bench.track.store import Store

SILENCE = 0.4


@contextmanager
def launch(folder: Path, host: str, sweep: str = "adhoc") -> Iterator[LeaseHolder]:
    """One launch's dealings, as if from a machine of its own."""
    spool = Spool(folder / host / "spool", Store().address)
    owner = dataclasses.replace(Owner.here(spool.root), machine=f"{host}/boot/space")
    store = Store()
    with Leases(store, store.lease_run(sweep), owner, beat=0.1, silence=SILENCE) as leases:
        leases.refresh()
        yield LeaseHolder(store, leases, sweep, spool, set())


def seal(holder: LeaseHolder, point: Point, seconds: float) -> Path:
    """What a worker leaves."""
    folder = holder.spool.folder(point.key)
    (folder / "curves.csv").write_text("epoch,train_loss\n" + "".join(f"{i},{seconds}\n" for i in range(1, 4)))
    record = Record(
        key=point.key, sweep="adhoc", axes=point.axes, seed=0, status="finished",
        metrics={"val/accuracy": 0.5}, costs={"cost/fit_seconds": seconds},
    )  # fmt: skip
    return holder.spool.put(record, point.name, holder.title)


def take_over(sleeper: LeaseHolder, other: LeaseHolder, point: Point) -> None:
    """`sleeper` is suspended for so long that `other` gets its point."""
    sleeper.leases._stop.set()
    sleeper.leases._thread.join()
    end = time.monotonic() + 120
    while (found := other.take(point)) is not None:
        assert isinstance(found, Owner)
        assert time.monotonic() < end
        time.sleep(0.1)
    other.lend(point)


@pytest.fixture
def point(folder: Path) -> Point:
    (one,) = points(from_axes("adhoc", ["optim.lr=0.1"], ["dataset=digits"], 1))
    return one


def test_a_suspended_launch_begins_and_delivers_nothing(folder: Path, point: Point) -> None:
    with launch(folder, "a") as a, launch(folder, "b") as b:
        assert a.take(point) is None
        a.lend(point)
        assert a.leases.holds(point.key)
        own = seal(a, point, seconds=1.0)
        take_over(a, b, point)
        assert not a.leases.holds(point.key)
        with pytest.raises(LeaseLost):
            a.deliver(own)
        assert b.deliver(seal(b, point, seconds=2.0)).costs == {"cost/fit_seconds": 2.0}
        end = time.monotonic() + 120
        while not isinstance(found := a.take(point), Record):  # ends are told with the next heartbeat
            assert isinstance(found, Owner)
            assert time.monotonic() < end
            a.leases.lose(point.key)
        assert found.costs == {"cost/fit_seconds": 2.0}  # not what it measured itself
        a.drop(point.key)
        assert a.spool.pending() == []
    once(Store(), point, seconds=2.0)


def once(store: Store, point: Point, seconds: float) -> None:
    """One run, with every value once."""
    (row,) = [r for r in store.rows("adhoc") if r.tags.get("run_key") == point.key]
    assert (row.status, row.metrics["cost/fit_seconds"]) == ("FINISHED", seconds)
    history = store.client.get_metric_history(row.run_id, "epoch/train_loss")
    assert [(m.step, m.value) for m in history] == [(1, seconds), (2, seconds), (3, seconds)]
    assert len(store.client.get_metric_history(row.run_id, "cost/fit_seconds")) == 1


def test_a_launch_that_is_suspended_in_the_middle_of_a_delivery(
    folder: Path, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has looked, and sleeps before it writes: the store refuses its run, which was deleted meanwhile."""
    with launch(folder, "a") as a, launch(folder, "b") as b:
        assert a.take(point) is None
        a.lend(point)
        own = seal(a, point, seconds=1.0)
        write = delivery._log

        def sleeping(*args: object) -> None:
            monkeypatch.setattr(delivery, "_log", write)
            take_over(a, b, point)
            write(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(delivery, "_log", sleeping)
        with pytest.raises(LeaseLost):
            a.deliver(own)
        b.deliver(seal(b, point, seconds=2.0))
    once(Store(), point, seconds=2.0)


def test_a_launch_that_finished_in_the_last_moment_is_not_run_again(folder: Path, point: Point) -> None:
    """The other one takes the point in the very moment in which the sleeper's delivery has ended."""
    with launch(folder, "a") as a, launch(folder, "b") as b:
        assert a.take(point) is None
        a.lend(point)
        b.leases.refresh()
        replaced = b.leases.known[point.key]
        assert b.leases.take(point.key)
        a.store.deliver(seal(a, point, seconds=1.0))
        found = b._begin(point, replaced)
        assert isinstance(found, Record)
        assert point.key not in b.leases.mine
    once(Store(), point, seconds=1.0)


def test_two_attempts_in_one_spool_do_not_mix(tmp_path: Path) -> None:
    """Jobs on several nodes share a folder: whoever began there before has lost it."""
    record = Record(key="k", sweep="s", axes={}, seed=0, status="finished")
    sleeper, other = Spool(tmp_path, sweep="s"), Spool(tmp_path, sweep="s")
    sleeper.lend("k", 1, "run-1")
    sleeper.folder("k")
    other.lend("k", 2, "run-2")
    other.folder("k")
    with pytest.raises(LeaseLost):
        sleeper.put(record, "name", "s")
    assert Spool.lease(other.put(record, "name", "s")) == (2, "run-2")


def test_an_outcome_that_another_process_delivers_in_this_moment(
    folder: Path, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table, or a second sweep, beside a running one: what it has just seen in the spool is gone."""
    with launch(folder, "a") as a:
        assert a.take(point) is None
        a.lend(point)
        waiting = [seal(a, point, seconds=1.0), a.spool.root / "gone before"]
        read = Spool.read
        other = Store()

        def overtaken(place: Path) -> object:
            found = read(place)
            monkeypatch.setattr(Spool, "read", staticmethod(read))
            other.deliver(place)
            return found

        monkeypatch.setattr(Spool, "read", staticmethod(overtaken))
        assert Store().deliver_waiting(waiting) == 1
    once(Store(), point, seconds=1.0)


def test_two_sweeps_of_one_folder_with_the_same_run_do_not_meet(folder: Path, point: Point) -> None:
    """Each runs it for itself; neither takes the other's files, its lease or its outcome."""
    with launch(folder, "a") as one, launch(folder, "a", sweep="other") as two:
        for holder in (one, two):
            assert holder.take(point) is None
            holder.lend(point)
        mine = seal(one, point, seconds=1.0)
        assert two.spool.find_sealed(point.key) is None
        other = seal(two, point, seconds=2.0)
        assert one.deliver(mine).costs == {"cost/fit_seconds": 1.0}
        assert two.deliver(other).costs == {"cost/fit_seconds": 2.0}
    store = Store()
    assert [store.find([point.key], name)[point.key].costs["cost/fit_seconds"] for name in ("adhoc", "other")] == [1, 2]
