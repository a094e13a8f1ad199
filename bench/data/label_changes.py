"""Augmentations that turn an image of one class into one of another.

What the label is follows from the set where we know it, else from the names of its classes: letters, `left turn` and
`right turn`, `red apple` and `green apple`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence

import numpy as np

from bench.data.finding import Finding
from bench.data.imagedata import ImageData
from bench.schema.dataset import Shapes
from bench.schema.experiment import Experiment
from bench.schema.pixels import Augment

WRITTEN = ("digits", "mnist5k", "mnist", "svhn", "kmnist", "emnist_letters")
DIGITS = set("0123456789")
MIRRORED = set("bdpq")  # letters that flips and turns make of each other
ANGLE = re.compile(r"(?:rot|rotated?|angle|orientation)?[\s_-]*(\d+)\s*(?:°|deg|degrees)?")
NUMBERS = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
# What a class is told apart by -> words for it.
WORDS = {
    "side": {"left", "right", "east", "west", "l", "r"},
    "height": {"up", "down", "upper", "lower", "top", "bottom", "above", "below", "north", "south"},
    "sense of rotation": {"clockwise", "counterclockwise", "cw", "ccw"},
    "size": {"small", "medium", "large", "big", "tiny"},
    "colour": {
        "red", "green", "blue", "yellow", "orange", "purple", "violet", "pink", "magenta", "cyan", "brown", "white",
        "black", "grey", "gray",
    },
    "brightness": {"dark", "bright", "light"},
}  # fmt: skip


def label_changes(exp: Experiment, data: ImageData) -> Iterator[Finding]:
    """A finding for each kind of augmentation of `exp` that changes what its classes are told apart by."""
    if not exp.trains:
        return
    a, what = exp.augment, labels_of(exp, data)
    policy = a.policy != "none"
    yield from _flips(a, what)
    if "writing" in what and (a.rotate >= 90 or a.policy == "trivialaugment"):
        yield _changes("rotation", "Large rotations turn one sign into another (a 6 into a 9).")
    for kind in ("side", "height"):
        if kind in what and a.rotate >= 90:
            yield _changes(
                "rotation", f"Large rotations turn {kind} into its opposite: the label is {kind}{what[kind]}."
            )
    if "orientation" in what and (a.rotate > 22.5 or policy):
        yield _changes("rotation", "Rotations turn one orientation into another (0 into 45 degrees).")
    if "position" in what and (max(a.shift, a.crop) > min(data.shape[1:]) / 8 or policy):
        yield _changes("shift", "Shifts move the object out of the position that is its label.")
    if "size" in what and a.scale > 0.15:
        yield _changes("scale", f"Scaling changes the size that is the label{what['size']}.")
    if "colour" in what and (a.hue > 0.05 or a.grey or a.saturation > 0.5 or policy):
        yield _changes("colour", f"Hue, saturation and grey change the colour that is the label{what['colour']}.")
    if "brightness" in what and (a.brightness > 0.2 or a.contrast > 0.2 or policy):
        yield _changes("brightness", f"Brightness and contrast change what is the label{what['brightness']}.")


def labels_of(exp: Experiment, data: ImageData) -> dict[str, str]:
    """What the classes are told apart by -> how that is known, for a message; empty where nothing is known."""
    if isinstance(exp.dataset, Shapes):
        return {exp.dataset.label: f" of {exp.dataset.source}"}
    found = {kind: f" ({pair})" for kind, pair in _pairs(tuple(data.classes)).items()}
    if exp.dataset.source in WRITTEN:
        found["writing"] = f" of {exp.dataset.source}"
    elif _signs(data):
        found["writing"] = f" ({', '.join(data.classes[:3])}{', ...' if len(data.classes) > 3 else ''})"
    angles = [ANGLE.fullmatch(name.strip().lower()) for name in data.classes]
    degrees = {int(angle.group(1)) for angle in angles if angle}
    if all(angles) and all(d % 45 == 0 and d < 360 for d in degrees) and degrees & {90, 180, 270}:
        found["orientation"] = f" ({', '.join(data.classes[:3])})"
    return found


def _flips(a: Augment, what: dict[str, str]) -> Iterator[Finding]:
    both = ("writing", "orientation", "position", "sense of rotation")
    horizontal: list[str] = [k for k in (*both, "side") if k in what and a.flip]
    vertical: list[str] = [k for k in (*both, "height") if k in what and a.flip_vertical]
    for kind in dict.fromkeys(horizontal + vertical):
        yield _changes("flip", f"A mirrored image may be of another class or of none: the label is {kind}{what[kind]}.")


@functools.lru_cache(maxsize=16)  # ten thousand points have few sets of images
def _pairs(classes: tuple[str, ...]) -> dict[str, str]:
    """Kind of word -> two classes that differ in it only."""
    return {kind: pair for kind, words in WORDS.items() if (pair := _pair(classes, words))}


def _pair(classes: Sequence[str], words: set[str]) -> str:
    """Two classes whose names differ in one of `words` only, or none."""
    seen: dict[tuple[str, ...], str] = {}
    for name in classes:
        text = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()  # LeftTurn
        parts = re.findall(r"[a-z]+|\d+", re.sub(r"(?:counter|anti)[\s_-]*clockwise", "counterclockwise", text))
        rest = tuple("" if part in words else part for part in parts)
        if "" in rest and rest in seen:
            return f"{seen[rest]}, {name}"
        seen[rest] = name
    return ""


def _signs(data: ImageData) -> bool:
    """Whether the classes are letters or digits, by their names; digits also by grey (they may be mere numbers)."""
    names = {name.lower() for name in data.classes}
    letters = all(len(name) == 1 and name.isalpha() for name in names)
    if letters:
        return len(names) >= 5 or len(names & MIRRORED) >= 2
    if names <= NUMBERS:
        return len(names) >= 5
    return names <= DIGITS and (len(names) >= 5 or {"6", "9"} <= names) and _grey(data)


def _grey(data: ImageData) -> bool:
    """Whether images hold no colour, also where they are stored with three channels."""
    if data.shape[0] == 1:
        return True
    some = np.asarray(data.images[data.train[:16]])
    return bool((some == some[:, :1]).all())


def _changes(what: str, reason: str) -> Finding:
    return Finding(f"{what}_changes_label", "warning", reason, "Leave this augmentation out for these labels.")
