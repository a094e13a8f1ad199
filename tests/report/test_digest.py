"""One digest over a results folder: every edit of 2026-11-27 that went unseen, one at a time, is seen now."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.cli import main
from bench.protocol import register
from bench.report import evidence, seal
from bench.report.pages import site
from bench.schema.claim import digest
from bench.sweep.completed import _changed_sources
from bench.track.record import Record, read_csv, write_csv
from tests.records import make_records, make_sweep

pytestmark = pytest.mark.usefixtures("undrawn")
AXES = {"norm_layer": ["none", "batch"]}
CLAIM = {"says": "It helps", "compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}


@pytest.fixture(scope="module")
def results(undrawn: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("digest") / "results"
    sweep = make_sweep(AXES, source="a paper", base=["dataset=digits"], claims=[CLAIM])
    context = {"scale": "small", "command": "bench sweep made", "test_looks": 6}
    report.write(sweep, make_records(AXES, lambda p: 0.8 + 0.1 * (p["norm_layer"] == "batch")), place / "made", context)
    site.build(place)
    return place


@pytest.fixture
def edited(results: Path) -> Iterator[Path]:
    """The results, put back afterwards."""
    kept = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    yield results
    for path in [p for p in results.rglob("*") if p.is_file()]:
        path.unlink() if path not in kept else None
    for path, body in kept.items():
        path.write_bytes(body)


def faults(results: Path) -> list[str]:
    return [*seal.faults(results / "made"), *seal.faults(results, ("README.md", "index.html"))]


def test_as_it_was_written_it_has_no_fault(results: Path) -> None:
    assert faults(results) == []
    assert evidence.read(results / "made").changed == []


PAGES = ["made/index.html", "index.html", "README.md"]


@pytest.mark.parametrize("name", ["index.html", "README.md", "digest.json"])
def test_the_command_sees_an_edit_of_the_pages_above_a_sweep(
    edited: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["reproduce", "made", "--check", "--results", str(edited)]
    assert main(command) == 0
    if name == "digest.json":  # taken away, so that the edit of another file goes unseen
        (edited / name).unlink()
    else:
        (edited / name).write_bytes((edited / name).read_bytes() + b"edited\n")
    capsys.readouterr()
    assert main(command) == 1
    assert f"CONTRADICTION  results/{name}: " in "".join(capsys.readouterr())
    assert main(["publish", str(edited.parent / f"site-{name}"), "--results", str(edited)]) == 0  # its pages are new


FIELDS = [
    *("code", "packages", "hardware", "platform", "data_fingerprints", "seeds", "command", "scale", "source"),
    *("question", "context", "definition", "files"),
]


@pytest.mark.parametrize(
    "name", [*PAGES, *(f"made/{n}" for n in ("figure.svg", "figure.png", "table.md", "records.csv"))]
)
def test_an_edited_file_is_seen(edited: Path, name: str) -> None:
    path = edited / name
    path.write_bytes(path.read_bytes().replace(b"e", b"o", 1))
    assert f"{path.name}: not the file that was written" in faults(edited)


@pytest.mark.parametrize("field", FIELDS)
def test_an_edited_manifest_is_seen(edited: Path, field: str) -> None:
    path = edited / "made" / "manifest.json"
    content = json.loads(path.read_text())
    part = content[field]
    content[field] = (
        "other" if isinstance(part, str) else part[1:] if isinstance(part, list) else dict([*part.items()][1:])
    )
    assert content[field] != part
    path.write_text(json.dumps(content))
    assert "manifest.json: not the file that was written" in faults(edited)


@pytest.mark.parametrize("column", ["reason", "prov.git_commit", "test/accuracy"])
def test_an_edited_record_is_seen_with_its_checksum_corrected_everywhere(edited: Path, column: str) -> None:
    """Also in digest.json: its own digest is not a plain checksum."""
    folder = edited / "made"
    lines = (folder / "records.csv").read_text().splitlines()
    cells = lines[1].split(",")
    cells[lines[0].split(",").index(column)] = "0.5"
    (folder / "records.csv").write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    for name in ("manifest.json", "digest.json"):
        content = json.loads((folder / name).read_text())
        content["files"]["records.csv"] = seal.checksum(folder / "records.csv")
        if name == "digest.json":
            content["files"]["manifest.json"] = seal.checksum(folder / "manifest.json")
        (folder / name).write_text(json.dumps(content, indent=1))
    assert faults(edited) == ["digest.json: not as it was written"]
    site.build(edited)  # writing pages beside it does not make it right
    assert "digest.json: not as it was written" in faults(edited)


def test_a_page_made_of_edited_records_is_stamped(edited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = edited / "made" / "records.csv"
    records = read_csv(path)
    best = [dataclasses.replace(r, metrics={**r.metrics, "test/accuracy": 0.999}) for r in records]
    write_csv(best, path)
    site.build(edited)
    for page in PAGES[:1]:
        assert "Changed after it was written: records.csv: not the file that was written" in (edited / page).read_text()
    assert main(["reproduce", "made", "--check", "--results", str(edited)]) == 1
    assert "CONTRADICTION" in capsys.readouterr().err


def table(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, *words: str) -> int:
    monkeypatch.chdir(folder)
    (folder / "sweeps").mkdir(exist_ok=True)
    (folder / "sweeps" / "made.yaml").write_text(text)
    return main(["table", "made", "--records", "results/made/records.csv", *words])


FILE = """question: Does it help?
source: a paper
base: [dataset=digits]
axes: {norm_layer: [none, batch]}
claims:
  - {says: It helps, compare: {norm_layer: batch}, against: {norm_layer: none}}
