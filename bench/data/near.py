"""Images that look the same: copies that were compressed again, made smaller and larger, cropped a little, mirrored.

A perceptual hash (pHash, 64 bits) proposes, the correlation of thumbnails decides: the hash alone would call most ones
of a set of digits copies of each other. Each image is looked for as it is, mirrored, and without its outer pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.finding import Finding, by_number
from bench.data.imagedata import ImageData
from bench.data.leaks import hashes_of, telling
from bench.data.sources import decode

BITS = 14  # of a hash's 64 may differ between near duplicates
SIDE = 16  # of the thumbnails
ALIKE = {1: 0.98, 3: 0.96}  # channels -> correlation of the thumbnails; grey sets are often of one kind of thing
EDGE = 2  # pixels of the crop
TRIES = 4  # candidates of one kind that are compared, the nearest by hash first
QUERIES = 256  # hashes searched for at a time
# Channels -> pixels. Of smaller images (digits, clothes) different ones look the same: only `bench data` compares them.
SMALLEST = {1: 32, 3: 24}
COMPARED = 10_000  # images, unless told otherwise
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pair:
    """Two images that are the same, or nearly."""

    first: int
    second: int
    splits: tuple[str, str]
    labels: tuple[int, int]


def membership(data: ImageData) -> NDArray[np.int8]:
    """The split of each image as an index into SPLITS, -1 for none. int8 [N]."""
    where = np.full(len(data.labels), -1, np.int8)
    for i, name in enumerate(SPLITS):
        where[data.split(name)] = i
    return where


def sample(where: NDArray[np.int8], most: int) -> NDArray[np.int64]:
    """The images that are compared: those in a split, a random part of them where there are more than `most`."""
    chosen = np.flatnonzero(where >= 0)
    if len(chosen) > most:
        chosen = np.sort(np.random.RandomState(0).choice(chosen, most, replace=False))
    return chosen


def pair(data: ImageData, where: NDArray[np.int8], a: int, b: int) -> Pair:
    """Two images with what is to be said of them."""
    return Pair(a, b, (SPLITS[where[a]], SPLITS[where[b]]), (int(data.labels[a]), int(data.labels[b])))


def near_pairs(data: ImageData, where: NDArray[np.int8], chosen: NDArray[np.int64]) -> list[Pair]:
    """Pairs among `chosen` that look the same; those of exactly the same pixels are left out.

    For each image the nearest other one of each split, with its label and with another: at most six, so that a fixed
    camera's pictures come out as as many pairs as images and not as all pairs of them.
    """
    import faiss

    def looked_at(i: int) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        shown = _thumbnail_of(data.images[i])
        return [(_hash(view), _thumbnail(view)) for view in (shown, *_views(shown))]

    found = [views for part in decode.parallel(looked_at, chosen.tolist(), "near duplicates") for views in part]
    thumbnails = np.stack([views[0][1] for views in found])
    index = faiss.IndexBinaryFlat(64)
    index.add(np.stack([views[0][0] for views in found]))
    hashes, least = hashes_of(data), ALIKE.get(data.shape[0], 0.98)
    pairs: dict[tuple[int, int], None] = {}
    for view in range(len(found[0])):
        for start in range(0, len(chosen), QUERIES):  # all at once would fill the memory where all images are alike
            rows = range(start, min(start + QUERIES, len(chosen)))
            limits, distance, others = index.range_search(np.stack([found[i][view][0] for i in rows]), BITS + 1)
            for i in rows:
                hits = slice(int(limits[i - start]), int(limits[i - start + 1]))
                near = others[hits][np.argsort(distance[hits], kind="stable")]
                near = near[(near < i) if view == 0 else (near != i)]
                near = near[hashes[chosen[near]] != hashes[chosen[i]]]
                for j in _similar_to(data, where, chosen, i, near, found[i][view][1], thumbnails, least):
                    pairs[min(i, j), max(i, j)] = None
    return [pair(data, where, int(chosen[a]), int(chosen[b])) for a, b in sorted(pairs, key=lambda p: (p[1], p[0]))]


def across_splits(data: ImageData) -> Iterator[Finding]:
    """Whether images of one split look like those of another, for `bench check`: on a sample of COMPARED images."""
    if not telling(data) or min(data.shape[1:]) < SMALLEST.get(data.shape[0], 32):
        return
    where = membership(data)
    yield from report_pairs(near_pairs(data, where, sample(where, COMPARED)), data)


def report_pairs(pairs: list[Pair], data: ImageData) -> Iterator[Finding]:
    """The finding about near pairs in different splits."""
    across = [p for p in pairs if p.splits[0] != p.splits[1]]
    if across:
        first = " and ".join(name(data, i) for i in (across[0].first, across[0].second))
        remedy = (
            "'bench data' lists them in duplicates.csv; scores on such images are partly memory. Remove them"
            if data.groups is not None
            else "'bench data' lists them in duplicates.csv; scores on such images are partly memory. Say what belongs "
            "together (split.group=COLUMN, or a pattern of the path), or remove them"
        )
        yield Finding(
            "near_duplicates_across_splits",
            "warning",
            f"{len(across)} {by_number(len(across), 'pair', 'pairs')} of images in different splits "
            f"{by_number(len(across), 'looks', 'look')} nearly the same, the first: {first}.",
            f"{remedy}.",
        )


def name(data: ImageData, i: int) -> str:
    """How messages call an image: its file, else its number."""
    return data.paths[i] if data.paths is not None else f"image {i}"


def _similar_to(
    data: ImageData,
    where: NDArray[np.int8],
    chosen: NDArray[np.int64],
    i: int,
    near: NDArray[np.int64],
    thumbnail: NDArray[np.float32],
    thumbnails: NDArray[np.float32],
    least: float,
) -> Iterator[int]:
    """The nearest candidate that correlates with image i, for each split and for the same and another label."""
    kind = 2 * where[chosen[near]] + (data.labels[chosen[near]] == data.labels[chosen[i]])
    for one in np.unique(kind):
        for j in near[kind == one][:TRIES].tolist():
            if float(thumbnails[j] @ thumbnail) >= least:
                yield j
                break


def _thumbnail_of(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image[0] if len(image) != 3 else np.ascontiguousarray(image.transpose(1, 2, 0)))


def _views(image: Image.Image) -> Iterator[Image.Image]:
    """Mirrored, and without its outer pixels, at its size."""
    yield image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    width, height = image.size
    if min(width, height) > 8 * EDGE:
        yield image.crop((EDGE, EDGE, width - EDGE, height - EDGE)).resize(image.size, Image.Resampling.BICUBIC)


def _hash(image: Image.Image) -> NDArray[np.uint8]:
    import imagehash

    return np.packbits(imagehash.phash(image).hash.ravel())


def _thumbnail(image: Image.Image) -> NDArray[np.float32]:
    """Pixels of a small copy, their mean 0 and their length 1, so that a product of two is their correlation."""
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).ravel()
    small = small - small.mean()
    return np.asarray(small / (float(np.linalg.norm(small)) or 1.0), np.float32)
