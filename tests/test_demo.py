"""The main job, as `make demo` runs it: both sweeps, both tables, everything once; and then what the README calls."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO
from tests.services.figures import undrawn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FILES = {"records.csv", "table.md", "table.csv", "table.tex", "figure.svg", "verdict.md", "manifest.json"}


def commands() -> list[list[str]]:
    """The `bench` commands of the Makefile's target `demo`."""
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", (REPO / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    lines = [line.strip().lstrip("@") for line in recipe[1].splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("$(BENCH) ")]


def of_the_readme() -> list[list[str]]:
    """Every `$ bench ...` line of the README's console blocks, in order."""
    blocks = re.findall(r"```console\n(.*?)```", (REPO / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.split(line.split("   #")[0])[1:] for line in lines if line.startswith("bench ")]


def test_the_demo_and_then_the_readme(folder: Path, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = commands()
    assert [w[:2] for w in words[:2]] == [["sweep", "ladder"], ["sweep", "batchnorm"]]
    printed = ""
    for line in words:
        status, out, err = bench(*line)
        assert status == 0, err
        printed += out
    for sweep, models in (("ladder", ["knn", "linear", "dnn", "cnn"]), ("batchnorm", ["none", "batch"])):
        place = folder / "results" / f"{sweep}-smoke"
        assert {f.name for f in place.iterdir()} >= FILES
        table = (place / "table.md").read_text()
        for model in models:
            assert model in table
        assert re.search(r"n\s*=\s*3", table)
    # Verdicts are on the terminal, and every claim has one.
    assert len(re.findall(r"SUPPORTED|REFUTED|OPEN", printed)) >= 4

    # Again: nothing runs, and what is printed last says so.
    for line, planned in zip(words[:2], (12, 18), strict=True):
        status, out, _ = bench(*line, "--json")
        counts = json.loads(out.splitlines()[-1])
        assert status == 0
        assert (counts["planned"], counts["skipped"], counts["ran"], counts["failed"]) == (planned, planned, 0, 0)

    # kNN sees no seed; the networks do.
    from bench.track.record import read_csv

    records = read_csv(folder / "results/ladder-smoke/records.csv")
    values = {m: {r.metrics["test/nll"] for r in records if r.axes["model"] == m} for m in ("knn", "dnn")}
    assert (len(values["knn"]), len(values["dnn"])) == (1, 3)

    undrawn(monkeypatch)  # figures were drawn above
    found = of_the_readme()
    assert len(found) >= 6
    for line in found:
        status, _, err = bench(*line)
        assert status == 0, f"bench {' '.join(line)}\n{err}"
    status, _, err = bench("table", "batchnorm")  # the obvious next thing: its runs are of another scale
    assert status == 2
    assert "Runs at scale smoke are: --scale smoke shows them." in err


def test_a_sweep_from_the_command_line(folder: Path, bench: Any, bench_json: Any) -> None:
    words = ["sweep", "--axes", "model=linear,dnn", "optim.lr=0.1,0.01", "--seeds", "3", "dataset=digits"]
    words += ["--scale", "smoke"]
    found = bench_json(*words)
    assert (found["planned"], found["skipped"], found["ran"], found["failed"]) == (12, 0, 12, 0)
    again = bench_json(*words)
    assert (again["skipped"], again["ran"]) == (12, 0)
    more = bench_json(*[w if w != "3" else "4" for w in words])
    assert (more["skipped"], more["ran"]) == (12, 4)


def test_a_failing_run_is_a_marked_cell(folder: Path, bench: Any) -> None:
    words = ["sweep", "--axes", "optim.lr=0.1,1e30", "--seeds", "2", "dataset=digits", "model=dnn", "optim=sgd"]
    words += ["--scale", "smoke"]
    status, out, _ = bench(*words, "--json")
    found = json.loads(out.splitlines()[-1])
    assert status == 1
    assert (found["ran"], found["failed"]) == (4, 2)
    status, out, err = bench(*words)
    assert status == 1
    assert "failed" in out.lower()
    assert "--retry-failed" in out + err
    status, out, _ = bench(*words, "--retry-failed", "--json")
    assert json.loads(out.splitlines()[-1])["ran"] == 2


def test_what_a_sweep_says_next_works_as_it_stands(folder: Path, bench: Any) -> None:
    """Also for a file given by its path, with settings on top."""
    (folder / "mine.yaml").write_text(
        "question: Which?\nbase: [dataset=digits, model=linear]\naxes: {optim.lr: [0.1, 0.01]}\nseeds: 1\n"
        "table: {rows: optim.lr}\n"
    )
    status, _, err = bench("sweep", "mine.yaml", "trainer.epochs=1", "--scale", "smoke")
    assert status == 0
    said = re.search(r"^Next: bench (.*?)   ", err, re.MULTILINE)
    assert said
    status, out, err = bench(*shlex.split(said[1]))
    assert status == 0, err
    assert "missing" not in out
