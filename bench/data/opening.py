"""From a Dataset and a Split to ImageData and its fingerprint."""

from __future__ import annotations

import hashlib

import numpy as np

from bench.data import splits
from bench.data.cache import Entry, entry
from bench.data.imagedata import ImageData
from bench.data.sources import SOURCES
from bench.schema.dataset import Dataset, Split


def load(dataset: Dataset, split: Split) -> ImageData:
    """Images, labels and splits; the first call for a set decodes it, later ones open a memory map.

    Raises:
        RequestError: naming what is missing or damaged, or which disk is full.
    """
    found = entry(SOURCES[dataset.source], dataset)
    member = splits.split(found.labels, found.official, split)
    return ImageData(
        found.images(getattr(dataset, "workers", None)),
        found.labels,
        found.classes,
        *member,
        _fingerprint(found, member),
        _test_fingerprint(found, member),
        found.skipped,
        found.hashes,
    )


def fingerprint(dataset: Dataset, split: Split) -> str:
    """`load(dataset, split).fingerprint`, without touching the images where they have been decoded before."""
    found = entry(SOURCES[dataset.source], dataset)
    return _fingerprint(found, splits.split(found.labels, found.official, split))


def test_fingerprint(dataset: Dataset, split: Split) -> str:
    """`load(dataset, split).test_fingerprint`, likewise."""
    found = entry(SOURCES[dataset.source], dataset)
    return _test_fingerprint(found, splits.split(found.labels, found.official, split))


def _test_fingerprint(found: Entry, member: splits.Membership) -> str:
    return hashlib.sha256(found.digest.encode() + np.asarray(member.test, "<i8").tobytes()).hexdigest()


def _fingerprint(found: Entry, member: splits.Membership) -> str:
    digest = hashlib.sha256(found.digest.encode())
    for name, indices in member._asdict().items():
        digest.update(name.encode() + np.asarray(indices, "<i8").tobytes())
    return digest.hexdigest()
