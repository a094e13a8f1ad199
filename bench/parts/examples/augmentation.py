"""An augmentation of one's own: augment=NAME. The built-in ones go with it: augment=NAME augment.flip=0.5."""

import torch

from bench.parts import augmentation


@augmentation
def NAME(images, targets, draws, *, strength: float = 0.2):
    """A brightness for each image of its own.

    images are [B, C, H, W] in 0..255, targets int64 [B]. Every random number comes from draws.uniform(columns),
    [B, columns] in 0..1, so that one device and two agree.
    """
    factor = 1 + strength * (2 * draws.uniform(1).to(images.device) - 1)
    return torch.clamp(images * factor[:, :, None, None], 0, 255), targets
