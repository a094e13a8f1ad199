"""Every test works in an empty folder of its own, with a data cache and a store template shared by the session."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trained_runs import digit, ids, runs  # noqa: F401  (fixtures: trained once a session, for whoever asks)

REPO = Path(__file__).resolve().parents[1]
LONGEST = ("test_wheel.py", "test_readme.py", "test_demo.py")  # minutes each


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: at the end they would keep one worker busy while the other has nothing left."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded data goes to the session's folder, never to the user's cache."""
    before = os.environ.get("IMAGEBENCH_CACHE")
    os.environ["IMAGEBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["IMAGEBENCH_CACHE"]
    else:
        os.environ["IMAGEBENCH_CACHE"] = before


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store that MLflow has just made; making one takes seconds, copying it none."""
    from bench.track.store import Store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(f"sqlite:///{path}")
    return path


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with an empty store."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call the command in this process: `status, out, err = bench("run", "seed=1")`."""
    from bench.cli import main

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(list(words))
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.fixture
def bench_json(bench: Callable[..., tuple[int, str, str]]) -> Callable[..., Any]:
    """Call the command with --json and return its one object; the status must be 0."""

    def call(*words: str) -> Any:
        status, out, err = bench(*words, "--json")
        assert status == 0, err
        return json.loads(out)

    return call
