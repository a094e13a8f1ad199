"""Streams: the same images whoever decodes them, a file's fault told as such, and no process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from bench.data import load
from bench.data.batches import Batches, place
from bench.data.decoding import ahead
from bench.data.stream import Streamed
from bench.schema.dataset import Folder, Split
from bench.schema.errors import RequestError, RunFailed
from tests.data.conftest import class_folders

CPU = torch.device("cpu")


def streamed(root: Path, workers: int | None) -> Folder:
    return Folder(source="folder", root=str(root), storage="stream", workers=workers)


def children() -> list[psutil.Process]:
    """Running child processes of this one (MLflow's and pytest's helpers are none of this test's)."""
    return [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]


def soon(holds, seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(holds())


@pytest.mark.parametrize("workers", [None, 0, 1, 2])
def test_batches_do_not_depend_on_who_decodes(tmp_path: Path, workers: int | None) -> None:
    class_folders(tmp_path, each=40)
    mapped = load(Folder(source="folder", root=str(tmp_path)), Split())
    data, before = load(streamed(tmp_path, workers), Split()), children()
    assert data.fingerprint == mapped.fingerprint
    runs = [Batches(place(d, CPU), torch.from_numpy(d.labels), d.train, 20, True, 5) for d in (mapped, data)]
    torch.manual_seed(3)
    for _epoch in range(2):
        pairs = list(zip(*runs, strict=True))
        assert len(pairs) == 3
        assert all(torch.equal(a, b) and torch.equal(x, y) for (a, x), (b, y) in pairs)
    # Dropout and the like go on as without a stream.
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(3)))
    assert children() == before


def test_workers_go_when_nobody_listens_any_more(tmp_path: Path) -> None:
    data, before = load(streamed(class_folders(tmp_path, each=40), 2), Split()), children()
    batches = iter(Batches(place(data, CPU), torch.from_numpy(data.labels), data.train, 4, True, 0))
    next(batches)
    assert len(children()) == len(before) + 2
    del batches
    assert soon(lambda: children() == before)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_went_bad_is_named(tmp_path: Path, workers: int) -> None:
    data = load(streamed(class_folders(tmp_path), workers), Split())
    gone = Path(data.images.files[int(data.train[0])])
    gone.write_bytes(gone.read_bytes()[:100])
    expected = rf"^{gone} cannot be decoded .*it was readable when this set was indexed\. Put it back\.$"
    with pytest.raises(RequestError, match=expected):
        list(Batches(place(data, CPU), torch.from_numpy(data.labels), data.train, 4, False, 0))
    gone.unlink()
    with pytest.raises(RequestError, match=rf"^{gone} does not exist; it was readable"):
        list(Batches(place(data, CPU), torch.from_numpy(data.labels), data.train, 4, False, 0))


def test_a_worker_that_the_system_ends_is_a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(streamed(class_folders(tmp_path), 1), Split())

    def ended(_self: Streamed, _i: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Streamed, "decode_image", ended)
    with pytest.raises(RunFailed, match=r"dataset\.workers=0"):
        list(Batches(place(data, CPU), torch.from_numpy(data.labels), data.train, 4, False, 0))


def test_two_readers_side_by_side(tmp_path: Path) -> None:
    """Begun before the other has ended, as val is read within an epoch."""
    data = load(streamed(class_folders(tmp_path, each=40), 2), Split())
    expected = data.images[data.train]
    readers = [ahead(data.images, np.array_split(data.train, 5)) for _ in range(2)]
    pairs = [[x.copy() for x in pair] for pair in zip(*readers, strict=True)]
    assert len(pairs) == 5
    for found in zip(*pairs, strict=True):
        assert np.array_equal(np.concatenate(found), expected)


DAEMON = """
import multiprocessing, sys
from bench.data import load
from bench.data.decoding import ahead
from bench.data.sources import SOURCES
from bench.schema.dataset import Folder, Split
def read(root):
    data = load(Folder(source="folder", root=root, storage="stream", workers=2), Split())
    assert sum(len(x) for x in ahead(data.images, [data.train[:5], data.train[5:]])) == len(data.train)
child = multiprocessing.get_context("fork").Process(target=read, args=(sys.argv[1],), daemon=True)
child.start()
child.join()
sys.exit(child.exitcode)
"""


def test_a_daemon_may_have_no_children_and_reads_all_the_same(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", DAEMON, str(class_folders(tmp_path))]).returncode == 0


KILLED = """
import sys, time, psutil, torch
from bench.data import load
from bench.data.decoding import ahead
from bench.schema.dataset import Folder, Split
data = load(Folder(source="folder", root=sys.argv[1], storage="stream", workers=2), Split())
found = ahead(data.images, [data.train[:4], data.train[4:]])
next(found)
print(*[p.pid for p in psutil.Process().children()], flush=True)
time.sleep(60)
"""


def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED, str(class_folders(tmp_path, each=40))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    assert soon(lambda: not any(psutil.pid_exists(pid) for pid in pids))


@pytest.mark.slow
def test_a_sweep_over_a_stream_gives_the_maps_numbers(tmp_path: Path, folder: Path, bench_json) -> None:
    class_folders(folder / "photos", each=30)
    words = ["dataset=folder", f"dataset.root={folder / 'photos'}", "dataset.size=12", "model=cnn", "trainer.epochs=2"]
    words += ["trainer.batch_size=16", "model.dropout=0.3"]
    sweep = ["sweep", "--axes", "optim.lr=0.01,0.02", "--seeds", "2", "--workers", "2", "--name", "mine"]
    made = bench_json(*sweep, *words, "dataset.storage=stream", "dataset.workers=2")
    assert (made["ran"], made["failed"]) == (4, 0)
    mapped = bench_json("run", *words, "optim.lr=0.01", "trainer.threads=1", "tracking.experiment=mine", "--fresh")
    found = bench_json("run", *words, "optim.lr=0.01", "dataset.storage=stream", "tracking.experiment=other")
    assert found["run_key"] == mapped["run_key"]
    assert found["metrics"] == pytest.approx(mapped["metrics"], rel=1e-5)
