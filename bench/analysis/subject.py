"""What a claim is about, however it is written: the same runs with the same weights are the same subject.

`b - a < 0` says what `a - b > 0` says, 8 and "8.0" are one value, `at` may stand in both sides, and a label may be
renamed. A look at a claim is a look at all of these.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.analysis.contrast import terms, threshold
from bench.analysis.frame import Frame
from bench.schema.claim import Across, Choice, Claim, Equivalence, Way
from bench.schema.errors import RequestError
from bench.schema.label import canonical_text
from bench.schema.sweep import Sweep, steps_of


@dataclass(frozen=True)
class Subject:
    """A claim's contrast in one spelling.

    Attributes:
        contrast: digest of the weighted runs, without their sign; "" where the records cannot say.
        sign: what the claim's contrast is times that one.
        test: on it; a sweep's `sequential` included.
        threshold, side: what is claimed of it: where it ends, and whether it lies above (1), below (-1) or within (0).
    """

    contrast: str
    sign: int
    test: str
    threshold: float
    side: int


def subject_of(claim: Claim, frame: Frame, sweep: Sweep) -> Subject:
    """The subject of a claim."""
    said, sign = _choice(claim, sweep) if isinstance(claim, Choice) else _sum(claim, frame, sweep)
    test = "sequential" if sweep.sequential and claim.test == "t" else claim.test
    if isinstance(claim, Equivalence):
        return Subject(said, sign, test, claim.margin, 0)
    return Subject(said, sign, test, sign * threshold(claim), sign if claim.direction == "greater" else -sign)


def _sum(claim: Claim, frame: Frame, sweep: Sweep) -> tuple[str, int]:
    try:
        found = terms(claim, frame)
    except (RequestError, KeyError):
        return "", 1
    most = max((abs(w) for w, _ in found if math.isfinite(w)), default=0.0)
    if not most:
        return "", 1
    weighted = sorted((_settings(frame.plan.whole(at), sweep), round(w / most, 9) + 0.0) for w, at in found)
    weighted = [(at, w) for at, w in weighted if w]
    sign = 1 if weighted[0][1] > 0 else -1
    over = _axis(claim.over, sweep) if isinstance(claim, Across) else []
    return _digest([claim.metric, over, [(at, sign * w) for at, w in weighted]]), sign


def _choice(claim: Choice, sweep: Sweep) -> tuple[str, int]:
    def way(one: Way) -> list[Any]:
        return [one.by, one.reads or claim.metric, _settings({**claim.at, **one.at}, sweep)]

    ways = [way(claim.compare), way(claim.against)]
    sign = 1 if json.dumps(ways[0]) <= json.dumps(ways[1]) else -1
    return _digest([sorted(_axis(name, sweep) for name in claim.over), ways[::sign]]), sign


def _settings(at: Mapping[str, Any], sweep: Sweep) -> list[str]:
    """What a point sets, whatever its labels are called."""
    out = set()
    for name, value in at.items():
        steps = {canonical_text(label): texts for label, texts in steps_of(name, sweep.axes.get(name, []))}
        texts = steps.get(canonical_text(value), [f"{name}={value}"])
        out |= {f"{setting.lstrip('+')}={canonical_text(of)}" for setting, _, of in (t.partition("=") for t in texts)}
    return sorted(out)


def _axis(name: str, sweep: Sweep) -> list[str]:
    """The settings that an axis varies."""
    texts = [text for _, texts in steps_of(name, sweep.axes.get(name, [])) for text in texts]
    return sorted({text.partition("=")[0].lstrip("+") for text in texts})


def _digest(said: Any) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]
