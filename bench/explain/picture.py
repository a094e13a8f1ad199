"""Picture: a figure or a table with its caption; and how images are laid out in a figure."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.data.preview import shorten_name
from bench.disk import write_atomically

DPI = 130
WIDTH = 8.6  # of a row of images, in inches
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "imagebench",
    "image.interpolation": "nearest",
    "legend.frameon": False,
    "text.parse_math": False,  # a class called $5 is a class called $5
}


class NotFor(Exception):
    """Why a run has no picture of this kind; for people."""


@dataclass
class Picture:
    """One result of a kind.

    Attributes:
        name: of its files, without an ending.
        caption: what is seen and how to read it.
        figure: drawn into NAME.png and NAME.svg; None where there is only a table.
        head, rows: a table, written to NAME.csv and shown on the page.
    """

    name: str
    title: str
    caption: str
    figure: Figure | None = None
    head: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()


def save(figure: Figure, path: Path) -> None:
    """Write a figure as its path's ending says; the same bytes for the same content."""
    FigureCanvasAgg(figure)
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with warnings.catch_warnings(), rc_context(STYLE):
        warnings.filterwarnings("ignore", "Glyph .* missing")
        how: dict[str, Any] = {"dpi": DPI, "metadata": metadata, "facecolor": "white"}
        write_atomically(path, lambda out: figure.savefig(out, format=path.suffix[1:], **how))


def style() -> Any:
    """The context in which figures are made."""
    return rc_context(STYLE)


def cells(rows: int, columns: int, side: float = 1.0, left: float = 0.0, text: float = 0.0) -> tuple[Figure, Any]:
    """A figure with a grid of bare cells [rows, columns].

    Args:
        side: of a cell, in inches.
        left: room for words left of the first column, in inches.
        text: room for a title above every cell, in inches.
    """
    figure = Figure(figsize=(left + side * columns + 0.1, (side + text) * rows + 0.1), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    made = figure.subplots(rows, columns, squeeze=False)
    for cell in made.flat:
        strip_axes(cell)
    return figure, made


def strip_axes(cell: Axes) -> None:
    """No ticks, no frame."""
    cell.set_xticks([])
    cell.set_yticks([])
    cell.spines[:].set_visible(False)


def show(cell: Axes, image: NDArray[Any], title: str = "") -> None:
    """An image [C, H, W] of 0..255, grey or colour; other numbers of channels as their mean."""
    image = np.clip(np.asarray(image), 0, 255).astype(np.uint8)
    if len(image) == 3:
        cell.imshow(image.transpose(1, 2, 0))
    else:
        cell.imshow(image.mean(0) if len(image) > 1 else image[0], cmap="gray", vmin=0, vmax=255)
    if title:
        cell.set_title(title, fontsize=7, pad=2)


def draw_weights(cell: Axes, weights: NDArray[Any], most: float, title: str = "") -> None:
    """Weights [C, H, W]: three channels as colours about mid-grey, others (their mean) from blue over white to red."""
    if len(weights) == 3:
        cell.imshow(np.clip(0.5 + weights.transpose(1, 2, 0) / (2 * most or 1), 0, 1))
    else:
        cell.imshow(weights.mean(0), cmap="RdBu_r", vmin=-most, vmax=most)
    if title:
        cell.set_title(title, fontsize=7, pad=2)


def label(cell: Axes, text: str) -> None:
    """Words left of a row's first cell."""
    cell.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8)


def side_for(titles: Sequence[str], least: float) -> float:
    """The side in inches, `least` or more, of a cell above which the longest line of these titles fits."""
    return max(least, 0.062 * max((len(line) for title in titles for line in title.splitlines()), default=0))


def grid(images: Sequence[NDArray[Any]], titles: Sequence[str], side: float = 1.05, lines: int = 2) -> Figure:
    """Images with a title each, row by row, as many a row as the page is wide."""
    side = side_for(titles, side)
    columns = min(int(WIDTH / side), max(1, len(images)))
    with style():
        figure, made = cells(math.ceil(len(images) / columns), columns, side, text=0.16 * lines)
        for cell, image, title in zip(made.flat, images, titles, strict=False):
            show(cell, image, title)
    return figure


def name(classes: Sequence[str], k: int, longest: int = 14) -> str:
    """A class name that fits above a small image."""
    return shorten_name(classes[k], longest)
