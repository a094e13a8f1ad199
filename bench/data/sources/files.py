"""Reading a list of labelled image files, local or remote: shared by `folder` and `csv`."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.sources import decode
from bench.data.sources.contract import Contents, Write, pixel_hash
from bench.data.sources.decode import BadImage, Header, Rule
from bench.schema.errors import RequestError
from bench.schema.secrets import redacted, without_credentials


@dataclass(frozen=True)
class Listed:
    """One image file: where it is, how messages call it, its class and its official split."""

    place: str  # local path or URL
    shown: str
    label: str
    official: int


def is_remote(place: str) -> bool:
    """Whether a path is a URL (`s3://...`, `zip://a.png::memory://b.zip`), to be read through fsspec."""
    return "://" in place


def fetch(place: str) -> bytes:
    """The bytes of a file. Raises BadImage where there is none or it may not be read."""
    if is_remote(place):
        return _fetch_remote(place)
    try:
        # A pipe or a device would be read for ever.
        if not stat.S_ISREG(os.stat(place).st_mode):
            raise BadImage("is no regular file")
        return Path(place).read_bytes()
    except FileNotFoundError as error:
        raise BadImage("does not exist") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise BadImage(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _fetch_remote(place: str) -> bytes:
    import fsspec

    try:
        with fsspec.open(place, "rb") as file:
            return bytes(file.read())
    except ImportError as error:
        raise RequestError(f"{redacted(place)}: fsspec needs another package for this address: {error}") from error
    # `from None`: what the libraries say holds the address as it is, credentials included.
    except FileNotFoundError:  # fsspec's word for a server that does not answer, too
        raise BadImage("does not exist or cannot be reached") from None
    except Exception as error:  # each file system has errors of its own: no credentials, no bucket, HTTP status
        text = without_credentials(f"{type(error).__name__}: {error}")
        raise BadImage(f"cannot be read ({text})") from None


@dataclass(frozen=True)
class Options:
    """How to read files, for a source whose settings do not say it themselves (see `bench.schema.dataset.Folder`)."""

    source: str
    size: int | None
    fit: str = "crop"
    colour: str = "rgb"
    on_bad_image: str = "error"
    storage: str = "map"


def read(
    dataset: Any,
    listed: Sequence[Listed],
    already_bad: Sequence[str],
    write: Write,
    classes: tuple[str, ...] | None = None,
) -> Contents:
    """Decode every file in order; the content's digest is that of the files' bytes, classes and splits.

    Two passes: headers first (sizes, grey or colour), so that the rule is known before the first image is kept;
    a file that is not an image is found before minutes of decoding.

    Args:
        dataset: with size, fit, colour, on_bad_image and storage.
        already_bad: "file reason" found while listing.
        classes: in their official order; None takes those found, by name.
    """
    source, total = dataset.source, len(listed) + len(already_bad)
    bad = list(already_bad)
    heads: list[Header] = []
    kept: list[Listed] = []
    seen = 0
    for results in decode.parallel(_tried(decode.header), listed, f"{source}: headers"):
        for _, found, reason in results:
            if found is None:
                bad.append(f"{listed[seen].shown} {reason}")
            else:
                heads.append(found)
                kept.append(listed[seen])
            seen += 1
    _refuse(dataset, bad, total)
    if not kept:
        raise RequestError(f"{source}: there is not a single usable image among {total} files.")
    how = decode.rule(heads, dataset.size, dataset.fit, dataset.colour)
    digest = hashlib.sha256(json.dumps([decode.RULE, asdict(how)]).encode())
    good: list[Listed] = []
    hashes: list[int] = []
    shape, seen = (0, 0, 0), 0
    for results in decode.parallel(_tried(how), kept, f"{source}: images"):
        pixels: list[NDArray[np.uint8]] = []
        for hashed, image, reason in results:
            item = kept[seen]
            seen += 1
            if image is not None and good and image.shape != shape:  # EXIF behind the pixels turned it
                reason = f"is {image.shape[1:]} pixels where the others are {shape[1:]}; say dataset.size=N"
            if reason:
                bad.append(f"{item.shown} {reason}")
                continue
            digest.update(f"{item.label}\0{item.official}\0{hashed}\n".encode())
            pixels.append(image)
            good.append(item)
            hashes.append(pixel_hash(image))
            shape = image.shape
        if pixels and dataset.storage == "map":
            write(np.stack(pixels))
    _refuse(dataset, bad, total)
    names = classes or tuple(sorted({item.label for item in good}))
    if len(names) < 2:
        found = f"only '{names[0]}'" if names else "none"
        raise RequestError(f"{source}: at least two classes are needed, found {found}.")
    return _contents(dataset, good, bad, how, shape, digest.hexdigest(), names, hashes)


def _contents(
    dataset: Any,
    good: Sequence[Listed],
    bad: Sequence[str],
    how: Rule,
    shape: tuple[int, ...],
    digest: str,
    classes: tuple[str, ...],
    hashes: Sequence[int],
) -> Contents:
    number = {name: i for i, name in enumerate(classes)}
    return Contents(
        labels=np.array([number[item.label] for item in good], np.int64),
        classes=classes,
        official=np.array([item.official for item in good], np.int8),
        skipped=tuple(bad),
        digest=digest,
        files=tuple(item.place for item in good) if dataset.storage == "stream" else None,
        rule=how,
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        hashes=np.array(hashes, np.uint64),
    )


def _tried(work: Callable[[bytes], Any]) -> Callable[[Listed], tuple[str, Any, str]]:
    """`work` on a file's bytes: (SHA-256 of the bytes, result, "") or ("", None, reason)."""

    def apply(item: Listed) -> tuple[str, Any, str]:
        try:
            raw = fetch(item.place)
            return hashlib.sha256(raw).hexdigest(), work(raw), ""
        except BadImage as error:
            return "", None, str(error)

    return apply


def _refuse(dataset: Any, bad: Sequence[str], total: int) -> None:
    if bad and dataset.on_bad_image == "error":
        raise decode.bad_images(dataset.source, bad, total)
