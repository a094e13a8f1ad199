"""Train, val and test: stratified, drawn with a seed of their own, the official ones respected.

Own code where scikit-learn has `train_test_split`: planning a sweep needs membership in milliseconds (importing
scikit-learn takes two seconds), and the membership is part of the run key, so it may not change with a library's
version. NumPy promises that of RandomState's stream (NEP 19), not of Generator's.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.groups import assign
from bench.data.imagedata import ImageData
from bench.data.sources.contract import TEST, VAL
from bench.disk import write_atomically
from bench.schema.dataset import Split
from bench.schema.errors import RequestError

Indices = NDArray[np.int64]


class Membership(NamedTuple):
    """Sorted int64 indices of each split; disjoint. A training subset leaves images in no split."""

    train: Indices
    val: Indices
    test: Indices


def split(
    labels: NDArray[np.int64],
    official: NDArray[np.int8],
    how: Split,
    groups: Indices | None = None,
    origins: NDArray[np.uint64] | None = None,
) -> Membership:
    """Who belongs where.

    An official test (or val) split stays what it is; what the publisher did not assign is drawn from
    the other images, the same share of each class. k-fold with an official test split rotates val,
    and takes an official val split into the rotation.

    Args:
        labels: int64 [N].
        official: int8 [N], see `bench.data.sources.contract`.
        groups: int64 [N]; images of one group never come into two splits.
        origins: uint64 [N], of the content, for `split=hash`.

    Raises:
        RequestError: where a split would be empty, or an official split cuts through a group.
    """
    drawn = (
        _by_content(labels, official, how, groups, origins)
        if how.kind == "hash"
        else _drawn(labels, official, how, groups)
    )
    if groups is not None:
        _check_groups(drawn, groups)
    made = Membership(*(np.sort(part) for part in drawn))
    for name, indices in made._asdict().items():
        if not len(indices):
            inside, remedy = "", "Use more images, or a larger fraction."
            most = int(np.bincount(labels).max()) if len(labels) else 0
            if not official.any() and most < 3:
                remedy = f"Each split needs images of a class, and the largest class has {most}: expected 3 or more."
            if groups is not None:
                count = len(np.unique(groups))
                inside = f" in {count} group{'s' if count != 1 else ''}"
                remedy = "Each split needs a group of its own, and whole ones: use more or smaller groups."
            raise RequestError(
                f"split: {name} would be empty ({len(labels)} images{inside}; {how.kind}, val={how.val}, "
                f"{f'folds={how.folds}' if how.kind == 'kfold' else f'test={how.test}'}). {remedy}"
            )
    _check_classes(made, labels)
    return made


def _drawn(
    labels: NDArray[np.int64], official: NDArray[np.int8], how: Split, groups: Indices | None
) -> tuple[Indices, Indices, Indices]:
    """(train, val, test) of a holdout or a fold, as the seed draws them."""
    order = np.random.RandomState(how.seed).permutation(len(labels)).astype(np.int64)
    assigned = official[order]
    test = order[assigned == TEST]
    if how.kind == "kfold":
        test, val, rest = _fold(test, order[assigned != TEST], labels, how, groups)
    else:
        val, rest = order[assigned == VAL], order[(assigned != TEST) & (assigned != VAL)]
        drawn = not len(test)
        if drawn:
            test, rest = hold_out(rest, labels, how.test, how.seed, groups)
        if not len(val):
            val, rest = hold_out(rest, labels, how.val, how.seed, groups)
        if drawn and groups is not None and not len(val) and len(np.unique(groups[test])) > 1:
            # One group holds nearly all and is train's: the small ones, all of which went to test, are shared.
            val, test = hold_out(test, labels, how.val / (how.val + how.test), how.seed, groups)
    return subset(rest, labels, how, groups), val, test


def _by_content(
    labels: NDArray[np.int64],
    official: NDArray[np.int8],
    how: Split,
    groups: Indices | None,
    origins: NDArray[np.uint64] | None,
) -> tuple[Indices, Indices, Indices]:
    """(train, val, test) where each image's own content, or that of its group, draws its place: others do not matter.

    A number of [0, 1) for each image comes of its hash and the seed; below `test` it is test, and so on.
    """
    keys = groups if groups is not None else origins
    assert keys is not None
    place = np.array([_number(f"{how.seed}:{key}") for key in keys.tolist()], np.float64)
    order = np.argsort(place, kind="stable").astype(np.int64)
    assigned, place = official[order], place[order]
    free = (assigned != TEST) & (assigned != VAL)
    has_test, has_val = (official == TEST).any(), (official == VAL).any()
    below = 0.0 if has_test else how.test
    test = (assigned == TEST) | (free & (place < below))
    upper = below if has_val else below + (1 - below) * how.val
    val = (assigned == VAL) | (free & (place >= below) & (place < upper))
    return subset(order[~test & ~val], labels, how, groups), order[val], order[test]


def _number(text: str) -> float:
    """A number of [0, 1) that a text decides."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "little") / 2**48


