"""bench.report.write and `bench table --records`: all files, the same bytes, back from what was committed."""

from __future__ import annotations

import cProfile
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import report
from bench.analysis.artifacts import read_kept
from bench.schema.errors import RequestError
from bench.schema.sweep import Sweep
from bench.track.record import Record, read_csv, to_csv, write_csv
from tests.records import make_records, make_sweep

FILES = [
    "records.csv",
    "table.md",
    "table.csv",
    "table.tex",
    "table.html",
    "verdict.md",
    "figure.svg",
    "figure.pdf",
    "figure.png",
    "claims.svg",
    "claims.pdf",
    "claims.png",
    "manifest.json",
]
CONTEXT = {"scale": "smoke", "command": "bench sweep made --scale smoke"}


def test_everything_is_written_and_read_back(
    batchnorm_sweep: Sweep, batchnorm_records: list[Record], tmp_path: Path
) -> None:
    written = report.write(batchnorm_sweep, batchnorm_records, tmp_path / "made", CONTEXT)
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == sorted([*FILES, "digest.json"])
    assert written.files == FILES
    again = read_csv(tmp_path / "made" / "records.csv")
    assert again == batchnorm_records
    report.write(batchnorm_sweep, again, tmp_path / "again", CONTEXT)
    for name in FILES:
        assert (tmp_path / "made" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_order_of_records_changes_no_table(
    batchnorm_sweep: Sweep, batchnorm_records: list[Record], tmp_path: Path
) -> None:
    report.write(batchnorm_sweep, batchnorm_records, tmp_path / "a", CONTEXT)
    report.write(batchnorm_sweep, batchnorm_records[::-1], tmp_path / "b", CONTEXT)
    for name in ("table.md", "table.csv", "table.tex", "table.html", "verdict.md", "figure.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_the_terminal_shows_question_table_verdicts_and_files(
    batchnorm_sweep: Sweep, batchnorm_records: list[Record], tmp_path: Path
) -> None:
    text = str(report.write(batchnorm_sweep, batchnorm_records, tmp_path, CONTEXT))
    assert text.startswith("Does it help?\n")
    assert "SUPPORTED  Batch norm raises test accuracy at lr 0.1: +2" in text
    assert "manifest.json" in text
    assert max(map(len, text.splitlines()[:-1])) <= 100


def test_the_manifest_holds_every_value_and_where_it_came_from(
    batchnorm_sweep: Sweep, batchnorm_records: list[Record], tmp_path: Path
) -> None:
    report.write(batchnorm_sweep, batchnorm_records, tmp_path, CONTEXT)
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["format"] == 1
    assert content["command"] == CONTEXT["command"]
    assert content["question"] == "Does it help?"
    assert content["seeds"] == [0, 1, 2]
    assert content["data_fingerprints"] == {"f00d": 18}
    assert content["code"]["commits"] == {"c0ffee0000": 18}
    assert content["packages"] == [{"numpy": "2.4.0", "torch": "2.15.0"}]
    assert content["config"] == {"dataset.source": "mnist5k", "trainer.epochs": 3}
    runs = {(json.dumps(p["axes"]), r["seed"]): r for p in content["points"] for r in p["runs"]}
    assert len(runs) == 18
    for record in batchnorm_records:
        assert runs[json.dumps(record.axes), record.seed]["metrics"] == record.metrics
    for name, digest in content["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    assert set(content["files"]) == set(FILES) - {"manifest.json"}


def test_files_of_runs_are_kept_so_that_figures_can_be_drawn_again(
    batchnorm_records: list[Record], tmp_path: Path
) -> None:
    axes = {"norm_layer": ["none", "batch"], "optim.lr": [0.001, 0.01, 0.1]}
    sweep = make_sweep(axes, figure={"kind": "curves", "lines": "norm_layer"})

    def reader(record: Record, name: str) -> str | None:
        return f"epoch,val_accuracy\n1,0.5\n2,0.{60 + record.seed}\n" if name == "curves.csv" else None

    report.write(sweep, batchnorm_records, tmp_path / "a", CONTEXT, reader)
    report.write(sweep, batchnorm_records, tmp_path / "b", CONTEXT, read_kept(tmp_path / "a"))
    assert (tmp_path / "a" / "figure.svg").read_bytes() == (tmp_path / "b" / "figure.svg").read_bytes()
    assert (tmp_path / "a" / "artifacts.json").read_bytes() == (tmp_path / "b" / "artifacts.json").read_bytes()
    (tmp_path / "a" / "artifacts.json").write_text('{"key": 3}')
    with pytest.raises(RequestError, match=r"artifacts\.json"):
        read_kept(tmp_path / "a")


def test_a_sweep_of_which_nothing_finished_is_still_reported(batchnorm_records: list[Record], tmp_path: Path) -> None:
    made = [dataclasses.replace(r, status="failed", reason="x", metrics={}, costs={}) for r in batchnorm_records]
    axes = {"norm_layer": ["none", "batch"], "optim.lr": [0.001, 0.01, 0.1]}
    sweep = make_sweep(
        axes, figure={"x": "optim.lr", "lines": "norm_layer"}, figures=[{"kind": "curves"}, {"kind": "pareto"}],
        claims=[{"says": "x", "compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}],
    )  # fmt: skip
    written = report.write(sweep, made, tmp_path, CONTEXT)
    assert "No run has finished" in str(written)
    assert written.verdicts[0].word == "open"
    assert "figure.svg" in written.files
    assert "figure-2.svg" not in written.files


def test_infinite_and_nan_metrics_are_shown_not_averaged(tmp_path: Path) -> None:
    axes = {"model": ["a", "b"]}
    made = make_records(axes, lambda _: 0.9)
    made[0] = dataclasses.replace(made[0], metrics={**made[0].metrics, "test/nll": float("nan")})
    made[1] = dataclasses.replace(made[1], metrics={**made[1].metrics, "test/nll": float("inf")})
    sweep = make_sweep(axes, table={"rows": "model", "metric": "test/nll"}, figure={"x": "model", "y": "test/nll"})
    written = report.write(sweep, made, tmp_path, CONTEXT)
    assert "NaN (n=3)" in str(written)
    assert json.dumps(written.data(), allow_nan=False)


def test_the_work_grows_no_faster_than_the_records(tmp_path: Path) -> None:
    """Calls are counted: seconds would tell how busy the machine is."""

    def calls(lrs: int) -> int:
        axes = {
            "model": [f"m{i}" for i in range(10)],
            "optim.lr": [10.0**-i for i in range(lrs)],
            "depth": [1, 2],
        }
        made = make_records(axes, lambda p: 0.8 + p["depth"] / 100, seeds=5)
        assert len(made) == 100 * lrs
        sweep = make_sweep(
            axes,
            table={"rows": "model", "columns": "optim.lr", "panels": "depth"},
            figure={"kind": "line", "x": "depth", "lines": "optim.lr", "at": {"model": "m3"}},
            claims=[{"says": "x", "compare": {"model": "m1"}, "against": {"model": "m0"}}],
        )
        with cProfile.Profile(builtins=False) as watched:
            report.write(sweep, made, tmp_path / str(lrs), CONTEXT)
            assert read_csv(tmp_path / str(lrs) / "records.csv") == made
        return sum(e.callcount for e in watched.getstats() if "/bench/" in getattr(e.code, "co_filename", ""))

    few, many = calls(2), calls(8)
    assert many < 6 * few


Bench = Callable[..., tuple[int, str, str]]


MINE = """
question: Does batch norm help?
base: [dataset=digits, model=cnn]
axes: {norm_layer: [none, batch], optim.lr: [0.001, 0.01, 0.1]}
table: {rows: norm_layer, columns: optim.lr}
claims: [{says: Batch norm raises test accuracy, compare: {norm_layer: batch}, against: {norm_layer: none}}]
"""


@pytest.fixture
def mine(folder: Path) -> Path:
    """A working directory with a sweep of its own, `mine`."""
    (folder / "sweeps").mkdir(exist_ok=True)
    (folder / "sweeps" / "mine.yaml").write_text(MINE)
    return folder


def test_bench_table_from_committed_records(bench: Bench, mine: Path) -> None:
    axes = {"norm_layer": ["none", "batch"], "optim.lr": [0.001, 0.01, 0.1]}
    write_csv(make_records(axes, lambda _: 0.9, name="mine"), mine / "records.csv")
    status, out, err = bench("table", "mine", "--scale", "smoke", "--records", "records.csv")
    assert status == 0, err
    assert "Batch norm raises test accuracy" in out
    assert (mine / "results" / "mine-smoke" / "table.md").exists()
    status, out, _ = bench("table", "mine", "--records", "records.csv", "--out", "here", "--json")
    assert json.loads(out)["folder"] == "here"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("key,seed\n1,2\n", "column 'sweep' is missing"),
        (to_csv(make_records({"model": ["a"]}, lambda _: 0.9, name="ladder")), "holds records of ladder, not of mine"),
        (to_csv(make_records({"model": ["a"]}, lambda _: 0.9, name="mine")), "Unknown axis in table.rows"),
        (to_csv([]), "There are no records"),
    ],
)
def test_bench_table_from_something_else(bench: Bench, mine: Path, content: str, message: str) -> None:
    (mine / "records.csv").write_text(content)
    status, _, err = bench("table", "mine", "--records", "records.csv")
    assert status == 2
    assert message in err
    assert "Traceback" not in err


def test_bench_table_before_the_sweep_ran(bench: Bench, mine: Path) -> None:
    status, _, err = bench("table", "mine", "--scale", "smoke")
    assert status == 2
    assert "None of the 18 runs of mine-smoke is in" in err
    assert "bench sweep mine" in err
