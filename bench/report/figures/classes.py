"""Confusion matrix and reliability diagram: where a model errs, and whether it knows."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure as Drawing

from bench.report import artifacts
from bench.report.artifacts import Reader
from bench.report.figures.style import COLOURS, canvas, caption, matches
from bench.report.frame import Cell, Frame
from bench.schema.errors import RequestError
from bench.schema.sweep import Figure, Sweep

MOST_PANELS = 9


def confusion(figure: Figure, frame: Frame, sweep: Sweep, reader: Reader) -> Drawing:
    """Percent of each true class that was called what, over the test images of all seeds."""
    sheet = canvas(figure, frame, sweep, [], share_y=False, height=3.1)
    drawn = []
    for at, ax in sheet.panels:
        cell, texts = _texts(figure, frame, reader, at, "confusion")
        drawn.append(cell)
        parts = [artifacts.confusion(text, where) for text, where in texts]
        classes, counts = parts[0].classes, np.sum([p.counts for p in parts], axis=0)
        share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        # A square root shows the few errors beside the many hits.
        image = ax.imshow(np.sqrt(share), cmap="cividis", vmin=0, vmax=10)
        small = len(classes) <= 12
        for i, j in np.ndindex(share.shape) if small else ():
            if share[i, j] >= 0.05:
                text = f"{share[i, j]:.0f}" if share[i, j] >= 9.95 else f"{share[i, j]:.1f}"
                ax.text(
                    j, i, text, ha="center", va="center", fontsize=6.5, color="black" if share[i, j] > 25 else "white"
                )
        if len(classes) <= 30:
            slanted: Any = (
                {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if max(map(len, classes)) > 2 else {}
            )
            ax.set_xticks(range(len(classes)), classes, **slanted)
            ax.set_yticks(range(len(classes)), classes)
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        ax.grid(False)
    bar = sheet.drawing.colorbar(image, ax=[ax for _, ax in sheet.panels], label="share of the true class (%)")
    bar.set_ticks([np.sqrt(v) for v in (0, 1, 5, 20, 50, 100)], labels=["0", "1", "5", "20", "50", "100"])
    caption(
        sheet.drawing,
        figure,
        drawn,
        "Test images of all seeds together; rows sum to 100%, the colour scale is a square root",
    )
    return sheet.drawing


def reliability(figure: Figure, frame: Frame, sweep: Sweep, reader: Reader) -> Drawing:
    """Accuracy over confidence in bins (Guo et al. 2017, figure 1), with the share of images in each bin."""
    sheet = canvas(figure, frame, sweep, [], height=3.1)
    drawn = []
    for k, (at, ax) in enumerate(sheet.panels):
        cell, texts = _texts(figure, frame, reader, at, "reliability")
        drawn.append(cell)
        diagrams = [artifacts.reliability(text, where) for text, where in texts]
        if any(d.edges.shape != diagrams[0].edges.shape for d in diagrams):
            raise RequestError("reliability.json: the runs of one point have different bins.")
        one = artifacts.pooled(diagrams)
        middles, width = (one.edges[:-1] + one.edges[1:]) / 2, np.diff(one.edges)
        share = one.count / one.count.sum()
        ax.bar(middles * 100, share * 100, width * 90, color="#c9c9c9", label="share of images", zorder=1)
        ax.plot([0, 100], [0, 100], "--", color="#555555", lw=1, label="perfect calibration")
        full = one.count > 0
        x, y = one.confidence[full] * 100, one.accuracy[full] * 100
        low, high = one.wilson()
        ax.errorbar(
            x, y, [y - 100 * low[full], 100 * high[full] - y], fmt="o-", color=COLOURS[0], ms=4, elinewidth=0.9,
            label="accuracy", zorder=3, clip_on=False,
        )  # fmt: skip
        head = ax.get_title(loc="left")
        ax.set_title(f"{head}\n" * bool(head) + f"calibration error {one.ece * 100:.1f}%", loc="left")
        ax.set_xlim(0, 100)
        ax.set_ylim(0, 100)
        ax.set_xlabel("confidence (%)")
        if k == 0:
            ax.set_ylabel("accuracy, share of images (%)")
    handles, labels = sheet.panels[0][1].get_legend_handles_labels()
    sheet.drawing.legend(handles, labels, loc="outside right center")
    caption(
        sheet.drawing,
        figure,
        drawn,
        "Test images of all seeds together, in bins of confidence; bars on the line: 95% Wilson intervals",
    )
    return sheet.drawing


def _texts(figure: Figure, frame: Frame, reader: Reader, at: dict, kind: str) -> tuple[Cell, list[tuple[str, str]]]:
    """The panel's cell, and its finished runs' files with their origin."""
    cells = [c for c in frame.cells(figure.y, figure.at) if matches(c.at, at)]
    panels = frame.cells(figure.y, figure.at)
    if len(panels) > MOST_PANELS:
        raise RequestError(
            f"A figure of kind '{kind}' has {len(panels)} panels here, one a point; at most {MOST_PANELS} can be read. "
            "Fix axes by figure.at."
        )
    name = artifacts.FILE[kind]
    texts = []
    for record in cells[0].records:
        text = reader(record, name) if record.status == "finished" else None
        if text is not None:
            texts.append((text, f"{name} of run {record.run_id or record.key[:12]}"))
    if not texts:
        raise RequestError(
            f"A figure of kind '{kind}' needs {name}, which no finished run at {at or 'this point'} has."
        )
    return cells[0], texts