def with_noise(labels: NDArray[np.int64], train: Indices, how: Split, classes: int) -> NDArray[np.int64]:
    """The labels, of which `label_noise` of the training images' are drawn from all classes; drawn by the split's seed.

    A larger share holds a smaller one, with the same draws.
    """
    if not how.label_noise:
        return labels
    rng = np.random.RandomState((how.seed + 0x9E3779B9) % 2**32)  # not the order in which the split was drawn
    order, drawn = rng.permutation(len(labels)), rng.randint(classes, size=len(labels))
    chosen = order[np.isin(order, train)][: round(how.label_noise * len(train))]
    out = labels.copy()
    out[chosen] = drawn[chosen]
    return out


def _check_classes(made: Membership, labels: NDArray[np.int64]) -> None:
    """Raise RequestError where val or test has no class in common with train: their scores could only be zero."""
    learned = np.unique(labels[made.train])
    for name, part in (("val", made.val), ("test", made.test)):
        if not np.isin(labels[part], learned).any():
            raise RequestError(
                f"split: every image of {name} is of a class that train has no image of ({len(learned)} classes in "
                f"train, {len(np.unique(labels[part]))} others in {name}), so nothing could be right. Where the set "
                "brings its own splits, give them the same classes; where they are drawn, use more images or groups "
                "of each class."
            )


def _check_groups(parts: tuple[Indices, Indices, Indices], groups: Indices) -> None:
    """Raise RequestError where a group is on two sides: only official splits do that."""
    inside = [set(groups[part].tolist()) for part in parts]
    shared = (inside[0] & inside[1]) | (inside[0] & inside[2]) | (inside[1] & inside[2])
    if shared:
        raise RequestError(
            f"split.group: the set's own splits cut through {len(shared)} of {len(np.unique(groups))} groups. "
            "Draw the splits (dataset.split_column=null for a list, one folder without train/ and test/), "
            "or leave the group out."
        )


def hold_out(
    indices: Indices, labels: NDArray[np.int64], fraction: float, seed: int, groups: Indices | None = None
) -> tuple[Indices, Indices]:
    """(held out, the rest) of `indices`: the first round(fraction n_c) of each class, by largest remainders.

    The total is round(fraction N), or less where that would take the last image of a class from the rest. Equal
    remainders are drawn by the seed. Where no class has a right to an image of its own (fraction n_c < 1 for all),
    remainders are chances: the largest ones alone would always leave the same classes out.
    """
    if groups is not None and len(indices):
        held = assign(groups[indices], labels[indices], (fraction, 1 - fraction), seed) == 0
        return indices[held], indices[~held]
    rank, inverse, counts = _ranks(indices, labels)
    share = np.minimum(counts * fraction, counts - 1)
    quota = np.floor(share).astype(np.int64)
    missing = round(len(indices) * fraction) - int(quota.sum())
    for c in _next_in_line(share, max(missing, 0), seed):
        quota[c] += quota[c] < counts[c] - 1
    held = rank < quota[inverse]
    return indices[held], indices[~held]


