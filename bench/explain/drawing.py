"""Which kinds of picture there are, and drawing them into a folder with one page."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.disk import write_atomically
from bench.explain.page import page
from bench.explain.picture import NotFor, Picture, save
from bench.explain.subject import Subject
from bench.schema.errors import unknown_name

# In the order of the page: what went wrong first, then what was learned, then how it works.
KINDS = {
    "confusion": "what is taken for what",
    "mistakes": "confident mistakes, uncertain right ones, confused pairs",
    "precision_recall": "precision, recall and F1 of each class; thresholds for a wanted precision",
    "calibration": "reliability before and after temperature",
    "seeds": "what all seeds get wrong",
    "label_errors": "labels in doubt",
    "saliency": "Grad-CAM, integrated gradients, occlusion",
    "neighbours": "the nearest training images and their distances",
    "embedding": "features in two dimensions",
    "regions": "decision regions of the plane",
    "templates": "weights of a linear model or a first dense layer as images",
    "filters": "the first convolution's filters",
    "activations": "what each stage makes of an image",
    "exciting": "images and patches that excite single units",
    "preferred": "the input that each class prefers",
    "misleading": "why pixel distance misleads",
    "convolution": "what one convolution does",
    "architecture": "layers, shapes, parameters, FLOPs, receptive fields",
}


@dataclass
class Drawn:
    """What was written.

    Attributes:
        files: the page first.
        left_out: kind -> why this run has no such picture.
    """

    files: list[Path] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def draw(
    subject: Subject,
    kinds: Sequence[str],
    out: Path,
    progress: Callable[[str], None] = lambda kind: None,
    before: Sequence[Picture] = (),
) -> Drawn:
    """Draw the kinds asked for, all where none is named.

    Args:
        progress: called with each kind before it is drawn.
        before: pictures of the caller's that come first on the page.

    Raises:
        RequestError: for a kind that does not exist, or a library that is missing.
    """
    for kind in kinds:
        if kind.replace("-", "_") not in KINDS:
            raise unknown_name("kind of picture", kind, KINDS)
    chosen = [kind for kind in KINDS if not kinds or kind in [k.replace("-", "_") for k in kinds]]
    drawn = Drawn()
    images: dict[str, bytes] = {}
    for picture in before:
        _write(picture, out, drawn, images)
    for kind in chosen:
        progress(kind)
        try:
            made = importlib.import_module(f"bench.explain.{kind}").draw(subject)
        except NotFor as reason:
            drawn.left_out[kind] = str(reason)
            continue
        for picture in made:
            _write(picture, out, drawn, images)
    path = out / "index.html"
    write_atomically(path, page(subject, drawn.pictures, images, drawn.left_out))
    drawn.files.insert(0, path)
    return drawn


def _write(picture: Picture, out: Path, drawn: Drawn, images: dict[str, bytes]) -> None:
    """The files of one picture."""
    drawn.pictures.append(picture)
    if picture.figure is not None:
        out.mkdir(parents=True, exist_ok=True)
        for ending in (".png", ".svg"):
            save(picture.figure, out / f"{picture.name}{ending}")
            drawn.files.append(out / f"{picture.name}{ending}")
        images[picture.name] = (out / f"{picture.name}.png").read_bytes()
    if picture.rows:
        write_atomically(out / f"{picture.name}.csv", _csv(picture))
        drawn.files.append(out / f"{picture.name}.csv")


def _csv(picture: Picture) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(picture.head)
    writer.writerows(picture.rows)
    return text.getvalue()
