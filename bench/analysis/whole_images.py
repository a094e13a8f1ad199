"""Accuracies are whole numbers of images: one that is none was not measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from bench.analysis import predictions
from bench.analysis.artifacts import Reader
from bench.analysis.naming import point
from bench.track.record import Record

SHARES = ("accuracy", "top5")  # of the images of a split
PLACE = {"val": 1, "test": 2, "corrupt": 2}  # in "train/val/test"; corruptions are of test images
ROOM = 1e-6  # of an image
# Classes with equal scores share their places, so that an image may count in parts. Scores of few bits tie often; of a
# network that ends in ReLU dead classes are equal, which concerns the fifth place before the first.
EXACT = {"32", "tf32"}  # precisions of many bits
PARTS = 2520  # parts of an image among up to ten classes: lcm(1, ..., 10)
# Where the number of images has to be found: the largest one tried, from how many distinct values, of how many at most.
MOST, FEWEST, MANY, MULTIPLES = 100_000, 3, 100, 12


def faults(records: Sequence[Record], reader: Reader | None = None) -> list[str]:
    """Where an accuracy is no whole number of images, one line each.

    Runs whose classes tie are left out: by what was kept of them their accuracy is held to the last digit
    (`predictions.faults`).

    How many images there were is in the provenance. Records of earlier versions do not have it: there it is the
    smallest number that fits more than half of the values on one split, or the multiple of it that fits the most, so
    that an edit of few is seen.
    """
    out = []
    for (_, split, counted), found in _by_split(records, reader).items():
        count = counted or _fitting([value for _, _, value in found])
        for record, name, value in found if count else ():
            if not _whole(value, count * (PARTS if name.endswith("/top5") else 1)):
                where = f"{point(record.axes) or 'the only point'}, seed {record.seed}"
                out.append(f"{where}: {name} is {value:.6g}: {value * count:.2f} of {count:,} {split} images")
    return out


Value = tuple[Record, str, float]  # the record, its metric's name, the value


def _by_split(records: Iterable[Record], reader: Reader | None) -> dict[tuple[str, str, int], list[Value]]:
    """(data, split, its number of images or 0) -> the shares of images measured on it."""
    out: dict[tuple[str, str, int], list[Value]] = defaultdict(list)
    for record in records:
        if record.status != "finished" or _ties(record, reader):
            continue
        counts = record.provenance.get("images", "").split("/")
        for name, value in record.metrics.items():
            split = name.partition("/")[0]
            if name.rpartition("/")[2] in SHARES and split in PLACE:
                place = PLACE[split]
                counted = int(counts[place]) if len(counts) == 3 and counts[place].isdecimal() else 0
                data = record.provenance.get("data_fingerprint", "")
                out[data, "val" if split == "val" else "test", counted].append((record, name, value))
    return out


def _ties(record: Record, reader: Reader | None) -> bool:
    """Whether classes of a run have, or may have, equal scores."""
    if record.config.get("model.family") == "knn" or str(record.config.get("trainer.precision", "32")) not in EXACT:
        return True
    kept = predictions.of(record, reader) if reader is not None else None
    return kept is not None and any(name.endswith("_sharing") for name in kept)


def _whole(share: float, count: int) -> bool:
    return abs(share * count - round(share * count)) <= ROOM


def _fitting(values: Sequence[float]) -> int:
    """The smallest number of images of which more than half of the distinct values are whole; 0 where none fits."""
    distinct = np.array(sorted({v for v in values if 0 < v < 1})[:MANY])
    if len(distinct) < FEWEST:
        return 0
    for start in range(2, MOST, 5000):
        counts = np.arange(start, start + 5000)
        shares = counts[:, None] * distinct
        fits = (np.abs(shares - shares.round()) <= ROOM).sum(axis=1) > len(distinct) / 2
        if fits.any():
            # Half of the values may be even by chance, so that half of the images would do.
            multiples = counts[fits.argmax()] * np.arange(1, MULTIPLES + 1)
            shares = multiples[:, None] * distinct
            return int(multiples[(np.abs(shares - shares.round()) <= ROOM).sum(axis=1).argmax()])
    return 0
