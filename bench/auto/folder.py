"""The images of `bench auto`: read, split, counted, and refused where nothing could be learned from them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import data as images
from bench.compose import compose
from bench.data.finding import by_number
from bench.data.imagedata import ImageData
from bench.data.inspection import Inspection, inspect
from bench.data.sources.folder import no_folder, sizes
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment, experiment

LEAST = 3  # images of a class: one for each of train, val and test
PHOTO = 224  # shorter side, in pixels, from which images are photographs
VAL = 0.2  # of what is not test: with few images a tenth would decide by chance


def base(folder: Path) -> list[str]:
    """The overrides that every candidate shares. Files that cannot be read are left out and listed.

    Photographs are read at the side that backbones were trained at; smaller images as `dataset=folder` reads them.
    """
    quoted = str(folder.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    shared = ["dataset=folder", f"dataset.root='{quoted}'", "dataset.on_bad_image=skip", f"split.val={VAL}"]
    sides = [min(size) for size in sizes(to_experiment(shared).dataset)]
    return [*shared, f"dataset.size={PHOTO}"] if sides and median(sides) >= PHOTO else shared


def to_experiment(overrides: list[str]) -> Experiment:
    """The Experiment of some overrides."""
    return experiment(compose(overrides))


def read(folder: Path) -> tuple[ImageData, Inspection]:
    """The images of a folder with one sub-folder a class, split, and what there is to say of them.

    Raises:
        RequestError: for no such folder, one class, or a class with too few images to be learned and tested.
    """
    if not folder.is_dir():
        raise no_folder(folder, folder)
    exp = to_experiment(base(folder))
    data = images.load(exp.dataset, exp.split)
    counts = np.bincount(data.labels, minlength=len(data.classes))
    few = [f"{data.classes[k]} ({counts[k]})" for k in np.flatnonzero(counts < LEAST)]
    if few:
        raise RequestError(
            f"Too few images to learn a class and test it: {', '.join(few[:10])}. Expected at least {LEAST}, better "
            "50. Add images, or move these folders elsewhere."
        )
    return data, inspect(data, near=2000)


def without_test(data: ImageData) -> ImageData:
    """The same, with one val image in place of test: candidates cannot see what decides nothing yet."""
    return dataclasses.replace(data, test=data.val[:1])


def summary(data: ImageData, found: Inspection) -> list[str]:
    """For people: counts and warnings."""
    c, h, w = data.shape
    kind = "grey" if c == 1 else "colour"
    parts = ", ".join(f"{len(data.split(s))} {s}" for s in ("train", "val", "test"))
    lines = [f"{len(data.labels):,} images, {len(data.classes)} classes, {h} x {w}, {kind}: {parts}"]
    counts = found.counts.sum(0)
    shown = [f"{name} {counts[k]}" for k, name in enumerate(data.classes)][:20]
    lines.append("  " + ", ".join(shown) + (", ..." if len(data.classes) > 20 else ""))
    if data.skipped:
        lines.append(
            f"  left out: {len(data.skipped)} {by_number(len(data.skipped), 'file', 'files')}, as {data.skipped[0]}"
        )
    lines += [f"  {remark}" for remark in data.remarks]
    lines += [f"  {finding.level}: {finding.reason} {finding.remedy}" for finding in found.findings]
    return lines


def facts(data: ImageData, found: Inspection) -> dict[str, Any]:
    """The same for programs."""
    return {"images": len(data.labels), "classes": list(data.classes), "skipped": list(data.skipped), **found.row()}
