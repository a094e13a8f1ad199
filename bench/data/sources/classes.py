"""Names of classes: their order, those that differ in spelling only, those that are no names."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from bench.data.sources.contract import Note
from bench.schema.errors import RequestError

LEAST = 5  # images, of which each has a label of its own: no column of classes
UNSAID = ("na", "none", "?", "-", "--", "unknown", "unlabeled", "unlabelled", "undefined", "inf", "-1")


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


def _sound(name: str) -> str:
    """What two spellings of one name have in common: case, Unicode form, spaces, signs without a width, 007 and 7."""
    text = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf").casefold()
    text = re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", text.strip())
    return str(int(text)) if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII) else text


def note_similar_names(names: Iterable[str]) -> list[Note]:
    """A note where names differ only in case, Unicode form, spaces (or - and _ for them) or the zeros of a number."""
    seen: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        seen.setdefault(_sound(name), []).append(name)
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


def label_notes(where: str, labels: Sequence[str]) -> tuple[Note, ...]:
    """Notes about the labels of a list.

    Args:
        where: how messages call the column.

    Raises:
        RequestError: where one number is spelled in two ways (1 and 1.0), as tables with gaps are saved; where each
            image has a label of its own.
    """
    counts = Counter(labels)
    if len(counts) == len(labels) >= LEAST:
        raise RequestError(
            f"{where} holds {len(labels)} different values for {len(labels)} images, such as {labels[0]}: it names no "
            "classes. Say which column does: dataset.label_column=NAME."
        )
    spelled: dict[float, str] = {}
    for label in sorted(counts, key=lambda label: (len(label), label)):
        if re.fullmatch(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", label, re.ASCII | re.IGNORECASE):
            other = spelled.setdefault(float(label), label)
            if other != label and not (label.isdigit() and other.isdigit()):  # 007 and 7 may be names
                raise RequestError(
                    f"{where}: '{other}' and '{label}' are one number spelled in two ways. Write it in one way."
                )
    unsaid = [label for label in counts if label.casefold() in UNSAID]
    return tuple(
        (
            "label_missing",
            f"{counts[label]} images are of a class '{label}', which reads as if they had no label.",
            "If they have none, take them out: until then a model is asked to know them.",
        )
        for label in unsaid
    )
