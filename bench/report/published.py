"""Numbers from the literature beside ours, and what differs between the two."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.frame import Cell, Frame
from bench.report.grid import number, remarks
from bench.report.naming import Digits, axis, point
from bench.schema.label import canonical_text, show
from bench.schema.metric import metric
from bench.schema.sweep import Published, Sweep

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
            # A difference over other images, or another number of them, means nothing.
            if not any(name.startswith(("dataset", "split.")) for name in self.differs):
                more = means[0] - self.published.value
                gap = f"{'+' if more >= 0 else ''}{digits(more)} {shown.difference}".rstrip()
        elif means:
            ours = f"{digits(min(means))} to {digits(max(means))} ({len(means)} cells)"
        elif self.cells:
            ours = ", ".join(remarks(self.cells[0], shown))
        differs = "; ".join(f"{axis(k)}: {a} / {b}" if b else f"{axis(k)}: {a}" for k, (a, b) in self.differs.items())
        theirs = f"{shown.plain(self.published.value)}{unit}"
        return [label, theirs, ours, gap, self.published.source, differs or "nothing stated"]


def beside(frame: Frame, sweep: Sweep) -> list[Beside]:
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


def _differs(published: Published, cells: list[Cell]) -> dict[str, tuple[str, str]]:
    configs = [r.config for c in cells for r in c.records if r.config]
    out = {}
    for name, theirs in published.setting.items():
        # `dataset: cifar10` stands for the setting dataset.source, `optim: sgd` for optim.name.
        known = next((n for n in (name, f"{name}.name", f"{name}.source") if any(n in c for c in configs)), name)
        ours = {canonical_text(c[known]): show(c[known]) for c in configs if known in c}
        if not ours:
            out[name] = (show(theirs), "")
        elif set(ours) != {canonical_text(theirs)}:
            out[name] = (show(theirs), ", ".join(ours.values()))
    return out
