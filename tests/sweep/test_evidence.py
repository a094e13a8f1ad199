"""Replicates, looks, the parent run and fresh seeds on one real, tiny sweep, from launch to `reproduce --check`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.frame import Frame
from bench.cli import main
from bench.protocol import register
from bench.report.evidence import read
from bench.sweep.parent_run import NOTE
from bench.track.store import Store

pytestmark = pytest.mark.usefixtures("undrawn")
FILE = """question: Does batch norm help a tiny net?
base: [dataset=digits, model=dnn, "model.hidden=[4]", trainer.epochs=1, trainer.batch_size=512, split.kind=kfold]
axes:
  norm_layer: [none, batch]
  split.fold: [0, 1]
seeds: 2
replicates: [seed, split.fold]
table: {rows: norm_layer}
claims:
  - {says: It helps, compare: {norm_layer: batch}, against: {norm_layer: none}}
"""


@pytest.fixture(scope="module")
def ran(undrawn: None, tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A folder with the sweep, its table, and the same on fresh seeds."""
    place = tmp_path_factory.mktemp("evidence")
    shutil.copy(empty_store, place / "mlflow.db")
    (place / "sweeps").mkdir()
    (place / "sweeps" / "tiny.yaml").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for words in (["tiny"], ["tiny", "--confirm"]):
            assert main(["sweep", *words, "hydra/launcher=basic"]) == 0
            assert main(["table", *words]) == 0
    return place


@pytest.fixture
def here(ran: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ran)
    return ran


def looks(folder: Path) -> list[dict[str, Any]]:
    return [e for e in register.read(folder / register.FILE) if e["event"] == "look"]


def test_crossed_replicates_are_counted_and_agree_with_the_files(here: Path, bench: Callable[..., Any]) -> None:
    found = read(here / "results" / "tiny")
    assert sorted(Frame(found.records, found.sweep).seeds) == ["0/0", "0/1", "1/0", "1/1"]
    (look,) = looks(here / "results" / "tiny")
    assert (look["verdicts"][0]["n"], look["verdicts"][0]["full"]) == (4, True)
    for name in ("tiny", "tiny-confirm"):
        status, out, err = bench("reproduce", name, "--check")
        assert (status, "CONSISTENT" in out) == (0, True), err


def test_seeds_that_ran_and_are_left_out_are_not_missing(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Callable[..., Any]
) -> None:
    """`--seeds` of a table chooses among runs that are there: it was told as "planned and missing"."""
    shutil.copytree(here, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    status, out, err = bench("table", "tiny", "--seeds", "1")
    assert status == 0, err
    assert "! Planned, run and not shown: seed 1." in out
    status, out, err = bench("reproduce", "tiny", "--check")
    assert (status, "Planned, run and not shown: seed 1." in err, "missing" in err) == (1, True, False)


def test_fresh_seeds_are_judged_on_themselves(here: Path) -> None:
    assert {r.seed for r in read(here / "results" / "tiny-confirm").records} == {2, 3}
    (look,) = looks(here / "results" / "tiny-confirm")
    assert look["verdicts"][0]["full"]


def test_fresh_seeds_are_known_without_their_folder(here: Path, bench: Callable[..., Any]) -> None:
    """ "No fresh seeds of depth were run": after they had been, and were in the store."""
    kept = (here / "results" / "tiny-confirm").rename(here / "kept")
    try:
        assert bench("table", "tiny", "--confirm")[0] == 0
        assert {r.seed for r in read(here / "results" / "tiny-confirm").records} == {2, 3}
        log = register.read(here / "results" / "tiny-confirm" / register.FILE)
        assert [entry["event"] for entry in log] == ["launch", "look"]
    finally:
        shutil.rmtree(here / "results" / "tiny-confirm", ignore_errors=True)
        kept.rename(here / "results" / "tiny-confirm")


@pytest.mark.parametrize("verb", ["sweep", "table"])
def test_seeds_that_were_judged_are_none_to_confirm_on(here: Path, bench: Callable[..., Any], verb: str) -> None:
    status, _, err = bench(verb, "tiny", "--confirm", "--seeds", "1,5")
    assert status == 2
    assert "tiny has used seed 1 already. Take seeds above 1, or leave --seeds away." in err


def test_the_store_remembers_looks_and_the_parent_run_says_verdicts_once_they_are_judged(here: Path) -> None:
    """The end of a sweep judged too: a look that was on no record."""
    store = Store(f"sqlite:///{here / 'mlflow.db'}")
    assert register.read_stored(store, "tiny") == register.read(here / "results" / "tiny" / register.FILE)
    note = store.tag_of(store.parent("tiny"), NOTE)
    assert "**Verdicts**" in note
    assert "**open**: It helps" in note
    assert note.index("Does batch norm help") < note.index("**Verdicts**")


def test_a_table_written_elsewhere_is_a_look_at_the_same_sweep(here: Path, bench: Callable[..., Any]) -> None:
    """`--out` started a log of its own, so that each table was the first look."""
    home = here / "results" / "tiny"
    more = FILE.replace("seeds: 2", "seeds: [0]")
    (here / "sweeps" / "tiny.yaml").write_text(more)
    try:
        status, out, err = bench("table", "tiny", "--out", "elsewhere", "--json")
        assert status == 0, err
        assert [look["n"] for look in json.loads(out)["verdicts"][0]["looks"]] == [4]
        assert [look["verdicts"][0]["n"] for look in looks(home)] == [4, 2]
        assert bench("reproduce", "tiny", "--check")[0] == 0  # a log may grow
    finally:
        (here / "sweeps" / "tiny.yaml").write_text(FILE)


def test_what_is_made_from_the_records_may_go_and_unused_records_may_be_edited(
    here: Path, bench: Callable[..., Any]
) -> None:
    """A launch was refused over a deleted figure, and over records that it did not need."""
    folder = here / "results" / "tiny"
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    try:
        (folder / "figure.svg").unlink()
        (folder / "table.md").write_text(kept[folder / "table.md"].decode() + " ")
        (folder / "records.csv").write_bytes(kept[folder / "records.csv"] + b"\n")
        assert bench("sweep", "tiny", "--dry-run")[0] == 0  # the store has every run
        (here / "mlflow.db").rename(here / "away.db")
        status, _, err = bench("sweep", "tiny", "--dry-run")
        assert status == 2
        assert "records.csv: not the file that was written" in err
        (folder / "records.csv").write_bytes(kept[folder / "records.csv"])
        status, _, err = bench("sweep", "tiny", "--dry-run")
        assert status == 0, err
        assert "8 from committed records" in err
    finally:
        (here / "away.db").rename(here / "mlflow.db")
        for path, body in kept.items():
            path.write_bytes(body)
