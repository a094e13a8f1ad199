"""Accuracy under corruption is measured beside the clean one, for every family, with the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

BASE = ("dataset=digits", "trainer.epochs=3", "trainer.threads=1", "corrupt.names=[noise,translation]")


@pytest.mark.parametrize("model", ["linear", "knn", "ncm"])
def test_accuracy_falls_with_severity(folder: Path, bench_json: Any, model: str) -> None:
    found = bench_json("run", *BASE, f"model={model}", "optim.lr=0.03", "corrupt.severities=[1,5]")["metrics"]
    for name in ("noise", "translation"):
        assert found[f"corrupt/{name}/5/accuracy"] < found[f"corrupt/{name}/1/accuracy"] <= 1
        assert found[f"corrupt/{name}/5/accuracy"] < found["test/accuracy"]


def test_corruption_changes_nothing_else(folder: Path, bench_json: Any) -> None:
    clean = bench_json("run", *BASE[:-1], "model=linear")
    both = bench_json("run", *BASE, "model=linear")
    assert {k: v for k, v in both["metrics"].items() if not k.startswith("corrupt/")} == clean["metrics"]
    assert both["run_key"] != clean["run_key"]
    again = bench_json("run", *BASE, "model=linear", "--fresh")
    assert again["metrics"] == both["metrics"]


def test_a_run_prints_them_beside_its_clean_accuracy(folder: Path, bench: Any) -> None:
    _, out, _ = bench("run", *BASE, "model=linear", "corrupt.severities=[1,5]")
    lines = out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("test accuracy under corruption"))
    assert lines[head].split()[-2:] == ["1", "5"]
    assert [line.split()[0] for line in lines[head + 1 : head + 3]] == ["noise", "translation"]
    assert lines[head - 1].startswith("test ")
