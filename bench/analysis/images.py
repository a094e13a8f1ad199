"""What the kept predictions say beside the seeds: other test images, one image at a time, seeds together.

An interval over seeds holds for one set of test images. Here both are drawn anew: the seeds that trained, and the
images that tested. Where a model says the same at every seed (neighbours, class means) only the images are left.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis import predictions
from bench.analysis.artifacts import Reader
from bench.analysis.contrast import terms
from bench.analysis.frame import Frame
from bench.analysis.naming import point
from bench.analysis.outcome import Outcome
from bench.analysis.predictions import Arrays, correct
from bench.analysis.replicates import crossed_mean
from bench.analysis.stats import LEVEL, interval_of
from bench.schema.claim import Claim, Compare
from bench.schema.errors import RequestError
from bench.schema.label import canonical_text
from bench.track.record import Record

METRIC = "test/accuracy"
MOST_NAMED = 12  # places of images
AGREED = 0.9  # of the runs have to contradict a label


@dataclass(frozen=True)
class OnImages:
    """A comparison of two points, image by image.

    Attributes:
        images: how many test images.
        low, high: 95% interval of the difference over seeds and images together; over images alone where `fixed`.
        fixed: both sides say the same at every seed.
        p: of McNemar's exact test between the two, where `fixed`; else NaN.
    """

    images: int
    low: float
    high: float
    fixed: bool
    p: float
    difference: NDArray[np.float64]  # [seeds, images], in -1..1; one row where `fixed`

    def outcome(self, n: int, level: float = LEVEL) -> Outcome:
        """McNemar's test as a claim's own, and its interval at `level`."""
        mean, low, high = exchange_interval(self.difference[0], level)
        half, other = self.p / 2, 1 - self.p / 2
        less, greater = (half, other) if mean < 0 else (other, half)
        return Outcome(mean, low, high, n, less, greater)


def exchange_interval(difference: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float, float]:
    """Mean of differences of single images [N], and the interval that McNemar's exact test gives.

    Of the images that differ a share goes each way; its exact interval (Clopper & Pearson 1934), times how much
    differs, leaves out 0 exactly where the test rejects.
    """
    more, unequal = int((difference > 0).sum()), int((difference != 0).sum())
    mean = float(difference.mean())
    if not unequal:
        return mean, mean, mean
    from scipy import stats  # slow to import

    found = stats.binomtest(more, unequal).proportion_ci(level, "exact")
    scale = float(np.abs(difference).mean())
    return mean, min(mean, (2 * found.low - 1) * scale), max(mean, (2 * found.high - 1) * scale)


def on_images(claim: Claim, frame: Frame, reader: Reader | None) -> OnImages | None:
    """The claim's two points image by image; None where they are not two, or left no predictions of the same images."""
    if not isinstance(claim, Compare) or claim.metric != METRIC:
        return None
    one, other = (at for _, at in terms(claim, frame))
    if any(name not in at for at in (one, other) for name in frame.axes):
        return None  # averaged over an axis
    return compare_points(frame, one, other, reader)


def compare_points(
    frame: Frame, at: Mapping[str, Any], against: Mapping[str, Any], reader: Reader | None
) -> OnImages | None:
    """Two points image by image; None where their runs left no predictions of the same images."""
    if reader is None or frame.drawn or frame.own_splits:
        return None
    one, other = (_predictions(frame, side, reader) for side in (at, against))
    shared = [seed for seed in one if seed in other]
    runs = [r for side in (at, against) for r in frame.runs(side).values()]
    if len(shared) < 2 or not same_images(runs, [*one.values(), *other.values()]):
        return None
    a, b = (np.array([correct(side[seed], "test") for seed in shared]) for side in (one, other))
    fixed = all(bool((side == side[0]).all()) for side in (a, b))
    if fixed:
        difference = a[:1] - b[:1]
        _, low, high = exchange_interval(difference[0])
        # Equal scores make parts of an image: where more images speak for one side and more of an image for the other,
        # the counts that McNemar tests say nothing about the mean.
        agree = difference.mean() * ((difference > 0).sum() - (difference < 0).sum()) > 0
        p = predictions.mcnemar(one[shared[0]], other[shared[0]]) if agree else 1.0
        return OnImages(difference.shape[1], low, high, True, p, difference)
    difference = a - b
    together = crossed_mean(difference)
    # Thousands of images must not lend their degrees of freedom to a few seeds.
    found = interval_of(dataclasses.replace(together, df=min(together.df, len(shared) - 1)))
    return OnImages(difference.shape[1], max(-1.0, found.low), min(1.0, found.high), False, math.nan, difference)


