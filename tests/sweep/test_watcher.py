"""A launch that waits for what jobs elsewhere bring to an end."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.sweep import cluster
from bench.sweep.job import Job
from bench.sweep.watcher import Watcher
from bench.track.index import Row
from bench.track.store import record_of

POINT: Any = SimpleNamespace(key="a" * 64)


def test_no_job_is_started_for_points_that_have_all_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another launch may bring the last one to an end between the plan and the start."""
    monkeypatch.setattr(cluster, "through_hydra", lambda *_: pytest.fail("a launcher with no jobs"))
    job = Job(
        points=[POINT], title="s", uri=None, spool=tmp_path, before=set(), count=1, threads=1, folder=tmp_path,
        alone=True, own_gpus=False, patience=1.0,
    )  # fmt: skip
    watcher: Any = SimpleNamespace(look=lambda: {POINT.key: "its record"}, taken=lambda: 1)
    assert cluster._until_done(job, "joblib", [], watcher) == []


def test_a_point_is_told_once_though_two_threads_look(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def slow(row: Row) -> Any:
        time.sleep(0.2)  # the other thread looks meanwhile
        return record_of(row)

    class Store:
        def rows(self, _: str) -> list[Row]:
            return [Row("a run", "FINISHED", 0, {"run_key": POINT.key, "status": "finished"})]

    store: Any = Store()
    view: Any = SimpleNamespace(done=lambda *_: told.append(1))
    monkeypatch.setattr("bench.sweep.watcher.record_of", slow)
    watcher = Watcher([POINT], "s", store, set(), view)
    threads = [threading.Thread(target=watcher.look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1
    assert list(watcher.seen) == [POINT.key]
