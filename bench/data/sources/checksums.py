"""Which file it was: torchvision says no more than "File not found or corrupted"."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def mismatches(made: type) -> Iterator[dict[Path, str]]:
    """Notes the files that torchvision compares with a checksum and finds different.

    Args:
        made: torchvision's class of the set, whose module compares the files that it finds; its `utils` compare what
            they have downloaded.

    Yields:
        file -> the expected MD5 (hex), for those that are there but are others; filled while the context is open.
    """
    import torchvision.datasets.utils as utils

    noted: dict[Path, str] = {}
    theirs = utils.check_integrity

    def check(path: Any, md5: str | None = None) -> bool:
        good = theirs(path, md5)
        if not good and md5 is not None and Path(path).is_file():
            noted[Path(path)] = md5
        return good

    holders: list[Any] = [utils, *(sys.modules[base.__module__] for base in made.__mro__)]
    holders = [holder for holder in holders if getattr(holder, "check_integrity", None) is theirs]
    for holder in holders:
        holder.check_integrity = check
    try:
        yield noted
    finally:
        for holder in holders:
            holder.check_integrity = theirs


def mismatch_sentence(noted: dict[Path, str]) -> str:
    """A sentence for each file: what was expected, what is there."""
    return " ".join(
        f"The MD5 of {path} is {hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}, expected {md5}; "
        "it was left as it is. Remove or replace it."
        for path, md5 in noted.items()
        if path.is_file()
    )
