"""Earlier looks at a claim, and what they cost: whoever judges again and again until it fits, pays each time.

The 5% of a claim may be spent in one of two ways.
    One look, once every planned seed has ended: it has all of the 5%. Nothing is left for another one; more seeds
    then refine the numbers, and what was open can only be judged on fresh seeds (`bench sweep NAME --confirm`).
    Looks before that: the k-th one has 5% / (k (k + 1)), so that all of them together stay within the 5%.
What a look settled stays settled. A sweep with `sequential: true` is tested so that looks cost nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.report.frame import Frame
from bench.report.replicates import Replicate
from bench.schema.claim import Claim, digest
from bench.schema.sweep import Sweep


@dataclass(frozen=True)
class Look:
    """One earlier judgement of a claim, on other numbers than today's."""

    n: int
    word: str
    p: float | None
    full: bool  # it was the one look at all planned seeds, and had all of the 5%


@dataclass(frozen=True)
class Looks:
    """The earlier looks at one claim, in their order.

    Attributes:
        factor: what they multiply p by.
        spent: an earlier look had all of the 5%.
        decided: the word of the first look that settled the claim, or "".
    """

    earlier: list[Look] = field(default_factory=list)
    factor: float = 1.0
    spent: bool = False
    decided: str = ""


def looks_at(
    claim: Claim, values: Mapping[Replicate, float], sweep: Sweep, frame: Frame, context: Mapping[str, Any]
) -> Looks:
    """The looks that the context remembers of a claim; those at the very numbers of today are no other look."""
    identity, today, seen = identity_of(claim), digest_of(values), {""}
    earlier = []
    for entry in (e for look in context.get("looks", ()) for e in look.get("verdicts", ())):
        if entry["claim"] == identity and entry["values"] != today and entry["values"] not in seen:
            seen.add(entry["values"])
            earlier.append(Look(entry["n"], entry["word"], entry.get("p"), bool(entry.get("full"))))
    decided = next((look.word for look in earlier if look.word != "open"), "")
    if sweep.sequential:
        return Looks(earlier, decided=decided)
    if not earlier:
        return Looks(factor=1.0 if complete(frame, sweep, context) else 2.0)
    k = len(earlier) + 1
    return Looks(earlier, float(k * (k + 1)), any(look.full for look in earlier), decided)


def look(verdicts: Sequence[Any], frame: Frame, sweep: Sweep, context: Mapping[str, Any]) -> dict[str, Any]:
    """What the log remembers of a judgement (`bench.protocol.register`)."""
    whole = complete(frame, sweep, context)
    return {
        "event": "look",
        "claims": digest(sweep.claims),
        "seeds": sorted({r.seed for r in frame.records if r.status in ("finished", "failed")}),
        "verdicts": [
            {
                "claim": identity_of(v.claim),
                "n": v.n,
                "word": v.word,
                "p": None if math.isnan(v.p) else v.p,
                "values": digest_of(v.values),
                "full": whole and not v.looks.earlier and not sweep.sequential,
            }
            for v in verdicts
        ],
    }


def planned_seeds(sweep: Sweep, context: Mapping[str, Any]) -> list[int]:
    """The seeds that were planned: by the last launch where one is on record, else by the sweep itself."""
    if registered := context.get("registered"):
        return list(registered[-1]["seeds"])
    return list(range(sweep.seeds)) if isinstance(sweep.seeds, int) else list(sweep.seeds)


def complete(frame: Frame, sweep: Sweep, context: Mapping[str, Any]) -> bool:
    """Whether every planned seed has ended, well or badly, at every point."""
    planned = set(planned_seeds(sweep, context))
    ended = [{r.seed for r in runs.values() if r.status in ("finished", "failed")} for runs in frame.points.values()]
    return all(planned <= seeds for seeds in ended)


def identity_of(claim: Claim) -> str:
    """What makes a claim the same claim: all that is tested, not how it is put."""
    said = dataclasses.asdict(claim)
    said = {name: value for name, value in said.items() if name not in ("says", "smallest") and value is not None}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


def digest_of(values: Mapping[Replicate, float]) -> str:
    """The numbers that a look saw; "" where it saw none."""
    if not values:
        return ""
    said = sorted((str(name), value) for name, value in values.items())
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
