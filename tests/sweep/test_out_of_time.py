"""A run that trainer.max_minutes stopped goes on from its checkpoint when it is run again with more time."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from bench.track.spool import Spool
from bench.track.store import Store
from bench.train import checkpoint
from bench.train.clock import Clock
from bench.train.single import Single

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("sweep")]
WORDS = (
    "--axes", "model=linear,dnn", "--seeds", "1", "dataset=digits", "trainer.epochs=5", "augment=shift",
    "hydra/launcher=basic", "trainer.threads=1",
)  # fmt: skip


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Epochs in the order in which they were trained. A limited run's time is over after its third."""
    seen: list[int] = []
    real = Single.train

    def train(self: Single, epoch: int, clock: Clock) -> list[float]:
        seen.append(epoch + 1)
        if epoch == 3 and (self.exp.trainer.max_minutes or 10) < 10:
            clock.end = time.perf_counter() - 1
        return real(self, epoch, clock)

    monkeypatch.setattr(Single, "train", train)
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    return seen


def science(uri: str | None = None) -> dict[str, Any]:
    return {r.key: (r.metrics, r.costs["cost/selected_epoch"]) for r in Store(uri).records("adhoc") if not r.reason}


def test_more_time_and_retry_failed_go_on_where_the_run_was_stopped(
    folder: Path, bench: Any, epochs: list[int]
) -> None:
    status, out, _ = bench("sweep", *WORDS, "trainer.max_minutes=5", "--json")
    assert (status, json.loads(out)["failed"]) == (1, 2)
    assert epochs == [1, 2, 3, 4] * 2
    stopped = Store().records("adhoc")
    assert all("stopped after trainer.max_minutes=5, in epoch 4" in r.reason for r in stopped)
    files = {f.path for r in stopped for f in Store().client.list_artifacts(r.run_id)}
    assert files == {"config.yaml", "traceback.txt"}  # a checkpoint is not the store's

    status, _, err = bench("sweep", *WORDS, "trainer.max_minutes=50")
    assert status == 1
    assert "2 of them ran out of time: with a higher trainer.max_minutes they go on" in err

    epochs.clear()
    status, out, err = bench("sweep", *WORDS, "trainer.max_minutes=50", "--retry-failed", "--json")
    assert (status, json.loads(out)["failed"]) == (0, 0), err
    assert epochs == [4, 5] * 2
    state = folder / ".imagebench"
    kept = [p for p in state.rglob("*") if p.is_file()]
    assert kept == [state / "sweeps" / "adhoc.yaml"]  # of the runs nothing is kept for ever

    elsewhere = f"sqlite:///{folder}/undisturbed.db"
    assert bench("sweep", *WORDS, f"tracking.uri={elsewhere}")[0] == 0
    assert science() == science(elsewhere)


def test_a_checkpoint_goes_when_the_run_was_finished_elsewhere(folder: Path, bench: Any, epochs: list[int]) -> None:
    assert bench("sweep", *WORDS, "trainer.max_minutes=5")[0] == 1
    assert len(list(Spool().stopped.iterdir())) == 2
    kept = folder / "kept"
    shutil.copytree(Spool().stopped, kept)
    assert bench("sweep", *WORDS, "--retry-failed")[0] == 0
    shutil.copytree(kept, Spool().stopped, dirs_exist_ok=True)
    assert bench("sweep", *WORDS)[0] == 0
    assert list(Spool().stopped.iterdir()) == []
