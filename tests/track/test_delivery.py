"""A delivery into a real store, where others deliver at the same moment or an earlier one was killed."""

from __future__ import annotations

import math
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from bench.track import locks
from bench.track.delivery import NotTaken
from bench.track.index import Index
from bench.track.record import Record
from bench.track.spool import Spool
from bench.track.store import Store


def sealed(key: str) -> Path:
    record = Record(
        key=key, sweep="", axes={}, seed=0, status="finished", config={"dataset.source": "digits"},
        provenance={"data_fingerprint": "f" * 64},
    )  # fmt: skip
    spool = Spool(sweep="delivered")
    (spool.folder(key) / "config.yaml").write_text("seed: 0\n")
    return spool.put(record, key, "delivered")


def test_what_a_killed_delivery_left_in_the_runs_folder_goes(folder: Path) -> None:
    """It died while it wrote a file, under the name that a file has until it is whole."""
    store = Store()
    waiting = sealed("one")
    run_id = store.start("delivered", "one", {"run_key": "one", "outcome": Spool.read(waiting)[1]["id"]})
    place = store.files_of(run_id)
    assert place is not None
    place.mkdir(parents=True)
    (place / ".config.yaml.37qxy0v7").write_text("se")
    assert store.deliver(waiting) == run_id
    assert [p.name for p in place.iterdir()] == ["config.yaml"]


def test_two_jobs_that_log_the_same_data_set_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow looks for the data set's row and adds it; here the other job adds it between the two."""
    from mlflow.store.tracking.dbmodels.models import SqlDataset

    places = [sealed("one"), sealed("two")]
    store, other = Store(), Store()
    store.experiment("delivered")
    make = SqlDataset.__init__

    def overtaken(self: Any, **values: Any) -> None:
        monkeypatch.setattr(SqlDataset, "__init__", make)
        other.deliver(places[1])
        make(self, **values)

    monkeypatch.setattr(SqlDataset, "__init__", overtaken)
    runs = [store.deliver(places[0])]
    runs.append(next(r.run_id for r in store.rows("delivered") if r.run_id not in runs))
    for run_id in runs:
        run = store.client.get_run(run_id)
        assert run.info.status == "FINISHED"
        assert [i.dataset.name for i in run.inputs.dataset_inputs] == ["digits"]


def test_an_outcome_reaches_its_own_store_only(folder: Path, empty_store: Path, bench: Any) -> None:
    """Not the one that another command in this folder uses, be the run finished there already or not."""
    (folder / "far").mkdir()
    shutil.copy(empty_store, folder / "far" / "mlflow.db")
    main, far = Store(), Store(f"sqlite:///{folder}/far/mlflow.db")
    main.deliver(sealed("one"))  # has a finished run of the same key
    for key in ("one", "two"):
        run_id = far.start("delivered", key, {"run_key": key, "attempt": "1"})
        Spool(store=far.address, sweep="delivered").lend(key, 1, run_id)
        sealed(key)  # as a worker does
    sealed("three")  # made without any store, or by an earlier version

    status, out, err = bench("sync")
    assert (status, out[:12]) == (0, "1 delivered ")
    assert err.count("\n") == 1
    assert f"2 for {far.address}" in err
    assert sorted(r.tags["run_key"] for r in main.rows("delivered")) == ["one", "three"]
    assert {r.status for r in far.rows("delivered")} == {"RUNNING"}

    status, out, err = bench("sync", "tracking.uri=sqlite:///far/../far/mlflow.db")
    assert (status, out[:12], err) == (0, "2 delivered ", "")
    assert [(r.tags["run_key"], r.status) for r in far.rows("delivered")] == [("one", "FINISHED"), ("two", "FINISHED")]
    assert Spool().pending() == []


def test_what_waits_for_a_store_that_is_gone_is_moved_when_that_is_named(folder: Path, bench: Any) -> None:
    gone = Spool(store=f"sqlite:///{folder}/gone/mlflow.db", sweep="delivered")
    gone.lend("one", 1, "a run of its own")
    sealed("one")
    assert bench("sync")[1].startswith("0 delivered ")
    status, out, err = bench("sync", "gone/mlflow.db")
    assert (status, out[:12]) == (0, "1 delivered ")
    assert f"what waits for it goes to sqlite:///{folder}/mlflow.db" in err
    assert [r.status for r in Store().rows("delivered")] == ["FINISHED"]


