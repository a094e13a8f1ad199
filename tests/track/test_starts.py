"""Copies of earlier runs that others start from."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from bench.schema.errors import Missing
from bench.track.owner import Owner
from bench.track.record import Record
from bench.track.starts import RECORD, WEIGHTS, Starts


class Kept:
    """A store with one run; while it is read, another launch may bring its copy to an end."""

    def __init__(self, meanwhile: Path | None = None) -> None:
        self.meanwhile = meanwhile

    def get(self, run_id: str) -> Record:
        return Record(key="a" * 64, sweep="", axes={}, seed=1, status="finished", run_id=run_id)

    def artifact(self, run_id: str, name: str, folder: Path) -> Path:
        if name != WEIGHTS:
            raise Missing("a run of version 0.1")
        (folder / name).write_text("weights")
        if self.meanwhile is not None:
            shutil.copytree(folder, self.meanwhile)
        return folder / name


def test_two_launches_copy_the_same_run_at_once(tmp_path: Path) -> None:
    starts = Starts(tmp_path / "starts")
    starts.copy(Kept(meanwhile=starts.root / "one"), "one")
    assert [p.name for p in starts.root.iterdir()] == ["one"]


def test_others_may_read_a_copy(tmp_path: Path) -> None:
    starts = Starts(tmp_path / "starts")
    starts.copy(Kept(), "one")
    assert (starts.root / "one").stat().st_mode & 0o777 == 0o755
    assert sorted(p.name for p in (starts.root / "one").iterdir()) == [RECORD, WEIGHTS]
    assert starts.get("one").run_id == "one"


def test_a_copy_goes_with_the_last_launch_that_reads_it(tmp_path: Path) -> None:
    starts = Starts(tmp_path / "starts")
    one, two = Owner.here(tmp_path), Owner.here(tmp_path)
    killed = dataclasses.replace(one, launch="killed", start=1)  # its process id is somebody else's by now
    for user, run in ((one, "first"), (two, "first"), (one, "second"), (killed, "third")):
        starts.copy(Kept(), run, user)
    one.over()
    starts.release(one)
    assert sorted(p.name for p in starts.root.glob("[!.]*")) == ["first"]
    two.over()
    starts.release(two)
    assert list(starts.root.glob("[!.]*")) == []
