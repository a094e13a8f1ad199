"""`bench publish` and `bench merge`: results that leave the folder they were made in."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bench import report
from bench.report import evidence, integrity
from bench.track.record import Record
from tests.report.conftest import make_records, make_sweep

AXES = {"norm_layer": ["none", "batch"]}
CLAIMS = [{"says": "It helps", "compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}]


def written(folder: Path, seeds: list[int], change=lambda record: record, **more) -> Path:
    sweep = dataclasses.replace(make_sweep(AXES, claims=CLAIMS, **more), seeds=seeds)
    records = make_records(AXES, lambda at: 0.9 if at["norm_layer"] == "batch" else 0.8, seeds=5)  # the same for all
    records = [dataclasses.replace(r, key=f"{i:064x}") for i, r in enumerate(records)]
    chosen = [change(r) for r in records if r.seed in seeds]
    report.write(sweep, chosen, folder, {"scale": "small", "command": "bench sweep it"})
    return folder


def test_records_of_two_people_become_one_table(tmp_path: Path, bench, bench_json) -> None:
    one, other = written(tmp_path / "a" / "it", [0, 1]), written(tmp_path / "b" / "it", [1, 2])
    out = tmp_path / "results" / "it"
    found = bench_json("merge", str(one), str(other), "--out", str(out))
    assert found["differing"] == []
    assert {cell["n"] for cell in found["cells"]} == {3}
    assert integrity.faults(evidence.read(out)) == []

    def worse(record: Record) -> Record:
        return dataclasses.replace(record, metrics={**record.metrics, "test/accuracy": 0.5})

    third = written(tmp_path / "c" / "it", [2, 3], worse)
    status, text, err = bench("merge", str(one), str(other), str(third), "--out", str(out))
    assert status == 1
    assert err.count("DIFFERENT") == 2
    assert "seed 2: test/accuracy is" in err
    assert "(n=4)" in text
    assert "came out differently" in (out / "table.md").read_text()


def test_other_questions_are_not_merged(tmp_path: Path, bench) -> None:
    one = written(tmp_path / "a" / "it", [0, 1])
    other = written(tmp_path / "b" / "it", [2])
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["definition"]["claims"] = []
    (other / "manifest.json").write_text(json.dumps(manifest))
    status, _, err = bench("merge", str(one), str(other), "--out", str(tmp_path / "out"))
    assert status == 2
    assert "another claims" in err
    assert bench("merge", str(one), "--out", str(tmp_path / "out"))[0] == 2
    assert not (tmp_path / "out").exists()


def test_a_site_is_written_whole_and_again(tmp_path: Path, bench, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "results" / "it", [0, 1])
    for _ in range(2):
        status, out, _ = bench("publish", "public")
        assert (status, out.strip()) == (0, "public/index.html")
    names = {p.relative_to("public").as_posix() for p in Path("public").rglob("*") if p.is_file()}
    assert {"index.html", "options.html", "site.js", "it/index.html", "it/records.csv", ".nojekyll"} <= names
    assert str(tmp_path) not in "".join(p.read_text() for p in Path("public").rglob("*.html"))
    assert integrity.faults(evidence.read(Path("public/it"))) == []
    assert not list(tmp_path.glob(".site-*"))


def test_what_is_not_published(tmp_path: Path, bench, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench("publish", "public")[0] == 2
    folder = written(tmp_path / "results" / "it", [0, 1])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    for place, told in (("mine", "Name a new folder"), ("results/site", "in the results themselves")):
        status, _, err = bench("publish", place)
        assert (status, told in err) == (2, True)
    (folder / "table.csv").write_text("norm_layer,n\n")
    status, _, err = bench("publish", "public")
    assert (status, "--check" in err) == (2, True)
    assert not (tmp_path / "public").exists()


def test_the_hub_is_asked_and_its_refusal_is_told(tmp_path: Path, bench, monkeypatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    written(tmp_path / "results" / "it", [0, 1])
    status, _, err = bench("publish", "hub:somebody/results")
    assert status == 2
    assert "the hub did not take it" in err or "hf auth login" in err
    assert "expected hub:OWNER/NAME" in bench("publish", "hub:somebody")[2]
