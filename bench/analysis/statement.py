"""What a claim's test says, in words made from its settings: nobody has to trust the author's sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.contrast import averaged_over, order_values, terms
from bench.analysis.frame import Frame, value
from bench.analysis.length import UNITS, lengths, spans, trains
from bench.analysis.naming import Digits, axis
from bench.analysis.replicates import SPLIT
from bench.schema.claim import Across, Bound, Choice, Claim, Compare, Equivalence, Interaction, Point, Trend, Way
from bench.schema.errors import RequestError
from bench.schema.label import canonical_text, dataset_name, in_size, show
from bench.schema.metric import metric
from bench.schema.sweep import Sweep, steps_of
from bench.track.record import Record

# What one asks of two sides first: settings, and costs of a run.
ASKED = (*UNITS, "optim.lr", "optim.name", "optim.weight_decay", "trainer.batch_size", "transfer.size")
ALSO = ("optim.", "trainer.", "augment.", "split.", "dataset.", "pixel_norm.", "transfer.")  # other groups that count
PARTS = ("model.", "norm_layer.", "loss.", "schedule.", "training.")  # likewise, where no label of the claim says so
QUIET = (
    "trainer.threads",
    "trainer.stack",
    "trainer.last_digits",
    "trainer.gradients",
    "trainer.target",
    "split.seed",
    "split.fold",
    "trainer.deterministic",
)
COSTS = ("cost/params", "cost/flops")
ALWAYS = (*UNITS, "optim.lr", "cost/params")  # said of every comparison, equal or not


def sentence(claim: Claim, frame: Frame, sweep: Sweep) -> str:
    """`batch - none at learning rate 0.1: test accuracy, expected > 0`."""
    shown, more = metric(claim.metric), {"greater": ">", "less": "<"}
    at = f" at {_at(claim.at)}" if getattr(claim, "at", None) and not isinstance(claim, Bound) else ""
    if isinstance(claim, Bound):
        bound = shown.amount(claim.bound, of_difference=False)
        return f"{_at(claim.at)}: {shown.title}, expected {more[claim.direction]} {bound}"
    if isinstance(claim, Trend):
        levels = order_values(claim, frame) if claim.over in frame.levels else []
        ends = f" from {show(levels[0])} to {show(levels[-1])}" if levels else ""
        if len(levels) > 2 and in_size(levels) is None:
            ends = f", in the order {', '.join(map(show, levels))}"
        way = "rise" if claim.direction == "greater" else "fall"
        return f"{shown.title} over {axis(claim.over)}{ends}{at}: expected to {way}"
    if isinstance(claim, Choice):
        what = ", ".join(map(axis, claim.over))
        one, other = (_way(way, claim) for way in (claim.compare, claim.against))
        return f"{one} - {other}, of each its best {what}{at}: expected {more[claim.direction]} 0"
    difference = f"{_side(claim.compare)} - {_side(claim.against)}"
    if isinstance(claim, Interaction):
        return (
            f"({difference} at {_at(claim.where)}) - ({difference} at {_at(claim.versus)}){at}: {shown.title}, "
            f"expected {more[claim.direction]} 0"
        )
    if isinstance(claim, Equivalence):
        return f"{difference}{at}: {shown.title}, expected within ±{shown.amount(claim.margin)}"
    if isinstance(claim, Across):
        count = len(frame.levels.get(claim.over, ()))
        return (
            f"{difference}{at}: {shown.title}, one difference for each of {count} values of {axis(claim.over)}, "
            f"expected {more[claim.direction]} 0"
        )
    by = shown.amount(claim.by if claim.direction == "greater" else -claim.by) if claim.by else "0"
    return f"{difference}{at}: {shown.title}, expected {more[claim.direction]} {by}"


def _side(point: Point) -> str:
    return ", ".join(show(value) for value in point.values())


def _way(way: Way, claim: Choice) -> str:
    """`test accuracy where val accuracy chose`."""
    at = f" at {_at(way.at)}" if way.at else ""
    return f"{metric(way.reads or claim.metric).title} where {metric(way.by).title}{at} chose"


def _at(point: Point) -> str:
    return ", ".join(f"{axis(name)} {show(value)}" for name, value in point.items())


def scope(claim: Claim, frame: Frame) -> str:
    """On what a verdict holds: `on mnist5k, 3,600 training images, 10 epochs; on this split and this test set`."""
    found = [r for records in sides_of(claim, frame) for r in records]
    parts = []
    data = sorted({name for r in found if (name := dataset_name(r.config))})
    if data:
        rest = f" and {len(data) - 4} more" if len(data) > 4 else ""
        parts.append(", ".join(data[:4]) + rest)
    images = sorted({n for r in found if (n := _training_images(r)) is not None})
    if images:
        parts.append(f"{_span(images)} training images")
    elif per_class := _values(found, "split.train_per_class"):
        parts += [f"{', '.join(per_class)} training images a class"] if per_class != ["none"] else []
    parts += spans(lengths(found))
    splits = len({tuple(canonical_text(r.config.get(name)) for name in SPLIT) for r in found if r.config})
    if isinstance(claim, Across):
        parts.append(f"across values of {axis(claim.over)}")
    elif frame.drawn:
        parts.append(f"over {frame.replicates}")
    elif frame.own_splits:
        parts.append("over seeds, each with a split of its own")
    else:
        parts.append("one split and its test set" if splits < 2 else f"{splits} splits and their test sets")
    return f"on {', '.join(parts)}" if parts else ""


def _training_images(record: Record) -> int | None:
    text = record.provenance.get("images", "").partition("/")[0]
    return int(text) if text.isdecimal() else None


def _span(numbers: Sequence[int]) -> str:
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"


def differing(claim: Claim, frame: Frame, sweep: Sweep) -> dict[str, tuple[str, str]]:
    """What else differs between the two sides of a comparison than what it names: epochs, lr, size, parameters, FLOPs.

    Empty where the claim has no two sides.
    """
    if not isinstance(claim, Compare | Equivalence | Interaction | Across):
        return {}
    two = sides_of(claim, frame)
    if len(two) != 2 or not all(two):
        return {}
    out: dict[str, tuple[str, str]] = {}
    names = sorted({name for records in two for r in records for name in r.config})
    fixed = {name for chosen in claim.compare for name in (chosen, f"{chosen}.name", f"{chosen}.code")}
    said = {t.partition("=")[0].lstrip("+") for n in claim.compare for _, texts in steps_of(n, sweep.axes.get(n, []))
            for t in texts}  # fmt: skip
    for name in [*ASKED, *(n for n in names if n.startswith(ALSO + PARTS) and n not in ASKED)]:
        if name in fixed or name in QUIET or not any(name in r.config for records in two for r in records):
            continue
        named = name in said or (name.partition(".")[0] in said and name not in frame.axes)
        if name.startswith(PARTS) and named:
            continue
        one, other = (_values([r for r in records if counts(r, name)], name) for records in two)
        if name in ALWAYS and (one or other):  # what is not trained has none
            one, other = one or ["none"], other or ["none"]
        if one != other and one and other:
            out[axis(name) if name in ASKED else name] = (_list_texts(one), _list_texts(other))
    for name in COSTS:
        digits = Digits(metric(name))  # what looks alike is said to be alike, as in `equal`
        a, b = (
            list(dict.fromkeys(map(digits, sorted({v for r in records if (v := value(r, name)) is not None}))))
            for records in two
        )
        if (a or b) and a != b and (name in ALWAYS or (a and b)):
            out[metric(name).title] = (_list_texts(a) or "none", _list_texts(b) or "none")
    return out


def equal(claim: Claim, frame: Frame) -> dict[str, str]:
    """Of epochs, lr and parameters what both sides of a comparison have alike: name -> text."""
    if not isinstance(claim, Compare | Equivalence | Interaction | Across):
        return {}
    two = sides_of(claim, frame)
    if len(two) != 2 or not all(two):
        return {}
    out: dict[str, str] = {}
    for name in ALWAYS:
        if name in COSTS:
            shown = [{Digits(metric(name))(v) for r in side if (v := value(r, name)) is not None} for side in two]
            title = metric(name).title
        else:
            shown = [set(_values([r for r in side if counts(r, name)], name)) for side in two]
            title = axis(name)
        if name not in claim.compare and shown[0] == shown[1] and shown[0] - {"none"}:
            out[title] = _list_texts(sorted(shown[0]))
    return out


def counts(record: Record, name: str) -> bool:
    """Whether a setting has a meaning for a run: what is not trained has no lr, what is not frozen no head."""
    if name.startswith(("optim.", "trainer.")):
        return trains(record)
    return name != "transfer.head" or record.config.get("transfer.mode") == "frozen"


def _list_texts(texts: Sequence[str]) -> str:
    return ", ".join(texts[:4]) + (" ..." if len(texts) > 4 else "")


def sides_of(claim: Claim, frame: Frame) -> list[list[Record]]:
    """The runs that weigh positively in a claim's contrast, and those that weigh negatively; of a choice all."""
    if isinstance(claim, Choice):
        wanted = {name: canonical_text(v) for name, v in claim.at.items()}
        return [[r for r in frame.records if all(canonical_text(r.axes.get(n)) == v for n, v in wanted.items())]]
    try:
        _, parts, rests = averaged_over(frame, terms(claim, frame))
    except (RequestError, KeyError):
        return []
    sides: dict[bool, list[Record]] = {}
    if isinstance(claim, Interaction):  # the two sides of the difference, under both conditions
        one = {name: canonical_text(v) for name, v in claim.compare.items()}
        flags = [all(canonical_text(at[name]) == v for name, v in one.items()) for _, at in parts]
    else:
        flags = [w > 0 for w, _ in parts]
    for flag, (_, at) in zip(flags, parts, strict=True):
        for rest in rests:
            sides.setdefault(flag, []).extend(frame.runs({**at, **rest}).values())
    return [sides.get(True, []), sides.get(False, [])] if len(sides) == 2 else list(sides.values())


def _values(records: Sequence[Record], name: str) -> list[str]:
    found: dict[str, Any] = {}
    for record in records:
        if name in record.config:
            found.setdefault(canonical_text(record.config[name]), record.config[name])
    return [show(found[k]) for k in sorted(found)]
