"""A verdict: what the records say about a claim, and what has to be known beside its word.

What is said beside it is worked out when somebody asks: simulations judge by the thousand and read the word alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from bench.analysis.fairness import Doubt, doubts_of
from bench.analysis.frame import Frame
from bench.analysis.images import OnImages
from bench.analysis.looks import Looks
from bench.analysis.replicates import Replicate
from bench.analysis.resampling import FEWEST_FOR_BOOTSTRAP, fewest_for_wilcoxon
from bench.analysis.statement import differing, equal, scope, sentence
from bench.analysis.stats import FEWEST, Sample, detectable, provable, seeds_needed
from bench.schema.claim import Across, Claim, Equivalence
from bench.schema.sweep import Sweep

Word = Literal["supported", "refuted", "open"]


@dataclass(frozen=True)
class Failures:
    """What becomes of a claim where runs that did not finish count as the worst value instead of being left out."""

    count: int  # replicates concerned
    worst: float  # what such a run counts as
    effect: float
    p: float
    agrees: bool  # whether both ways of counting settle the claim in the same direction, or neither does


@dataclass(frozen=True)
class Verdict:
    """What the records say about a claim.

    Attributes:
        claim: as in the sweep file.
        word: supported, refuted or open.
        effect: the contrast's centre, in the metric's stored unit; NaN where unknown.
        low, high: its interval at `level`, which leaves out the threshold exactly where the claim is settled.
        level: 0.95, or more where other claims, earlier looks or a bound have to be paid for.
        n: replicates behind it.
        values: replicate -> contrast.
        p: two-sided p-value of the claim's own test, failures included; p_holm: with everything paid for. NaN where
            untestable.
        averaged: axis -> number of values that the contrast averages over within each replicate.
        dropped: replicates that some but not all needed runs finished.
        failures: None where no replicate was dropped.
        looks: earlier judgements of this claim, and what they cost.
        frame, sweep: what it was judged in.
        sample: what its test rests on.
        note: why it is open, or what limits it; "" otherwise.
        images: the same comparison image by image, where predictions were kept. Where no seed changes anything it is
            the test.
        by_images: it was.
    """

    claim: Claim
    word: Word
    effect: float
    low: float
    high: float
    level: float
    n: int
    values: dict[Replicate, float]
    p: float
    p_holm: float
    averaged: dict[str, int]
    dropped: list[Replicate]
    failures: Failures | None
    looks: Looks
    frame: Frame = field(repr=False, compare=False)
    sweep: Sweep = field(repr=False, compare=False)
    sample: Sample = field(repr=False, compare=False)
    note: str = ""
    images: OnImages | None = None
    by_images: bool = False

    @cached_property
    def tested(self) -> str:
        """The sentence that was tested, made from the claim's own settings."""
        return sentence(self.claim, self.frame, self.sweep)

    @cached_property
    def scope(self) -> str:
        """On what it holds: data, images, epochs, which splits."""
        return scope(self.claim, self.frame)

    @cached_property
    def differs(self) -> dict[str, tuple[str, str]]:
        """What else differs between its sides: name -> one text a side."""
        return differing(self.claim, self.frame, self.sweep)

    @cached_property
    def equal(self) -> dict[str, str]:
        """Of epochs, lr and parameters what does not."""
        return equal(self.claim, self.frame)

    @cached_property
    def doubts(self) -> list[Doubt]:
        """About the fairness of its sides: name, as in `allow`, and what is the matter."""
        return doubts_of(self.claim, self.frame, self.sweep)

    @cached_property
    def detects(self) -> float | None:
        """Of an open claim the effect that so many seeds of this spread find with a probability of 80%, and of an
        equivalence the margin that they show where nothing differs; None where unknown.
        """
        claim, given = self.claim, self.sample
        # Shares of failed runs are tested exactly, and not by their spread.
        if self.word != "open" or self.by_images or claim.metric == "run/failed":
            return None
        test = "sequential" if self.sweep.sequential and claim.test == "t" else claim.test
        reach = provable if isinstance(claim, Equivalence) else detectable
        return reach(given.sd, given.n, 1 - self.level, test=test, df=given.df)

    @cached_property
    def seeds(self) -> float | None:
        """Of an open claim that states its smallest effect the seeds that find that with 80%; inf for more than 1,000.

        None where nothing tells: without a spread, and for crossed replicates, where it matters of which there are
        more; of splits that share images the error does not fall with their number alone.
        """
        claim, given, sweep = self.claim, self.sample, self.sweep
        smallest = getattr(claim, "smallest", None)
        if self.word != "open" or self.by_images or isinstance(claim, Across) or smallest is None:
            return None
        if given.n < 2 or not given.sd > 0 or sweep.replicates != ["seed"] or given.shared:
            return None
        return seeds_for(smallest, given.sd, 1 - self.level, "sequential" if sweep.sequential else claim.test)


def seeds_for(effect: float, sd: float, alpha: float, test: str) -> float:
    """The seeds with which a test at this level finds an effect with a probability of 80%; inf for more than 1,000."""
    needed = seeds_needed(effect, sd, alpha, test="sequential" if test == "sequential" else "t")
    if needed is None:
        return math.inf
    if test == "wilcoxon":  # 3/pi as efficient as t where differences are normal, and its p is at least 2^(1-n)
        return max(math.ceil(needed * math.pi / 3), fewest_for_wilcoxon(alpha))
    return max(needed, FEWEST_FOR_BOOTSTRAP if test == "bootstrap" else FEWEST)
