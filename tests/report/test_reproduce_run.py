"""bench reproduce and bench compare from end to end: sweep, table, run again, tamper, compare two runs."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "IMAGEBENCH_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    main = "import sys; from bench.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", main, *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=400, check=False)


def test_a_sweep_is_reproduced_to_the_last_digit_and_a_changed_number_is_found(tmp_path: Path) -> None:
    words = ["--axes", "model=linear,dnn", "dataset=digits", "trainer.epochs=2", "--seeds", "2", "--scale", "smoke"]
    for verb in ("sweep", "table"):
        done = bench(tmp_path, verb, *words, "--name", "tiny")
        assert done.returncode == 0, done.stderr
    done = bench(tmp_path, "reproduce", "tiny-smoke", "--cells", "all", "--json")
    found = json.loads(done.stdout)
    assert [c["verdict"] for c in found["cells"]] == ["identical", "identical"], done.stdout
    assert (done.returncode, found["contradictions"], found["environment"]) == (0, [], [])

    assert re.search(r"2 at once, about \d+ s by what they took then", done.stderr)
    assert "[4/4]" in done.stderr

    rows = list(csv.DictReader((tmp_path / "results/tiny-smoke/records.csv").open()))
    done = bench(tmp_path, "compare", rows[0]["run_id"][:12], rows[2]["run_id"], "--json")
    compared = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    first = compared["pairs"][0]
    assert (first["a"], first["b"]) == (float(rows[0]["test/accuracy"]), float(rows[2]["test/accuracy"]))
    assert (tmp_path / "compare.svg").stat().st_size > 1000

    table = tmp_path / "results/tiny-smoke/table.md"
    table.write_text(table.read_text().replace("n=2", "n=9", 1))
    done = bench(tmp_path, "reproduce", "tiny-smoke", "--check")
    assert done.returncode == 1
    assert "CONTRADICTION  table.md, line" in done.stderr

    done = bench(tmp_path, "report", "--json")
    assert done.returncode == 0, done.stderr
    assert "results/index.html" in json.loads(done.stdout)["files"]


def test_a_cell_is_named_by_its_values() -> None:
    from bench.cli.reproduce import at
    from bench.schema.errors import RequestError

    cell = {"norm_layer": "batch", "optim.lr": 0.1, "model.filters": [16, 32]}
    assert at(cell, ["norm_layer=batch,optim.lr=0.1"])
    assert at(cell, ["norm_layer=batch", "lr=1e-1"])
    assert at(cell, ["model.filters=[16,32],lr=0.1"])
    assert not at(cell, ["norm_layer=batch,optim.lr=0.01"])
    with pytest.raises(RequestError, match="Did you mean 'norm_layer'"):
        at(cell, ["norm_layr=batch,optim.lr=0.1"])
