"""What an experienced colleague would look at first: counts, statistics, duplicates, and what to worry about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.finding import Finding
from bench.data.imagedata import ImageData
from bench.data.leaks import hashes_of, splits, telling
from bench.data.pixel_norm import statistics
from bench.data.reading import reading
from bench.data.sources import decode

FEW = 100  # images of a class in train
IMBALANCE = 10  # times as many images in the largest class as in the smallest
BITS = 6  # of a perceptual hash's 64 may differ between near duplicates
ALIKE = 0.98  # correlation of the pixels that confirms them
TRIES = 4  # candidates whose pixels are looked at, the nearest by hash first
QUERIES = 256  # hashes searched for at a time
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pair:
    """Two images that are the same, or nearly."""

    first: int
    second: int
    splits: tuple[str, str]
    labels: tuple[int, int]


@dataclass(frozen=True)
class Inspection:
    """All there is to say about a set.

    Attributes:
        counts: [3, K], images of each class in train, val and test.
        mean, std: per channel on train, in 0..1.
        exact: pairs of the same pixels; near: pairs that look the same, exact ones left out (see `near_pairs`).
        compared: how many images were compared for near duplicates.
    """

    counts: NDArray[np.int64]
    mean: list[float]
    std: list[float]
    exact: list[Pair]
    near: list[Pair]
    compared: int
    findings: list[Finding]

    def row(self) -> dict[str, Any]:
        """Plain data for programs."""
        return {
            "counts": {name: self.counts[i].tolist() for i, name in enumerate(SPLITS)},
            "mean": self.mean,
            "std": self.std,
            "exact_duplicates": len(self.exact),
            "near_duplicates": len(self.near),
            "compared": self.compared,
            "findings": [finding.row() for finding in self.findings],
        }


def inspect(data: ImageData, near: int = 10_000) -> Inspection:
    """Look at everything.

    Args:
        near: compare at most so many images for near duplicates, a random sample where there are more. 0: none.
    """
    counts = np.stack([np.bincount(data.labels[data.split(s)], minlength=len(data.classes)) for s in SPLITS])
    mean, std = statistics(data, data.train)
    where = membership(data)
    exact = exact_pairs(data, where) if telling(data) else []
    chosen = np.flatnonzero(where >= 0)
    if len(chosen) > near:
        chosen = np.sort(np.random.RandomState(0).choice(chosen, near, replace=False))
    near = near if telling(data) else 0
    alike = near_pairs(data, where, chosen) if near else []
    findings = [
        *splits(data),
        *reading(data),
        *_counts(data, counts),
        *(_constant(data) if telling(data) else ()),
        *_pairs("exact", exact),
        *_pairs("near", alike),
    ]
    return Inspection(
        counts=counts,
        mean=[round(float(v), 4) for v in mean / 255],
        std=[round(float(v), 4) for v in std / 255],
        exact=exact,
        near=alike,
        compared=len(chosen) if near else 0,
        findings=list(dict.fromkeys(findings)),
    )


def membership(data: ImageData) -> NDArray[np.int8]:
    """The split of each image as an index into SPLITS, -1 for none. int8 [N]."""
    where = np.full(len(data.labels), -1, np.int8)
    for i, name in enumerate(SPLITS):
        where[data.split(name)] = i
    return where


def exact_pairs(data: ImageData, where: NDArray[np.int8]) -> list[Pair]:
    """Each image whose exact pixels came before, with the first that has them."""
    hashes = hashes_of(data)
    used = np.flatnonzero(where >= 0)
    _, first, inverse = np.unique(hashes[used], return_index=True, return_inverse=True)
    original = used[first[inverse]]
    return [_pair(data, where, int(a), int(b)) for a, b in zip(original, used, strict=True) if a != b]


def near_pairs(data: ImageData, where: NDArray[np.int8], chosen: NDArray[np.int64]) -> list[Pair]:
    """Pairs among `chosen` whose perceptual hashes (pHash, 64 bits) nearly agree and whose pixels correlate.

    For each image the nearest earlier one of each split, with its label and with another: at most six, so that a
    fixed camera's pictures come out as as many pairs as images and not as all pairs of them.
    The hash alone would call most ones of a set of digits duplicates of each other.
    """
    import faiss
    import imagehash

    def perceptual(i: int) -> NDArray[np.uint8]:
        image = data.images[i]
        shown = image[0] if len(image) != 3 else np.ascontiguousarray(image.transpose(1, 2, 0))
        return np.packbits(imagehash.phash(Image.fromarray(shown)).hash.ravel())

    codes = np.concatenate([np.stack(part) for part in decode.parallel(perceptual, chosen.tolist(), "near duplicates")])
    index = faiss.IndexBinaryFlat(64)
    index.add(codes)
    hashes = hashes_of(data)
    out = []
    for start in range(0, len(chosen), QUERIES):  # all pairs at once would fill the memory where all images are alike
        limits, distance, found = index.range_search(codes[start : start + QUERIES], BITS + 1)  # below the radius
        for i in range(start, min(start + QUERIES, len(chosen))):
            hits = slice(int(limits[i - start]), int(limits[i - start + 1]))
            earlier = found[hits] < i
            candidates = chosen[found[hits][earlier][np.argsort(distance[hits][earlier], kind="stable")]]
            others = candidates[hashes[candidates] != hashes[chosen[i]]]
            out += [_pair(data, where, int(a), int(chosen[i])) for a in _alike(data, where, int(chosen[i]), others)]
    return out


def _alike(data: ImageData, where: NDArray[np.int8], image: int, candidates: NDArray[np.int64]) -> Iterator[np.int64]:
    """The nearest candidate that correlates with an image, for each split and for the same and another label."""
    kind = 2 * where[candidates] + (data.labels[candidates] == data.labels[image])
    for one in np.unique(kind):
        for a in candidates[kind == one][:TRIES]:
            if _correlation(data.images[int(a)], data.images[image]) >= ALIKE:
                yield a
                break


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else 1.0  # two constant images look the same


def _pair(data: ImageData, where: NDArray[np.int8], a: int, b: int) -> Pair:
    names = SPLITS[where[a]], SPLITS[where[b]]
    return Pair(int(a), int(b), names, (int(data.labels[a]), int(data.labels[b])))


def _counts(data: ImageData, counts: NDArray[np.int64]) -> Iterator[Finding]:
    train = counts[0]
    few = np.flatnonzero((train > 0) & (train < FEW))
    if len(few):
        named = ", ".join(f"{data.classes[i]} ({train[i]})" for i in few[:5]) + (", ..." if len(few) > 5 else "")
        yield Finding(
            "few_images",
            "warning",
            f"{len(few)} of {len(train)} classes have fewer than {FEW} training images: {named}.",
            "Expect wide intervals; consider transfer from trained weights.",
        )
    present = train[train > 0]
    if present.max() >= IMBALANCE * present.min():
        yield Finding(
            "imbalance",
            "warning",
            f"The largest class has {present.max()} training images, the smallest {present.min()}.",
            "Read macro F1 beside accuracy: always answering the largest class would look good.",
        )


def _constant(data: ImageData) -> Iterator[Finding]:
    flat: list[int] = []
    for start in range(0, len(data.images), 256):
        block = data.images[start : start + 256]
        flat += (start + np.flatnonzero((block == block[:, :, :1, :1]).all((1, 2, 3)))).tolist()
    if flat:
        yield Finding(
            "constant_images",
            "warning",
            f"{len(flat)} images are of one colour throughout, the first is number {flat[0]}.",
            "Look at them; they are often failed exports.",
        )


def _pairs(kind: str, pairs: list[Pair]) -> Iterator[Finding]:
    """About duplicates within one split, and about near ones across splits (`splits` tells of the exact ones)."""
    within = len({p.second for p in pairs if p.splits[0] == p.splits[1]})
    across = sum(p.splits[0] != p.splits[1] for p in pairs)
    disputed = sum(p.labels[0] != p.labels[1] for p in pairs)
    shown = "exactly the same" if kind == "exact" else "nearly the same"
    if within:
        yield Finding(
            f"{kind}_duplicates",
            "warning",
            f"{within} images have {shown} pixels as another of their split.",
            "See duplicates.csv; copies make a set look larger than it is.",
        )
    if across and kind == "near":
        yield Finding(
            "near_duplicates_across_splits",
            "warning",
            f"{across} pairs of images in different splits have {shown} pixels.",
            "See duplicates.csv; scores on such images are partly memory.",
        )
    if disputed:
        yield Finding(
            f"{kind}_duplicates_disagree",
            "warning",
            f"{disputed} pairs of images with {shown} pixels carry different labels.",
            "See duplicates.csv; one of the two labels is probably wrong.",
        )
