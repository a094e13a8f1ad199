"""Earlier looks at a claim, and what they cost: whoever judges again and again until it fits, pays each time.

The 5% of a claim may be spent in one of two ways.
    One look, once every planned seed has ended: it has all of the 5%. Nothing is left for another one; more seeds
    then refine the numbers, and what was open can only be judged on fresh seeds (`bench sweep NAME --confirm`).
    Looks before that: the k-th one has 5% / (k (k + 1)), so that all of them together stay within the 5%.
What a look settled stays settled. A sweep with `sequential: true` is tested so that looks cost nothing. A claim that is
written otherwise is the same claim (`bench.analysis.subject`). One interval holds for every threshold, so that another
threshold on the same numbers costs nothing; another test on them does.
A sweep judged at other settings (`bench sweep NAME trainer.epochs=30`) is another experiment: only looks at the
settings of today count, and the others are told.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.analysis.frame import Frame
from bench.analysis.replicates import Replicate, name_replicates
from bench.analysis.settings import differing, values_of
from bench.analysis.subject import Subject, subject_of
from bench.schema.claim import Claim, digest
from bench.schema.sweep import Sweep, steps_of

ENDED = ("finished", "failed")


@dataclass(frozen=True)
class Look:
    """One earlier judgement of a claim, on other numbers than today's or by another test."""

    n: int
    word: str
    p: float | None
    full: bool  # it was the one look at all planned seeds, and had all of the 5%
    settings: str = ""  # which settings it had otherwise than today: "trainer.epochs 10"
    test: str = "t"
    other: bool = False  # something else was claimed of the same contrast, so that its word does not stay


@dataclass(frozen=True)
class Looks:
    """The earlier looks at one claim, in their order.

    Attributes:
        earlier: those at the settings of today.
        elsewhere: those at other settings, which cost nothing here.
        factor: what the earlier ones multiply p by.
        spent: an earlier look had all of the 5%.
        decided: the word of the first look that settled the claim, or "".
    """

    earlier: list[Look] = field(default_factory=list)
    elsewhere: list[Look] = field(default_factory=list)
    factor: float = 1.0
    spent: bool = False
    decided: str = ""


