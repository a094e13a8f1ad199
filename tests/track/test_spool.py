"""The spool forgets what was delivered, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

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
    assert spool.sealed("a" * 64) is None
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
