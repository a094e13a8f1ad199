"""Tables against golden files, hand-worked cells, and whatever a name may hold."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.frame import select_frame
from bench.report.evidence import Evidence
from bench.report.grid import Grid, pivot
from bench.report.latex import latex
from bench.report.markup import html
from bench.report.notes import notes
from bench.report.pages.runs import listing
from bench.report.published import compare_published
from bench.report.tables import markdown, plain_text, text, tidy_csv
from bench.schema.errors import RequestError
from bench.schema.sweep import Sweep
from bench.track.record import Record
from tests.records import BATCHNORM, make_records, make_sweep

GOLDEN = Path(__file__).parent / "golden"
ACCURACY = {  # norm, lr -> one accuracy a seed
    ("none", 0.001): [0.90, 0.92, 0.94],
    ("none", 0.01): [0.950, 0.952, 0.951],
    ("none", 0.1): [0.10, 0.70],
    ("batch", 0.001): [0.93, 0.95, 0.94],
    ("batch", 0.01): [0.951, 0.952, 0.953],
    ("batch", 0.1): [0.96, 0.97, 0.98],
}


def records() -> list[Record]:
    """Means that can be worked by hand; one failed run."""
    out = []
    for r in make_records(BATCHNORM, lambda _: 0.5):
        values = ACCURACY[r.axes["norm_layer"], r.axes["optim.lr"]]
        if r.seed < len(values):
            out.append(dataclasses.replace(r, metrics={"val/accuracy": 0.9, "test/accuracy": values[r.seed]}))
        else:
            out.append(dataclasses.replace(r, status="failed", reason="diverged: loss is NaN", metrics={}, costs={}))
    return out


def tables(sweep: Sweep, made: list[Record]) -> tuple[Grid, dict[str, str]]:
    frame = select_frame(sweep, made)
    grid = pivot(frame, sweep)
    said, theirs = notes(grid, frame, sweep, made, {"test_looks": 40}), compare_published(frame, sweep)
    return grid, {
        "table.txt": plain_text(grid, said, published=theirs),
        "table.md": markdown(grid, said, theirs),
        "table.csv": tidy_csv(grid),
        "table.tex": latex(grid, said, theirs, "made"),
        "table.html": html(grid, said, theirs),
    }


SWEEP: dict[str, Any] = {
    "table": {"rows": "norm_layer", "columns": "optim.lr"},
    "allow": {"few_seeds": "a test of tables & their signs"},
    "published": [
        {
            "value": 0.9,
            "source": "Somebody 1998, table 2",
            "at": {"norm_layer": "batch", "optim.lr": 0.1},
            "setting": {"trainer.epochs": 50, "dataset.source": "mnist5k", "augmentation": "flips"},
        }
    ],
}


@pytest.mark.parametrize("name", ["table.txt", "table.md", "table.csv", "table.tex", "table.html"])
def test_golden(name: str) -> None:
    """IMAGEBENCH_GOLDEN=1 writes the files anew; read the difference before committing it."""
    _, made = tables(make_sweep(BATCHNORM, **SWEEP), records())
    if os.environ.get("IMAGEBENCH_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_text(made[name], encoding="utf-8")
    assert made[name] == (GOLDEN / name).read_text(encoding="utf-8")


def test_cells_by_hand() -> None:
    grid, made = tables(make_sweep(BATCHNORM, **SWEEP), records())
    rows = list(csv.DictReader(io.StringIO(made["table.csv"])))
    first = rows[0]
    # 0.90, 0.92, 0.94: half width 4.302653 * 0.02 / sqrt(3) = 0.049683
    assert float(first["mean"]) == pytest.approx(0.92)
    assert float(first["ci_low"]) == pytest.approx(0.92 - 0.049683, abs=1e-6)
    assert first["values"] == "0:0.9 1:0.92 2:0.94"
    broken = rows[2]
    assert (broken["n"], broken["failed"], broken["values"]) == ("2", "1", "0:0.1 1:0.7")
    # Three pairs, and two beside the failed run, tell nothing apart once the column is paid for.
    assert [row["mark"] for row in rows] == ["within", "within", "within", "best", "best", "best"]
    assert len(grid.cells()) == 6


def test_axes_that_are_not_placed_become_panels_and_are_never_averaged_over() -> None:
    axes = {**BATCHNORM, "depth": [2, 4]}
    made = make_records(axes, lambda p: 0.5 + p["depth"] / 10, sd=0.001)
    grid, out = tables(make_sweep(axes, table={"rows": "norm_layer", "columns": "optim.lr"}), made)
    assert [panel.at for panel in grid.panels] == [{"depth": 2}, {"depth": 4}]
    assert all(c.interval.n == 3 for c in grid.cells())
    assert "depth 4" in out["table.md"]
    fixed, _ = tables(make_sweep(axes, table={"rows": "norm_layer", "columns": "optim.lr", "at": {"depth": 4}}), made)
    assert len(fixed.panels) == 1
    assert all(c.at["depth"] == 4 for c in fixed.cells())


def test_several_metrics_stand_side_by_side_each_in_its_unit() -> None:
    made = make_records({"model": ["a", "b"]}, lambda p: 0.9, sd=0.01)
    sweep = make_sweep(
        {"model": ["a", "b"]}, table={"rows": "model", "metric": ["test/accuracy", "test/nll", "cost/flops"]}
    )
    grid, out = tables(sweep, made)
    assert grid.heads() == ["test accuracy (%)", "test NLL (nats)", "FLOPs per image"]
    assert "15.7 k (n=3)" in out["table.txt"]


def test_tiny_values_are_not_shown_as_nothing() -> None:
    """A metric of hundred-thousandths, in the table and in the list of runs, which compares what is shown."""
    found = [
        dataclasses.replace(r, metrics={"test/mse": 2.3e-5 + r.seed * 2e-6})
        for r in make_records(BATCHNORM, lambda _: 0.5)
    ]
    sweep = make_sweep(BATCHNORM, table={"rows": "norm_layer", "columns": "optim.lr", "metric": "test/mse"})
    assert "0.0000250 ± 0.0000050" in text(sweep, found)
    alone = [r for r in found if r.seed == 0]
    assert "2.3e-05" in text(dataclasses.replace(sweep, seeds=[0]), alone)
    listed = listing(Evidence(Path("none"), {}, sweep, found))
    (column,) = (c for c in listed["columns"] if c["head"] == "test mse")
    assert sorted({f"{v:.{column['digits']}f}" for v in column["values"]}) == ["0.00002300", "0.00002500", "0.00002700"]


def test_no_line_is_wider_than_the_terminal() -> None:
    axes = {"model": ["resnet"], "optim.lr": [10.0**-i for i in range(12)]}
    made = make_records(axes, lambda _: 0.9)
    sweep = make_sweep(axes, table={"rows": "model", "columns": "optim.lr"})
    for width in (60, 100):
        lines = text(sweep, made, width=width).splitlines()
        assert max(map(len, lines)) <= width
    assert sum("resnet" in line for line in text(sweep, made).splitlines()) > 1


def test_one_seed_is_said() -> None:
    made = [r for r in records() if r.seed == 0]
    _, out = tables(make_sweep(BATCHNORM, **SWEEP), made)
    assert "90.00 (n=1)" in out["table.txt"]
    assert "! One seed a cell" in out["table.txt"]


def test_nothing_finished_is_said() -> None:
    made = [dataclasses.replace(r, status="failed", reason="out of memory", metrics={}, costs={}) for r in records()]
    _, out = tables(make_sweep(BATCHNORM, **SWEEP), made)
    assert "! No run has finished" in out["table.txt"]
    assert "(3 failed)" in out["table.txt"]
    assert "out of memory (18 runs)" in out["table.txt"]


def test_constant_metrics_show_no_interval_that_would_look_like_certainty() -> None:
    made = [dataclasses.replace(r, metrics={"val/accuracy": 0.9, "test/accuracy": 0.97}) for r in records()]
    _, out = tables(make_sweep(BATCHNORM, **SWEEP), made)
    assert "97.00* (n=3, all equal)" in out["table.txt"]
    assert "± 0.0" not in out["table.txt"].split("Somebody")[0]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"rows": "norm_layer", "metric": "test/acc"}, "Unknown metric 'test/acc'.*they have: cost/fit_seconds"),
        ({"rows": "model"}, "Unknown axis in table.rows: 'model'. The records have: norm_layer, optim.lr"),
    ],
)
def test_what_records_do_not_have(table: dict[str, str], message: str) -> None:
    sweep = make_sweep({**BATCHNORM, "model": ["cnn"]}, table=table)
    with pytest.raises(RequestError, match=message):
        tables(sweep, records())


EVIL = "<script>alert(1)</script>|*_`&$%#{}~^\\"


class Reader(HTMLParser):
    """Collects tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_names_from_users_stay_text() -> None:
    axes = {"model": [EVIL, "cnn"]}
    made = [dataclasses.replace(r, reason=EVIL) for r in make_records(axes, lambda _: 0.9)]
    made[0] = dataclasses.replace(made[0], status="failed", metrics={}, costs={})
    _, out = tables(make_sweep(axes, question=EVIL), made)
    reader = Reader()
    reader.feed(out["table.html"])
    assert reader.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "small", "strong", "em", "ul", "li"}
    assert EVIL in reader.words
    assert "<script" not in out["table.md"]
    row = next(line for line in out["table.md"].splitlines() if "alert" in line and line.startswith("|"))
    assert row.replace("\\|", "").count("|") == 3


