"""A run as a Classifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.imagedata import ImageData
from bench.schema.experiment import Experiment
from bench.serve.ensemble import Probabilities
from bench.serve.pictures import pixels
from bench.serve.temperature import fit_temperature, scale_scores
from bench.trained import Trained


class OfRun:
    """A run as a Classifier.

    Args:
        calibrated: divide scores by a temperature that is fitted on the run's val split.
        views: average over so many augmented views of each image as well.
        augmented: the Experiment whose augmentation makes them; None: the run's own.
    """

    def __init__(
        self, trained: Trained, calibrated: bool = False, views: int = 0, augmented: Experiment | None = None
    ) -> None:
        self.trained, self.temperature = trained, 1.0
        source = (augmented or trained.exp).augment
        self.exp = dataclasses.replace(trained.exp, augment=dataclasses.replace(source, test_time=views))
        self.views = views
        if views:
            self._scores(np.zeros((1, *trained.shape), np.uint8))  # says now what is wrong with that
        if calibrated:
            data = trained.data
            self.temperature = fit_temperature(self._of_split(data, "val"), data.labels[data.val])

    @property
    def title(self) -> str:
        """Model, set and run."""
        return self.trained.title

    @property
    def classes(self) -> tuple[str, ...]:
        """As the run's set names them."""
        return self.trained.classes

    @property
    def fit(self) -> str:
        """How an image of another size is brought to the set's."""
        return str(getattr(self.trained.exp.dataset, "fit", "crop"))

    def decode_image(self, raw: bytes, most_pixels: int | None = None) -> list[NDArray[np.uint8]]:
        """One image, as the set would have stored it."""
        return [pixels(raw, self.trained.shape, self.fit, most_pixels, self.trained.spans)]

    def probabilities(self, images: Sequence[list[NDArray[np.uint8]]]) -> Probabilities:
        """By the path that scored the run's own val and test."""
        scores = self._scores(np.stack([image for (image,) in images]))
        return np.exp(scale_scores(scores, self.temperature))

    def _scores(self, stored: NDArray[np.uint8]) -> NDArray[np.float32]:
        tensor = torch.from_numpy(stored)
        found = self.trained.views(tensor, self.exp) if self.views else self.trained.classify(tensor)
        return found.numpy()

    def _of_split(self, data: ImageData, split: str) -> NDArray[np.float32]:
        if not self.views:
            return self.trained.scores(split)
        rows = data.split(split)
        return self._scores(data.images[rows])
