"""What image files hold: the hash of each one's bytes and its header, read once and remembered.

A file whose inode, ctime, size and mtime are those of an earlier visit is not read again: no program can change its
content and leave its ctime. For addresses the server's ETag or checksum takes that place; where it gives none, the
bytes are fetched at every visit.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from bench.data.sources import contract, decode
from bench.data.sources.decode import BadImage
from bench.data.sources.depth import Deep, Header
from bench.data.sources.fetch import fetch, is_remote, remote_state
from bench.disk import write_atomically
from bench.npz import read_npz
from bench.schema.errors import RequestError

FRESH = 2 * 10**9  # ns; what changed so shortly before it was read is read again next time: clocks have ticks
NOTHING = (0, 0, 0, 0)
VERSION = 7  # raise when headers mean something else


@dataclass(frozen=True)
class Scan:
    """Of N files, in order.

    Attributes:
        hashes: uint8 [N, 32], SHA-256 of the bytes; zeros where they cannot be read.
        told: JSON text, [N]: a header or the reason why a file cannot be used.
    """

    hashes: NDArray[np.uint8]
    told: str

    def headers(self) -> list[Header | str]:
        """Of each file its header, or why it is no image."""
        return [_header(row) for row in json.loads(self.told)]


def scan(places: Sequence[str], where: str, title: str) -> Scan:
    """Look at files; only those that are new or may have changed are read.

    Args:
        where: what the listing is remembered by: the folder or list that names the files.
        title: of the progress bar.
    """
    file = _memory(where)
    old = _recall(file)
    states = _states(places)
    joined = hashlib.sha256("\0".join(places).encode(errors="surrogateescape")).digest()
    if (
        old is not None
        and old["joined"].tobytes() == joined
        and (old["states"] == states).all()
        and states.any(1).all()
    ):
        return Scan(old["hashes"], old["told"].tobytes().decode())
    keys = [hashlib.blake2b(p.encode(errors="surrogateescape"), digest_size=16).digest() for p in places]
    hashes = np.zeros((len(places), 32), np.uint8)
    told: list[object] = [None] * len(places)
    missing = list(range(len(places)))
    if old is not None:
        row = {key.tobytes(): i for i, key in enumerate(old["keys"])}
        before = json.loads(old["told"].tobytes())
        missing = []
        for i, key in enumerate(keys):
            j = row.get(key)
            if j is None or not states[i].any() or (old["states"][j] != states[i]).any():
                missing.append(i)
            else:
                hashes[i], told[i] = old["hashes"][j], before[j]
    done = 0
    for results in decode.parallel(_looked_at, [places[i] for i in missing], f"{title}: reading"):
        for digest, state, row_told in results:
            i = missing[done]
            hashes[i], told[i] = np.frombuffer(digest, np.uint8), row_told
            states[i] = states[i] if is_remote(places[i]) else state
            done += 1
    text = json.dumps(told)
    arrays: dict[str, NDArray[Any]] = {
        "joined": np.frombuffer(joined, np.uint8),
        "keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16),
        "states": states,
        "hashes": hashes,
        "told": np.frombuffer(text.encode(), np.uint8),
    }
    _remember(file, {**arrays, "sum": _sum(arrays)})
    return Scan(hashes, text)


def _looked_at(place: str) -> tuple[bytes, tuple[int, int, int, int], object]:
    """(SHA-256 of the bytes, state that they had, header as plain data or reason)."""
    state, began = NOTHING, time.time_ns()
    if not is_remote(place):
        state = _local(place)
        state = state if state[1] < began - FRESH else NOTHING
    try:
        raw = fetch(place)
    except BadImage as error:
        return bytes(32), NOTHING, str(error)
    digest = hashlib.sha256(raw).digest()
    try:
        return digest, state, decode.header(raw)
    except BadImage as error:
        return digest, state, str(error)


def _states(places: Sequence[str]) -> NDArray[np.int64]:
    """int64 [N, 4]; zeros where nothing tells that a file is the one it was."""

    def remote(place: str) -> tuple[int, ...]:
        word = remote_state(place)
        return struct.unpack("<4q", hashlib.sha256(word.encode()).digest()) if word else NOTHING

    out: list[tuple[int, ...]] = [NOTHING if is_remote(place) else _local(place) for place in places]
    away = [i for i, place in enumerate(places) if is_remote(place)]
    asked = (s for part in decode.parallel(remote, [places[i] for i in away], "asking servers") for s in part)
    for i, state in zip(away, asked, strict=True):
        out[i] = state
    return np.array(out, np.int64).reshape(-1, 4)


def _local(place: str) -> tuple[int, int, int, int]:
    try:
        return contract.state(place)
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return NOTHING


def _memory(where: str) -> Path:
    """Where a listing is remembered. Another Pillow, or one package more that reads files, may find another header."""
    from bench.data.cache import cache_folder

    text = f"{VERSION}\0{PIL.__version__}\0{decode.packages()}\0{where}"
    name = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:20]
    return cache_folder() / "scanned" / f"{name}.npz"


def _recall(file: Path) -> dict[str, NDArray[Any]] | None:
    """What an earlier visit left; None where it left nothing that can be read."""
    try:
        saved = read_npz(file, math.inf)
        found = {name: saved[name] for name in ("joined", "keys", "states", "hashes", "told")}
        return found if np.array_equal(saved["sum"], _sum(found)) else None
    except (OSError, ValueError, KeyError):  # it is made again
        return None


def _sum(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """SHA-256 of all arrays: what was remembered decides which run keys a set has."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}".encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def _remember(file: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Keep it, whole or not at all; where the disk does not allow, the next visit reads again."""
    with suppress(OSError, RequestError):
        write_atomically(file, lambda out: np.savez(out, allow_pickle=False, **arrays))


def _header(row: object) -> Header | str:
    if not isinstance(row, list):
        return str(row)
    (width, height), grey, form, deep, several, clear, spare, zeros = row
    if deep is not None:
        kind, low, high, stated, special, wide = deep
        deep = Deep(kind, low, high, tuple(stated) if stated else None, special, wide)
    return Header((width, height), grey, form, deep, several, clear, spare, zeros)
