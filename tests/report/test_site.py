"""The site's pages as text: what is on them, how large they are, that text of users stays text."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import pytest

from bench.report import evidence, facts, figures, page, site, write
from bench.report.figures.chart import data
from bench.report.frame import Frame
from bench.schema.errors import RequestError
from bench.schema.sweep import Figure, sweep
from bench.track.record import Record

AXES = {"norm_layer": ["none", "batch"], "optim.lr": [0.001, 0.01, 0.1]}
VENDOR = Path(site.__file__).parent / "vendor"


@pytest.fixture
def results(tmp_path: Path, batchnorm_records: list[Record]) -> Path:
    claim = {"says": "It helps", "compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}
    table = {"rows": "norm_layer", "columns": "optim.lr"}
    made = sweep({"name": "made", "question": "Does it?", "axes": AXES, "table": table, "claims": [claim]}, "made.yaml")
    write(made, batchnorm_records, tmp_path / "results" / "made", {"command": "bench sweep made"})
    return tmp_path / "results"


def test_the_index_the_page_and_the_readme_say_the_verdict(results: Path) -> None:
    made = site.build(results)
    assert [p.relative_to(results).as_posix() for p in made.files] == ["made/index.html", "index.html", "README.md"]
    assert made.broken == []
    for path in made.files:
        assert "It helps" in path.read_text()
        assert path.stat().st_size < 2_000_000
    readme = (results / "README.md").read_text()
    assert "![" in readme
    assert "(made/figure.svg)" in readme
    assert "| norm layer |" in readme


def test_the_same_records_give_the_same_pages(results: Path) -> None:
    before = {p: p.read_bytes() for p in site.build(results).files}
    assert {p: p.read_bytes() for p in site.build(results).files} == before


def test_nothing_is_loaded_from_elsewhere(results: Path) -> None:
    site.build(results)
    for name in ("index.html", "made/index.html"):
        text = (results / name).read_text()
        outside = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
        assert not re.findall(r'(?:src|srcset)="(?:https?:)?//', outside)
        assert not re.findall(r"<link[^>]+https?:|@import|url\(", outside)
        assert "default-src 'none'" in outside


def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_shown(results: Path) -> None:
    (results / "bad").mkdir()
    (results / "bad" / "records.csv").write_text("key,sweep\n")
    (results / "bad" / "manifest.json").write_text('{"format": 99}')
    made = site.build(results)
    assert len(made.broken) == 1
    assert "newer imagebench" in made.broken[0]
    for name in ("index.html", "README.md"):
        assert "newer imagebench" in (results / name).read_text()
    assert (results / "made" / "index.html").exists()
    with pytest.raises(RequestError, match="no folder"):
        site.build(results / "nowhere")


@pytest.mark.parametrize("status", ["failed", "missing", "running"])
def test_a_sweep_without_a_finished_run_has_a_page(
    tmp_path: Path, batchnorm_records: list[Record], status: str
) -> None:
    records = [dataclasses.replace(r, status=status, metrics={}, costs={}) for r in batchnorm_records]
    made = sweep({"name": "made", "question": "Does it?", "axes": AXES}, "made.yaml")
    write(made, records, tmp_path / "made")
    assert site.build(tmp_path).broken == []
    assert "No run of this sweep has finished" in (tmp_path / "made" / "index.html").read_text()


def test_one_seed_and_constant_metrics_have_a_page(tmp_path: Path, batchnorm_records: list[Record]) -> None:
    for name, records in (
        ("one", [r for r in batchnorm_records if r.seed == 0]),
        ("constant", [dataclasses.replace(r, metrics={"test/accuracy": 0.5}) for r in batchnorm_records]),
    ):
        made = sweep({"name": "made", "question": "Does it?", "axes": AXES}, "made.yaml")
        write(made, records, tmp_path / name)
    assert site.build(tmp_path).broken == []


def test_a_chart_holds_the_means_and_intervals_of_the_table(results: Path) -> None:
    read = evidence.read(results / "made")
    frame = Frame(read.records, read.sweep)
    spec = data(figures.describe(Figure(x="optim.lr", lines="norm_layer"), read.sweep, read.records))
    points = spec["panels"][0]["marks"]
    cells = frame.cells("test/accuracy")
    assert [p["y"] for p in points] == pytest.approx([100 * c.interval.mean for c in cells], abs=1e-3)
    assert [p["low"] for p in points] == pytest.approx([100 * c.interval.low for c in cells], abs=1e-3)
    assert spec["x"]["kind"] == "log"


def test_the_runs_page_appears_and_goes(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "RUNS_ON_PAGE", 5)
    site.build(results)
    assert "runs.html" in (results / "made" / "index.html").read_text()
    assert (results / "made" / "runs.html").exists()
    monkeypatch.undo()
    site.build(results)
    assert not (results / "made" / "runs.html").exists()


def test_vendored_files_are_the_published_ones() -> None:
    stated = dict(re.findall(r"\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|", (VENDOR / "README.md").read_text()))
    assert stated == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in VENDOR.glob("*.js")}
    assert len(stated) == 2


def test_published_numbers_stand_beside_ours_on_the_page_as_in_the_table(
    tmp_path: Path, batchnorm_records: list[Record]
) -> None:
    known = {"value": 0.99, "source": "Somebody 1998", "at": {"norm_layer": "batch"}, "setting": {"dataset": "cifar10"}}
    made = sweep({"name": "made", "question": "Does it?", "axes": AXES, "published": [known]}, "made.yaml")
    write(made, batchnorm_records, tmp_path / "made")
    site.build(tmp_path)
    shown, table = (tmp_path / "made" / "index.html").read_text(), (tmp_path / "made" / "table.md").read_text()
    row = next(line for line in table.splitlines() if "Somebody 1998" in line)
    for text in (cell.strip() for cell in row.strip("|").split("|")):
        assert f">{text}<" in shown
    assert "dataset: cifar10 / mnist5k" in row
    assert "(3 cells)" in row  # the claim leaves the learning rate open


def test_the_page_says_on_which_data_and_how_long(results: Path) -> None:
    said = facts.summary(evidence.read(results / "made"))
    assert "18 of 18 runs finished · 3 seeds" in said
    assert "dataset mnist5k" in said
    assert said.endswith("s of training")
    assert [facts.duration(s) for s in (42, 100, 5000, 9000)] == ["42 s", "2 min", "83 min", "2.5 h"]
    protocol = dict(facts.protocol(evidence.read(results / "made")))
    assert protocol["dataset"] == "mnist5k"
    assert protocol["epochs"] == "3"
