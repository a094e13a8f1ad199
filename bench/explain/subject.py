"""Subject: the run that is explained, with its scores on one split and the examples that the pictures share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.explain.picture import name
from bench.track.store import Store
from bench.trained import Trained

EXAMPLES = 6


@dataclass(frozen=True)
class Subject:
    """A run and what is asked of it.

    Attributes:
        split: whose images are looked at. val, so that looking at mistakes does not use test up; test when asked.
        image: an image of the user's, uint8 [C, H, W], in place of examples from the split.
        precision: what the thresholds of the precision-recall curves are for.
    """

    trained: Trained
    store: Store
    split: str = "val"
    image: NDArray[np.uint8] | None = None
    precision: float = 0.95

    @property
    def classes(self) -> tuple[str, ...]:
        """K names."""
        return self.trained.classes

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The split's indices into the run's images."""
        return self.trained.data.split(self.split)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """[n], of the split."""
        return self.trained.data.labels[self.rows]

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """Log-probabilities [n, K] of the split."""
        return self.trained.scores(self.split)

    @property
    def chosen(self) -> NDArray[np.int64]:
        """The predicted class of each image, [n]."""
        return self.scores.argmax(1)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The probability of the predicted class, [n]."""
        return np.exp(self.scores.max(1).astype(np.float64))

    def images(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Of places in the split: uint8 [m, C, H, W]."""
        return np.asarray(self.trained.data.images[self.rows[places]])

    @cached_property
    def examples(self) -> tuple[NDArray[np.uint8], list[str]]:
        """Images uint8 [m, C, H, W] that several pictures show, and a title each: right ones, then mistakes.

        The first image of each class in turn; of the mistakes the most confident ones. The user's own image alone,
        where there is one.
        """
        if self.image is not None:
            said = self.trained.classify(torch.from_numpy(self.image[None])).numpy()[0]
            return self.image[None], [f"said {name(self.classes, int(said.argmax()))} ({np.exp(said.max()):.0%})"]
        right = self.chosen == self.labels
        first = [int(np.flatnonzero(right & (self.labels == k))[0]) for k in np.unique(self.labels[right])]
        wrong = np.flatnonzero(~right)[np.argsort(-self.confidence[~right], kind="stable")][: EXAMPLES // 2]
        places = np.array([*first[: EXAMPLES - len(wrong)], *wrong], np.int64)
        return self.images(places), [self.title(int(i)) for i in places]

    def title(self, place: int) -> str:
        """What an image is and what was said of it."""
        true, said = (name(self.classes, k) for k in (self.labels[place], self.chosen[place]))
        if true == said:
            return f"{true} ({self.confidence[place]:.0%})"
        return f"{true}\nsaid {said} ({self.confidence[place]:.0%})"

    def prepare(self, images: NDArray[np.uint8]) -> Tensor:
        """The network's input for stored images."""
        return self.trained.prepare(torch.from_numpy(images).to(self.trained.device))
