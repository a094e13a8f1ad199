"""A finished run as something that classifies: what predict, serve, export, explain and auto all start from.

trained = bench.reopen.open_run(Store(), "1f3a9c")
trained.classify(torch.from_numpy(images))      # uint8 [B, C, H, W] -> log-probabilities [B, K]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import data as images
from bench.data import augment
from bench.data.imagedata import ImageData
from bench.data.sources.depth import Range
from bench.features import features
from bench.models.heads import Backbone, readout
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.label import dataset_name
from bench.schema.model import Knn, Ncm
from bench.track.record import Record
from bench.train.knn import score_queries
from bench.train.scoring import Autocast, at_once, autocast_of, score
from bench.train.test_time import average_views, averages_views

Shape = tuple[int, int, int]  # C, H, W


@dataclass(frozen=True)
class Trained:
    """A run's model with its preprocessing.

    Attributes:
        shape: (C, H, W) of the images that it takes, as a set stores them; resizing for a network comes after.
        net: the network on `prepare`'s output, in evaluation mode; None for neighbours and means on pixels. With
            neighbours or means on features: the whole network, whose head is not used.
        prepare: uint8 [B, C, H, W] -> the network's input, or scaled pixels.
        spans: int, float -> the values of images of more than 8 bits that became 0 and 255 in the set (`Entry.spans`).
        where: flat settings that say where the images are now (dataset.root, dataset.file).
    """

    record: Record
    exp: Experiment
    classes: tuple[str, ...]
    shape: Shape
    spans: Mapping[str, Range]
    net: nn.Module | None
    prepare: nn.Module
    device: torch.device
    where: Mapping[str, Any]

    @property
    def nearest(self) -> Knn | Ncm | None:
        """The neighbours or means that decide, on pixels or on a frozen network's features; None for a network."""
        how = self.exp.transfer
        if isinstance(self.exp.model, Knn | Ncm):
            return self.exp.model
        if how.mode == "frozen" and how.head == "knn":
            return Knn(family="knn", k=how.k, metric=how.metric, weights=how.votes)
        if how.mode == "frozen" and how.head == "ncm":
            return Ncm(family="ncm", metric=how.metric)  # type: ignore[arg-type]
        return None

    @property
    def title(self) -> str:
        """For people: the model and the first characters of the run's id."""
        model = str(getattr(self.exp.model, "name", self.exp.model.family))
        head = f" + {self.exp.transfer.head}" if self.exp.transfer.mode == "frozen" else ""
        return f"{model}{head} · {dataset_name(self.record.config)} · run {self.record.run_id[:12]}"

    @cached_property
    def data(self) -> ImageData:
        """The run's images and splits.

        Raises:
            RequestError: when they are not where they were, or not what they were.
        """
        return own_images(self.record, self.exp)

    def classify(self, stored: Tensor) -> Tensor:
        """Log-probabilities float32 [B, K] of images uint8 [B, C, H, W]: by the path that scored val and test.

        A network trained in 16 bits (`trainer.precision`) computes in them here too, but for 16-mixed on a CPU.
        """
        if self.nearest is not None:
            rows, labels = self.reference
            return torch.from_numpy(
                score_queries(
                    self.nearest, rows, labels, self.embed(stored), len(self.classes), torch.device("cpu"), keep=False
                )[0]
            )
        assert self.net is not None
        if self.exp.augment.test_time:
            return self.views(stored, self.exp)
        if self.head is not None:
            return score(self.head, nn.Identity(), torch.from_numpy(self.embed(stored)).to(self.device),
                         torch.arange(len(stored)), autocast=self.autocast).cpu()  # fmt: skip
        everything = torch.arange(len(stored))
        return score(self.net, self.prepare, stored.to(self.device), everything, autocast=self.autocast).cpu()

    def in_32_bits(self) -> Trained:
        """The same, whatever bits it was trained in: what an exported program is compared with."""
        trainer = dataclasses.replace(self.exp.trainer, precision="32")
        return dataclasses.replace(self, exp=dataclasses.replace(self.exp, trainer=trainer))

    @property
    def autocast(self) -> Autocast:
        """What the network computes under, as in its run."""
        return autocast_of(self.exp.trainer.precision, self.device.type)

    @cached_property
    def head(self) -> nn.Module | None:
        """The head of a frozen backbone that was trained on its features in 16 bits: those themselves are of 32."""
        how, precision = self.exp.transfer, self.exp.trainer.precision
        if self.net is None or how.mode != "frozen" or self.nearest is not None or not precision.endswith("mixed"):
            return None
        if augment.make(self.exp.augment, blank(self.shape, self.classes)) is not None and not how.views:
            return None
        return readout(self.net, self.prepare(torch.randint(256, (2, *self.shape), dtype=torch.uint8).to(self.device)))

    def views(self, stored: Tensor, exp: Experiment) -> Tensor:
        """Log of the mean probability over each image and `exp.augment.test_time` augmented views of it, [B, K].

        Raises:
            RequestError: when the Experiment augments nothing, or mixes labels.
        """
        if self.net is None or self.nearest is not None:
            raise RequestError(f"{self.title}: views are averaged for networks; neighbours and means take one image.")
        made = augment.make(exp.augment, blank(self.shape, self.classes))
        averages_views(exp, made, 1)
        assert made is not None
        return average_views(
            exp,
            self.net,
            self.prepare,
            made,
            stored.to(self.device),
            torch.arange(len(stored), device=self.device),
            self.autocast,
        ).cpu()

    def scores(self, split: str) -> NDArray[np.float32]:
        """Log-probabilities [n, K] of a split of the run's own images."""
        rows = self.data.split(split)
        # Views depend on an image's place among those scored together, so these go as one. In 16 bits the last digits
        # depend on how many go through at a time, so that these are as many as in the run.
        step = len(rows) if self.exp.augment.test_time else 2 * self.batch
        parts = [rows[start : start + step] for start in range(0, len(rows), max(1, step))]
        return np.concatenate([self.classify(torch.from_numpy(self.data.images[part])).numpy() for part in parts])

    @cached_property
    def batch(self) -> int:
        """How many images go through the network at a time (`bench.train.scoring.score`)."""
        return at_once(self.prepare(torch.zeros((1, *self.shape), dtype=torch.uint8).to(self.device)).numel())

    @torch.inference_mode()
    def embed(self, stored: Tensor) -> NDArray[np.float32]:
        """What the decision is made on: the head's input [B, D], or scaled pixels for models without a network."""
        if self.net is None:
            return self.prepare(stored).flatten(1).numpy()
        backbone = Backbone(self.net).eval()
        parts = [backbone(self.prepare(part.to(self.device))).float().cpu() for part in stored.split(32)]
        return torch.cat(parts).numpy()

    def embed_split(self, split: str, most: int | None = None) -> NDArray[np.float32]:
        """`embed` of a split, or of its first `most` images; a network's features are kept on disk."""
        rows = self.data.split(split)[:most]
        if self.net is None or not len(rows):
            return self.embed(torch.from_numpy(self.data.images[rows]))
        part = dataclasses.replace(self.data, **{split: rows})  # type: ignore[arg-type]
        settings = f"{self.exp.model} {self.exp.norm_layer}"
        return features(
            part, split, Backbone(self.net), self.prepare, self.device, settings, cache=self.exp.transfer.cache
        )

    @cached_property
    def reference(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Train rows [N, D] that neighbours and means are found among, and their labels [N]."""
        return self.embed_split("train"), self.data.labels[self.data.train]


def own_images(record: Record, exp: Experiment) -> ImageData:
    """The images that a run was trained on. See `Trained.data`."""
    try:
        data = images.load(exp.dataset, exp.split)
    except RequestError as error:
        raise RequestError(
            f"The images of run {record.run_id} are needed here: {error} Where they have moved to, say "
            "dataset.root=DIR (or dataset.file=FILE)."
        ) from None
    then = record.provenance.get("data_fingerprint")
    if then and data.fingerprint != then:
        raise RequestError(
            f"The images of run {record.run_id}, or their split, are not what they were: fingerprint "
            f"{data.fingerprint[:12]}, then {then[:12]}. Put them back, or run again."
        )
    return data


def blank(shape: Shape, classes: tuple[str, ...]) -> ImageData:
    """A set of this shape without an image, for what asks a set for nothing else."""
    none = np.zeros(0, np.int64)
    return ImageData(np.zeros((0, *shape), np.uint8), none, classes, none, none, none, "")
