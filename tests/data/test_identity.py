"""What a set is known by: its content, wherever it lies; and a cache that notices what happened to it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench.data import load
from bench.data.sources import scan
from bench.schema.dataset import Bundled, Csv, Folder, Split
from bench.schema.errors import RequestError
from tests.data.conftest import class_folders, picture

SPLIT = Split(val=0.2)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


def test_images_replaced_behind_an_address_are_other_images(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    rows = "\n".join(f"{i}.bmp,{'ab'[i % 2]}" for i in range(20))
    memory.pipe("/replaced/list.csv", f"path,label\n{rows}".encode())
    dataset, found = Csv(source="csv", file="memory://replaced/list.csv"), []
    for _ in range(2):
        for i in range(20):
            memory.pipe(f"/replaced/{i}.bmp", picture(tmp_path / "a.bmp").read_bytes())  # of one size each time
        found.append(load(dataset, SPLIT))
    assert found[0].fingerprint != found[1].fingerprint
    assert not np.array_equal(found[0].images, found[1].images)


def test_a_second_visit_reads_no_file_and_a_copy_elsewhere_is_not_decoded(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_folders(tmp_path / "one")
    monkeypatch.setattr(scan, "FRESH", 0)  # files of two seconds ago are read again otherwise
    first = load(Folder(source="folder", root=str(tmp_path / "one")), SPLIT)
    with monkeypatch.context() as patched:
        patched.setattr(scan, "fetch", lambda place: pytest.fail(f"{place} was read again"))
        assert load(Folder(source="folder", root=str(tmp_path / "one")), SPLIT).fingerprint == first.fingerprint
    os.rename(tmp_path / "one", tmp_path / "other")
    assert load(Folder(source="folder", root=str(tmp_path / "other")), SPLIT).fingerprint == first.fingerprint
    assert len(list(own.glob("folder-*/"))) == 1


@pytest.mark.parametrize("what", ["half", "copied", "labels"])
def test_the_decoded_cache_verifies_itself(what: str, own: Path) -> None:
    before = load(Bundled(source="digits"), SPLIT)
    (folder,) = own.glob("digits-*/")
    file = folder / ("labels.npy" if what == "labels" else "images.u8")
    times, raw = file.stat(), bytearray(file.read_bytes())
    if what != "copied":
        half = len(raw) // 2
        raw[half:] = bytes(255 - v for v in raw[half:])
    file.write_bytes(bytes(raw))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    if what == "copied":  # the same content under another state: verified once, then known again
        assert load(Bundled(source="digits"), SPLIT).fingerprint == before.fingerprint
        return
    with pytest.raises(RequestError, match=r"damaged .*not what was written.*Delete the folder"):
        load(Bundled(source="digits"), SPLIT)


@pytest.mark.parametrize("trouble", ["empty", "missing", "list", "long"])
def test_a_broken_cache_is_a_message(trouble: str, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if trouble == "long":
        monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path / ("x" * 300)))
        with pytest.raises(RequestError, match=r"File name too long.*IMAGEBENCH_CACHE"):
            load(Bundled(source="digits"), SPLIT)
        return
    load(Bundled(source="digits"), SPLIT)
    (folder,) = own.glob("digits-*/")
    if trouble == "empty":
        (folder / "hashes.npy").write_bytes(b"")
    elif trouble == "missing":
        (folder / "images.u8").unlink()
    else:
        (folder / "meta.json").write_text("[1, 2]")
    with pytest.raises(RequestError, match=r"cached set is damaged.*Delete the folder"):
        load(Bundled(source="digits"), SPLIT)
