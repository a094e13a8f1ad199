"""The spool forgets what was delivered, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.track.address import address
from bench.track.record import Record
from bench.track.spool import RESUME, Spool


def sealed(spool: Spool, key: str) -> Path:
    place = spool.folder(key)
    (place / "config.yaml").write_text("seed: 1\n")
    return spool.put(Record(key=key, sweep="", axes={}, seed=1, status="finished"), "a run", "runs")


def test_a_kill_while_a_delivered_outcome_is_removed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "spool")
    place = sealed(spool, "a" * 64)
    real = shutil.rmtree

    def killed(path: Path, ignore_errors: bool = False) -> None:
        for file in Path(path).iterdir():
            if file.name != "config.yaml":
                file.unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        spool.clear(place)
    monkeypatch.setattr(shutil, "rmtree", real)
    assert spool.find_sealed("a" * 64) is None
    assert spool.pending() == []
    assert not list(spool.root.iterdir())


def test_unfinished_work_and_waiting_outcomes_stay(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    waiting = sealed(spool, "a" * 64)
    unfinished = spool.folder("b" * 64)
    (unfinished / RESUME).write_bytes(b"weights")
    spool.clear(sealed(spool, "c" * 64))
    assert spool.pending() == [waiting]
    assert sorted(p.name for p in spool.root.iterdir()) == ["a" * 64, "b" * 64]
    assert spool.folder("b" * 64).joinpath(RESUME).exists()


def test_the_same_point_for_another_store_leaves_a_waiting_outcome_alone(tmp_path: Path) -> None:
    """Both lie in the folder of one working directory: the first is put aside, whole."""
    one, other = Spool(tmp_path / "spool", "http://one"), Spool(tmp_path / "spool", "http://other")
    sealed(one, "a" * 64)
    assert other.find_sealed("a" * 64) is None
    place = sealed(other, "a" * 64)
    (aside,) = one.pending("http://one")
    assert (aside / "config.yaml").read_text() == "seed: 1\n"
    assert other.pending("http://other") == [place] == [other.find_sealed("a" * 64)]
    other.lend("a" * 64, 1, "run")  # its own stays where it is
    assert other.find_sealed("a" * 64) == place
    one.lend("a" * 64, 1, "run")
    assert one.find_sealed("a" * 64) is None
    assert len(Spool(tmp_path / "spool").pending()) == 2


def test_a_worker_knows_the_store_from_the_lease(tmp_path: Path) -> None:
    Spool(tmp_path / "spool", "http://one", "s").lend("a" * 64, 1, "run")
    worker = Spool(tmp_path / "spool", sweep="s")
    assert Spool.store_of(sealed(worker, "a" * 64)) == "http://one:80"
    assert Spool.store_of(sealed(worker, "b" * 64)) == ""


def test_a_database_beside_the_spool_is_known_after_a_move(tmp_path: Path) -> None:
    """A folder that is moved, or mounted in a container, has other absolute paths."""
    here, there = tmp_path / "here", tmp_path / "there"
    for database in (here / "mlflow.db", tmp_path / "far.db"):
        sealed(Spool(here / "state" / "spool", f"sqlite:///{database}"), database.stem)
    here.rename(there)
    moved = Spool(there / "state" / "spool")
    assert [p.name for p in moved.pending(f"sqlite:///{there}/mlflow.db")] == ["mlflow"]
    assert [p.name for p in moved.pending(f"sqlite:///{tmp_path}/far.db")] == ["far"]


@pytest.mark.parametrize(
    "spellings",
    [
        ("http://localhost:5000", "http://127.0.0.1:5000/", "http://u:p@127.0.1.1:5000", "http://[::1]:5000#x",
         "http://LOCALHOST:5000"),
        ("postgresql://a:b@host/runs", "postgresql+psycopg2://host:5432/runs", "postgres://host/runs?sslmode=require"),
        ("https://host/mlflow/", "https://host:443/mlflow"),
        ("http://[fe80::1]:5000", "http://[FE80::1]:5000/"),
    ],
)  # fmt: skip
def test_one_store_in_several_spellings(tmp_path: Path, spellings: tuple[str, ...]) -> None:
    assert len({address(s) for s in spellings}) == 1
    place = sealed(Spool(tmp_path, spellings[0]), "a" * 64)
    assert [Spool(tmp_path, s).find_sealed("a" * 64) for s in spellings] == [place] * len(spellings)
    assert [Spool(tmp_path).pending(s) for s in spellings] == [[place]] * len(spellings)


def test_stores_that_differ() -> None:
    differ = ("http://host:5000", "http://host:5001", "https://host:5000", "http://host:5000/a", "http://other:5000")
    assert len({address(s) for s in differ}) == len(differ)


def test_a_run_is_kept_for_one_process_whatever_becomes_of_its_folder(tmp_path: Path) -> None:
    """Put aside for another store, or delivered and cleared, while it goes on."""
    one, other = Spool(tmp_path / "spool", "http://one"), Spool(tmp_path / "spool", "http://other")
    key, said = "a" * 64, []
    sealed(one, key)

    def told(text: str) -> None:
        said.append(text)
        raise KeyboardInterrupt  # instead of waiting

    with other.alone(key, told):
        other.clear(sealed(other, key))
        with pytest.raises(KeyboardInterrupt), one.alone(key, told):
            pass
        other.folder(key)
    assert len(said) == 1
    assert [p.name[:64] for p in other.root.iterdir()] == [key]  # what was put aside
    with one.alone(key, told):
        pass


def test_what_a_killed_attempt_left_of_a_finished_run_goes(tmp_path: Path) -> None:
    """Nobody would ever begin it again, and its files stayed for good; what is sealed waits, what is others' stays."""
    mine, other = Spool(tmp_path / "spool", sweep="mine"), Spool(tmp_path / "spool", sweep="other")
    for spool, key in ((mine, "a" * 64), (mine, "b" * 64), (other, "a" * 64)):
        (spool.folder(key) / "curves.csv").write_text("x")
    sealed = mine.folder("c" * 64)
    (sealed / "outcome.json").write_text("{}")
    mine.forget({"a" * 64, "c" * 64})
    left = {p.name for p in (tmp_path / "spool").iterdir()}
    assert left == {mine.place("b" * 64).name, other.place("a" * 64).name, sealed.name}
