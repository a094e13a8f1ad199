"""A generator of small colour images of one object, whose factors are set one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.data.sources import decode
from bench.data.sources.contract import UNASSIGNED, Contents, Source, Write
from bench.schema.dataset import Shapes

FINE = 4  # drawn at four times the size, then averaged: smooth edges
COLOURS = {
    "red": (230, 40, 40),
    "green": (40, 200, 60),
    "blue": (60, 90, 240),
    "yellow": (240, 220, 50),
    "magenta": (220, 50, 220),
    "cyan": (50, 220, 220),
    "white": (240, 240, 240),
}
ORIENTATIONS = (0.0, 45.0, 90.0, 135.0)  # degrees
POSITIONS = {"upper left": (-0.25, -0.25), "upper right": (-0.25, 0.25), "lower left": (0.25, -0.25),
             "lower right": (0.25, 0.25)}  # fmt: skip
SIZES = {"small": 0.6, "medium": 1.0, "large": 1.5}  # relative to `size`
BRIGHTNESSES = {"dark": 0.35, "medium": 0.65, "bright": 1.0}


class Object(NamedTuple):
    """One image's factors. Lengths are fractions of the side, from the centre; angles are degrees."""

    shape: str
    colour: tuple[int, int, int]
    angle: float
    down: float
    right: float
    size: float
    brightness: float


def classes(dataset: Shapes) -> tuple[str, ...]:
    """The class names: the values of the factor that is the label."""
    return {
        "shape": tuple(dataset.shapes),
        "colour": tuple(dataset.colours),
        "orientation": tuple(f"{a:.0f} degrees" for a in ORIENTATIONS),
        "position": tuple(POSITIONS),
        "size": tuple(SIZES),
        "brightness": tuple(BRIGHTNESSES),
    }[dataset.label]


def draw_factors(dataset: Shapes, label: int, stream: np.random.RandomState) -> Object:
    """The factors of one image of class `label`; all but the label's own vary as the settings say."""
    name, what = classes(dataset)[label], dataset.label
    shape = dataset.shapes[stream.randint(len(dataset.shapes))]
    colour = dataset.colours[stream.randint(len(dataset.colours))]
    turn, down, right, size, light = stream.uniform(-1, 1, 5)
    if what == "orientation":
        # Only a bar looks different at each of the four angles.
        shape = "bar"
    angle = dataset.rotation * turn + (ORIENTATIONS[label] if what == "orientation" else 0.0)
    corner = POSITIONS[name] if what == "position" else (0.0, 0.0)
    return Object(
        shape=name if what == "shape" else shape,
        colour=COLOURS[name if what == "colour" else colour],
        angle=angle,
        down=corner[0] + dataset.shift * down,
        right=corner[1] + dataset.shift * right,
        size=dataset.size * (SIZES[name] if what == "size" else 1.0) * (1 + dataset.size_range * size),
        brightness=dataset.brightness
        * (BRIGHTNESSES[name] if what == "brightness" else 1.0)
        * (1 + dataset.brightness_range * light),
    )


def render(dataset: Shapes, thing: Object, stream: np.random.RandomState) -> NDArray[np.uint8]:
    """uint8 [3, side, side]: black, clutter behind, the object, the occluder in front."""
    side = dataset.side * FINE
    image = Image.new("RGB", (side, side))
    pen = ImageDraw.Draw(image)
    for _ in range(dataset.clutter):
        ends = stream.uniform(0, side, 4)
        pen.line([*ends], fill=tuple(stream.randint(30, 200, 3).tolist()), width=max(1, side // 24))
    colour = tuple(int(min(255, c * thing.brightness)) for c in thing.colour)
    centre = np.array([side * (0.5 + thing.right), side * (0.5 + thing.down)])
    radius = side * thing.size / 2
    for outline in _outlines(thing.shape):
        turn = math.radians(thing.angle)
        matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        corners = centre + radius * outline @ matrix.T
        pen.polygon([(float(x), float(y)) for x, y in corners], fill=colour)
    if dataset.occlusion:
        hidden = 2 * radius * dataset.occlusion
        left = centre[0] - radius + stream.uniform(0, 1) * (2 * radius - hidden)
        pen.rectangle([left, centre[1] - radius, left + hidden, centre[1] + radius], fill=(128, 128, 128))
    small = np.asarray(image.resize((dataset.side, dataset.side), Image.Resampling.BOX)).transpose(2, 0, 1)
    noisy = small + 255 * dataset.noise * stream.standard_normal(small.shape)
    return np.clip(np.floor(noisy + 0.5), 0, 255).astype(np.uint8)


def _outlines(shape: str) -> list[NDArray[np.float64]]:
    """Polygons [corners, 2] (x right, y down) inside the unit circle."""

    def ring(count: int, start: float, radii: tuple[float, ...] = (1.0,)) -> NDArray[np.float64]:
        angles = start + 2 * np.pi * np.arange(count) / count
        radius = np.resize(radii, count)
        return np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1)

    def box(width: float, height: float) -> NDArray[np.float64]:
        return np.array([[-width, -height], [width, -height], [width, height], [-width, height]])

    return {
        "circle": [ring(64, 0.0)],
        "square": [ring(4, np.pi / 4)],
        "triangle": [ring(3, -np.pi / 2)],
        "star": [ring(10, -np.pi / 2, (1.0, 0.4))],
        "cross": [box(0.95, 0.3), box(0.3, 0.95)],
        "bar": [box(0.95, 0.3)],
    }[shape]


def _identity(dataset: Shapes) -> Mapping[str, Any]:
    return asdict(dataset)


def _read(dataset: Shapes, write: Write) -> Contents:
    """Image i has a stream of its own, so a larger `count` begins with the smaller one's images."""
    names = classes(dataset)

    def one(i: int) -> NDArray[np.uint8]:
        stream = np.random.RandomState([dataset.seed, i])
        return render(dataset, draw_factors(dataset, i % len(names), stream), stream)

    for images in decode.parallel(one, range(dataset.count), "shapes"):
        write(np.stack(images))
    labels = np.arange(dataset.count, dtype=np.int64) % len(names)
    return Contents(labels=labels, classes=names, official=np.full(dataset.count, UNASSIGNED, np.int8))


SHAPES = Source(_identity, _read)
