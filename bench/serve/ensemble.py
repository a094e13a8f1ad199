"""Classifier: what predict and serve work with; and the mean of several. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.schema.errors import RequestError

Probabilities = NDArray[np.float64]  # [N, K], rows sum to one


class Classifier(Protocol):
    """What predict and serve work with, be it a run, an ensemble or an exported model."""

    @property
    def title(self) -> str:
        """For people."""

    @property
    def classes(self) -> tuple[str, ...]:
        """K names."""

    def decode_image(self, raw: bytes, most_pixels: int | None = None) -> list[NDArray[np.uint8]]:
        """The image as each member takes it, uint8 [C, H, W]. Raises BadImage."""

    def probabilities(self, images: Sequence[list[NDArray[np.uint8]]]) -> Probabilities:
        """Of decoded images."""


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

    def decode_image(self, raw: bytes, most_pixels: int | None = None) -> list[NDArray[np.uint8]]:
        """An image for each member: their sets may store images of different sizes."""
        return [image for m in self.members for image in m.decode_image(raw, most_pixels)]

    def probabilities(self, images: Sequence[list[NDArray[np.uint8]]]) -> Probabilities:
        """The mean over the members."""
        found = [m.probabilities([[image[i]] for image in images]) for i, m in enumerate(self.members)]
        return np.mean(found, axis=0)
