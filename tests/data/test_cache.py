"""The cache: two processes, a kill in the middle, a full disk, a damaged entry."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.data import cache, load
from bench.schema.dataset import Bundled, Folder, Split
from bench.schema.errors import RequestError
from tests.data.conftest import class_folders, picture

DIGITS = Bundled(source="digits")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


def folders(own: Path) -> list[str]:
    return [p.name for p in own.iterdir() if p.is_dir()]


def test_a_kill_in_the_middle_leaves_nothing_that_matters(own: Path, tmp_path: Path) -> None:
    root = class_folders(tmp_path / "images")
    code = f"""
import os, signal
from bench.data import load
from bench.data.cache import _Sink
from bench.schema.dataset import Folder, Split
def write(self, chunk):
    self.file.write(chunk.data[:1]); self.file.flush(); os.kill(os.getpid(), signal.SIGKILL)
_Sink.write = write
load(Folder(source="folder", root={str(root)!r}), Split(val=0.2))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert any(name.endswith(".building") for name in folders(own))
    data = load(Folder(source="folder", root=str(root)), Split(val=0.2))
    assert len(data.images) == 20
    assert not any(name.endswith(".building") for name in folders(own))


def test_processes_that_start_together_decode_once(own: Path, tmp_path: Path) -> None:
    root = class_folders(tmp_path / "images", each=40)
    code = f"""
import sys
from bench.data import load
from bench.data.sources import SOURCES
from bench.schema.dataset import Folder, Split
read = SOURCES["folder"].read
def told(*args):
    print("decoding", flush=True)
    return read(*args)
SOURCES["folder"] = SOURCES["folder"]._replace(read=told)
sys.stdin.readline()
print(load(Folder(source="folder", root={str(root)!r}), Split()).fingerprint)
"""
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    out = [process.communicate()[0].split() for process in started]
    assert sum("decoding" in words for words in out) == 1
    assert len({words[-1] for words in out}) == 1


def test_a_full_disk_is_named_and_left_clean(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def full(path: Path):
        with open("/dev/full", "wb", buffering=0) as file:  # the kernel's own "no space left on device"
            yield file

    with monkeypatch.context() as patched:
        patched.setattr(cache, "open_synced", full)
        with pytest.raises(RequestError, match=r"full \(\d+ MiB free\).*IMAGEBENCH_CACHE") as caught:
            load(DIGITS, Split())
    assert str(own) in str(caught.value)
    assert folders(own) == []
    assert len(load(DIGITS, Split()).images) == 1797


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(RequestError, match=r"Cannot write to .*IMAGEBENCH_CACHE"):
        load(DIGITS, Split())


@pytest.mark.parametrize("file", ["images.u8", "meta.json", "labels.npy"])
def test_a_damaged_entry_is_named(own: Path, file: str) -> None:
    load(DIGITS, Split())
    (damaged,) = own.glob("digits-*/" + file)
    os.truncate(damaged, damaged.stat().st_size // 2)
    with pytest.raises(RequestError, match=r"digits-.*Delete|Delete .*digits-"):
        load(DIGITS, Split())


@pytest.mark.parametrize("file", ["meta.json", "labels.npy"])
@pytest.mark.parametrize("content", [b"", b"{"])
def test_a_damaged_entry_is_told_in_our_words(own: Path, file: str, content: bytes) -> None:
    load(DIGITS, Split())
    (damaged,) = own.glob("digits-*/" + file)
    damaged.write_bytes(content)
    with pytest.raises(RequestError, match=rf"this cached set is damaged \({file} is not what was written\)"):
        load(DIGITS, Split())


def test_workers_share_the_pages(own: Path) -> None:
    """Reading the whole map makes it resident as file pages, not as memory of the process's own."""
    load(DIGITS, Split())
    images = load(DIGITS, Split()).images
    assert isinstance(images, np.memmap)
    assert images.mode == "c"
    images.sum()
    begins = f"\n{images.ctypes.data:x}-"  # the mapping before this one may end at the same address
    block = Path("/proc/self/smaps").read_text().split(begins, 1)[1].split("VmFlags")[0]
    private = next(line for line in block.splitlines() if line.startswith("Private_Dirty"))
    assert private.split()[1] == "0"


@pytest.mark.parametrize("verb", ["run", "check", "sweep"])
def test_a_verb_walks_over_a_folder_once(verb: str, folder: Path, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.data.sources import SOURCES

    class_folders(folder / "photos", each=20)
    words = ["dataset=folder", "dataset.root=photos", "model=ncm"]
    axes = ["--axes", "model=ncm,knn", "--seeds", "1", "--name", "mine"]
    call = ["sweep", *axes, *words[:2]] if verb == "sweep" else [verb, *words]
    calls: list[object] = []

    def counted(dataset: object) -> object:
        calls.append(dataset)
        return identity(dataset)

    bench("data", *words[:2])  # decodes it: files are looked at again after that
    identity = SOURCES["folder"].identity
    monkeypatch.setitem(SOURCES, "folder", SOURCES["folder"]._replace(identity=counted))
    status, out, err = bench(*call, "--json")
    assert status == 0, err
    assert len(calls) == 1
    # The next one sees what has changed meanwhile.
    picture(folder / "photos" / "cat" / "more.png")
    status, again, err = bench(*call, "--json")
    assert status == 0, err
    assert len(calls) == 3  # and once more after decoding
    if verb == "run":
        assert json.loads(out)["run_key"] != json.loads(again)["run_key"]
