"""Batches by indexing whole tensors: no per-image Python, no copies between workers."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.cuts import bounds
from bench.data.decoding import ahead
from bench.data.imagedata import ImageData
from bench.data.stream import Streamed


class Batches:
    """A re-iterable over (images uint8 [B, C, H, W], labels [B]) of `indices`.

    The order depends on (seed, epoch) only. `batch_size` is that of the global batch; on several devices each
    takes its share of every global batch, so each sample is seen exactly once and the batches are the same on any
    number of devices. Shares are made of whole pairs of neighbours in the global batch: mixup and cutmix
    mix within a pair, so they need no other device.

    A last batch smaller than an eighth of `batch_size`, or of one image, joins the batch before it: batch norm
    cannot train on one image, and no device may be left without one.

    Iterating counts the epochs; `set_epoch` says which one is next.
    """

    def __init__(
        self,
        images: Images,
        labels: Tensor,
        indices: Tensor | NDArray[np.int64],
        batch_size: int,
        shuffle: bool,
        seed: int,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
        sampling: str = "shuffled",
    ) -> None:
        self.images, self.labels = images, labels
        self.indices = torch.as_tensor(indices, dtype=torch.int64)
        self.batch_size, self.shuffle, self.seed, self.drop_last = batch_size, shuffle, seed, drop_last
        self.rank, self.world, self.sampling = rank, world, sampling
        self.epoch = 0

    def __len__(self) -> int:
        return len(bounds(len(self.indices), self.batch_size, self.drop_last)) - 1

    def set_epoch(self, epoch: int) -> None:
        """The epoch (from 0) whose order the next iteration follows."""
        self.epoch = epoch

    def order(self, epoch: int) -> Tensor:
        """The indices [n] in the order of `epoch`."""
        if not self.shuffle:
            return self.indices
        # RandomState's stream is the same in every version of NumPy (NEP 19).
        stream = np.random.RandomState([self.seed % 2**32, self.seed // 2**32, epoch])
        if self.sampling == "balanced":
            labels = self.labels.cpu()[self.indices.cpu()].numpy()
            return self.indices[torch.from_numpy(balance(labels, stream)).to(self.indices.device)]
        return self.indices[torch.from_numpy(stream.permutation(len(self.indices)))]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        order = self.order(epoch)
        mine = []
        for start, stop in pairwise(bounds(len(order), self.batch_size, self.drop_last)):
            part = order[start:stop]
            mine.append(part[share(stop - start, self.rank, self.world).to(part.device)] if self.world > 1 else part)
        if isinstance(self.images, OffDeviceImages):
            for images, chosen in zip(self.images.ahead(mine), mine, strict=True):
                yield images, self.labels[chosen.to(self.labels.device)]
        else:
            for chosen in mine:
                chosen = chosen.to(self.images.device)
                # Ten times faster than images[chosen]: whole rows are copied.
                yield self.images.index_select(0, chosen), self.labels.index_select(0, chosen)


def balance(labels: NDArray[np.int64], stream: np.random.RandomState) -> NDArray[np.int64]:
    """As many positions of `labels` as there are, of each class that occurs equally many but for one.

    Within a class no image comes up more than once more often than another.
    """
    classes, count = stream.permutation(np.unique(labels)), len(labels)  # in turn, who gets one more
    shares = [(count + i) // len(classes) for i in range(len(classes))]
    drawn = []
    for k, wanted in zip(classes, shares, strict=True):
        of_it = np.flatnonzero(labels == k)
        whole = [stream.permutation(of_it) for _ in range(-(-wanted // len(of_it)))]
        drawn.append(np.concatenate([of_it[:0], *whole])[:wanted])
    return stream.permutation(np.concatenate(drawn))


class OffDeviceImages:
    """Images that are not on the device as a whole: `images[indices]` decodes or gathers them and moves them there."""

    def __init__(self, images: NDArray[np.uint8] | Streamed, device: torch.device) -> None:
        self.images, self.device, self.shape = images, device, images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Tensor) -> Tensor:
        return torch.from_numpy(self.images[indices.cpu().numpy()]).to(self.device)

    def ahead(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """`self[part]` for each part; a stream decodes the next ones meanwhile."""
        if not isinstance(self.images, Streamed):
            yield from (self[part] for part in parts)
            return
        for found in ahead(self.images, [part.cpu().numpy() for part in parts]):
            yield torch.from_numpy(found).to(self.device, non_blocking=True)


Images = Tensor | OffDeviceImages


def place(data: ImageData, device: torch.device) -> Images:
    """The images, indexable by an int64 tensor: as one tensor on `device` where they fit in half of what is free there.

    On a CPU the tensor is the shared memory map itself.
    """
    if isinstance(data.images, Streamed):
        return OffDeviceImages(data.images, device)
    if device.type == "cuda" and data.images.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
        return OffDeviceImages(data.images, device)
    return torch.from_numpy(data.images).to(device)


def share(count: int, rank: int, world: int) -> Tensor:
    """Positions in a global batch of `count` that belong to device `rank`: every `world`-th pair (2j, 2j + 1)."""
    positions = torch.arange(count)
    return positions[(positions // 2) % world == rank]


@functools.cache  # asked in every step
def smallest_share(count: int, world: int) -> int:
    """How many samples of a global batch of `count` the device with the fewest has."""
    return min(len(share(count, rank, world)) for rank in range(world))