def test_no_run_takes_two_outcomes(folder: Path) -> None:
    """Two machines run the same at once, or one beside a sweep: what the other has begun to write is left alone."""
    store = Store()
    others = store.start("delivered", "one", {"run_key": "one", "attempt": "1"})
    store.client.log_metric(others, "cost/fit_seconds", 1.0)
    mine = store.deliver(sealed("one"))
    assert mine != others
    assert "cost/fit_seconds" not in store.get(mine).costs
    # The outcome that the other run was begun for is not needed any more; nor is that run.
    spool = Spool(sweep="delivered")
    spool.lend("one", 1, others)
    assert store.deliver(sealed("one")) == mine
    assert [r.run_id for r in store.rows("delivered")] == [mine]


@pytest.mark.parametrize("at", ["set_once", "mark"])
def test_folders_that_deliver_the_same_run_at_once_leave_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """`bench run` on two machines with one store; here one is suspended in its delivery while the other delivers."""
    places = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        monkeypatch.chdir(folder / name)
        places.append(sealed("same"))
    store, other = (Store(f"sqlite:///{folder}/mlflow.db") for _ in range(2))
    go_on, told = getattr(store, at), []

    def suspended(*words: Any) -> Any:
        monkeypatch.setattr(store, at, go_on)
        told.append(other.deliver(places[1]))
        return go_on(*words)

    monkeypatch.setattr(store, at, suspended)
    told.append(store.deliver(places[0]))
    assert [r.run_id for r in store.rows("delivered") if r.status == "FINISHED"] == [told[0]] == [told[1]]
    assert len(store.rows("delivered")) == 1
    store.remove(told[0])  # by its owner, who wants it run again
    monkeypatch.chdir(folder)
    again = store.deliver(sealed("same"))
    assert [r.run_id for r in store.rows("delivered")] == [again] != [told[0]]


def test_an_outcome_that_mlflow_refuses_keeps_no_other_waiting(folder: Path) -> None:
    spool = Spool(sweep="delivered")
    odd = Record(key="odd", sweep="", axes={}, seed=0, status="finished", metrics={"test/a?b": 1.0})
    endless = Record(key="endless", sweep="", axes={}, seed=0, status="finished", metrics={"val/loss": math.inf})
    for record in (odd, endless):
        (spool.folder(record.key) / "config.yaml").write_text("seed: 0\n")
    places = [spool.put(record, record.key, "delivered") for record in (odd, endless)]
    store = Store()
    with pytest.raises(NotTaken, match=rf"does not take run odd: .*\n?.*waits in {places[0]}"):
        store.deliver_waiting(places)
    assert places[0].exists()
    (run,) = store.runs_of_key("endless", store.experiment("delivered"))
    assert run.status == "FINISHED"
    assert run.metrics == {"val/loss": math.inf}  # which MLflow keeps as the largest number


def test_what_is_longer_than_mlflow_takes_is_read_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow cuts it off: another setting, and axes that are no JSON, so that the point was run again for ever."""
    long = [[n, f"{n}"] for n in range(2000)]
    record = Record(
        key="long", sweep="delivered", axes={"model.numbers": long}, seed=0, status="finished",
        config={"model.numbers": long, "model.text": "x" * 6001, "seed": 0}, reason="", provenance={"packages": "{}"},
    )  # fmt: skip
    spool, store = Spool(sweep="delivered"), Store()
    (spool.folder("long") / "config.yaml").write_text("seed: 0\n")
    run_id = store.deliver(spool.put(record, "long", "delivered"))
    read = store.find(["long"], "delivered")["long"]
    assert (read.axes, read.config) == (record.axes, record.config)
    monkeypatch.setattr(Index, "open", lambda _: None)  # as of a server
    assert Store().get(run_id) == read


def test_who_is_patient_waits_for_another_process_that_delivers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`bench run` does: to go on would train again what is being delivered."""
    monkeypatch.setattr(locks, "SECONDS", 0.05)
    spool = Spool(sweep="delivered")
    record = Record(key="one", sweep="", axes={}, seed=0, status="finished", metrics={"val/accuracy": 0.5})
    spool.folder("one")
    place, store, said = spool.put(record, "one", "delivered"), Store(), []
    with locks.lock(place / ".lock"):
        assert store.deliver_waiting([place], said.append) == 0
        waiting = threading.Thread(target=lambda: store.deliver_waiting([place], said.append, patient=True))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
    waiting.join(60)
    assert not place.exists()
    assert [text.endswith("Waiting for its end.") for text in said] == [False, True]
    assert store.find(["one"], "delivered")["one"].status == "finished"
