"""Numbers from the literature beside ours, and what differs between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.frame import Cell, Frame, value
from bench.analysis.naming import Digits, axis, point
from bench.analysis.statement import ALWAYS, counts
from bench.report.grid import number, remarks
from bench.schema.label import canonical_text, show
from bench.schema.metric import metric
from bench.schema.sweep import Published, Sweep
from bench.track.record import Record

UNSAID = "not stated"
SUBSETS = ("split.train_per_class", "split.train_fraction")
WHOLE = [("split.train_fraction", 1.0)]
DATA = ("dataset", "split.", "images")
HEADS = ("published", "theirs", "ours", "ours - theirs", "source", "what differs (theirs / ours)")


@dataclass(frozen=True)
class Beside:
    """A published number and the cells of ours that it stands beside.

    Attributes:
        cells: one, or several where `at` leaves an axis open; none where the records lack the point.
        differs: setting -> (theirs, ours); ours is "" for a setting that our configuration does not have.
    """

    published: Published
    cells: list[Cell]
    differs: dict[str, tuple[str, str]]

    @property
    def texts(self) -> list[str]:
        """One text for each of HEADS."""
        shown = metric(self.published.metric)
        digits = Digits(shown, [c.interval.half for c in self.cells])
        label = self.published.label or f"{point(self.published.at)} {shown.title}".strip()
        unit = f" {shown.unit}" if shown.unit and shown.unit != "%" else shown.unit
        ours, gap = "not run", ""
        means = [c.interval.mean for c in self.cells if c.values]
        if len(self.cells) == 1 and means:
            mean, spread = number(self.cells[0], digits)
            ours = f"{mean} {spread}".rstrip()
            ours += f" ({', '.join(remarks(self.cells[0], shown))})"
            # A difference over other images, another number of them, or nobody knows which, means nothing.
            if not any(name.startswith(DATA) for name in self.differs):
                more = means[0] - self.published.value
                gap = f"{'+' if more >= 0 else ''}{digits(more)} {shown.difference}".rstrip()
        elif means:
            ours = f"{digits(min(means))} to {digits(max(means))} ({len(means)} cells)"
        elif self.cells:
            ours = ", ".join(remarks(self.cells[0], shown))
        differs = "; ".join(f"{_title(k)}: {a}{f' / {b}' if b else ''}" for k, (a, b) in self.differs.items())
        theirs = f"{shown.plain(self.published.value)}{unit}"
        return [label, theirs, ours, gap, self.published.source, differs or "nothing stated"]


def compare_published(frame: Frame, sweep: Sweep) -> list[Beside]:
    """Each published number of the sweep with our cells.

    Raises:
        RequestError: for a metric that no finished run has.
    """
    out = []
    for published in sweep.published:
        frame.need_metric(published.metric)
        shown = {axis: {canonical_text(level) for level in levels} for axis, levels in frame.levels.items()}
        lacking = [axis for axis, value in published.at.items() if canonical_text(value) not in shown.get(axis, set())]
        cells = [] if lacking else frame.cells(published.metric, published.at)
        out.append(Beside(published, cells, _differs(published, cells)))
    return out


def filled_columns(rows: Sequence[Beside]) -> list[int]:
    """The columns of HEADS that say something in a row at least: a gap is written for no row where all data differ."""
    return [i for i in range(len(HEADS)) if any(one.texts[i] for one in rows)]


def _differs(published: Published, cells: list[Cell]) -> dict[str, tuple[str, str]]:
    records = [r for c in cells for r in c.records]
    configs = [r.config for r in records if r.config]
    out = {}
    for name, theirs in published.setting.items():
        known = _known(name, configs)
        ours = _ours(known, records)
        if not ours:
            out[name] = (show(theirs), "")
        elif set(map(canonical_text, ours)) != {canonical_text(theirs)}:
            out[name] = (show(theirs), ", ".join(map(show, ours)))
    stated = {_known(name, configs) for name in published.setting}
    told = stated | set(published.at)
    data = () if any(name.startswith("dataset") for name in told) else ("dataset.source",)
    for name in (*data, *SUBSETS, *ALWAYS):
        ours = [v for v in _ours(name, records) if v is not None and (name, v) not in WHOLE]
        if name not in told and ours:
            out[name] = (UNSAID, ", ".join(_text(name, v) for v in ours))
    return out


def _title(name: str) -> str:
    return metric(name).title if name.startswith("cost/") else axis(name)


def _known(name: str, configs: list[dict[str, Any]]) -> str:
    """`dataset: cifar10` stands for dataset.source, `optim: sgd` for optim.name, `parameters` for a cost."""
    if name in ("parameters", "params"):
        return "cost/params"
    return next((n for n in (name, f"{name}.name", f"{name}.source") if any(n in c for c in configs)), name)


def _ours(name: str, records: list[Record]) -> list[Any]:
    """The different values of a setting or a cost among runs; none for what has no meaning for them."""
    if name.startswith("cost/"):
        found = [v for r in records if (v := value(r, name)) is not None]
    else:
        found = [r.config[name] for r in records if name in r.config and counts(r, name)]
    return list({canonical_text(v): v for v in found}.values())


def _text(name: str, of: Any) -> str:
    return Digits(metric(name))(of) if name.startswith("cost/") else show(of)
