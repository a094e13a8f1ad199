"""Pixels to class probabilities: by a run, or by several runs as an ensemble."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.imagedata import ImageData
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.serve.pictures import Shape, pixels
from bench.serve.temperature import fitted, scaled
from bench.trained import Trained

Probabilities = NDArray[np.float64]  # [N, K], rows sum to one


class Classifier(Protocol):
    """What predict and serve work with, be it a run, an ensemble or an exported model."""

    @property
    def title(self) -> str:
        """For people."""

    @property
    def classes(self) -> tuple[str, ...]:
        """K names."""

    def decoded(self, raw: bytes, most_pixels: int | None = None) -> list[NDArray[np.uint8]]:
        """The image as each member takes it, uint8 [C, H, W]. Raises BadImage."""

    def probabilities(self, images: Sequence[list[NDArray[np.uint8]]]) -> Probabilities:
        """Of decoded images."""


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
            self.temperature = fitted(self._of_split(data, "val"), data.labels[data.val])

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

    def decoded(self, raw: bytes, most_pixels: int | None = None) -> list[NDArray[np.uint8]]:
        """One image, as the set would have stored it."""
        return [pixels(raw, self.trained.shape, self.fit, most_pixels)]

    def probabilities(self, images: Sequence[list[NDArray[np.uint8]]]) -> Probabilities:
        """By the path that scored the run's own val and test."""
        scores = self._scores(np.stack([image for (image,) in images]))
        return np.exp(scaled(scores, self.temperature))

    def _scores(self, stored: NDArray[np.uint8]) -> NDArray[np.float32]:
        tensor = torch.from_numpy(stored)
        found = self.trained.views(tensor, self.exp) if self.views else self.trained.classify(tensor)
        return found.numpy()

    def _of_split(self, data: ImageData, split: str) -> NDArray[np.float32]:
        if not self.views:
            return self.trained.scores(split)
        rows = data.split(split)
        return self._scores(data.images[rows])


class Ensemble:
    """The mean of several classifiers' probabilities (Lakshminarayanan et al. 2017, arXiv:1612.01474).

    Raises:
        RequestError: when they do not know the same classes.
    """

    def __init__(self, members: Sequence[Classifier]) -> None:
        self.members = members
        for other in members[1:]:
            if other.classes != members[0].classes:
                theirs, ours = (", ".join(m.classes[:5]) for m in (other, members[0]))
                raise RequestError(
                    f"An ensemble needs the same classes, in the same order: {other.title} has {theirs}, ..., "
                    f"{members[0].title} has {ours}, ..."
                )

    @property
    def title(self) -> str:
        """Its members."""
        return f"mean of {len(self.members)}: " + "; ".join(m.title for m in self.members)

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of every member."""
        return self.members[0].classes

    def decoded(self, raw: bytes, most_pixels: int | None = None) -> list[NDArray[np.uint8]]:
        """An image for each member: their sets may store images of different sizes."""
        return [image for m in self.members for image in m.decoded(raw, most_pixels)]

    def probabilities(self, images: Sequence[list[NDArray[np.uint8]]]) -> Probabilities:
        """The mean over the members."""
        found = [m.probabilities([[image[i]] for image in images]) for i, m in enumerate(self.members)]
        return np.mean(found, axis=0)  # type: ignore[no-any-return]


__all__ = ["Classifier", "Ensemble", "OfRun", "Probabilities", "Shape"]
