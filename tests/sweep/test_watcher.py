"""A launch that waits for what jobs elsewhere bring to an end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.sweep import cluster
from bench.sweep.job import Job

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
