"""Committed results come out of their committed records again: every table, figure, verdict, manifest and page.

Byte for byte, but for PNG: it is compressed by whichever zlib there is, so its pixels are compared, and the manifest's
checksums of PNG files are left out.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from bench import report
from bench.analysis import predictions
from bench.analysis.artifacts import read_kept
from bench.cli.reference import sections
from bench.report import evidence, integrity
from bench.report.pages import page, site
from bench.schema.metric import METRICS, Metric
from bench.schema.sweep import Sweep
from bench.track.record import Record, write_csv
from tests.records import make_records, make_sweep

RESULTS = Path(__file__).resolve().parents[2] / "results"
# What `bench report` and the verbs that run and judge write into a sweep's folder.
PAGES = ("index.html", "runs.js", "digest.json", "protocol.jsonl")


# With those that have one of each kind: every line of bench/report/figures that a committed figure goes through.
FURTHER = {"augmentation", "batchnorm", "knn_features", "linear_limits", "search", "seeds"}


def committed() -> list[Path]:
    """The results folders of this repository."""
    return sorted(p.parent for p in RESULTS.glob("*/manifest.json"))


def kinds(folder: Path) -> set[Any]:
    """What is drawn in a results folder: kinds of figure with the roles that are given, and figures without a kind."""
    manifest = json.loads((folder / evidence.MANIFEST).read_text())
    asked = [f for f in (manifest["definition"].get("figure"), *(manifest["definition"].get("figures") or [])) if f]
    of_itself = {n for n in manifest["files"] if n.endswith(".svg") and not n.startswith("figure")}
    return of_itself | {
        (f.get("kind"), *(role for role in ("lines", "panels", "at", "title") if f.get(role))) for f in asked
    }


def drawn() -> set[str]:
    """Names of the sweeps whose figures are drawn: few that have one of each kind; all of them with `make configs`."""
    left = {place.name: kinds(place) for place in committed()}
    if os.environ.get("IMAGEBENCH_EVERY_CONFIG"):
        return {*left}
    chosen, missing = FURTHER & {*left}, set().union(*left.values())
    while missing:
        name = max(sorted(left), key=lambda n: len(left[n] & missing) / len(left[n] or "?"))
        chosen.add(name)
        missing -= left.pop(name)
    return chosen


def rebuilt(folder: Path, out: Path) -> list[str]:
    """Names of the files in `folder` that its own records and manifest do not give again, or that are no part of it."""
    read = evidence.read(folder)
    files = predictions.read_predictions(folder, read_kept(folder))
    written = report.write(read.sweep, read.records, out, evidence.context(read.manifest), files)
    strange = {p.name for p in folder.iterdir()} - set(written.files) - set(PAGES)
    return sorted(strange | {name for name in written.files if not alike(folder / name, out / name)})


def alike(one: Path, other: Path) -> bool:
    """Whether two files have the same content, as this test's first lines say."""
    if not one.is_file():
        return False
    a, b = one.read_bytes(), other.read_bytes()
    if one.suffix == ".png":
        x, y = (np.asarray(imread(io.BytesIO(body), format="png")) for body in (a, b))
        return x.shape == y.shape and bool((x == y).all())
    if one.name == evidence.MANIFEST:
        return without_png(json.loads(a)) == without_png(json.loads(b))
    return a == b


def without_png(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "files": {n: d for n, d in manifest["files"].items() if not n.endswith(".png")}}


def pages(results: Path, scratch: Path) -> list[str]:
    """Names of the site's files in `results` that its folders do not give again."""
    copy = scratch / results.name
    shutil.copytree(results, copy)
    made = site.build(copy, reference=sections(own=False))
    assert made.broken == []
    names = [path.relative_to(copy).as_posix() for path in made.files]
    return [
        name
        for name in names
        if not (results / name).is_file() or (results / name).read_bytes() != (copy / name).read_bytes()
    ]


