"""A wheel built from the tree, in an environment of its own, works from any directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPO

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("wheel")]


def call(*words: object, **options: object) -> str:
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, REPO)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_carries_what_a_run_needs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= {"bench/conf/config.yaml", "bench/sweeps/batchnorm.yaml", "bench/cli/__init__.py"}
    assert "bench/data/classes.yaml" in names
    assert not any(n.startswith(("tests/", "results/")) for n in names)


def test_the_demo_sweep_runs_from_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        assert "CI" not in os.environ, "uv is missing; 'make install' puts it into the environment"
        pytest.skip("uv is not in this environment")
    home = tmp_path / "env"
    call(sys.executable, "-m", "venv", "--without-pip", home)
    call(uv, "pip", "install", "-q", "--python", home / "bin/python", wheel,
         "--constraint", REPO / "requirements.lock")  # fmt: skip
    work = tmp_path / "elsewhere"
    work.mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["IMAGEBENCH_CACHE"] = str(tmp_path / "cache")
    bench = home / "bin/bench"
    words = ("sweep", "batchnorm", "--scale", "smoke", "trainer.epochs=1", "--seeds", "1", "--json")
    out = call(bench, *words, cwd=work, env=environment)
    found = json.loads(out.splitlines()[-1])
    assert (found["planned"], found["ran"], found["failed"]) == (6, 6, 0)
    where = call(home / "bin/python", "-c", "import bench; print(bench.__file__)", cwd=work, env=environment)
    assert str(home) in where