def test_latex_is_well_formed() -> None:
    _, out = tables(make_sweep(BATCHNORM, question=EVIL, **SWEEP), records())
    bare = re.sub(r"\\[&%$#_{}]", "", out["table.tex"])  # without escaped signs
    assert bare.count("{") == bare.count("}")
    assert re.findall(r"\\begin{(\w+)}", bare) == ["table", "tabular"]
    body = bare.split("\\midrule")[1].split("\\bottomrule")[0]
    rows = [row for row in body.split("\\\\\n") if row.strip()]
    assert [row.count("&") for row in rows] == [3, 3]
    assert bare.count("$") % 2 == 0
    assert "\\label{tab:made}" in out["table.tex"]
    assert "n = 3 unless said" in out["table.tex"]
    assert "(n=3)" not in body  # it stands in the caption, once
    assert "(n=2, 1 failed)" in body
    assert "published 90\\%, ours 97.0" in out["table.tex"]
    assert not re.search(r" -\d", out["table.tex"])


def test_several_metrics_stand_under_the_values_that_they_share() -> None:
    made = make_sweep(
        BATCHNORM, table={"rows": "norm_layer", "columns": "optim.lr", "metric": ["test/accuracy", "val/accuracy"]}
    )
    frame = select_frame(made, records())
    grid = pivot(frame, made)
    above, last = grid.head_rows()
    assert above == [(f"learning rate {lr}", 2) for lr in ("0.001", "0.01", "0.1")]
    assert [text for text, _ in last] == ["test accuracy (%)", "val accuracy (%)"] * 3
    page = html(grid)
    assert page.count('<th scope="colgroup" colspan="2">') == 3
    assert '<th scope="col" rowspan="2">norm layer</th>' in page
    tex = latex(grid)
    assert "\\multicolumn{2}{c}{learning rate 0.01}" in tex
    tabulars = re.findall(r"\\begin\{tabular\}\{(l+r+)\}(.*?)\\end\{tabular\}", tex, flags=re.DOTALL)
    assert sum(spec.count("r") for spec, _ in tabulars) == 6  # in blocks that fit a column of a paper
    for spec, body in tabulars:
        for line in (one for one in body.splitlines() if one.endswith("\\\\")):  # spans counted
            spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert line.count("&") + 1 + sum(spans) - len(spans) == len(spec)


