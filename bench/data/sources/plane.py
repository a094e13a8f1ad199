"""Points of the plane that no linear classifier separates, as images of 1 x 2 pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.sources.contract import UNASSIGNED, Contents, Source, Write

MARGIN = 1.25  # the pixel range 0..255 covers [-MARGIN, MARGIN]; what noise carries further is clipped to the edge
CLASSES = {
    "quadrants": ("same sign", "opposite signs"),
    "ring": ("disc", "ring"),
    "modes": ("rest", "three modes"),
    "spirals": ("first arm", "second arm"),
}
MODES = np.array([[-0.5, -0.4], [0.5, -0.4], [0.0, 0.5]])
MODE_RADIUS = 0.25


def points(pattern: str, count: int, stream: np.random.RandomState) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(float64 [count, 2] in [-1, 1], labels int64 [count]); the two classes are equally frequent."""
    labels = np.arange(count) % 2
    u = stream.random_sample((count, 2))
    if pattern == "quadrants":
        size, sign = 0.05 + 0.95 * u, np.where(stream.random_sample(count) < 0.5, -1.0, 1.0)
        return size * np.stack([sign, np.where(labels == 0, sign, -sign)], 1), labels
    if pattern == "spirals":
        t = np.sqrt(u[:, 0])  # even along the arm
        angle = 3 * np.pi * t + np.pi * labels
        return t[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), labels
    if pattern == "ring":
        radius = np.where(labels == 0, 0.45 * np.sqrt(u[:, 0]), np.sqrt(0.36 + 0.64 * u[:, 0]))
        return radius[:, None] * np.stack([np.cos(2 * np.pi * u[:, 1]), np.sin(2 * np.pi * u[:, 1])], 1), labels
    centre = MODES[stream.randint(len(MODES), size=count)]
    inside = centre + MODE_RADIUS * np.sqrt(u[:, :1]) * np.stack(
        [np.cos(2 * np.pi * u[:, 1]), np.sin(2 * np.pi * u[:, 1])], 1
    )
    outside = np.empty((0, 2))
    while len(outside) < count:  # the square without the discs and a rim around them
        more = stream.uniform(-1, 1, (count, 2))
        far = np.linalg.norm(more[:, None] - MODES, axis=2).min(1) > 1.2 * MODE_RADIUS
        outside = np.concatenate([outside, more[far]])
    return np.where(labels[:, None] == 1, inside, outside[:count]), labels


def _identity(dataset: Any) -> Mapping[str, Any]:
    return asdict(dataset)


def _read(dataset: Any, write: Write) -> Contents:
    stream = np.random.RandomState(dataset.seed)
    found, labels = points(dataset.pattern, dataset.count, stream)
    found = found + dataset.noise * stream.standard_normal(found.shape)
    pixels = np.floor((found / MARGIN + 1) * 127.5 + 0.5)
    write(np.clip(pixels, 0, 255).astype(np.uint8)[:, None, None])
    official = np.full(dataset.count, UNASSIGNED, np.int8)
    return Contents(labels=labels.astype(np.int64), classes=CLASSES[dataset.pattern], official=official)


PLANE = Source(_identity, _read)
