"""Groups: images that belong together (a patient, a camera, a scene) and are never on two sides of a split."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import Entry
from bench.data.sources.classes import NO_LABEL, check_numbers, similar_names
from bench.data.sources.contract import Note
from bench.schema.dataset import Split
from bench.schema.errors import RequestError, suggestion

Indices = NDArray[np.int64]
PASSES = 10  # over all groups, until none moves any more


def groups_of(entry: Entry, split: Split) -> Indices | None:
    """A number for each image's group, int64 [N], by `split.group`; None where the split asks for none.

    It is a hash of the group's name, so that it stays when other groups come.

    Raises:
        RequestError: where no column has that name, the pattern does not fit a path, a name says none, or one number
            is spelled in two ways.
    """
    if split.group is None:
        return None
    names = _names(entry, split.group)
    empty = [i for i, name in enumerate(names) if not name.strip() or name.strip().casefold() in (*NO_LABEL, "none")]
    if empty:
        paths = entry.listing["paths"]
        where = paths[empty[0]] if paths else f"image {empty[0]}"
        raise RequestError(
            f"split.group={split.group}: {len(empty)} of {len(names)} images have no group, the first is {where}. "
            "Give each a group; one that stands alone is a group of its own."
        )
    check_numbers(f"split.group={split.group}", names)
    number = {
        name: int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest(), "little") for name in set(names)
    }
    return np.array([number[name] for name in names], np.int64)


def group_notes(entry: Entry, split: Split) -> tuple[Note, ...]:
    """Notes about groups that may not keep together what belongs together."""
    if split.group is None:
        return ()
    names = set(found := _names(entry, split.group))
    notes: list[Note] = []
    if shown := similar_names(names):
        notes.append(
            (
                "groups_alike",
                f"Groups of split.group={split.group} differ in their spelling only: {shown}.",
                "If they are one, write them alike: until then its images may be on two sides of the split.",
            )
        )
    if len(names) == len(found):
        notes.append(
            (
                "groups_single",
                f"split.group={split.group} makes each of the {len(found)} images a group of its own.",
                "So nothing is kept together: name what several images share.",
            )
        )
    return tuple(notes)


def _names(entry: Entry, group: str) -> Sequence[str]:
    """The name of each image's group, [N]; raises RequestError where no column has that name and no pattern fits."""
    paths: Sequence[str] = entry.listing["paths"] or []
    columns: dict[str, Sequence[str]] = entry.listing["columns"]
    if group in columns:
        return columns[group]
    if "{group}" in group and paths:
        return _by_pattern(group, paths)
    known = f" Columns: {', '.join(columns)}." if columns else ""
    pattern = " Or a pattern of the path: split.group='*/{group}_*'." if paths else ""
    raise RequestError(
        f"split.group={group}: no such column.{suggestion(group, columns)}{known}{pattern}"
        + ("" if columns or paths else " This set says nothing of its images but their labels.")
    )


def assign(groups: Indices, labels: Indices, shares: Sequence[float], seed: int) -> Indices:
    """The part of each image, int64 [n]: whole groups, every class as near to the shares as they allow.

    Groups come one by one, the largest first and equal ones in the seed's order; each goes where the sum over parts
    and classes of squared relative distances from the shares becomes smallest, and moves on while that helps (as
    scikit-learn's StratifiedGroupKFold, for unequal parts).

    Args:
        groups, labels: of n images.
        shares: what each part should hold, as a fraction of all; their sum is 1.
    """
    _, group = np.unique(groups, return_inverse=True)
    _, label = np.unique(labels, return_inverse=True)
    counts = np.zeros((group.max() + 1, label.max() + 1))
    np.add.at(counts, (group, label), 1)
    relative = counts / counts.sum(0)  # [G, K]
    wanted = np.array(shares)[:, None]  # [P, 1]
    order = np.random.RandomState([seed, 2]).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    filled = np.zeros((len(shares), counts.shape[1]))
    part = np.zeros(len(counts), np.int64)
    for again in range(PASSES):
        before = part.copy()
        for g in order:
            if again:
                filled[part[g]] -= relative[g]
            # Of the sum over parts only the part that takes the group changes.
            change = ((filled + relative[g] - wanted) ** 2 - (filled - wanted) ** 2) / wanted
            part[g] = int(np.argmin(np.round(change.sum(1), 12)))
            filled[part[g]] += relative[g]
        if again and (part == before).all():
            break
    for empty in range(len(shares)):
        held = np.bincount(part, minlength=len(shares))
        if not held[empty] and held.max() > 1:  # few groups: the smallest one of the part that has most
            part[order[part[order] == held.argmax()][-1]] = empty
    return part[group]


def _by_pattern(pattern: str, paths: Sequence[str]) -> list[str]:
    """What stands for {group} in each path; * is anything but a slash, ** anything."""
    if pattern.count("{group}") > 1:
        raise RequestError(f"split.group={pattern}: {{group}} may stand there once; * stands for what else differs.")
    text = re.escape(pattern).replace(r"\{group\}", "(?P<group>[^/]+?)")
    text = text.replace(r"\*\*", ".*?").replace(r"\*", "[^/]*?")
    fits = re.compile(text)
    out = []
    for path in paths:
        found = fits.fullmatch(re.sub(r"^line \d+: ", "", path))
        if found is None:
            raise RequestError(
                f"split.group={pattern} does not fit {path}. * stands for anything but a slash, {{group}} for the "
                "group."
            )
        out.append(found["group"])
    return out
