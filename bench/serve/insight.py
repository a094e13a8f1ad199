"""What a page shows beside probabilities: where a decision comes from, and the nearest training images."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from bench.explain.neighbours import reference
from bench.explain.saliency import largest, saliency
from bench.models.search import neighbours
from bench.trained import Trained

SHOWN = 6  # neighbours
SIDE = 224  # pixels that a picture on the page has at least


class Insight:
    """For one run.

    Args:
        most: training images compared with, where the model itself does not compare with all; 0: no neighbours.
    """

    def __init__(self, trained: Trained, most: int = 1000) -> None:
        self.trained, self.rows = trained, None
        if most and max(trained.shape[1:]) > 3:
            self.rows, self.labels, self.metric = reference(trained, None if trained.nearest is not None else most)

    def warm(self) -> None:
        """Once before the first question, which would else wait for libraries to be imported."""
        self.of(np.zeros(self.trained.shape, np.uint8), 0)

    def of(self, image: NDArray[np.uint8], target: int) -> dict[str, Any]:
        """Pictures as data addresses: `seen` (the image as the model takes it), `saliency`, `nearest`."""
        import torch

        seen = pixels_of(image)
        found: dict[str, Any] = {"seen": address(seen)}
        method, heat = saliency(self.trained, image, target)
        found["saliency"] = {"method": method, "image": address(over(seen, heat))}
        if self.rows is not None:
            query = self.trained.embed(torch.from_numpy(image[None]))
            (distances,), (places,) = neighbours(self.rows, query, min(SHOWN, len(self.rows)), self.metric)
            train = self.trained.data.train
            found["nearest"] = [
                {
                    "class": self.trained.classes[int(self.labels[i])],
                    "distance": float(d),
                    "image": address(pixels_of(np.asarray(self.trained.data.images[int(train[i])]))),
                }
                for d, i in zip(distances, places, strict=True)
            ]
        return found


def pixels_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[C, H, W] as [H, W, 3]."""
    return np.repeat(image[0][..., None], 3, 2) if len(image) != 3 else image.transpose(1, 2, 0)


def over(image: NDArray[np.uint8], heat: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A map over a pale copy: red for what speaks for the class, blue for what speaks against it."""
    most = largest(heat) or 1.0
    colour = colormaps["RdBu_r"](np.clip(heat / most, -1, 1) / 2 + 0.5)[..., :3] * 255
    pale = 128 + image.mean(2, keepdims=True) / 2
    return np.clip(0.35 * pale + 0.65 * colour, 0, 255).astype(np.uint8)


def address(image: NDArray[np.uint8]) -> str:
    """A PNG in a data address, small images enlarged by whole factors."""
    factor = max(1, SIDE // max(image.shape[:2]))
    shown = Image.fromarray(np.ascontiguousarray(image))
    shown = shown.resize((shown.width * factor, shown.height * factor), Image.Resampling.NEAREST)
    file = io.BytesIO()
    shown.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
