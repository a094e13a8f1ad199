"""Reading a list of labelled image files, local or remote: shared by `folder`, `csv` and torchvision's file sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.sources import decode, depth
from bench.data.sources.classes import in_order, note_several, note_similar_names
from bench.data.sources.companions import note_companions
from bench.data.sources.contract import Contents, Note, Write, pixel_hash
from bench.data.sources.damage import note_zero_ends
from bench.data.sources.decode import BadImage, Rule
from bench.data.sources.depth import Header
from bench.data.sources.fetch import fetch
from bench.data.sources.lost import refuse_lost
from bench.data.sources.scan import Scan, scan
from bench.schema.errors import RequestError


class Listed(NamedTuple):
    """One image file: where it is, how messages call it, its class and its official split."""

    place: str  # local path or URL
    shown: str
    label: str
    official: int


class Listing(NamedTuple):
    """What a folder or a list names.

    Attributes:
        files: in order.
        bad: "file reason" for what has no place there.
        where: what it is remembered by, see `scan`.
        columns: name -> a value for each file, for groups.
        notes, remarks: see `contract.Contents`.
    """

    files: list[Listed]
    bad: list[str]
    where: str
    columns: Mapping[str, Sequence[str]] = {}
    notes: tuple[Note, ...] = ()
    remarks: tuple[str, ...] = ()

    def scanned(self, source: str) -> Scan:
        """The hash and the header of every file."""
        return scan([item.place for item in self.files], self.where, source)

    def identity(self, source: str) -> str:
        """Hex digest of the names, labels, splits and bytes of all files."""
        digest = hashlib.sha256(self.scanned(source).hashes.tobytes())
        names = "\n".join(f"{item.shown}\0{item.label}\0{item.official}" for item in self.files)
        digest.update("\n".join([names, *self.bad]).encode(errors="surrogateescape"))
        return digest.hexdigest()


def settings(dataset: Any) -> list[Any]:
    """How files are decoded, as part of a set's identity."""
    how = [dataset.size, dataset.fit, dataset.colour, dataset.on_bad_image, dataset.storage, dataset.range]
    # What was left out for want of a package is read anew once that is installed.
    packages = decode.packages() if dataset.on_bad_image == "skip" else []
    return [*how, decode.READING, *packages]


@dataclass(frozen=True)
class Options:
    """How to read files, for a source whose settings do not say it themselves (see `bench.schema.dataset.Folder`)."""

    source: str
    size: int | None
    fit: str = "crop"
    colour: str = "rgb"
    on_bad_image: str = "error"
    storage: str = "map"
    range: tuple[float, float] | None = None


def read(dataset: Any, listing: Listing, write: Write, classes: tuple[str, ...] | None = None) -> Contents:
    """Decode every file in order; the content's digest is that of the files' bytes, classes and splits.

    Headers come first (sizes, grey or colour), so that the rule is known before the first image is kept; a file that
    is not an image is found before minutes of decoding.

    Args:
        dataset: with size, fit, colour, on_bad_image, storage and range.
        classes: in their official order; None takes those found, by name.

    Raises:
        RequestError: naming files that cannot be used, unless they may be skipped; a class or a split that lost
            all of its files stops in any case.
    """
    source, total = dataset.source, len(listing.files) + len(listing.bad)
    scanned, bad = listing.scanned(source), list(listing.bad)
    heads: list[Header] = []
    kept: list[int] = []
    for i, found in enumerate(scanned.headers()):
        if isinstance(found, str):
            bad.append(f"{listing.files[i].shown} {found}")
        else:
            heads.append(found)
            kept.append(i)
    _refuse(dataset, bad, total)
    if not kept:
        raise RequestError(f"{source}: there is not a single usable image among {total} files.")
    how = decode.rule(heads, dataset.size, dataset.fit, dataset.colour, dataset.range)
    good: list[int] = []
    hashes: list[int] = []
    shape, seen = (0, 0, 0), 0
    files = [listing.files[i] for i in kept]
    for results in decode.parallel(_decode(how), files, f"{source}: images", decode.chunk_of(how, heads)):
        pixels: list[NDArray[np.uint8]] = []
        for image, reason in results:
            item, number = files[seen], kept[seen]
            seen += 1
            if image is not None and good and image.shape != shape:  # EXIF behind the pixels turned it
                reason = f"is {image.shape[1:]} pixels where the others are {shape[1:]}; say dataset.size=N"
            if reason:
                bad.append(f"{item.shown} {reason}")
                continue
            pixels.append(image)
            good.append(number)
            if dataset.storage == "stream":  # what is written is hashed there
                hashes.append(pixel_hash(image))
            shape = image.shape
        if pixels and dataset.storage == "map":
            write(np.stack(pixels))
    _refuse(dataset, bad, total)
    refuse_lost(source, [(item.label, item.official) for item in listing.files], good)
    return _contents(
        dataset, listing, scanned, good, bad, how, shape, classes, hashes, dict(zip(kept, heads, strict=True))
    )


