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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from bench.data.sources.contract import Contents, Source, pixel_hash
from bench.data.sources.decode import Rule
from bench.data.stream import Streamed
from bench.disk import disk_errors, sync, synced
from bench.schema.errors import RequestError

REMEDY = "IMAGEBENCH_CACHE may name another folder for the cache."
LAYOUT = 3  # raise when the files below change their meaning


@dataclass(frozen=True)
class Entry:
    """A decoded set on disk."""

    folder: Path
    labels: NDArray[np.int64]  # [N]
    official: NDArray[np.int8]  # [N], see sources.contract
    hashes: NDArray[np.uint64]  # [N], of each image's pixels
    classes: tuple[str, ...]
    shape: tuple[int, int, int, int]  # N, C, H, W
    digest: str  # of the content
    skipped: tuple[str, ...]  # "file reason"
    rule: dict[str, Any] | None  # how files were, or are to be, decoded

    def images(self, workers: int | None = None) -> NDArray[np.uint8] | Streamed:
        """uint8 [N, C, H, W], a copy-on-write memory map; or the files, where the set is to be streamed.

        Args:
            workers: processes that decode a stream's batches, see `Streamed`.
        """
        listing = self.folder / "files.json"
        if listing.exists():
            assert self.rule is not None
            return Streamed(json.loads(listing.read_text()), Rule(**self.rule), self.shape, workers)
        path = self.folder / "images.u8"
        expected, found = int(np.prod(self.shape)), path.stat().st_size
        if found != expected:
            raise RequestError(f"{path}: {expected} bytes expected, {found} found. Delete {self.folder} and run again.")
        return np.memmap(path, np.uint8, mode="c", shape=self.shape)


def cache_folder() -> Path:
    """Where decoded and downloaded data is kept: $IMAGEBENCH_CACHE, else the user's cache folder."""
    named = os.environ.get("IMAGEBENCH_CACHE")
    if named:
        return Path(named).expanduser()
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
    identity = {"layout": LAYOUT, "source": dataset.source, **source.identity(dataset)}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:20]
    folder = cache_folder() / "decoded" / f"{dataset.source}-{key}"
    if not folder.is_dir():
        with disk_errors(folder.parent, REMEDY):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_suffix(".lock")):
                if not folder.is_dir():  # another process may have finished it while this one waited
                    _build(source, dataset, folder, identity)
    found = _open(folder)
    if seen is not None:
        seen[dataset] = found
    return found


def _build(source: Source, dataset: Any, folder: Path, identity: Mapping[str, Any]) -> None:
    building = folder.with_suffix(".building")
    shutil.rmtree(building, ignore_errors=True)  # left by a kill; we hold the lock
    building.mkdir()
    try:
        with synced(building / "images.u8") as file:
            sink = _Sink(file)
            contents = source.read(dataset, sink.write)
        if contents.files is not None:
            assert contents.shape is not None
            sink.count, sink.shape = len(contents.files), contents.shape
            (building / "images.u8").unlink()
            (building / "files.json").touch(0o600)  # addresses may hold credentials
            with synced(building / "files.json") as file:
                file.write(json.dumps(contents.files).encode())
        _check(contents, sink, dataset.source)
        hashes = np.array(sink.hashes, np.uint64) if contents.hashes is None else contents.hashes
        arrays: dict[str, NDArray[Any]] = {"labels": contents.labels, "official": contents.official, "hashes": hashes}
        for name, array in arrays.items():
            with synced(building / f"{name}.npy") as file:
                np.save(file, array)
        meta = {
            "shape": [sink.count, *sink.shape],
            "classes": contents.classes,
            "digest": contents.digest or _digest(sink, contents),
            "skipped": contents.skipped,
            "rule": asdict(contents.rule) if contents.rule is not None else None,
            "identity": identity,
        }
        with synced(building / "meta.json") as file:
            file.write(json.dumps(meta, indent=1, default=str).encode())
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

    def write(self, chunk: NDArray[np.uint8]) -> None:
        """Append [n, C, H, W]."""
        chunk = np.ascontiguousarray(chunk)
        assert (chunk.dtype, chunk.ndim) == (np.uint8, 4), (chunk.dtype, chunk.shape)
        assert not self.count or chunk.shape[1:] == self.shape, (chunk.shape, self.shape)
        self.file.write(chunk.data)
        self.hash.update(chunk.data)
        self.hashes += [pixel_hash(image) for image in chunk]
        self.count += len(chunk)
        self.shape = chunk.shape[1:]


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


def _open(folder: Path) -> Entry:
    try:
        meta = json.loads((folder / "meta.json").read_text())
        return Entry(
            folder=folder,
            labels=np.load(folder / "labels.npy"),
            official=np.load(folder / "official.npy"),
            hashes=np.load(folder / "hashes.npy"),
            classes=tuple(meta["classes"]),
            shape=tuple(meta["shape"]),
            digest=meta["digest"],
            skipped=tuple(meta["skipped"]),
            rule=meta["rule"],
        )
    except (OSError, ValueError, KeyError) as error:
        raise RequestError(
            f"{folder}: this cached set is damaged ({error}). Delete the folder and run again."
        ) from error