def test_one_metric_over_two_column_axes_has_two_levels() -> None:
    made = make_sweep(BATCHNORM, table={"rows": [], "columns": ["norm_layer", "optim.lr"]})
    grid = pivot(select_frame(made, records()), made)
    above, last = grid.head_rows()
    assert above == [("norm layer none", 3), ("norm layer batch", 3)]
    assert [text for text, _ in last] == ["0.001", "0.01", "0.1"] * 2


def test_a_seed_without_a_record_is_missing_not_forgotten() -> None:
    """A row that was taken out of records.csv by hand."""
    made = [r for r in records() if not (r.axes == {"norm_layer": "none", "optim.lr": 0.01} and r.seed == 2)]
    made_sweep = make_sweep(BATCHNORM, table={"rows": "norm_layer", "columns": "optim.lr"})
    shown = text(made_sweep, made)
    assert "n=2, 1 not run" in shown
    assert "Not finished: 1 planned run." in shown


def test_an_interval_that_ends_with_the_metric_is_shown_from_to() -> None:
    """98.0 ± 6.6% reads as if 104.6% could be."""
    values = {"a": [0.99, 1.0, 0.95], "b": [0.50, 0.52, 0.51]}
    made = [
        dataclasses.replace(r, metrics={"test/accuracy": values[r.axes["m"]][r.seed]})
        for r in make_records({"m": ["a", "b"]}, lambda _: 0.5)
    ]
    sweep = make_sweep({"m": ["a", "b"]}, table={"rows": "m"})
    frame = select_frame(sweep, made)
    grid = pivot(frame, sweep)
    said = notes(grid, frame, sweep, made, {})
    for said_so in (plain_text(grid, said, 200), markdown(grid, said), html(grid, said)):
        assert "98.0 [91.4, 100]" in said_so
        assert "51.0 ± 2.5" in said_so
        assert "where it ends with the metric" in said_so
    assert "98.0\\,[91.4,\\,100]" in latex(grid, said, [], "made")


@pytest.mark.parametrize(
    ("setting", "ours", "gap", "said"),
    [
        ({"dataset": "mnist5k"}, {}, "+4.0 points", "epochs: not stated / 3; parameters: not stated / 7,850"),
        (
            {"dataset": "mnist5k", "parameters": 7850, "epochs of theirs": 9},
            {},
            "+4.0 points",
            "epochs of theirs: 9; epo",
        ),
        ({}, {}, "", "dataset: not stated / mnist5k; epochs"),
        (
            {"dataset": "mnist5k"},
            {"split.train_per_class": 100},
            "",
            "training images a class: not stated / 100; epochs",
        ),
        ({"dataset": "mnist5k", "images": 60000}, {}, "", "images: 60000; epochs"),
    ],
)
def test_what_a_published_number_leaves_out_is_said_and_without_its_data_there_is_no_gap(
    setting: dict[str, Any], ours: dict[str, Any], gap: str, said: str
) -> None:
    """A network of 100 images a class stood in points below a number that says nothing of its images."""
    known = {
        "value": 0.9,
        "source": "Somebody 1998",
        "at": {"norm_layer": "batch", "optim.lr": 0.001},
        "setting": setting,
    }
    made = [dataclasses.replace(r, config={**r.config, **ours}) for r in records()]
    sweep_ = make_sweep(BATCHNORM, published=[known])
    (found,) = compare_published(select_frame(sweep_, made), sweep_)
    assert found.texts[3] == gap
    assert found.texts[5].startswith(said)
