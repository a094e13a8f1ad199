"""Why pixel distance misleads: changes that look unlike and are equally far in L2."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.explain.picture import NotFor, Picture, cells, name, show, style
from bench.explain.subject import Subject

ROWS = 3


def draw(subject: Subject) -> list[Picture]:
    """A row an image: as it is, shifted, darkened, covered; the last three equally far from the first."""
    trained = subject.trained
    if min(trained.shape[1:]) < 6:
        raise NotFor("these images have too few pixels to be shifted.")
    images, _ = subject.examples
    chosen = [made for image in images if (made := equally_far(image.astype(np.float64))) is not None][:ROWS]
    if not chosen:
        raise NotFor("no example could be darkened as far as a shift moves it.")
    with style():
        figure, made = cells(len(chosen), 4, 1.35, text=0.32)
        for line, versions in zip(made, chosen, strict=True):
            said = trained.classify(torch.from_numpy(np.stack(versions).round().astype(np.uint8))).numpy()
            words = ("original", "shifted", "darkened", "covered")
            for cell, version, word, scores in zip(line, versions, words, said, strict=True):
                distance = float(np.linalg.norm(version - versions[0]))
                answer = f"{name(trained.classes, int(scores.argmax()))} ({np.exp(scores.max()):.0%})"
                show(cell, version, f"{word}, L2 {distance:.0f}\n{answer}")
    caption = (
        "Three changes of one image at the same L2 distance of pixels (0 to 255) from it, and what the model says of "
        "each. To the eye they are very different: a shift changes nothing that matters, yet it is as far away as "
        "losing a part. Whoever compares pixels cannot know better; features that a network learned can."
    )
    return [Picture("misleading", "Equally far, and yet unlike", caption, figure)]


def equally_far(image: NDArray[np.float64]) -> list[NDArray[np.float64]] | None:
    """Original, shifted, darkened and covered, float [C, H, W]; the distances of the last three are equal.

    The shift decides the distance, being made of whole pixels; how dark, and how grey the cover, are fitted to it.
    None where no shift is small enough for the others.
    """
    _, height, width = image.shape
    for pixels in range(max(1, height // 14), 0, -1):
        shifted = np.zeros_like(image)
        shifted[:, pixels:, pixels:] = image[:, :-pixels, :-pixels]
        distance = np.linalg.norm(shifted - image)
        share = distance / max(1e-9, float(np.linalg.norm(image)))
        if not 0 < share <= 1:
            continue
        for side in range(2, min(height, width)):
            covered = image.copy()
            rows, columns = (slice((n - side) // 2, (n + side) // 2 + 1) for n in (height, width))
            square = (slice(None), rows, columns)
            # Towards white where the image is dark and the other way round: a cover is to be seen.
            covered[square] = 0.0 if image[square].mean() > 127 else 255.0
            reach = float(np.linalg.norm(covered - image))
            if reach >= distance:
                return [image, shifted, image * (1 - share), image + (covered - image) * distance / reach]
    return None
