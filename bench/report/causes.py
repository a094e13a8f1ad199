"""What differs between two sets of runs beside their numbers, the likeliest cause first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.schema.label import canonical_text, show
from bench.track.record import parse_json

Word = Literal["identical", "equal within rounding", "compatible", "different", "undecided"]
PACKAGE_WEIGHT = {"torch": 80, "torchvision": 62, "pytorch-lightning": 60, "timm": 58, "faiss-cpu": 52, "numpy": 50}


@dataclass(frozen=True)
class Difference:
    """One way in which two environments differ; a higher weight is more suspicious."""

    name: str
    then: str
    now: str
    weight: int
    why: str


def environment(then: Sequence[Mapping[str, str]], now: Sequence[Mapping[str, str]]) -> list[Difference]:
    """How two environments differ, most suspicious first.

    Args:
        then, now: provenance of each run on the one and on the other side.
    """
    found = []
    for name, (weight, why) in _SUSPECTS.items():
        old, new = (list(dict.fromkeys(p[name] for p in side if p.get(name))) for side in (then, now))
        if old and new and set(old) != set(new):
            rank = weight + 15 * (name == "hardware" and len({" x " in text for text in (*old, *new)}) > 1)
            found.append(Difference(name, " / ".join(old), " / ".join(new), rank, why))
    old_packages = _packages([p.get("packages", "") for p in then])
    new_packages = _packages([p.get("packages", "") for p in now])
    for name in sorted(old_packages.keys() | new_packages.keys()):
        a, b = old_packages.get(name, "not recorded"), new_packages.get(name, "not recorded")
        if a != b and name != "imagebench":
            step = _step(a, b)
            weight = PACKAGE_WEIGHT.get(name, 20) + {"major": 8, "minor": 4}.get(step, 0)
            found.append(Difference(name, a, b, weight, f"package, other {step} version"))
    return sorted(found, key=lambda d: (-d.weight, d.name))


def own_settings(then: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any]) -> list[Difference]:
    """The settings that whoever runs again gave, where the recorded runs had others: the first cause to think of.

    Args:
        then: flat settings of the recorded runs.
    """
    out = []
    for name, given in overrides.items():
        recorded = {canonical_text(config.get(name)): show(config.get(name)) for config in then}
        if set(recorded) != {canonical_text(given)}:
            out.append(Difference(name, " / ".join(recorded.values()), show(given), 120, "your own setting"))
    return out


_SUSPECTS = {
    "data_fingerprint": (100, "other images, labels or split"),
    "weights_sha256": (95, "other weights to start from"),
    "git_commit": (90, "other code"),
    "git_dirty": (85, "uncommitted changes in the code"),
    "hardware": (68, "other kernels, other last digits"),
    "threads": (66, "sums in another order, other last digits"),
    "platform": (55, "other system"),
    "python": (30, "other Python"),
}


def _packages(texts: Sequence[str]) -> dict[str, str]:
    out: dict[str, list[str]] = {}
    for text in dict.fromkeys(texts):
        try:
            versions = parse_json(text) if text else {}
        except ValueError:
            continue
        for name, version in versions.items() if isinstance(versions, dict) else ():
            out.setdefault(name, []).append(str(version))
    return {name: " / ".join(dict.fromkeys(versions)) for name, versions in out.items()}


def _step(a: str, b: str) -> str:
    """Which part of two version numbers differs first."""
    one, other = (re.findall(r"\d+", text)[:3] for text in (a, b))
    for name, x, y in zip(("major", "minor", "patch"), one, other, strict=False):
        if x != y:
            return name
    return "build"
