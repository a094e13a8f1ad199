"""Every shipped sweep at scale smoke: planned, run, tabled and judged by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.sweep import file
from bench.sweep.plan import at_scale
from tests.conftest import REPO

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
IN_THE_DEMO = {"ladder", "batchnorm"}
SLOW = {"transfer", "cut", "knn_features", "depth", "residual_family"}  # minutes each on one core
NAMES = sorted({path.stem for path in (REPO / "sweeps").glob("*.yaml")} - IN_THE_DEMO - SLOW)


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_runs_and_is_judged(name: str, folder: Path, bench: Any) -> None:
    status, out, err = bench("sweep", name, "--scale", "smoke", "--workers", "1", "trainer.threads=1", "--json")
    assert status == 0, err
    found = json.loads(out.splitlines()[-1])
    assert found["ran"] == found["planned"] - found["skipped"]
    assert (found["failed"], found["left"]) == (0, 0)
    status, _, err = bench("table", name, "--scale", "smoke")
    assert status == 0, err
    made = folder / "results" / f"{name}-smoke"
    verdict = (made / "verdict.md").read_text()
    asked = at_scale(file.read(name), "smoke")
    for claim in asked.claims:
        assert claim.says in verdict
    assert "(0/" not in (made / "table.md").read_text()
    figures = ["figure.svg", *(f"figure-{i + 2}.svg" for i in range(len(asked.figures)))]
    assert {*figures} <= {path.name for path in made.iterdir()}
