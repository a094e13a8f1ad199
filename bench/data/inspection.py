"""What an experienced colleague would look at first: counts, statistics, duplicates, and what to worry about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.finding import Finding, by_number
from bench.data.imagedata import ImageData
from bench.data.leaks import hashes_of, splits, telling
from bench.data.near import SPLITS, Pair, membership, name, near_pairs, pair, report_pairs, sample
from bench.data.pixel_norm import statistics
from bench.data.reading import reading

FEW = 100  # images of a class in train
IMBALANCE = 10  # times as many images in the largest class as in the smallest


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
    chosen = sample(where, near)
    near = near if telling(data) else 0
    alike = near_pairs(data, where, chosen) if near else []
    findings = [
        *splits(data),
        *reading(data),
        *_counts(data, counts),
        *(_constant(data) if telling(data) else ()),
        *_pairs("exact", exact, data),
        *_pairs("near", alike, data),
        *report_pairs(alike, data),
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


def exact_pairs(data: ImageData, where: NDArray[np.int8]) -> list[Pair]:
    """Each image whose exact pixels came before, with the first that has them."""
    hashes = hashes_of(data)
    used = np.flatnonzero(where >= 0)
    _, first, inverse = np.unique(hashes[used], return_index=True, return_inverse=True)
    original = used[first[inverse]]
    return [pair(data, where, int(a), int(b)) for a, b in zip(original, used, strict=True) if a != b]


def _counts(data: ImageData, counts: NDArray[np.int64]) -> Iterator[Finding]:
    train = counts[0]
    few = np.flatnonzero((train > 0) & (train < FEW))
    if len(few):
        named = ", ".join(f"{data.classes[i]} ({train[i]})" for i in few[:5]) + (", ..." if len(few) > 5 else "")
        yield Finding(
            "few_images",
            "warning",
            f"{len(few)} of {len(train)} classes {by_number(len(few), 'has', 'have')} fewer than {FEW} training "
            f"images: {named}.",
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
            f"{len(flat)} {by_number(len(flat), 'image is', 'images are')} of one colour throughout, the first is "
            f"{name(data, flat[0])}.",
            "Look at what is named; images of one colour are often failed exports.",
        )


def _pairs(kind: str, pairs: list[Pair], data: ImageData) -> Iterator[Finding]:
    """About duplicates within one split, and near ones with other labels (`leaks` and `near` tell of the rest)."""
    within = [p for p in pairs if p.splits[0] == p.splits[1]]
    disputed = [p for p in pairs if p.labels[0] != p.labels[1]]
    many, one = ("have", "has") if kind == "exact" else ("look", "looks")
    shown = "exactly the same pixels as" if kind == "exact" else "nearly the same as"

    def said(count: int) -> str:
        return f"{count} {by_number(count, f'image {one}', f'images {many}')} {shown}"

    if within:
        yield Finding(
            f"{kind}_duplicates",
            "warning",
            f"{said(len({p.second for p in within}))} another of the same split, the first: "
            f"{name(data, within[0].second)} and {name(data, within[0].first)}.",
            "'bench data' lists them in duplicates.csv; copies make a set look larger than it is.",
        )
    if disputed and kind == "near":
        labels = " and ".join(f"'{data.classes[k]}'" for k in disputed[0].labels)
        yield Finding(
            "near_duplicates_disagree",
            "warning",
            f"{said(len(disputed))} one with another label, the first: {name(data, disputed[0].first)} and "
            f"{name(data, disputed[0].second)}, labelled {labels}.",
            "'bench data' lists them in duplicates.csv; one of the two labels is probably wrong.",
        )
