"""Names of classes: their order, and those that differ in spelling only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from bench.data.sources.contract import Note


def in_order(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the classes in their order, a remark where it is not that of the alphabet).

    Where every name is a number, or text with one number after it (class2, class10), numbers count as such.
    """
    alphabet = tuple(sorted(names))
    parts = [re.fullmatch(r"(\D*)(\d+)", name) for name in alphabet]
    if not all(parts) or len({p.group(1) for p in parts if p}) > 1:
        return alphabet, ()
    natural = tuple(sorted(alphabet, key=lambda name: (int(re.sub(r"\D", "", name)), name)))
    if natural == alphabet:
        return alphabet, ()
    return natural, (f"Classes are in the order of their numbers: {', '.join(natural[:3])}, ..., {natural[-1]}.",)


def alike(names: Iterable[str]) -> list[Note]:
    """A note where names differ in upper and lower case, in Unicode form or in spaces around them only."""
    seen: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        seen.setdefault(unicodedata.normalize("NFKC", name).casefold().strip(), []).append(name)
    doubles = ["'" + "' and '".join(group) + "'" for group in seen.values() if len(group) > 1]
    if not doubles:
        return []
    return [
        (
            "classes_alike",
            f"Classes differ in their spelling only: {'; '.join(doubles[:5])}.",
            "If they are one class, give it one name: until then a model is asked to tell them apart.",
        )
    ]
