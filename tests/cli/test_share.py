"""`bench publish` and `bench merge`: results that leave the folder they were made in."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path

import pytest

from bench import report
from bench.cli.merge import _differs
from bench.protocol import register
from bench.report import evidence, integrity
from bench.report.reproduce import _apart
from bench.track.record import Record
from tests.records import make_records, make_sweep

pytestmark = pytest.mark.usefixtures("undrawn")
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


@pytest.mark.parametrize("name", ["config", "provenance"])
def test_runs_at_other_settings_are_not_merged(tmp_path: Path, bench, name: str) -> None:
    more = {"config": {"trainer.epochs": 30}, "provenance": {"data_fingerprint": "beef"}}[name]
    one = written(tmp_path / "a" / "it", [0, 1])
    for where, at in (("all", {"none", "batch"}), ("point", {"batch"})):

        def change(record: Record, at=at) -> Record:
            hit = record.axes["norm_layer"] in at
            return dataclasses.replace(record, **{name: getattr(record, name) | more}) if hit else record

        other = written(tmp_path / where / "it", [2], change)
        status, _, err = bench("merge", str(one), str(other), "--out", str(tmp_path / "out"))
        assert (status, "other settings" in err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_what_each_folder_remembers_is_kept(tmp_path: Path, bench, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [written(tmp_path / "a" / "it", [0, 1]), written(tmp_path / "b" / "it", [2])]
    for i, folder in enumerate(folders):
        verdict = {"claim": "c", "n": 1 + i, "word": "open", "p": 0.2, "values": f"v{i}"}
        register.append(folder / register.FILE, {"event": "look", "claims": "d", "seeds": [i], "verdicts": [verdict]})
    manifest = json.loads((folders[1] / "manifest.json").read_text())
    manifest["context"] |= {"edited": ["an old one"], "test_looks": 4, "test_decisions": 3, "claims_were": "before"}
    (folders[1] / "manifest.json").write_text(json.dumps(manifest))
    out = tmp_path / "merged" / "it"
    for _ in range(2):  # what is there already is not written again
        assert bench("merge", *map(str, folders), "--out", str(out))[0] == 0
        log = register.read(out / register.FILE)
        assert [e["seeds"] for e in log[:2]] == [[0], [1]]
        assert sum(e["claims"] == "d" for e in log) == 2
        assert register.find_breaks(out / register.FILE) == []
    context = evidence.read(out).context
    assert "an old one" in context["edited"]
    assert (context["test_looks"], context["test_decisions"], context["claims_were"]) == (4, 3, "before")
    assert sum(e["claims"] == "d" for e in context["looks"]) == 2


def test_a_merge_does_not_replace_another_sweep(tmp_path: Path, bench) -> None:
    one, other = written(tmp_path / "a" / "it", [0, 1]), written(tmp_path / "b" / "it", [2])
    out = written(tmp_path / "results" / "other", [0])
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["definition"]["name"] = "another"
    (out / "manifest.json").write_text(json.dumps(manifest))
    before = (out / "records.csv").read_bytes()
    status, _, err = bench("merge", str(one), str(other), "--out", str(out))
    assert (status, "results of another" in err) == (2, True)
    assert (out / "records.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [(math.nan, 0.5, True), (math.inf, 0.5, True), (math.nan, math.nan, False), (math.inf, math.inf, False)],
)
def test_what_is_not_finite_is_no_rounding(a: float, b: float, apart: bool) -> None:
    record = make_records(AXES, lambda at: 0.8, seeds=1)[0]
    one, other = (dataclasses.replace(record, metrics={"test/nll": v}) for v in (a, b))
    assert _differs(one, other, "test/nll") is apart
    assert _apart([(one, other)]) == ({"test/nll": math.inf} if apart else {})


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


def test_what_is_published_describes_itself_for_repositories_of_data(tmp_path: Path, bench, monkeypatch) -> None:
    pytest.importorskip("rocrate")
    from rocrate.rocrate import ROCrate

    monkeypatch.chdir(tmp_path)
    written(tmp_path / "results" / "it", [0, 1])
    assert bench("publish", "public", "--ro-crate")[0] == 0
    first = (tmp_path / "public" / "ro-crate-metadata.json").read_bytes()
    crate = ROCrate(tmp_path / "public")
    files = {e.id: e for e in crate.get_entities() if e.type == "File"}
    assert set(files) == {f"it/{p.name}" for p in (tmp_path / "public" / "it").iterdir()}
    content = (tmp_path / "public" / "it" / "records.csv").read_bytes()
    assert files["it/records.csv"]["sha256"] == hashlib.sha256(content).hexdigest()
    (action,) = (e for e in crate.get_entities() if e.type == "CreateAction")
    assert (action["name"], action["result"].id, action["instrument"]["name"]) == (
        "bench sweep it",
        "it/",
        "imagebench",
    )
    assert bench("publish", "public", "--ro-crate")[0] == 0
    assert (tmp_path / "public" / "ro-crate-metadata.json").read_bytes() == first


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


def test_a_table_from_merged_records_keeps_their_looks(tmp_path: Path, bench, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = written(tmp_path / "results" / "it", [0, 1])
    manifest = json.loads((folder / "manifest.json").read_text())
    Path("it.yaml").write_text(json.dumps(manifest["definition"]))
    looks = [{"event": "look", "claims": "d", "seeds": [n], "time": f"t{n}", "verdicts": []} for n in (0, 1)]
    manifest["context"]["looks"] = looks[:1]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    register.append(folder / register.FILE, looks[1])
    status, _, err = bench("table", "it.yaml", "--records", str(folder / "records.csv"), "--out", "out")
    assert status == 0, err
    assert [e["seeds"] for e in evidence.read(Path("out")).context["looks"]] == [[0], [1]]