def looks_at(
    claim: Claim, values: Mapping[Replicate, float], sweep: Sweep, frame: Frame, context: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Looks:  # fmt: skip
    """The looks that the context remembers of a claim; those at the very numbers of today are no other look.

    Args:
        settings: of today (`settings_of`).
    """
    subject = subject_of(claim, frame, sweep)
    identity, today = identity_of(claim), numbers_of(values, subject)
    seen: set[tuple[str, str]] = set()
    found = []
    for one in context.get("looks", ()):
        other = differing(_with_settings(one, context), settings, values_of(claim, frame))
        entries = one.get("verdicts", ())
        mine = [entry for entry in entries if entry["claim"] == identity]
        for entry in mine or [e for e in entries if subject.contrast and e.get("contrast") == subject.contrast]:
            test = entry.get("test", subject.test)
            numbers = entry.get("numbers") or (today if entry["values"] == digest_of(values) else entry["values"])
            if not entry["values"] or (numbers, test) in seen or (numbers, test) == (today, subject.test):
                continue
            seen.add((numbers, test))
            word, stays = (entry["word"], True) if mine else _put_otherwise(entry, subject)
            full = bool(entry.get("full"))
            found.append(Look(entry["n"], word, entry.get("p"), full, other, test, not stays))
    earlier, elsewhere = ([look for look in found if bool(look.settings) == other] for other in (False, True))
    decided = next((look.word for look in earlier if look.word != "open" and not look.other), "")
    # An e-process has all of the 5%, at however many looks, and leaves none for another test.
    paid = [look for look in earlier if look.test != "sequential"] if subject.test == "sequential" else earlier
    if not paid:
        whole = subject.test == "sequential" or complete(frame, sweep, context, settings)
        return Looks(earlier, elsewhere, 1.0 if whole else 2.0, decided=decided)
    k = len(paid) + 1
    spent = any(look.full or look.test == "sequential" for look in paid)
    return Looks(earlier, elsewhere, float(k * (k + 1)), spent, decided)


def taken_out(sweep: Sweep, frame: Frame, context: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, float]:
    """Claims that were looked at, at the settings of today, and are claimed no more: contrast -> the p seen last.

    They count in the correction: whoever takes out what came to nothing has looked at it all the same.
    """
    known = {identity_of(claim) for claim in sweep.claims}
    about = {subject_of(claim, frame, sweep).contrast for claim in sweep.claims}
    out: dict[str, float] = {}
    for one in context.get("looks", ()):
        if not differing(_with_settings(one, context), settings):
            for entry in one.get("verdicts", ()):
                contrast = entry.get("contrast")  # entries of earlier versions do not say
                if contrast and contrast not in about and entry["claim"] not in known and entry["values"]:
                    out[contrast] = math.nan if entry.get("p") is None else float(entry["p"])
    return out


def _put_otherwise(entry: Mapping[str, Any], subject: Subject) -> tuple[str, bool]:
    """The word of a look at the same contrast for a claim that is written otherwise, and whether it stays."""
    if entry["threshold"] != subject.threshold or (entry["side"] == 0) != (subject.side == 0):
        return entry["word"], False
    if entry["side"] == subject.side:
        return entry["word"], True
    return {"supported": "refuted", "refuted": "supported"}.get(entry["word"], entry["word"]), True


def look(
    verdicts: Sequence[Any], frame: Frame, sweep: Sweep, context: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What the log remembers of a judgement (`bench.protocol.register`)."""
    whole = complete(frame, sweep, context, settings)
    subjects = [subject_of(v.claim, frame, sweep) for v in verdicts]
    return {
        "event": "look",
        "claims": digest(sweep.claims),
        "seeds": sorted({r.seed for r in frame.records if r.status in ENDED}),
        "settings": dict(settings),
        "tests": sorted({t for r in frame.records if (t := r.provenance.get("test_fingerprint"))}),
        "verdicts": [
            {
                "claim": identity_of(v.claim),
                "n": v.n,
                "word": v.word,
                "p": None if math.isnan(v.p) else v.p,
                "values": digest_of(v.values),
                "full": whole and not v.looks.earlier and subject.test != "sequential",
                "contrast": subject.contrast,
                "numbers": numbers_of(v.values, subject),
                "test": subject.test,
                "threshold": subject.threshold,
                "side": subject.side,
            }
            for v, subject in zip(verdicts, subjects, strict=True)
        ],
    }


def _with_settings(entry: Mapping[str, Any], context: Mapping[str, Any]) -> Mapping[str, Any]:
    """A look of a version that did not write its settings has those of the launches of the same claims and seeds.

    Only where all of these agree, and runs had ended before the first of them that is on record: the numbers that were
    looked at are then of no other settings. Else it counts as one at today's.
    """
    if "settings" in entry:
        return entry
    asked = ("claims", "seeds")
    launches = [one for one in context.get("registered", ()) if all(one.get(n) == entry.get(n) for n in asked)]
    found = [one.get("settings") for one in launches]
    if not found or found[0] is None or any(one != found[0] for one in found) or not launches[0].get("ended"):
        return entry
    return {**entry, "settings": found[0]}


def planned_seeds(sweep: Sweep, context: Mapping[str, Any], settings: Mapping[str, Any]) -> list[int]:
    """The seeds that were planned: by the last launch at these settings, else by the sweep itself."""
    if launches := launches_at(settings, context):
        return list(launches[-1]["seeds"])
    return list(range(sweep.seeds)) if isinstance(sweep.seeds, int) else list(sweep.seeds)


def launches_at(settings: Mapping[str, Any], context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The launches on record at these settings."""
    return [launch for launch in context.get("registered", ()) if not differing(launch, settings)]


def complete(frame: Frame, sweep: Sweep, context: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether every planned replicate has ended, well or badly, at every point: a seed with each of its splits."""
    drawn = [[label for label, _ in steps_of(name, sweep.axes[name])] for name in frame.drawn]
    planned = set(name_replicates(planned_seeds(sweep, context, settings), drawn))
    ended = [{name for name, r in runs.items() if r.status in ENDED} for runs in frame.points.values()]
    return all(planned <= names for names in ended)


def identity_of(claim: Claim) -> str:
    """What makes a claim the same claim: all that is tested, not how it is put."""
    said = dataclasses.asdict(claim)
    said = {name: value for name, value in said.items() if name not in ("says", "smallest") and value is not None}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


def numbers_of(values: Mapping[Replicate, float], subject: Subject) -> str:
    """`digest_of` the numbers of a contrast in one spelling."""
    return digest_of({name: subject.sign * value + 0.0 for name, value in values.items()})


def digest_of(values: Mapping[Replicate, float]) -> str:
    """The numbers that a look saw; "" where it saw none."""
    if not values:
        return ""
    said = sorted((str(name), value) for name, value in values.items())
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