def _next_in_line(share: NDArray[np.float64], count: int, seed: int) -> Indices:
    """The `count` classes that get one image more than the whole part of their share.

    Its own stream: drawing ties changes nothing where there are none, so the splits of earlier runs stay.
    """
    stream = np.random.RandomState([seed, 1])
    drawn = stream.permutation(len(share))
    if count and share.max() < 1:  # a place on a circle that is as long as the share, and `count` equal steps around it
        ends = np.cumsum(share[drawn])
        if not ends[-1]:  # one image a class: none can be spared
            return drawn[:0].astype(np.int64)
        steps = (stream.uniform() + np.arange(count)) * (ends[-1] / count)
        places = np.minimum(np.searchsorted(ends, steps, side="right"), len(ends) - 1)  # rounding may lead past the end
        return drawn[np.unique(places)].astype(np.int64)
    remainder = np.round(share - np.floor(share), 9)
    return drawn[np.argsort(-remainder[drawn], kind="stable")][:count].astype(np.int64)


def subset(indices: Indices, labels: NDArray[np.int64], how: Split, groups: Indices | None = None) -> Indices:
    """The training subset: the first ceil(train_fraction n_c), or the first train_per_class, of each class.

    With groups, one group after the other in the order of `indices`, so that a small subset holds few of them.
    """
    if groups is not None and len(indices):
        _, first, inverse = np.unique(groups[indices], return_index=True, return_inverse=True)
        indices = indices[np.argsort(first[inverse], kind="stable")]
    rank, inverse, counts = _ranks(indices, labels)
    if how.train_per_class is not None:
        return indices[rank < how.train_per_class]
    return indices[rank < np.ceil(how.train_fraction * counts - 1e-9)[inverse]]


def save(data: ImageData, path: Path) -> None:
    """Write the membership as a compressed .npz: index arrays train, val and test, the fingerprint, and
    the name of each image's file where there are files."""
    # By way of memory: a full disk is then told as one, whatever the library makes of it.
    np.savez_compressed(
        members := io.BytesIO(),
        allow_pickle=False,
        train=data.train,
        val=data.val,
        test=data.test,
        fingerprint=np.array(data.fingerprint),
        **({} if data.paths is None else {"files": np.array(data.paths)}),
    )
    write_atomically(path, members.getvalue())


def _fold(
    test: Indices, pool: Indices, labels: NDArray[np.int64], how: Split, groups: Indices | None
) -> tuple[Indices, Indices, Indices]:
    """(test, val, train) of fold `how.fold`: every folds-th image of the pool in the order of its classes.

    The seed draws the order of the classes, which says where the images go that folds do not divide.
    """
    fold = np.zeros(len(labels), np.int64)
    if groups is not None:
        fold[pool] = assign(groups[pool], labels[pool], (1 / how.folds,) * how.folds, how.seed)
    else:
        names, inverse = np.unique(labels[pool], return_inverse=True)
        turn = np.random.RandomState([how.seed, 1]).permutation(len(names))
        by_class = pool[np.argsort(turn[inverse], kind="stable")]
        fold[by_class] = np.arange(len(by_class)) % how.folds
    chosen = fold[pool] == how.fold
    if len(test):
        return test, pool[chosen], pool[~chosen]
    return (pool[chosen], *hold_out(pool[~chosen], labels, how.val, how.seed, groups))


def _ranks(indices: Indices, labels: NDArray[np.int64]) -> tuple[Indices, Indices, Indices]:
    """Rank of each image within its class in the order of `indices`; its class's position; images a class."""
    _, inverse, counts = np.unique(labels[indices], return_inverse=True, return_counts=True)
    by_class = np.argsort(inverse, kind="stable")
    rank = np.empty(len(indices), np.int64)
    rank[by_class] = np.arange(len(indices)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank, inverse, counts
