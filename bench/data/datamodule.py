"""ImageDataModule: an ImageData as Lightning wants it."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from bench.data.batches import Batches, place
from bench.data.imagedata import ImageData


class ImageDataModule(pl.LightningDataModule):
    """Batches of train, val and test.

    Args:
        batch_size: global, whatever the number of devices.
        seed: the training seed; it orders the training images.
        eval_batch_size: for val and test, where nothing depends on it but memory.
    """

    def __init__(self, data: ImageData, batch_size: int, seed: int, eval_batch_size: int = 1024) -> None:
        super().__init__()
        self.data, self.batch_size, self.seed, self.eval_batch_size = data, batch_size, seed, eval_batch_size
        self.images, self.labels = place(data, torch.device("cpu")), torch.from_numpy(data.labels)

    def _batches(self, split: str) -> Batches:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)
        train = split == "train"
        return Batches(
            self.images,
            self.labels,
            self.data.split(split),
            self.batch_size if train else self.eval_batch_size,
            shuffle=train,
            seed=self.seed,
            rank=rank,
            world=world,
        )

    def train_dataloader(self) -> Batches:
        """Shuffled anew in each epoch."""
        return self._batches("train")

    def val_dataloader(self) -> Batches:
        """In the order of `data.val`."""
        return self._batches("val")

    def test_dataloader(self) -> Batches:
        """In the order of `data.test`."""
        return self._batches("test")
