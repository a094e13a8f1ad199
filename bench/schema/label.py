"""One spelling for the values of an axis, so that 0.1, '0.1' and '1e-1' are the same point."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any


def canonical_text(value: Any) -> str:
    """Canonical spelling: equal for two spellings of one value, different for different values."""
    return _spelled_once(value) if isinstance(value, str | int | float) else _spell(value)


def _spell(value: Any) -> str:
    number = to_number(value)
    if number is not None:
        return repr(number)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    items = _items(value)
    return str(value) if items is None else "[" + ",".join(canonical_text(v) for v in items) + "]"


# A table asks for the same few values a million times. 1, 1.0 and True are equal and are not one value.
_spelled_once = functools.lru_cache(maxsize=2**16, typed=True)(_spell)


def to_number(value: Any) -> float | None:
    """The number that an axis value is, YAML's strings such as '1e-3' included; None for anything else.

    Text that no number is written as (007, 1_000) is text: as labels '007', '07' and '7' are three.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and re.match(r"\s|[+-]?0\d|.*_|.*\s$", value):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def in_size(values: Sequence[Any]) -> list[float] | None:
    """The sizes of values that plainly have one; None for names, and for any that go with none of the others.

    Numbers; dates (2024-05-31); whole numbers between equal words (resnet18, 8x8 as 8 by 8, 50 epochs); percentages.
    """
    numbers = [n for value in values if (n := to_number(value)) is not None]
    if len(numbers) == len(values):
        return numbers
    if not all(isinstance(value, str) for value in values):
        return None
    if all(re.fullmatch(r"\d{4}-\d\d(-\d\d)?", value) for value in values) and len(set(map(len, values))) == 1:
        return [float(value.replace("-", "")) for value in values]
    found = [
        re.fullmatch(r"(\D*)(\d+)(\D*)", value)
        or re.fullmatch(r"()(\d+\.\d+)([\s%a-zA-Zµ]*)", value)
        or re.fullmatch(r"()(\d+)(x)\2", value)
        for value in values
    ]
    words = {(one[1].removesuffix("-"), one[3]) for one in found if one}
    return [float(one[2]) for one in found if one] if all(found) and len(words) == 1 else None


def show(value: Any) -> str:
    """As people write it: 0.001, 400-100, none."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    number, items = to_number(value), _items(value)
    if items is not None:
        return "-".join(show(v) for v in items) or "empty"
    return f"{number:.12g}" if number is not None else str(value)


def _items(value: Any) -> list[Any] | None:
    """A list, also one that a record holds as JSON text; None for anything else."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return list(value) if isinstance(value, list | tuple) else None


_OWN = {"folder": "dataset.root", "csv": "dataset.file", "huggingface": "dataset.name", "own": "dataset.name"}


def dataset_name(config: Mapping[str, Any]) -> str:
    """What a run's data are called: one's own images by their folder or file, others as they are known; "" unsaid."""
    source = str(config.get("dataset.source") or config.get("dataset.name") or "")
    place = str(config.get(_OWN.get(source, "")) or "").rstrip("/")
    return (place if source in ("huggingface", "own") else place.rpartition("/")[2]) or source
