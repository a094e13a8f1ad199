"""Pictures of a set: label counts, a grid of images, what augmentations and corruptions make of one."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from bench.data import augment, corrupt
from bench.data.imagedata import ImageData
from bench.data.inspection import SPLITS
from bench.disk import write_atomically
from bench.schema.pixels import Augment, Corrupt

COLOURS = ("#0072b2", "#e69f00", "#009e73")  # Okabe and Ito: told apart by everybody
MANY = 30  # classes, above which names give way to numbers


def labels(data: ImageData, counts: NDArray[np.int64], path: Path) -> None:
    """Stacked bars: images of each class in train, val and test."""
    count = len(data.classes)
    figure = Figure(figsize=(max(4.0, min(16.0, 1.5 + 0.4 * count)), 3.2), layout="constrained")
    axes = figure.subplots()
    below = np.zeros(count)
    for row, name, colour in zip(counts, SPLITS, COLOURS, strict=True):
        axes.bar(range(count), row, bottom=below, label=name, color=colour)
        below += row
    if count <= MANY:
        names = [shorten_name(name) for name in data.classes]
        if max(map(len, names)) < 4:
            axes.set_xticks(range(count), names)
        else:
            axes.set_xticks(range(count), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlabel("class")
    axes.set_ylabel("images")
    axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def grid(data: ImageData, path: Path, rows: int = 12, columns: int = 10) -> None:
    """A row of training images for each class (the first `rows` classes); points of the plane as a scatter plot."""
    if data.shape == (1, 1, 2):
        return _points(data, path)
    shown = range(min(rows, len(data.classes)))
    figure = Figure(figsize=(1.2 + 0.9 * columns, 0.9 * len(shown)), layout="constrained")
    cells = figure.subplots(len(shown), columns, squeeze=False)
    for k in shown:
        of_class = data.train[data.labels[data.train] == k]
        for j, cell in enumerate(cells[k]):
            _show(cell, data.images[int(of_class[j])] if j < len(of_class) else None)
        cells[k][0].set_ylabel(shorten_name(data.classes[k]), rotation=0, ha="right", va="center")
    _save(figure, path)


def shorten_name(name: str, longest: int = 18) -> str:
    """A class name that leaves room for the picture."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def _points(data: ImageData, path: Path) -> None:
    figure = Figure(figsize=(4.2, 4.6), layout="constrained")
    axes = figure.subplots()
    for k, name in enumerate(data.classes):
        x, y = data.images[data.train[data.labels[data.train] == k]][:, 0, 0].T
        axes.scatter(x, y, s=4, color=COLOURS[k % len(COLOURS)], label=name, linewidths=0)
    axes.set(xlabel="first pixel", ylabel="second pixel", box_aspect=1, xlim=(0, 255), ylim=(0, 255))
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), markerscale=3)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def augmentations(settings: Augment, data: ImageData, path: Path, draws: int = 10) -> bool:
    """One image under each augmentation of the settings alone, then under all together, `draws` times each.

    Mixup and CutMix show the image mixed with others of the train split. False where nothing is set.
    """
    blank = Augment()
    accompanying = {"name", "crop_fill", "policy_ops", "policy_magnitude", "blur_sigma"}
    options = {
        f.name: getattr(settings, f.name)
        for f in dataclasses.fields(settings)
        if getattr(settings, f.name) != getattr(blank, f.name)
    }
    single = [name for name in options if name not in accompanying]
    if not single:
        return False
    kept = {name: value for name, value in options.items() if name in accompanying}
    rows = [(name, Augment(**kept, **{name: options[name]})) for name in single]
    if len(rows) > 1:
        rows.append(("all", settings))
    # Even positions hold the image; mixing takes a partner from the odd ones.
    indices = np.random.RandomState(0).choice(data.train, 2 * draws)
    indices[::2] = data.train[0]
    images, targets = torch.from_numpy(data.images[indices]), torch.from_numpy(data.labels[indices])
    figure = Figure(figsize=(1.6 + 0.9 * (draws + 1), 0.9 * len(rows)), layout="constrained")
    cells = figure.subplots(len(rows), draws + 1, squeeze=False)
    for row, (name, one) in zip(cells, rows, strict=True):
        function = augment.make(one, data)
        assert function is not None
        drawn, _ = function(images, targets, augment.generator(0, 0, 0, len(images)))
        for j, cell in enumerate(row):
            _show(cell, data.images[int(data.train[0])] if j == 0 else drawn[2 * j - 2].round().byte().numpy())
        row[0].set_ylabel(one.policy if name == "policy" else name, rotation=0, ha="right", va="center")
    cells[0][0].set_title("original", fontsize=8)
    _save(figure, path)
    return True


def corruptions(settings: Corrupt, data: ImageData, path: Path) -> bool:
    """One test image under each corruption, a column for each severity. False where none is set."""
    if not settings.names:
        return False
    rows, columns = len(settings.names), len(settings.severities) + 1
    figure = Figure(figsize=(1.6 + 0.9 * columns, 0.2 + 0.9 * rows), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False)
    clean = data.images[data.test[:1]]
    for row, name in zip(cells, settings.names, strict=True):
        _show(row[0], clean[0])
        for cell, severity in zip(row[1:], settings.severities, strict=True):
            draws = corrupt.generator(settings.seed, name, severity)
            _show(cell, corrupt.apply(torch.from_numpy(clean), name, severity, draws)[0].numpy())
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for cell, title in zip(cells[0], ("clean", *(f"severity {s}" for s in settings.severities)), strict=True):
        cell.set_title(title, fontsize=8)
    _save(figure, path)
    return True


def _show(cell: Any, image: NDArray[np.uint8] | None) -> None:
    cell.set_xticks([])
    cell.set_yticks([])
    cell.spines[:].set_visible(False)
    if image is None:
        return
    if len(image) == 3:
        cell.imshow(image.transpose(1, 2, 0), interpolation="nearest")
    else:
        cell.imshow(image[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class may be called $5-$10
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a class name's sign that the font lacks is a box
        write_atomically(path, lambda out: figure.savefig(out, dpi=110, format=path.suffix[1:]))
