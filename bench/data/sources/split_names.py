"""What people call train, val and test: names of folders, values of a column, splits of the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bench.data.sources.contract import TEST, TRAIN, VAL

SPLITS = {
    **dict.fromkeys(("train", "training", "trn", "trained"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "validate", "validating", "dev", "development"), VAL),
    **dict.fromkeys(("test", "testing", "tests", "tst", "holdout", "heldout", "unseen"), TEST),
}
EITHER = ("eval", "evaluation", "evaluate")  # the test split, or val where another one is called test
# Words that say nothing of which split it is. Longest first: they are also cut from the end of a word (trainset).
FILLERS = ("datasets", "dataset", "samples", "folder", "images", "photos", "image", "split", "files", "data", "imgs",
           "sets", "img", "set", "raw")  # fmt: skip


def split_of(name: str) -> int | str | None:
    """TRAIN, VAL or TEST, "either" for a name such as eval, None for what is no split's name.

    Case, digits, separators and words such as set, data and images do not matter: Train_Data, testset, val2017.
    """
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    rest = "".join(word for word in words if word not in FILLERS)
    for filler in ("", *FILLERS):
        word = rest.removesuffix(filler)
        if word in EITHER:
            return "either"
        if word in SPLITS:
            return SPLITS[word]
    return None


def assigned(names: Iterable[str]) -> dict[str, int]:
    """Each name that is a split's -> TRAIN, VAL or TEST, where names such as eval are settled by the others."""
    found = {name: split_of(name) for name in names}
    plain = {name: split for name, split in found.items() if isinstance(split, int)}
    other = VAL if TEST in plain.values() else TEST
    return {name: plain.get(name, other) for name, split in found.items() if split is not None}
