"""A decoded set on disk, opened: its files are what they were when they were written, or they are not used.

`seal.json` holds inode, ctime, size and mtime of every file as they were when the content was last known to be right.
Where one differs (a copied cache, a tool that wrote into it), all of the content is compared with its hashes once.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.sources.contract import Note, pixel_hash, state
from bench.data.sources.decode import Rule
from bench.data.sources.depth import BITS8, INTS, Range
from bench.data.stream import Streamed
from bench.disk import write_atomically
from bench.schema.errors import RequestError

SEAL = "seal.json"
PIXELS = "images.u8"
TICK = 0.05  # seconds; a file changed within one tick of the clock would keep its ctime


@dataclass(frozen=True)
class Entry:
    """A decoded set on disk."""

    folder: Path
    labels: NDArray[np.int64]  # [N]
    official: NDArray[np.int8]  # [N], see sources.contract
    hashes: NDArray[np.uint64]  # [N], of each image's pixels
    origins: NDArray[np.uint64]  # [N], of the bytes that each image came from; of its pixels where there was no file
    classes: tuple[str, ...]
    shape: tuple[int, int, int, int]  # N, C, H, W
    digest: str  # of the content
    skipped: tuple[str, ...]  # "file reason"
    notes: tuple[Note, ...]  # see sources.contract.Contents, as the next one
    remarks: tuple[str, ...]
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
        return np.memmap(self.folder / PIXELS, np.uint8, mode="c", shape=self.shape)

    @functools.cached_property
    def listing(self) -> dict[str, Any]:
        """`paths` and `forms`, N texts or None, and `columns`, name -> N texts."""
        return dict(json.loads((self.folder / "listing.json").read_text(errors="surrogateescape")))

    @property
    def spans(self) -> dict[str, Range]:
        """int, float -> the values that became 0 and 255, for the kinds of images of more than 8 bits that there are.

        Another image of the kind has to be read by them: alone it may seem to span less, or state something else.
        """
        if self.rule is None:
            return {}
        said: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in self.rule.items()}  # of JSON
        how = Rule(**said)
        modes = {form.split(" ")[1][:1] for form in self.listing["forms"] or ()}
        there = {
            "int": "I" in modes or how.special in (1, 2, 3) or how.ints != INTS,
            "float": "F" in modes or how.floats != BITS8,
        }
        return {kind: span for kind, span in {"int": how.ints, "float": how.floats}.items() if there[kind]}


def open_entry(folder: Path) -> Entry:
    """The entry in a folder.

    Raises:
        RequestError: where its files are not what was written.
    """
    try:
        meta = _meta(folder)
        arrays = {name: _array(folder / f"{name}.npy") for name in ("labels", "official", "hashes", "origins")}
        made = Entry(
            folder=folder,
            **arrays,
            classes=tuple(meta["classes"]),
            shape=tuple(meta["shape"]),
            digest=meta["digest"],
            skipped=tuple(meta["skipped"]),
            notes=tuple((n, r, m) for n, r, m in meta["notes"]),
            remarks=tuple(meta["remarks"]),
            rule=meta["rule"],
        )
        if _read_seal(folder) != _states(folder):
            _verify(made, meta["sums"])
            seal(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise RequestError(
            f"{folder}: this cached set is damaged ({reason}). Delete the folder and run again."
        ) from error
    return made


def seal(folder: Path) -> None:
    """Note the state of a folder's files, whose content is known to be right."""
    states = _states(folder)
    newest = max(row[1] for row in states.values()) / 1e9
    time.sleep(max(0.0, min(TICK, newest + TICK - time.time())))
    with suppress(OSError, RequestError):  # a cache that may only be read is verified at each visit
        write_atomically(folder / SEAL, json.dumps(states))


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the pixels, which have a hash for each image, and meta.json, which holds these."""
    names = sorted(f.name for f in folder.iterdir() if f.name not in (PIXELS, "meta.json") and SEAL not in f.name)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def with_sum(meta: Mapping[str, Any]) -> str:
    """meta.json's text: what it says, and the SHA-256 of that, so that a change of it is noticed."""
    text = json.dumps(meta, indent=1, default=str)
    return json.dumps({"sum": hashlib.sha256(text.encode()).hexdigest(), "meta": json.loads(text)}, indent=1)


def _meta(folder: Path) -> dict[str, Any]:
    """What meta.json says; raises ValueError where it is not what was written."""
    try:
        told = json.loads((folder / "meta.json").read_bytes())
    except ValueError as error:
        raise ValueError("meta.json is not what was written") from error
    if hashlib.sha256(json.dumps(told["meta"], indent=1).encode()).hexdigest() != told["sum"]:
        raise ValueError("meta.json is not what was written")
    return dict(told["meta"])


def _array(file: Path) -> NDArray[Any]:
    """What a .npy file holds; NumPy's own words about another content would advise to load it unsafely."""
    try:
        return np.asarray(np.load(file))
    except OSError:
        raise
    except Exception as error:  # see `bench.npz`
        raise ValueError(f"{file.name} is not what was written") from error


def _states(folder: Path) -> dict[str, list[int]]:
    names = sorted(f.name for f in os.scandir(folder) if SEAL not in f.name)
    return {name: list(state(folder / name)) for name in names}


def _read_seal(folder: Path) -> dict[str, list[int]] | None:
    try:
        return dict(json.loads((folder / SEAL).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _verify(entry: Entry, expected: dict[str, str]) -> None:
    """Compare everything with its hashes; raises ValueError where something differs."""
    found = sums(entry.folder)
    if found != expected:
        wrong = sorted(k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k))
        raise ValueError(f"{', '.join(wrong)} is not what was written")
    if "files.json" in expected:
        return
    size, wanted = (entry.folder / PIXELS).stat().st_size, int(np.prod(entry.shape))
    if size != wanted:
        raise ValueError(f"{PIXELS}: {wanted} bytes expected, {size} found")
    images = np.memmap(entry.folder / PIXELS, np.uint8, mode="r", shape=entry.shape)
    wrong_images = [i for i in range(len(images)) if pixel_hash(images[i]) != int(entry.hashes[i])]
    if wrong_images:
        raise ValueError(
            f"{len(wrong_images)} images of {PIXELS} are not what was written, the first is {wrong_images[0]}"
        )