@pytest.fixture(scope="module")
def results(batchnorm_sweep: Sweep, batchnorm_records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("written") / "results"
    report.write(batchnorm_sweep, batchnorm_records, made / "made", {"scale": "smoke", "command": "bench sweep made"})
    site.build(made, reference=sections(own=False))
    return made


@pytest.fixture
def folder(results: Path, tmp_path: Path) -> Path:
    """A results folder as `bench table` and `bench report` leave it."""
    return Path(shutil.copytree(results, tmp_path / "results")) / "made"


@pytest.mark.parametrize("place", committed(), ids=lambda place: place.name)
def test_a_committed_sweep_comes_out_of_its_records(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place.name not in drawn():  # its figures are made, and rendered as they are there

        def there(name: str, _: object) -> dict[str, bytes]:
            return {file: (place / file).read_bytes() for file in (f"{name}.{kind}" for kind in ("svg", "pdf", "png"))}

        monkeypatch.setattr("bench.report.figures.files", there)
    assert rebuilt(place, tmp_path / place.name) == []
    assert integrity.faults(evidence.read(place)) == []


def test_the_committed_site_comes_out_of_the_committed_sweeps(tmp_path: Path) -> None:
    if committed():
        assert pages(RESULTS, tmp_path) == []


def test_the_page_of_options_is_the_same_whatever_somebody_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sections(own=False)
    monkeypatch.setitem(METRICS, "mine", Metric("mine", "mine"))
    assert sections(own=False) == before
    assert sections() != before


def test_a_folder_as_it_was_written_is_rebuilt(folder: Path, tmp_path: Path) -> None:
    assert rebuilt(folder, tmp_path / "out") == []
    assert pages(folder.parent, tmp_path / "again") == []


def test_axes_and_labels_keep_their_order(tmp_path: Path) -> None:
    """Neither is alphabetical in the sweep file: a reader of the manifest must not sort them."""
    axes: dict[str, Any] = {"model": ["knn", "cnn"], "depth": [20, 8], "augment": ["b", "a"]}
    records = make_records(axes, lambda _: 0.9)
    made = make_sweep({**axes, "model": {"knn": ["model=knn"], "cnn": ["model=cnn"]}})
    folder = tmp_path / "results" / "made"
    report.write(made, records, folder, {})
    read = evidence.read(folder)
    assert [*read.sweep.axes] == ["model", "depth", "augment"]
    assert [*read.sweep.axes["model"]] == ["knn", "cnn"]
    assert integrity.faults(read) == []
    assert rebuilt(folder, tmp_path / "out") == []
    site.build(folder.parent)
    assert [row["heads"] for row in page.content(read)["grid"]["panels"][0]["rows"]] == [["knn"], ["cnn"]]


@pytest.mark.parametrize(
    "name", ["table.md", "table.csv", "table.tex", "table.html", "verdict.md", "figure.svg", "manifest.json"]
)
def test_a_changed_digit_is_found(folder: Path, tmp_path: Path, name: str) -> None:
    path = folder / name
    path.write_text(path.read_text().replace("0.9" if name == "manifest.json" else "9", "0.8", 1))
    assert name in rebuilt(folder, tmp_path / "out")


def test_a_changed_picture_and_a_file_of_elsewhere_are_found(folder: Path, tmp_path: Path) -> None:
    (folder / "figure-7.png").write_bytes((folder / "figure.png").read_bytes())
    picture = np.array(imread(folder / "figure.png"))
    picture[10, 10, :3] = 1 - picture[10, 10, :3]
    from matplotlib.image import imsave

    imsave(folder / "figure.png", picture)
    assert rebuilt(folder, tmp_path / "out") == ["figure-7.png", "figure.png"]


def test_a_better_number_in_the_records_is_found(folder: Path, batchnorm_records: list[Record], tmp_path: Path) -> None:
    first = batchnorm_records[0]
    better = {**first.metrics, "test/accuracy": first.metrics["test/accuracy"] + 0.01}
    write_csv([dataclasses.replace(first, metrics=better), *batchnorm_records[1:]], folder / "records.csv")
    assert {"table.md", "table.csv", "verdict.md", "manifest.json"} <= set(rebuilt(folder, tmp_path / "out"))


@pytest.mark.parametrize("name", ["README.md", "index.html", "made/index.html", "made/runs.js"])
def test_an_edited_page_is_found(folder: Path, tmp_path: Path, name: str) -> None:
    path = folder.parent / name
    path.write_text(path.read_text().replace("finished" if name.endswith("js") else "upported", "refuted", 1))
    assert name in pages(folder.parent, tmp_path / "again")
