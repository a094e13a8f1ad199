"""From Python, as in a notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import bench
from tests.conftest import REPO

CELLS = (
    "import bench",
    "import os; os.makedirs('parts', exist_ok=True)\n"
    "open('parts/mine.py', 'w').write('''\nfrom torch import nn\nfrom bench.parts import model\n\n@model\n"
    "def mine(shape, classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], classes))\n''')",
    "one = bench.run('dataset=digits', 'model=mine', 'trainer.epochs=1', 'seed=0')\none",
    "assert not bench.run('dataset=digits', 'model=mine', 'trainer.epochs=1', 'seed=0').ran\n"
    "made = bench.sweep('', 'dataset=digits', axes={'model': ['mine', 'knn']}, scale='smoke',\n"
    "                   seeds=2, workers=1)\nmade",
    "frame = made.records()\nassert set(frame['status']) == {'finished'} and len(frame) == 4\n"
    "assert len(bench.records('adhoc-smoke')) == 4  # as the folder of results is called\n"
    "frame[['model', 'seed', 'test/accuracy']]",
    "print(bench.compare(frame['run_id'][0], frame['run_id'][2]))",
    "try:\n    bench.run('model=mien')\nexcept bench.RequestError as error:\n    print(error)",
)


def test_a_notebook_runs_and_shows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    shown = [
        "".join(str(o.get("data", {}).get("text/html", "")) + str(o.get("text", "")) for o in cell.outputs)
        for cell in book.cells
    ]
    assert "test  accuracy" in shown[2]
    assert "<table" in shown[3]
    assert "<table" in shown[4]
    assert "test/accuracy" in shown[5] or "test accuracy" in shown[5]
    assert "Unknown model 'mien'. Did you mean 'mine'?" in shown[6]


def test_importing_bench_stays_light() -> None:
    script = "import bench, sys\nbench.RequestError\nprint([m for m in ('torch', 'mlflow', 'hydra', 'numpy', 'pandas') "
    script += "if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert {"run", "sweep", "table", "records", "compare"} <= set(dir(bench))


def test_requests_that_are_wrong(folder: Path) -> None:
    for call, message in (
        (lambda: bench.sweep("batchnorm", axes={"model": ["linear", "dnn"]}), "expected the name of a sweep, or axes"),
        (lambda: bench.sweep(axes={"model": ["linear"]}), "expected two values or more"),
        (lambda: bench.table("batchnrm"), "Unknown sweep 'batchnrm'"),
    ):
        with pytest.raises(bench.RequestError, match=message):
            call()