def _predictions(frame: Frame, at: Mapping[str, Any], reader: Reader) -> dict[int, Arrays]:
    """Seed -> predictions of a point's finished runs."""
    found = {r.seed: predictions.of(r, reader) for r in frame.runs(at).values() if r.status == "finished"}
    return {seed: arrays for seed, arrays in found.items() if arrays is not None and "test_true" in arrays}


# Settings of data and split that leave open which images are tested: how they are read, how made ones look, what is
# trained on.
READ = ("size", "fit", "colour", "storage", "workers", "range", "on_bad_image")
LOOKS = ("shift", "rotation", "brightness", "brightness_range", "size_range", "clutter", "occlusion", "noise")
TRAINED_ON = ("val", "train_fraction", "train_per_class", "label_noise")
LEFT_OPEN = {*(f"dataset.{name}" for name in (*READ, *LOOKS)), *(f"split.{name}" for name in TRAINED_ON)}
SAME_PROBLEM = {*(f"dataset.{name}" for name in (*READ, "seed", "count"))}


def same_images(records: Sequence[Record], found: Sequence[Arrays]) -> bool:
    """Whether all of them are about the same test images.

    By their labels, and by what is known of their places: the test split's fingerprint, or, where images were made
    smaller, say, which changes it, the settings that draw it. Sets in the order of their classes have equal labels.
    """
    if not all(np.array_equal(one["test_true"], found[0]["test_true"]) for one in found[1:]):
        return False
    places = {_settings(r, "dataset.", "split.", but=LEFT_OPEN) for r in records if r.config}
    prints = {r.provenance.get("test_fingerprint", "") for r in records if r.status == "finished"}
    return (len(prints) == 1 and "" not in prints) or len(places) < 2


def problem(records: Iterable[Record]) -> frozenset[tuple[str, str]]:
    """Which data and classes the runs of one point are about, by their settings, however images are drawn of them."""
    return next((_settings(r, "dataset.", but=SAME_PROBLEM) for r in records if r.config), frozenset())


def _settings(record: Record, *groups: str, but: Collection[str]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (name, canonical_text(value))
        for name, value in record.config.items()
        if name.startswith(groups) and name not in but
    )


