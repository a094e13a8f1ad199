"""The site's pages as text: what is on them, how large they are, that text of users stays text."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import shlex
import shutil
from pathlib import Path

import pytest

from bench.analysis.frame import Frame
from bench.compose.points import Composer
from bench.report import evidence, figures, write
from bench.report.figures import chart
from bench.report.figures.chart import data
from bench.report.pages import facts, readme, single_run, site
from bench.report.pages.runs import listing
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.schema.label import canonical_text, dataset_name
from bench.schema.science import flat_settings
from bench.schema.sweep import Figure
from bench.schema.sweep_file import sweep
from bench.track.record import Record

pytestmark = pytest.mark.usefixtures("undrawn")
AXES = {"norm_layer": ["none", "batch"], "optim.lr": [0.001, 0.01, 0.1]}
RESULTS = Path(__file__).resolve().parents[2] / "results"
VENDOR = Path(site.__file__).parent / "vendor"


@pytest.fixture
def results(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "results"))


@pytest.fixture(scope="module")
def written(undrawn: None, tmp_path_factory: pytest.TempPathFactory, batchnorm_records: list[Record]) -> Path:
    results = tmp_path_factory.mktemp("written") / "results"
    claim = {"says": "It helps", "compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}
    table = {"rows": "norm_layer", "columns": "optim.lr"}
    made = sweep({"name": "made", "question": "Does it?", "axes": AXES, "table": table, "claims": [claim]}, "made.yaml")
    write(made, batchnorm_records, results / "made", {"command": "bench sweep made"})
    return results


FILES = ["made/index.html", "made/runs.js", "index.html", "README.md", "site.js", "site.css"]


def test_the_index_the_page_and_the_readme_say_the_verdict(results: Path) -> None:
    made = site.build(results)
    assert [p.relative_to(results).as_posix() for p in made.files] == FILES
    assert made.broken == []
    for name in ("made/index.html", "index.html", "README.md"):
        text = (results / name).read_text()
        assert "It helps" in text
        assert "Refuted: significantly on the other side." in text
        assert len(text) < 80_000
    readme = (results / "README.md").read_text()
    assert '<img src="made/figure.svg"' in readme
    assert '<img src="made/claims.svg"' in readme
    assert "| norm layer |" in readme


def test_a_single_file_holds_everything(results: Path, tmp_path: Path) -> None:
    made = site.build(results, single=True)
    assert [p.relative_to(results).as_posix() for p in made.files] == ["made/index.html", "index.html", "README.md"]
    text = (results / "made" / "index.html").read_text()
    assert not re.findall(
        r'<(?:script|link|img)[^>]+(?:src|href)="(?!data:)', re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    )
    digest = base64.b64encode(hashlib.sha256(site.script().encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert not (results / "made" / "runs.js").exists()


def test_runs_lead_to_a_store_only_on_request(results: Path) -> None:
    site.build(results)
    for path in results.rglob("*.*"):
        assert path.suffix in (".png", ".pdf") or "127.0.0.1" not in path.read_text()
    site.build(results, store="http://127.0.0.1:5000")
    assert '"ui":"http://127.0.0.1:5000"' in (results / "made" / "runs.js").read_text()


@pytest.mark.parametrize("name", [p.parent.name for p in sorted(RESULTS.glob("*/manifest.json"))])
def test_the_command_beside_a_run_gives_its_configuration(name: str) -> None:
    """Pasted into a shell it runs just that run: the same settings, every one."""
    read = evidence.read(RESULTS / name)
    composer = Composer([])
    for record in (read.records[0], read.records[-1]):
        words = single_run.run_words(read, record)
        assert shlex.split(single_run.quote_command(words)) == words
        assert words[:2] == ["bench", "run"]
        made = flat_settings(experiment(composer.compose(words[2:])))
        differ = {
            n: (v, made.get(n)) for n, v in record.config.items() if canonical_text(made.get(n)) != canonical_text(v)
        }
        differ.pop("trainer.stack", None)  # a lone run is in no program
        assert differ == {}


def test_the_command_beside_a_run_measures_what_the_sweep_asked_for() -> None:
    read = evidence.read(RESULTS / "ladder")
    asked = {"metrics.names": ["auroc", "kappa"], "metrics.train": True}
    record = dataclasses.replace(read.records[0], config={**read.records[0].config, **asked})
    made = flat_settings(experiment(Composer([]).compose(single_run.run_words(read, record)[2:])))
    assert (sorted(made["metrics.names"]), made["metrics.train"]) == (["auroc", "kappa"], True)


def test_the_same_records_give_the_same_pages(results: Path) -> None:
    before = {p: p.read_bytes() for p in site.build(results).files}
    assert {p: p.read_bytes() for p in site.build(results).files} == before


def test_nothing_is_loaded_from_elsewhere(results: Path) -> None:
    site.build(results)
    for name in ("index.html", "made/index.html"):
        text = (results / name).read_text()
        assert not re.findall(r'(?:src|srcset)="(?:https?:)?//', text)
        assert not re.findall(r"<link[^>]+https?:|@import|url\(", text)
        assert "default-src 'none'" in text
        assert "script-src file: 'self';" in text


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


def test_an_interval_that_begins_at_nought_reaches_the_page() -> None:
    mark = chart.Mark(x=0.0, y=0.0, low=0.0, high=3.0, left=0.0, right=1.0)
    scale = chart.Scale("accuracy (%)")
    (panel,) = data(chart.Chart("trace", "", scale, scale, (chart.Panel("", (mark,)),)))["panels"]
    assert panel["marks"] == [{"x": 0.0, "y": 0.0, "low": 0.0, "high": 3.0, "left": 0.0, "right": 1.0}]


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
    assert "ours - theirs" not in shown + table  # no row has a difference that means something


def test_the_page_says_on_which_data_and_how_long(results: Path) -> None:
    said = facts.summary(evidence.read(results / "made"))
    assert "18 of 18 runs finished · 3 seeds" in said
    assert "dataset mnist5k" in said
    assert said.endswith("s of training")
    assert [facts.duration(s) for s in (42, 100, 5000, 9000)] == ["42 s", "2 min", "83 min", "2.5 h"]
    protocol = dict(facts.protocol(evidence.read(results / "made")))
    assert protocol["dataset"] == "mnist5k"
    assert protocol["epochs"] == "3"


def test_runs_that_chose_are_listed_last_and_counted_apart(tmp_path: Path, batchnorm_records: list[Record]) -> None:
    given = {
        "name": "made",
        "question": "Does it?",
        "axes": AXES,
        "seeds": [1, 2],
        "select": {"over": ["optim.lr"], "seeds": [0]},
    }
    write(sweep(given, "made.yaml"), batchnorm_records, tmp_path / "made")
    read = evidence.read(tmp_path / "made")
    assert "2 seeds, 1 more to choose on" in facts.summary(read)
    listed = listing(read)
    assert [listed["seed"][i] == 0 for i in listed["order"]] == [False] * 12 + [True] * 6
    site.build(tmp_path)
    assert "Seed 0 chose learning rate on val accuracy" in (tmp_path / "made" / "index.html").read_text()


def test_what_is_not_trained_has_no_epochs_in_its_protocol(tmp_path: Path, batchnorm_records: list[Record]) -> None:
    made = [dataclasses.replace(r, config={**r.config, "model.family": "knn"}) for r in batchnorm_records]
    write(sweep({"name": "made", "question": "Which k?", "axes": AXES}, "made.yaml"), made, tmp_path / "made")
    said = dict(facts.protocol(evidence.read(tmp_path / "made")))
    assert {"selected epoch", "epochs", "batch size"} & set(said) == set()
    assert said["dataset"] == "mnist5k"


def test_one_s_own_images_are_called_by_their_folder_or_file(tmp_path: Path, batchnorm_records: list[Record]) -> None:
    made = [
        dataclasses.replace(r, config={**r.config, "dataset.source": "folder", "dataset.root": "/data/my photos/"})
        for r in batchnorm_records
    ]
    claim = {"says": "It helps", "compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}
    given = {"name": "made", "question": "Does it?", "axes": AXES, "claims": [claim], "figure": {"x": "optim.lr"}}
    write(sweep(given, "made.yaml"), made, tmp_path / "made")
    site.build(tmp_path)
    page, index = ((tmp_path / name).read_text() for name in ("made/index.html", "index.html"))
    for text in ("dataset my photos", "Dataset: my photos.", "on my photos, ", "<dd>my photos</dd>"):
        assert text in page
    assert 'data-datasets="my photos"' in index
    assert dataset_name({"dataset.source": "csv", "dataset.file": "a/list.csv"}) == "list.csv"
    assert dataset_name({"dataset.source": "huggingface", "dataset.name": "a/b"}) == "a/b"
    assert dataset_name({"dataset.source": "mnist5k"}) == "mnist5k"


def test_the_list_tells_two_scales_of_one_sweep_apart(results: Path, batchnorm_records: list[Record]) -> None:
    made = sweep({"name": "made", "question": "Does it?", "axes": AXES}, "made.yaml")
    write(made, batchnorm_records, results / "made", {"scale": "small"})
    write(made, batchnorm_records, results / "made-smoke", {"scale": "smoke"})
    site.build(results)
    text = (results / "index.html").read_text()
    assert re.findall(r"Does it\?</a> <small>\((\w+)\)</small>", text) == ["small", "smoke"]


def test_the_catalogue_says_of_each_sweep_what_came_out(results: Path) -> None:
    made = site.build(results)
    sweeps = [
        sweep({"name": name, "question": f"Does {name}?", "theme": theme, "axes": AXES}, f"{name}.yaml")
        for name, theme in (("made", "B"), ("planned", "A"))
    ]
    text = f"# Sweeps\n\n{readme.BEGIN}\nold\n{readme.END}\n\nThe rest.\n"
    once = readme.gallery(text, sweeps, made.contents)
    rows = [line for line in once.splitlines() if line.startswith("|")][2:]
    assert [row.split(" | ")[1] for row in rows] == ["[planned](planned.yaml)", "[made](made.yaml)"]
    assert "not run yet" in rows[0]
    assert re.search(r"\[1 (supported|refuted|open)\]\(\.\./results/made/\)", rows[1])
    assert "old" not in once
    assert once.endswith(f"{readme.END}\n\nThe rest.\n")
    assert readme.gallery(once, sweeps, made.contents) == once
    assert readme.gallery("# Mine\n", sweeps, made.contents) == "# Mine\n"
