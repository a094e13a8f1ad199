"""From committed records to table, site, check and comparison where neither torch nor MLflow is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.track.record import write_csv
from tests.records import BATCHNORM, make_records

SWEEP = """
question: Does it help?
axes: {norm_layer: [none, batch], optim.lr: [0.001, 0.01, 0.1]}
table: {rows: norm_layer, columns: optim.lr}
claims: [{says: It helps, compare: {norm_layer: batch}, against: {norm_layer: none}}]
"""

MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('torch', 'torchvision', 'pytorch_lightning', 'timm', 'mlflow'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Missing())
from bench.cli import main
sys.exit(main(sys.argv[1:]))
"""


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MISSING, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("without")
    write_csv(make_records(BATCHNORM, lambda _: 0.9, name="mine"), made / "records.csv")
    (made / "sweeps").mkdir()
    (made / "sweeps" / "mine.yaml").write_text(SWEEP)
    done = bench(made, "table", "mine", "--scale", "smoke", "--records", "records.csv")
    assert done.returncode == 0, done.stderr
    return made


def test_the_blocker_blocks(folder: Path) -> None:
    assert "(mlflow)" in bench(folder, "run", "model=linear", "dataset=digits").stderr


def test_the_table_is_written(folder: Path) -> None:
    made = folder / "results" / "mine-smoke"
    names = ("table.md", "table.csv", "table.tex", "table.html", "figure.svg", "figure.png", "verdict.md")
    assert all((made / name).stat().st_size > 100 for name in names)


@pytest.mark.parametrize(
    "words",
    [
        ("report",),
        ("reproduce", "mine-smoke", "--check"),
        ("compare", "mine-smoke", "records.csv"),
        ("table", "mine", "--records", "results/mine-smoke/records.csv", "--out", "again"),
    ],
    ids=lambda words: words[0],
)
def test_what_starts_from_committed_records_works(folder: Path, words: tuple[str, ...]) -> None:
    done = bench(folder, *words)
    assert done.returncode == 0, done.stderr
