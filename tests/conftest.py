"""Every test works in an empty folder of its own, with a data cache and a store template shared by the session."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.services.figures import keep_subsets, undrawn
from tests.trained_runs import digit, ids, runs  # noqa: F401  (fixtures: trained once a session, for whoever asks)

REPO = Path(__file__).resolve().parents[1]
LONGEST = ("test_wheel.py", "test_demo.py")  # minutes each

# A busy machine is no failure; the same examples in every run.
settings.register_profile("imagebench", deadline=None, derandomize=True)
settings.load_profile("imagebench")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: at the end they would keep one worker busy while the other has nothing left."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _written_bytecode() -> None:
    """What a test calls as a process of its own finds compiled what another has compiled, as it does for users."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session", autouse=True)
def _fonts_cut_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        keep_subsets(patch)
        yield


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


@pytest.fixture(autouse=True)
def _warm_workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of this process's sweeps have nothing to import, but where a test is about that (marked `cold`)."""
    if request.node.get_closest_marker("cold"):
        return
    from bench.sweep import pool
    from tests.services.workers import Context

    monkeypatch.setattr(pool, "ProcessPoolExecutor", partial(pool.ProcessPoolExecutor, context=Context()))


@pytest.fixture
def warm_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor have the processes of a training on several devices, which are spawned for users."""
    import torch

    from tests.services.workers import Context

    real = torch.multiprocessing.get_context
    monkeypatch.setattr(
        torch.multiprocessing, "get_context", lambda how=None: Context() if how == "spawn" else real(how)
    )


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store that MLflow has just made; making one takes seconds, copying it none."""
    from bench.track.store import Store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module", name="undrawn")
def _undrawn() -> Iterator[None]:
    """Reports with empty figures, for files of tests that look at none."""
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch)
        yield


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
