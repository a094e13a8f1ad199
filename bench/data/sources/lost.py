"""What no file is left of where bad ones were skipped: a class, or a split that the set brings. Both stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from bench.data.sources.contract import TEST, TRAIN, UNASSIGNED, VAL
from bench.schema.errors import RequestError

NAMED = {TRAIN: "train", VAL: "val", TEST: "test"}


def refuse_lost(source: str, listed: Sequence[tuple[str, int]], good: Iterable[int]) -> None:
    """Raise RequestError where every file of a class or of an official split was left out.

    Runs would be about other classes; a test split that is gone would be drawn anew from train.

    Args:
        listed: (class, official split) of every file.
        good: the numbers of those that can be used.
    """
    good = list(good)
    lost = Counter(label for label, _ in listed)
    for label in {listed[i][0] for i in good}:
        del lost[label]
    if lost:
        classes = len({label for label, _ in listed})
        named = ", ".join(f"{label} ({count} files)" for label, count in list(lost.items())[:5])
        raise RequestError(
            f"{source}: not one file of {len(lost)} of {classes} classes can be used: {named}. "
            "dataset.on_bad_image=skip leaves out files, not classes: repair these, or take the class away."
        )
    splits = Counter(official for _, official in listed)
    for official in sorted(splits.keys() - {listed[i][1] for i in good} - {UNASSIGNED}):
        raise RequestError(
            f"{source}: not one file of the split {NAMED[official]} can be used ({splits[official]} files). "
            "dataset.on_bad_image=skip leaves out files, not splits: repair these, or take the split away, and "
            "another is drawn from train."
        )
