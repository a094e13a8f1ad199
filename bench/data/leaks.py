"""What one split knows of another, and one class of another: shared images, copies, classes that are missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.data.finding import Finding, by_number
from bench.data.imagedata import ImageData

LEAK = 0.01  # of the test images; more duplicates than this in train is an error
MEANS = {  # that a class is missing
    "train": "Nothing can learn it.",
    "val": "What is selected on val says nothing of it.",
    "test": "Test scores say nothing of it, and macro F1 is over the others.",
}
TELLING = 16  # bytes; of smaller images (points of the plane) two are equal by chance, and no copies


def splits(data: ImageData) -> Iterator[Finding]:
    """About who belongs to which split, by index and by content."""
    parts = {name: data.split(name) for name in ("train", "val", "test")}
    for name in ("val", "test"):
        repeats = len(parts[name]) - len(np.unique(parts[name]))
        if repeats:
            yield Finding(
                "padded_evaluation",
                "error",
                f"{repeats} of {len(parts[name])} images of {name} {by_number(repeats, 'is', 'are')} scored more than "
                "once.",
                "Score every image exactly once; do not pad the last batch.",
            )
    for one, other in (("val", "test"), ("train", "test"), ("train", "val")):
        shared = len(np.intersect1d(parts[one], parts[other]))
        if shared and one == "val" and shared == len(np.unique(parts["test"])) == len(np.unique(parts["val"])):
            yield _val_is_test(f"val and test are the same {shared} images.")
        elif shared:
            yield Finding(
                f"{one}_overlaps_{other}",
                "error",
                f"{shared} {by_number(shared, 'image is', 'images are')} in {one} and in {other}.",
                "Split anew so that each image is in one split.",
            )
        else:
            yield from duplicates(data, one, other)
    yield from disagreements(data)
    yield from classes_missing(data)


def duplicates(data: ImageData, one: str, other: str) -> Iterator[Finding]:
    """Images of `other` whose exact pixels are in `one` too, under another index."""
    if not telling(data):
        return
    hashes = hashes_of(data)
    first, second = hashes[data.split(one)], hashes[data.split(other)]
    count = int(np.isin(second, first).sum())
    if not count:
        return
    share = count / len(second)
    if (one, other) == ("val", "test") and share > 0.5 and np.isin(first, second).mean() > 0.5:
        yield _val_is_test(
            f"{count} of {len(second)} test images {by_number(count, 'is', 'are')} in val with exactly the same pixels."
        )
        return
    grave = other == "test" and share > LEAK
    yield Finding(
        f"{one}_duplicates_in_{other}",
        "error" if grave else "warning",
        f"{count} of {len(second)} images of {other} ({share:.2%}) {by_number(count, 'is', 'are')} in {one} with "
        f"exactly the same pixels{_example(data, one, other, hashes)}.",
        "'bench data NAME' lists them; remove the copies, or keep them in one split.",
    )


def disagreements(data: ImageData) -> Iterator[Finding]:
    """About images of exactly the same pixels in several classes: a link to another class's folder, copies of a file.

    An error where a class holds nothing else, as no classifier could tell it from the others.
    """
    if not telling(data):
        return
    used = data.used
    labels = (data.labels if data.entry is None else data.entry.labels)[used]  # those of the set, without label noise
    _, group = np.unique(hashes_of(data)[used], return_inverse=True)
    several = np.bincount(np.unique(np.stack([group, labels]), axis=1)[0]) > 1
    disputed = several[group]
    if not disputed.any():
        return
    a = int(np.flatnonzero(disputed)[0])
    b = int(np.flatnonzero((group == group[a]) & (labels != labels[a]))[0])
    shown = [f"image {used[i]}" if data.paths is None else data.paths[used[i]] for i in (a, b)]
    inside = [data.classes[k] for k in np.unique(labels) if disputed[labels == k].all()]
    yield Finding(
        "labels_disagree",
        "error" if inside else "warning",
        f"{int(disputed.sum())} images have exactly the same pixels as one of another class, the first: {shown[0]} "
        f"('{data.classes[labels[a]]}') and {shown[1]} ('{data.classes[labels[b]]}')."
        + (f" All images of {', '.join(inside[:5])} are such ones." if inside else ""),
        "Give each image one label: take away a link or copies in the wrong class ('bench data NAME' lists them).",
    )


def _example(data: ImageData, one: str, other: str, hashes: NDArray[np.uint64]) -> str:
    """The files of the first pair, where there are files."""
    if data.paths is None:
        return ""
    b = int(data.split(other)[np.isin(hashes[data.split(other)], hashes[data.split(one)])][0])
    a = next(int(i) for i in data.split(one) if hashes[i] == hashes[b])
    return f", the first: {data.paths[b]} is {data.paths[a]}"


def telling(data: ImageData) -> bool:
    """Whether equal pixels mean the same origin: not where an image holds next to nothing."""
    return int(np.prod(data.shape)) >= TELLING


def hashes_of(data: ImageData) -> NDArray[np.uint64]:
    """One number an image, the same for the same pixels; computed where the data did not bring them."""
    if data.hashes is not None:
        return data.hashes
    from bench.data.sources.contract import pixel_hash

    return np.array([pixel_hash(data.images[i]) for i in range(len(data.images))], np.uint64)


def classes_missing(data: ImageData) -> Iterator[Finding]:
    """Classes without an image in a split."""
    for name in ("train", "val", "test"):
        absent = np.setdiff1d(np.arange(len(data.classes)), data.labels[data.split(name)])
        if len(absent):
            named = ", ".join(data.classes[i] for i in absent[:5]) + (", ..." if len(absent) > 5 else "")
            yield Finding(
                "class_missing",
                "warning",
                f"{len(absent)} of {len(data.classes)} classes {by_number(len(absent), 'has', 'have')} no image in "
                f"{name}: {named}. {MEANS[name]}",
                "Use more images, a larger split fraction, or leave the class out.",
            )


def _val_is_test(reason: str) -> Finding:
    return Finding(
        "val_is_test",
        "error",
        f"{reason} What is selected on val is then selected on test.",
        "Give val images of its own: remove the official val split, and split.val draws one from train.",
    )
