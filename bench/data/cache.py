"""Decoded sets on disk: one uint8 memory map per set, shared by all processes of the machine.

An entry is a folder `decoded/<source>-<key>` that appears in one rename when it is complete, so that a kill, a full
disk or a second process never leave half of one behind. Images are opened copy-on-write: processes share the pages,
nothing they do reaches the file, and `torch.from_numpy` accepts the array as writable.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from bench.data.entry import Entry, open_entry, seal, sums, with_sum
from bench.data.sources.contract import Contents, Note, Source, pixel_hash
from bench.disk import disk_errors, open_synced, sync
from bench.schema.errors import RequestError

REMEDY = "IMAGEBENCH_CACHE may name another folder for the cache."
PATIENCE = 2  # seconds to wait for another process before saying so
SLIVER = 32  # levels of 256
LAYOUT = 5  # raise when the files below change their meaning


def cache_folder() -> Path:
    """Where decoded and downloaded data is kept: $IMAGEBENCH_CACHE, else the user's cache folder."""
    named = os.environ.get("IMAGEBENCH_CACHE")
    if named:
        return Path(os.path.expanduser(named))
    from platformdirs import user_cache_path

    return user_cache_path("imagebench")


_SEEN: ContextVar[dict[Any, Entry] | None] = ContextVar("_SEEN", default=None)


@contextmanager
def one_look() -> Iterator[None]:
    """Inside, the files of a set are looked at once, and the set stays what it was then.

    Whether a folder is the one that was decoded takes a walk over its files: seconds, where there are many or a
    network lies between.
    """
    before = _SEEN.set({})
    try:
        yield
    finally:
        _SEEN.reset(before)


def look_once() -> None:
    """The same for the rest of this process: a worker of one launch."""
    _SEEN.set({})


def entry(source: Source, dataset: Any) -> Entry:
    """The decoded set for `dataset`; decodes it on the first call.

    Raises:
        RequestError: for whatever the source finds wrong, a full disk, or a cache folder that cannot be written.
    """
    seen = _SEEN.get()
    if seen is not None and dataset in seen:
        return seen[dataset]
    found_now = source.identity(dataset)
    identity = {"layout": LAYOUT, "source": dataset.source, **found_now}
    with disk_errors(cache_folder() / "decoded", REMEDY):
        key = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:20]
        folder = cache_folder() / "decoded" / f"{dataset.source}-{key}"
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _hold_lock(folder.with_suffix(".lock"), dataset.source):
                if not folder.is_dir():  # another process may have finished it while this one waited
                    _build(source, dataset, folder, identity, found_now)
    found = open_entry(folder)
    if seen is not None:
        seen[dataset] = found
    return found


@contextmanager
def _hold_lock(lock: Path, source: str) -> Iterator[None]:
    """Hold the lock of a set; says so where another process decodes it meanwhile."""
    held = FileLock(lock)
    try:
        held.acquire(timeout=PATIENCE)
    except Timeout:
        print(f"{source}: waiting for another process that decodes this set ...", file=sys.stderr, flush=True)
        held.acquire()
    try:
        yield
    finally:
        held.release()


def _build(
    source: Source, dataset: Any, folder: Path, identity: Mapping[str, Any], found_now: Mapping[str, Any]
) -> None:
    """Decode into `folder`; `found_now` is what the source said of itself before, and has to say after it."""
    building = folder.with_suffix(".building")
    shutil.rmtree(building, ignore_errors=True)  # left by a kill; we hold the lock
    building.mkdir()
    try:
        with open_synced(building / "images.u8") as file:
            sink = _Sink(file)
            contents = source.read(dataset, sink.write)
        if contents.files is not None:
            assert contents.shape is not None
            sink.count, sink.shape = len(contents.files), contents.shape
            (building / "images.u8").unlink()
            (building / "files.json").touch(0o600)  # addresses may hold credentials
            with open_synced(building / "files.json") as file:
                file.write(json.dumps(contents.files).encode())
        _check(contents, sink, dataset.source)
        hashes = np.array(sink.hashes, np.uint64) if contents.hashes is None else contents.hashes
        arrays: dict[str, NDArray[Any]] = {
            "labels": contents.labels,
            "official": contents.official,
            "hashes": hashes,
            "origins": hashes if contents.origins is None else contents.origins,
        }
        for name, array in arrays.items():
            with open_synced(building / f"{name}.npy") as file:
                np.save(file, array)
        listing = {"paths": contents.paths, "forms": contents.forms, "columns": contents.columns}
        with open_synced(building / "listing.json") as file:
            file.write(json.dumps(listing).encode())
        meta = {
            "shape": [sink.count, *sink.shape],
            "classes": contents.classes,
            "digest": contents.digest or _digest(sink, contents),
            "skipped": contents.skipped,
            "notes": (*contents.notes, *sink.sliver()),
            "remarks": contents.remarks,
            "sums": sums(building),
            "rule": asdict(contents.rule) if contents.rule is not None else None,
            "identity": identity,
        }
        with open_synced(building / "meta.json") as file:
            file.write(with_sum(meta).encode())
        if source.identity(dataset) != found_now:
            raise RequestError(f"{dataset.source}: its files changed while they were read. Run again.")
        seal(building)
        os.rename(building, folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


class _Sink:
    """Takes a source's images one chunk after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.count, self.shape, self.hash = file, 0, (0, 0, 0), hashlib.sha256()
        self.hashes: list[int] = []
        self.low, self.high = 255, 0

    def write(self, chunk: NDArray[np.uint8]) -> None:
        """Append [n, C, H, W]."""
        chunk = np.ascontiguousarray(chunk)
        assert (chunk.dtype, chunk.ndim) == (np.uint8, 4), (chunk.dtype, chunk.shape)
        assert not self.count or chunk.shape[1:] == self.shape, (chunk.shape, self.shape)
        self.file.write(chunk.data)
        self.hash.update(chunk.data)
        self.low, self.high = min(self.low, int(chunk.min())), max(self.high, int(chunk.max()))
        self.hashes += [pixel_hash(image) for image in chunk]
        self.count += len(chunk)
        self.shape = chunk.shape[1:]

    def sliver(self) -> list[Note]:
        """A note where all images together use a sliver of 0..255 (masks of two values aside)."""
        if self.high - self.low >= SLIVER or self.high - self.low <= 1:
            return []
        return [
            (
                "sliver_of_range",
                f"All pixels of this set lie between {self.low} and {self.high} of 255.",
                "Scale them before use, or say which values are black and white where files have more than 8 bits "
                "(dataset.range=[0,4095]).",
            )
        ]


def _check(contents: Contents, sink: _Sink, source: str) -> None:
    assert len(contents.labels) == len(contents.official) == sink.count
    if not sink.count:
        raise RequestError(f"{source}: there is not a single image.")
    assert set(np.unique(contents.labels)) <= set(range(len(contents.classes)))


def _digest(sink: _Sink, contents: Contents) -> str:
    content = sink.hash.copy()
    content.update(repr((sink.count, *sink.shape)).encode())
    content.update(np.ascontiguousarray(contents.labels).astype("<i8").tobytes())
    content.update(json.dumps(contents.classes).encode())
    return content.hexdigest()
