"""Names of classes: their order, those that differ in spelling only, those that are no names."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bench.data.sources.contract import Note
from bench.schema.errors import RequestError

TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they show a line's letters in another order
LOOKALIKES = str.maketrans("\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455", "aeopcyxijs")  # Cyrillic
QUOTES = "'\"`\u2018\u2019\u201c\u201d"
LISTED = QUOTES + "[](){} "
LEAST = 5  # images, of which each has a label of its own: no column of classes
UNSAID = ("na", "n.a.", "none", "?", "??", "???", "-", "--", "unknown", "unlabeled", "unlabelled", "undefined", "inf",
          "-1", "missing", "tbd", "todo", "unassigned", "unclassified", "no label", "not labeled")  # fmt: skip
UNLABELLED = ("unlabeled", "unlabelled", "unclassified", "unassigned", "unsorted", "no label", "not labeled")  # folders
NO_LABEL = ("nan", "-nan", "<na>", "#n/a", "#na", "n/a", "null", "nat")  # what tables hold where a label is missing


def unshown(name: str) -> bool:
    """Whether a name holds what breaks a table: control characters, turns of direction, bytes that are not UTF-8."""
    return any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in TURNS for c in name)


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
    shown = natural if len(natural) < 5 else (*natural[:3], "...", natural[-1])
    return natural, (f"Classes are in the order of their numbers: {', '.join(shown)}.",)


def sound(name: str) -> str:
    """What two spellings of one name have in common.

    They may differ in case, Unicode form, spaces, signs without a width, quotes, Cyrillic letters that look Latin, the
    zeros of 007, and be 1 and True.
    """
    text = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf").casefold()
    text = text.translate(LOOKALIKES) if re.search("[a-z]", text) else text
    text = re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", text.strip().strip(QUOTES).strip() or text)
    text = {"true": "1", "false": "0"}.get(text, text)
    return str(int(text)) if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII) else text


def note_similar_names(names: Iterable[str]) -> list[Note]:
    """A note where names of classes differ in their spelling only."""
    if not (shown := similar_names(names)):
        return []
    return [
        (
            "classes_alike",
            f"Classes differ in their spelling only: {shown}.",
            "If they are one class, give it one name: until then a model is asked to tell them apart.",
        )
    ]


def similar_names(names: Iterable[str]) -> str:
    """Names that differ only in case, Unicode form, spaces (or - and _ for them) or the zeros of a number, as text."""
    seen: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        seen.setdefault(sound(name), []).append(name)
    doubles = ["'" + "' and '".join(group) + "'" for group in seen.values() if len(group) > 1]
    return "; ".join(doubles[:5])


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
    check_numbers(where, counts)
    return tuple(note_unsaid(counts, UNSAID))


def check_numbers(where: str, names: Iterable[str]) -> None:
    """Raise RequestError where one number is spelled in two ways, as 1 and 1.0; 007 and 7 may be names."""
    spelled: dict[float, str] = {}
    for name in sorted(set(names), key=lambda name: (len(name), name)):
        if re.fullmatch(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", name, re.ASCII | re.IGNORECASE):
            other = spelled.setdefault(float(name), name)
            if other != name and not (name.isdigit() and other.isdigit()):
                raise RequestError(
                    f"{where}: '{other}' and '{name}' are one number spelled in two ways. Write it in one way."
                )


def note_unsaid(counts: Mapping[str, int], words: Sequence[str]) -> list[Note]:
    """A note for each class whose name reads as if its images had no label.

    Args:
        counts: name -> number of images.
        words: such names, in small letters.
    """
    return [
        (
            "label_missing",
            f"{count} images are of a class '{label}', which reads as if they had no label.",
            "If they have none, take them out: until then a model is asked to know them.",
        )
        for label, count in counts.items()
        if label.casefold() in words
    ]


def note_several(labels: Iterable[str]) -> list[Note]:
    """A note where a label seems to name several classes: cat|dog beside cat, or beside dog|cat."""
    names = set(labels)
    single = {name.strip(LISTED) for name in names}  # ['cat'] beside ['cat', 'dog'], as tables of lists are saved
    several: list[str] = []
    for separator in ("|", ";", ",", "+", "&", "/"):
        parts = {name: frozenset(p.strip(LISTED) for p in name.split(separator)) for name in names if separator in name}
        alike = Counter(parts.values())
        several += [name for name, some in parts.items() if len(some) > 1 and (some <= single or alike[some] > 1)]
    if not several:
        return []
    shown = "', '".join(sorted(several)[:4])
    return [
        (
            "several_labels",
            f"Labels seem to name several classes at once: '{shown}'.",
            "Each such combination counts as a class of its own: give each image one label, or take these out.",
        )
    ]
