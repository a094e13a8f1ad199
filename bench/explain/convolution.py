"""What one convolution does to an image: the filters that courses begin with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate

from bench.explain.picture import NotFor, Picture, cells, draw_weights, label, show, style
from bench.explain.subject import Subject

BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256.0
SOBEL = np.outer([1, 2, 1], [-1, 0, 1]) / 4.0
KERNELS = {
    "blur": BINOMIAL,
    "vertical edges": SOBEL,
    "horizontal edges": SOBEL.T,
    "all edges": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float64),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float64),
}


def draw(subject: Subject) -> list[Picture]:
    """Above the kernels, below what each makes of two images."""
    if min(subject.trained.shape[1:]) < 6:
        raise NotFor("these images have too few pixels.")
    images = subject.examples[0][:2]
    with style():
        figure, made = cells(1 + len(images), 1 + len(KERNELS), 1.25, left=0.7, text=0.1)
        for cell, (word, kernel) in zip(made[0][1:], KERNELS.items(), strict=True):
            most = float(np.abs(kernel).max())
            draw_weights(cell, kernel[None], most, word)
            for (i, j), value in np.ndenumerate(kernel):
                ink = "white" if abs(value) > 0.7 * most else "black"
                said = f"{value * (256 if word == 'blur' else 1):g}"
                cell.text(j, i, said, ha="center", va="center", fontsize=6, color=ink)
        label(made[0][0], "kernel")
        for line, image in zip(made[1:], images, strict=True):
            show(line[0], image, "image")
            for cell, kernel in zip(line[1:], KERNELS.values(), strict=True):
                found = convolve(image, kernel)
                if kernel.sum() > 0.5:
                    show(cell, found)
                else:
                    draw_weights(cell, found.mean(0, keepdims=True), float(np.abs(found).max()))
    caption = (
        "A convolution lays a small kernel on every place of the image, multiplies and adds. Weights that sum to one "
        "blur or sharpen (the blur's are in 1/256); weights that sum to zero answer to change only, red for brighter "
        "towards the positive side, blue for darker. A convolutional network learns such kernels instead of being "
        "given them; 'filters' shows those of this run, where it has any."
    )
    return [Picture("convolution", "What one convolution does", caption, figure)]


def convolve(image: NDArray[np.uint8], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each channel correlated with the kernel, as networks do it, edges repeated: float [C, H, W]."""
    return np.stack([correlate(channel.astype(np.float64), kernel, mode="nearest") for channel in image])
