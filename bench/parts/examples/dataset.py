"""A set of images of one's own: dataset=NAME. For folders and lists of image files there are dataset=folder and csv."""

import numpy as np

from bench.parts import Images, dataset


@dataset
def NAME(*, count: int = 400, noise: float = 40.0, seed: int = 0) -> Images:
    """Stripes that run across or down, in noise.

    images are uint8 [N, H, W], [N, H, W, C] or [N, C, H, W]; labels are names, or numbers from 0. Yield such Images
    chunk by chunk if they do not fit in memory. The function runs in every command; @dataset(reads=("file",)) says
    which settings name the files it reads, and it then runs again only when those have changed.
    """
    draw = np.random.default_rng(seed)
    labels = draw.integers(2, size=count)
    stripes = np.tile(np.arange(12) % 4 < 2, (12, 1)) * 120.0
    images = np.stack([stripes if label else stripes.T for label in labels])
    images = np.clip(images + 60 + noise * draw.standard_normal(images.shape), 0, 255).astype(np.uint8)
    return Images(images, [("down", "across")[label] for label in labels])