def _contents(
    dataset: Any,
    listing: Listing,
    scanned: Scan,
    good: Sequence[int],
    bad: Sequence[str],
    how: Rule,
    shape: tuple[int, ...],
    classes: tuple[str, ...] | None,
    hashes: Sequence[int],
    heads: Mapping[int, Header],
) -> Contents:
    items = [listing.files[i] for i in good]
    names, remarks = (classes, ()) if classes else in_order({item.label for item in items})
    if len(names) < 2:
        found = f"only '{names[0]}'" if names else "none"
        raise RequestError(f"{dataset.source}: at least two classes are needed, found {found}.")
    # Class numbers that are not those of the alphabet are other labels.
    order = ["by number"] if remarks else []
    digest = hashlib.sha256(json.dumps([decode.RULE, how.identity(), *order]).encode())
    for i, item in zip(good, items, strict=True):
        hashed = scanned.hashes[i].tobytes().hex()
        digest.update(f"{item.label}\0{item.official}\0{hashed}\n".encode())
    number = {name: i for i, name in enumerate(names)}
    used = [heads[i] for i in good]
    return Contents(
        labels=np.array([number[item.label] for item in items], np.int64),
        classes=names,
        official=np.array([item.official for item in items], np.int8),
        skipped=tuple(bad),
        digest=digest.hexdigest(),
        files=tuple(item.place for item in items) if dataset.storage == "stream" else None,
        rule=how,
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        hashes=np.array(hashes, np.uint64) if hashes else None,
        origins=np.ascontiguousarray(scanned.hashes[list(good), :8]).view("<u8").ravel().astype(np.uint64),
        paths=tuple(item.shown for item in items),
        columns={name: tuple(values[i] for i in good) for name, values in listing.columns.items()},
        forms=tuple(f"{h.form} {h.size[0]} x {h.size[1]}" for h in used),
        notes=(
            *listing.notes,
            *note_similar_names(names),
            *note_several(names),
            *note_companions([item.place for item in items]),
            *note_zero_ends([head.zeros for head in used], [item.shown for item in items]),
            *depth.slivers(used, {"int": how.ints, "float": how.floats}),
        ),
        remarks=(*listing.remarks, *remarks, *decode.unread_parts(used, [item.shown for item in items])),
    )


def _decode(how: Rule) -> Any:
    """A file -> (its pixels, "") or (None, reason)."""

    def apply(item: Listed) -> tuple[NDArray[np.uint8] | None, str]:
        try:
            return how(fetch(item.place)), ""
        except BadImage as error:
            return None, str(error)

    return apply


def _refuse(dataset: Any, bad: Sequence[str], total: int) -> None:
    if bad and dataset.on_bad_image == "error":
        raise decode.bad_images(dataset.source, bad, total)
