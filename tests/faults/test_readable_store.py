"""A store that can be read and not written, as a colleague's: what only reads it works, what trains ends before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.track.address import sqlite_file
from bench.track.spool import Spool

FILE = """question: Which k?
base: [dataset=digits, model=knn]
axes: {model.k: [1, 25]}
seeds: 2
claims: [{says: one beats 25, compare: {model.k: 1}, against: {model.k: 25}}]
"""


@pytest.fixture
def closed(folder: Path, bench: Callable[..., Any]) -> Path:
    """A folder with a sweep that ran, whose store takes no more files: a superuser minds no permissions, but this."""
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "nn.yaml").write_text(FILE)
    for words in (("sweep", "nn", "hydra/launcher=basic"), ("run", "dataset=digits", "model=knn")):
        status, _, err = bench(*words)
        assert status == 0, err
    (folder / "mlartifacts").rename(folder / "kept")
    (folder / "mlartifacts").write_text("no folder")
    return folder


def test_a_table_is_made_and_says_what_the_store_does_not_have(closed: Path, bench: Callable[..., Any]) -> None:
    status, out, err = bench("table", "nn")
    assert (status, "one beats 25" in out) == (0, True), err
    assert "The look at the claims is in results/nn/protocol.jsonl, and goes into the store with the next one." in err
    status, out, _ = bench("reproduce", "nn", "--check")
    assert (status, "CONSISTENT" in out) == (0, True)
    (closed / "mlartifacts").unlink()
    (closed / "kept").rename(closed / "mlartifacts")
    status, _, err = bench("table", "nn")
    assert (status, "warning" in err) == (0, False)


def test_nothing_is_trained_for_it(closed: Path, bench: Callable[..., Any]) -> None:
    status, _, err = bench("run", "dataset=digits", "model=knn", "model.k=7")
    assert status == 2
    assert "name a store of your own: tracking.uri=" in err
    assert "IMAGEBENCH_ARTIFACTS" not in err  # which is for databases on a server
    assert not list(Spool().pending())


def test_a_damaged_file_of_a_run_does_not_hold_up_the_end_of_a_sweep(folder: Path, bench: Callable[..., Any]) -> None:
    """It ended with an error, without its table; what reads every file names the run."""
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "nn.yaml").write_text(FILE + "table: {rows: model.k}\n")
    assert bench("sweep", "nn", "hydra/launcher=basic")[0] == 0
    next((folder / "mlartifacts").rglob("predictions.npz")).write_text("damaged")
    status, out, err = bench("sweep", "nn", "hydra/launcher=basic")
    assert (status, "k (neighbours)" in out) == (0, True), err
    status, _, err = bench("table", "nn")
    assert (status, "not an .npz of a run" in err) == (2, True)


def test_a_link_to_a_store_is_that_store(
    folder: Path, bench: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened by the link's name its runs had no files, without a word, and two names had two locks."""
    status, _, err = bench("run", "dataset=digits", "model=knn")
    assert status == 0, err
    away = tmp_path_factory.mktemp("away")
    monkeypatch.chdir(away)
    os.symlink(folder / "mlflow.db", away / "mlflow.db")
    assert sqlite_file("sqlite:///mlflow.db") == (folder / "mlflow.db").resolve()
    status, _, err = bench("explain", "last", "neighbours", "--no-store")
    assert status == 0, err
    status, _, err = bench("run", "dataset=digits", "model=knn", "model.k=3")
    assert status == 0, err
    assert not (away / "mlartifacts").exists()
    shutil.rmtree(away / "explain")