"""


def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    status = main(["reproduce", "made", "--check", "--results", str(folder / "results")])
    _, err = capsys.readouterr()
    assert (status == 0) == ("CONTRADICTION" not in err)
    return err


def test_a_table_made_of_edited_records_never_becomes_consistent(
    edited: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = edited.parent
    assert table(folder, monkeypatch, FILE) == 0
    assert "CONTRADICTION" not in check(folder, capsys)
    path = edited / "made" / "records.csv"
    first, *rest = read_csv(path)
    write_csv([dataclasses.replace(first, metrics={**first.metrics, "test/accuracy": 0.999}), *rest], path)
    for _ in range(2):  # again and again
        assert table(folder, monkeypatch, FILE) == 0
        assert "edited before it was made: records.csv" in check(folder, capsys)
    # Nor are they taken for results, by a launch or a table that has no store.
    assert "before it was written (records.csv: not the file" in _changed_sources(edited / "made")
    for side in ("made", str(path)):
        assert main(["compare", side, side, "--results", str(edited), "--out", str(folder / "compare.svg")]) == 0
        assert f"{path.parent} was changed before it was written: records.csv" in capsys.readouterr().err
    assert "Changed before this was made from it" in (edited / "made" / "table.md").read_text()


def test_a_dropped_seed_and_swapped_sides_are_said(
    edited: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = edited.parent
    assert table(folder, monkeypatch, FILE) == 0
    swapped = FILE.replace("compare: {norm_layer: batch}, against: {norm_layer: none}",
                           "compare: {norm_layer: none}, against: {norm_layer: batch}")  # fmt: skip
    assert table(folder, monkeypatch, swapped) == 0
    assert "Claims were changed after the runs." in check(folder, capsys)
    path = edited / "made" / "records.csv"
    write_csv([r for r in read_csv(path) if r.seed != 1], path)
    assert table(folder, monkeypatch, FILE) == 0
    assert "Planned and missing: seed 1." in check(folder, capsys)


def test_a_further_launch_is_no_edit_of_the_log(
    edited: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table(edited.parent, monkeypatch, FILE) == 0
    path = edited / "made" / register.FILE
    register.launch(path, "other", [0, 1, 2, 3, 4], 6, 10)
    assert faults(edited) == [] or all("protocol" not in fault for fault in faults(edited))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].replace("open", "supported").replace('"n": 3', '"n": 9'), *lines[1:]]) + "\n")
    assert "protocol.jsonl: not the file that was written" in faults(edited)
    assert "not what followed the line before it" in check(edited.parent, capsys)


@pytest.mark.parametrize("name", ["manifest.json", "digest.json", "artifacts.json", "protocol.jsonl"])
def test_a_file_of_brackets_without_end_is_named(edited: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And hides no other sweep's page."""
    (edited / "made" / name).write_text('{"a":' * 20_000 + "1" + "}" * 20_000)
    assert main(["reproduce", "made", "--check", "--results", str(edited)]) != 0
    assert main(["report", "--results", str(edited)]) in (0, 1)
    said = "".join(capsys.readouterr())
    assert name in said
    assert "RecursionError" not in said


def records(seeds: int, rng: int = 1) -> list[Record]:
    return make_records(AXES, lambda _: 0.8, seeds=seeds, sd=0.006, rng=rng)


def look(made: list[Record], seeds: int, context: dict[str, Any], folder: Path) -> Any:
    return report.write(make_sweep(AXES, claims=[CLAIM], seeds=seeds), made, folder, context)


def test_looks_are_counted_and_paid_for(tmp_path: Path) -> None:
    """3 seeds open, then 5, 7, 9 of 15 planned: each look has its share of the 5%, and none is forgotten."""
    every = records(15)
    looks: list[dict[str, Any]] = []
    for k, n in enumerate((3, 5, 7, 9), 1):
        made = look([r for r in every if r.seed < n], 15, {"looks": looks}, tmp_path)
        (found,) = made.verdicts
        assert [e.n for e in found.looks.earlier] == [3, 5, 7, 9][: k - 1]
        assert found.looks.factor == k * (k + 1)
        assert made.look["verdicts"][0]["full"] is False
        # Looking again at the same numbers is no other look.
        again = look([r for r in every if r.seed < n], 15, {"looks": [*looks, made.look]}, tmp_path)
        assert again.verdicts[0].looks.factor == k * (k + 1)
        looks.append(made.look)
    assert "Judged before at n = 3: open; n = 5: open; n = 7: open" in (tmp_path / "verdict.md").read_text()


def test_the_one_look_at_all_planned_seeds_has_all_of_the_5_percent_and_leaves_none(tmp_path: Path) -> None:
    every = records(9)
    first = look([r for r in every if r.seed < 3], 3, {}, tmp_path)
    assert first.verdicts[0].word == "open"
    assert first.verdicts[0].looks.factor == 1.0
    more = look(every, 9, {"looks": [first.look]}, tmp_path)
    (found,) = more.verdicts
    assert found.looks.spent
    assert found.word == "open"
    assert "only fresh seeds can settle it (bench sweep NAME --confirm)" in (tmp_path / "verdict.md").read_text()


def test_a_log_is_a_chain(tmp_path: Path) -> None:
    path = tmp_path / register.FILE
    claims = digest(make_sweep(AXES, claims=[CLAIM]).claims)
    assert register.launch(path, claims, [0, 1, 2], 0, 6)
    assert not register.launch(path, claims, [0, 1, 2], 3, 6)  # the same command goes on
    assert register.launch(path, claims, [0, 1, 2, 3], 6, 8)
    assert register.find_breaks(path) == []
    lines = path.read_text().splitlines()
    path.write_text(lines[1] + "\n")
    assert register.find_breaks(path) == ["protocol.jsonl, line 1: not what followed the line before it"]
    assert [e["seeds"] for e in register.read(path)] == [[0, 1, 2, 3]]