def markdown(frame: Frame, reader: Reader) -> str | None:
    """images.md: for each cell what its seeds say together, and the images that nobody gets right; None without any.

    vote: accuracy of the class that most seeds name (the first of equals by class number). agreement: how often two
    seeds name the same class. always wrong: images that no seed gets right.
    """
    if frame.drawn:
        return None  # each split has test images of its own
    cells = []
    for runs_ in frame.points.values():
        first = next(iter(runs_.values()))
        said = list(_predictions(frame, first.axes, reader).values())
        if said and same_images(list(runs_.values()), said):
            cells.append((point({n: first.axes[n] for n in frame.axes if n in first.axes}), said))
    if not cells:
        return None
    lines = [
        "# Image by image",
        "",
        "| cell | seeds | accuracy | vote of the seeds | agreement of seeds | always wrong |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for name, said in cells:
        true, wrong = said[0]["test_true"], len(predictions.always_wrong(said))
        mean = float(np.mean([correct(one, "test").mean() for one in said]))
        vote = float((votes(said) == true).mean())
        agree = f"{100 * agreement(said):.1f}%" if len(said) > 1 else ""
        lines.append(f"| {name} | {len(said)} | {100 * mean:.1f}% | {100 * vote:.1f}% | {agree} | {wrong} |")
    every = [one for _, said in cells for one in said]
    if len(cells) > 1 and same_images(frame.records, every):
        lost = predictions.always_wrong(every)
        total = len(every[0]["test_true"])
        named = ", ".join(map(str, lost[:MOST_NAMED])) + (" ..." if len(lost) > MOST_NAMED else "")
        lines += ["", f"No run of any cell gets {len(lost)} of the {total:,} test images right"
                  + (f" (places in the test split: {named})." if len(lost) else ".")]  # fmt: skip
        together = 100 * float((votes(every) == every[0]["test_true"]).mean())
        between = 100 * agreement_between([said for _, said in cells])
        lines.append(f"Runs of two cells name the same class for {between:.1f}%; all {len(every)} runs together, each "
                     f"with one vote, are right for {together:.1f}%.")  # fmt: skip
        lines += _doubtful(every)
    lines += ["", "vote: the class that most seeds name. agreement: how often two seeds name the same class. "
              "always wrong: test images that no seed of the cell gets right."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _doubtful(every: Sequence[Arrays]) -> list[str]:
    """A list of the labels in doubt; nothing where there is none."""
    found = doubtful_labels(every)
    if not found:
        return []
    more = f" (the first {MOST_NAMED})" if len(found) > MOST_NAMED else ""
    return [
        "",
        f"## Labels in doubt: {len(found)}{more}",
        "",
        f"At least {AGREED:.0%} of all runs name the same other class. A label may be wrong, or the image hard for "
        "every model here: somebody has to look. Least probable labels first.",
        "",
        "| place in the test split | label | they say | runs that say so | mean probability of the label |",
        "|---|---|---|---|---|",
        *(f"| {d.place} | {d.label} | {d.said} | {d.runs} of {len(every)} | {d.probability:.3f} |"
          for d in found[:MOST_NAMED]),
    ]  # fmt: skip


@dataclass(frozen=True)
class Doubtful:
    """An image whose label the runs contradict: its place in the test split, classes by number, how many say so."""

    place: int
    label: int
    said: int
    runs: int
    probability: float  # of the label, mean over runs


def doubtful_labels(said: Sequence[Arrays]) -> list[Doubtful]:
    """Test images for which at least `AGREED` of the runs name one same class that is not the label.

    The kept predictions have the probability of the label and no other, so that this is an agreement of models and no
    confident learning; `bench explain RUN` does that, with weights. The least probable label comes first.
    """
    classes = np.array([one["test_class"] for one in said]).astype(np.int64)  # [runs, N]
    most = votes(said)
    runs_ = (classes == most).sum(axis=0)
    label = said[0]["test_true"].astype(np.int64)
    probability = np.exp(np.array([one["test_logp"] for one in said], dtype=float)).mean(axis=0)
    places = np.flatnonzero((most != label) & (runs_ >= AGREED * len(said)))
    ranked = places[np.argsort(probability[places], kind="stable")]
    return [Doubtful(int(i), int(label[i]), int(most[i]), int(runs_[i]), float(probability[i])) for i in ranked]


def agreement_between(cells: Sequence[Sequence[Arrays]]) -> float:
    """How often runs of two different cells name the same class for a test image, mean over pairs of runs."""
    classes = [np.array([one["test_class"] for one in said]) for said in cells]
    every = np.concatenate(classes)
    same = _agreeing_pairs(every) - sum(map(_agreeing_pairs, classes))
    pairs = math.comb(len(every), 2) - sum(math.comb(len(one), 2) for one in classes)
    return same / (pairs * every.shape[1])


def votes(said: Sequence[Arrays]) -> NDArray[np.int64]:
    """The class that most runs name for each test image [N]; of equals the one with the lowest number."""
    classes = np.array([one["test_class"] for one in said]).astype(np.int64)
    from scipy import stats  # slow to import

    return stats.mode(classes, axis=0).mode.astype(np.int64)


def agreement(said: Sequence[Arrays]) -> float:
    """How often two different runs name the same class for a test image, mean over pairs and images."""
    if len(said) < 2:
        raise RequestError("Agreement needs two runs.")
    classes = np.array([one["test_class"] for one in said])
    return _agreeing_pairs(classes) / (math.comb(len(said), 2) * classes.shape[1])


def _agreeing_pairs(classes: NDArray[np.generic]) -> int:
    """How many pairs of runs name the same class for an image, over all images, of classes [runs, N].

    Counted by class: to compare ten thousand runs two by two takes minutes.
    """
    named = ((classes == name).sum(axis=0, dtype=np.int64) for name in np.unique(classes))
    return sum(int((n * (n - 1) // 2).sum()) for n in named)
