"""A full disk is an error that names it, and leaves what was there before readable."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.track.store import Store
from tests.conftest import REPO
from tests.sweep.calling import Call

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]

# Weights of 10 KB, then of 3 MB.
WORDS = (
    "--axes", "model.hidden=[16],[2000,300]", "--seeds", "2", "dataset=digits", "model=dnn", "trainer.epochs=1",
    "--workers", "1", "trainer.stack=off",  # one run after the other meets the end of the disk
)  # fmt: skip


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """A disk of 800 KB, and how to enlarge it."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=800k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"this user may not mount a small disk: {mounted.stderr.decode().strip()}")
    yield place, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True) and None
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(
    folder: Path, small_disk: tuple[Path, Callable[[str], None]], monkeypatch: pytest.MonkeyPatch, bench_json: Any
) -> None:
    place, enlarge = small_disk
    call = Call(folder, "sweep", *WORDS, IMAGEBENCH_STATE=str(place))
    assert call.finish() == 2
    assert f"The disk of {place}/spool/" in call.said
    assert "is full" in call.said
    assert "Traceback" not in call.said
    earlier = Store().records("adhoc")
    assert [(r.config["model.hidden"], r.status) for r in earlier] == [([16], "finished")] * 2
    assert "RUNNING" not in {r.status for r in Store().rows("adhoc") if "run_key" in r.tags}

    enlarge("64m")
    monkeypatch.setenv("IMAGEBENCH_STATE", str(place))
    found = bench_json("sweep", *WORDS)
    assert (found["skipped"], found["ran"], found["failed"]) == (2, 2, 0)
    assert len([r for r in Store().rows("adhoc") if "run_key" in r.tags]) == 4


def test_verbs_that_write_on_a_full_disk(
    folder: Path,
    small_disk: tuple[Path, Callable[[str], None]],
    bench: Any,
    monkeypatch: pytest.MonkeyPatch,
    undrawn: None,
) -> None:
    """One line with the remedy, and no half of a file; then the same where the disk may not be written at all."""
    place, enlarge = small_disk
    monkeypatch.chdir(place)
    enlarge("16m")
    assert bench("run", "dataset=digits", "model=linear", "trainer.epochs=1")[0] == 0
    verbs: list[tuple[str, ...]] = [("data", "digits"), ("explain", "last", "mistakes"), ("export", "last"),
                                    ("new", "model", "mine")]  # fmt: skip
    shipped = REPO / "results" / "batchnorm" / "records.csv"
    verbs.append(("table", "batchnorm", "--records", str(shipped), "--out", "out"))
    verbs.append(("compare", str(shipped.parent), str(shipped.parent)))
    shutil.copytree(shipped.parent, folder / "published" / "batchnorm")
    verbs.append(("publish", "site", "--results", str(folder / "published")))
    for words in verbs:
        before = {p for p in place.rglob("*") if p.is_file()}
        with (place / "fill").open("ab") as fill, contextlib.suppress(OSError):
            while fill.write(bytes(2**16)):
                fill.flush()
        status, _, err = bench(*words)
        *_, line = err.splitlines()
        assert (status, line[:18], "is full (0 MiB free)" in line) == (2, "bench: The disk of", True), (words, err)
        new = {p for p in place.rglob("*") if p.is_file()} - before
        halves = [p for p in new if p.name.startswith(".") or p.stat().st_size == 0]
        assert not [p for p in halves if not p.name.endswith(".lock")], words
    for options in (["--bind", str(place), str(place)], ["-o", "remount,bind,ro", str(place)]):
        subprocess.run(["mount", *options], check=True)
    monkeypatch.chdir(place)
    try:  # Hydra's multirun.yaml is written by Hydra, in halves too
        quick = [words for words in verbs if words[0] != "export"]  # which imports everything in a new process
        for words in (*quick, ("run", "-m", "seed=1,2", "dataset=digits", "model=linear", "trainer.epochs=1")):
            status, _, err = bench(*words)
            assert (status, "Read-only file system" in err, "--debug" in err) == (2, True, False), (words, err)
    finally:
        monkeypatch.chdir(folder)
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_no_place_for_semaphores(tmp_path: Path) -> None:
    """A /dev/shm that nobody may write, as in some containers: one line with what helps, and that does help."""
    code = "import sys; from bench.cli import shell; sys.exit(shell())"
    shell = f'mount -t tmpfs -o ro tmpfs /dev/shm || exit 77; exec "$0" -c "{code}" "$@"'
    words = ("sweep", "--axes", "optim.lr=0.1,0.01", "--seeds", "1", "dataset=digits", "model=linear")
    words += ("trainer.epochs=1",)
    for more, status in (((), 2), (("hydra/launcher=basic",), 0)):
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", shell, sys.executable, *words, *more],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        if done.returncode == 77 or "unshare failed" in done.stderr:
            pytest.skip(f"this user may not mount: {done.stderr.strip()[-200:]}")
        assert done.returncode == status, done.stderr
        assert status == 0 or "hydra/launcher=basic" in done.stderr.splitlines()[-1]
