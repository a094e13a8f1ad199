"""What sweeps/README.md tells its reader to type works, in an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO

MANUAL = (REPO / "sweeps/README.md").read_text(encoding="utf-8")
pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("sweep")]


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", MANUAL, re.DOTALL)
    return str(found)


@pytest.mark.slow
def test_every_command_works(folder: Path, bench: Any) -> None:
    (folder / "mine.yaml").write_text(block("yaml"))
    said = []
    for line in block("console").splitlines():
        start, name, *words = shlex.split(line.split("   #")[0])
        assert (start, name) == ("$", "bench")
        status, _, err = bench(*words)
        assert status == 0, err
        said.append(err)
    assert "12 to do" in said[0]
    assert "4 to do" in said[2]
    assert (folder / "results/mine/verdict.md").is_file()


def test_a_look_at_the_plan_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Any) -> None:
    """Not even an empty store."""
    monkeypatch.chdir(tmp_path)
    status, out, _ = bench("sweep", "--axes", "model=linear,dnn", "--seeds", "2", "dataset=digits", "--dry-run")
    listed = "".join(f"to do     {model} · seed {seed}\n" for model in ("linear", "dnn") for seed in (0, 1))
    assert (status, out) == (0, f"{listed}4 planned · 0 skipped · 0 ran · 4 left · 0 failed\n")
    assert list(tmp_path.iterdir()) == []


def test_a_launcher_whose_engine_is_away_says_so_in_two_lines(
    folder: Path, monkeypatch: pytest.MonkeyPatch, bench: Any
) -> None:
    pytest.importorskip("submitit")
    tools = folder / "tools"  # Slurm's commands, and no Slurm
    tools.mkdir()
    for name in ("srun", "sbatch"):
        (tools / name).write_text("#!/bin/sh\necho 'sbatch: error: no controller' >&2\nexit 1\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    words = ("--axes", "model=linear,dnn", "--seeds", "1", "dataset=digits", "hydra/launcher=submitit_slurm")
    status, _, err = bench("sweep", *words)
    assert status == 2
    told = err[err.index("bench: ") :].splitlines()
    assert told[0].startswith("bench: hydra/launcher=submitit_slurm could not start or end its jobs: FailedJobError:")
    assert "sinfo" in told[1]
    assert len(told) == 2
