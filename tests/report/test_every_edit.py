"""Every column of the records and every entry of what stands beside them, edited one at a time in a copy of a committed
sweep, whose plain checksums the forger corrected: each edit is seen by every command that reads results."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.analysis.registered import stamps
from bench.cli import main
from bench.cli.table import read_committed
from bench.report import evidence, seal
from bench.schema.errors import RequestError
from bench.schema.sweep import Sweep
from bench.sweep.completed import _changed_sources
from tests.conftest import REPO

NAME = "knn_features"  # the smallest of them that has a log


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("edits") / "results" / NAME
    shutil.copytree(REPO / "results" / NAME, made)
    return made


def correct_checksums(folder: Path, name: str) -> None:
    """As somebody would who knows SHA-256 and not what digest.json is made of."""
    for where in ("manifest.json", "digest.json"):
        content = json.loads((folder / where).read_text())
        for edited in (name, "manifest.json"):
            if edited in content.get("files", {}):
                content["files"][edited] = seal.checksum(folder / edited)
        if where != name:
            (folder / where).write_text(json.dumps(content, indent=1) + "\n")


def columns(folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """(what, file, its edited content) for each column of records.csv."""
    rows = list(csv.reader(io.StringIO((folder / "records.csv").read_text())))
    for i, column in enumerate(rows[0]):
        out = io.StringIO()
        body = [[*row[:i], row[i] + "1", *row[i + 1 :]] if k == 1 else row for k, row in enumerate(rows)]
        csv.writer(out, lineterminator="\n").writerows(body)
        yield f"records.csv: {column}", "records.csv", out.getvalue().encode()
    for k, what in ((1, "a row"), (0, "its heads")):
        yield (
            f"records.csv: {what}",
            "records.csv",
            b"".join(
                line for i, line in enumerate((folder / "records.csv").read_bytes().splitlines(keepends=True)) if i != k
            ),
        )


def entries(folder: Path, name: str) -> Iterator[tuple[str, str, bytes]]:
    """The same for each entry of a JSON file, and for each of those inside them."""
    content = json.loads((folder / name).read_text())

    def without(*path: str) -> bytes:
        made = json.loads(json.dumps(content))
        inside = made
        for part in path[:-1]:
            inside = inside[part]
        del inside[path[-1]]
        return json.dumps(made, indent=1).encode()

    for key, part in content.items():
        if (name, key) == ("digest.json", "about"):  # says what the file is, and nothing of the results
            continue
        yield f"{name}: {key}", name, without(key)
        for inner in part if isinstance(part, dict) and len(part) < 100 else ():
            yield f"{name}: {key}.{inner}", name, without(key, inner)


def lines(folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """For each line of the log taken out, and each changed."""
    kept = (folder / "protocol.jsonl").read_bytes().splitlines(keepends=True)
    for i, line in enumerate(kept):
        yield f"protocol.jsonl: line {i}", "protocol.jsonl", b"".join(kept[:i] + kept[i + 1 :])
        yield (
            f"protocol.jsonl: in line {i}",
            "protocol.jsonl",
            b"".join([*kept[:i], line.replace(b":", b": ", 1), *kept[i + 1 :]]),
        )


def images(folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """One bit of each file of runs."""
    for name in ("artifacts.json", "predictions.npz"):
        if (folder / name).is_file():
            body = bytearray((folder / name).read_bytes())
            body[len(body) // 2] ^= 1
            yield name, name, bytes(body)


def seen(folder: Path, name: str, sweep: Sweep) -> list[str]:
    """Which commands do not see an edit."""
    blind = []
    faults = seal.faults(folder)
    if not any("Changed after it was written" in text for text in stamps(sweep, [], {"changed": faults})):
        blind.append("report")  # and `reproduce --check`, which lists the same
    if name in (*seal.SOURCES, seal.LOG):
        try:
            if "edited" not in read_committed(folder / "records.csv", sweep)[2]:
                blind.append("table --records")
        except RequestError:
            pass  # what cannot be read is refused by its name
    if name in seal.SOURCES and not _changed_sources(folder):
        blind.append("sweep")
    return blind


@pytest.mark.parametrize(
    "edits",
    [
        columns,
        lambda f: entries(f, "manifest.json"),
        lambda f: entries(f, "digest.json"),
        lines,
        images,
    ],
    ids=["records", "manifest", "digest", "log", "files of runs"],
)
def test_every_edit_is_seen(folder: Path, edits: Callable[[Path], Iterator[tuple[str, str, bytes]]]) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    every, blind = list(edits(folder)), {}
    read = evidence.read(folder)
    assert read.changed == []
    for what, name, body in every:
        (folder / name).write_bytes(body)
        if name != "digest.json":
            correct_checksums(folder, name)
        if left := seen(folder, name, read.sweep):
            blind[what] = left
        for file, kept in before.items():
            (folder / file).write_bytes(kept)
    assert blind == {}
    assert every


def test_records_edited_beside_no_digest_are_seen_by_the_manifest(folder: Path) -> None:
    """Whoever took digest.json away could edit at will."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "digest.json").unlink()
    assert not _changed_sources(folder)  # a folder of an earlier version
    (folder / "records.csv").write_bytes(before["records.csv"].replace(b"0.9", b"0.8", 1))
    assert "records.csv" in _changed_sources(folder)
    assert "edited" in read_committed(folder / "records.csv", evidence.read(folder).sweep)[2]
    for file, kept in before.items():
        (folder / file).write_bytes(kept)


def test_the_commands_say_so(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent.parent)
    log = folder / "protocol.jsonl"
    before = log.read_bytes()
    log.write_bytes(before.replace(b'"seeds"', b'"seeds" ', 1))
    assert main(["reproduce", NAME, "--check"]) == 1
    assert "CONTRADICTION  protocol.jsonl: not the file that was written" in capsys.readouterr().err
    assert main(["cite", NAME]) == 0
    assert "was changed after it was written: protocol.jsonl" in capsys.readouterr().err
    log.write_bytes(b"".join(before.splitlines(keepends=True)[1:]))
    assert main(["sweep", str(REPO / "sweeps" / f"{NAME}.yaml"), "--dry-run"]) == 0
    assert f"results/{NAME}/protocol.jsonl, line 1: not what followed" in capsys.readouterr().err
    log.write_bytes(before)


def test_a_file_of_runs_put_beside_what_was_written_is_seen(tmp_path: Path) -> None:
    """Predictions that no run left would decide where no seed changes anything."""
    made = tmp_path / NAME
    shutil.copytree(REPO / "results" / NAME, made)
    body = (made / "predictions.npz").read_bytes()
    (made / "predictions.npz").unlink()
    seal.seal(made, [path.name for path in made.iterdir() if path.name != seal.FILE])
    assert seal.faults(made) == []
    (made / "predictions.npz").write_bytes(body)
    assert seal.faults(made) == ["predictions.npz: not covered by digest.json"]
