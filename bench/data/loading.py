"""From a Dataset and a Split to ImageData and its fingerprint."""

from __future__ import annotations

import hashlib

import numpy as np

from bench.data import splits
from bench.data.cache import entry
from bench.data.entry import Entry
from bench.data.groups import group_notes, groups_of
from bench.data.imagedata import ImageData
from bench.data.sources import SOURCES
from bench.schema.dataset import Dataset, Split


def load(dataset: Dataset, split: Split) -> ImageData:
    """Images, labels and splits; the first call for a set decodes it, later ones open a memory map.

    Raises:
        RequestError: naming what is missing or damaged, or which disk is full.
    """
    found, member = _split(dataset, split)
    return ImageData(
        found.images(getattr(dataset, "workers", None)),
        splits.with_noise(found.labels, member.train, split, len(found.classes)),
        found.classes,
        *member,
        _fingerprint(found, member),
        _test_fingerprint(found, member),
        found.skipped,
        found.hashes,
        groups_of(found, split),
        (*found.notes, *group_notes(found, split)),
        found.remarks,
        found,
    )


def fingerprint(dataset: Dataset, split: Split) -> str:
    """`load(dataset, split).fingerprint`, without touching the images where they have been decoded before."""
    return _fingerprint(*_split(dataset, split))


def test_fingerprint(dataset: Dataset, split: Split) -> str:
    """`load(dataset, split).test_fingerprint`, likewise."""
    return _test_fingerprint(*_split(dataset, split))


def _split(dataset: Dataset, split: Split) -> tuple[Entry, splits.Membership]:
    found = entry(SOURCES[dataset.source], dataset)
    return found, splits.split(found.labels, found.official, split, groups_of(found, split), found.origins)


def _test_fingerprint(found: Entry, member: splits.Membership) -> str:
    return hashlib.sha256(found.digest.encode() + np.asarray(member.test, "<i8").tobytes()).hexdigest()


def _fingerprint(found: Entry, member: splits.Membership) -> str:
    digest = hashlib.sha256(found.digest.encode())
    for name, indices in member._asdict().items():
        digest.update(name.encode() + np.asarray(indices, "<i8").tobytes())
    return digest.hexdigest()
