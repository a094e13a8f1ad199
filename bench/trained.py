"""A finished run as something that classifies: what predict, serve, export, explain and auto all start from.

    trained = open_run(Store(), "1f3a9c")
    trained.classify(torch.from_numpy(images))      # uint8 [B, C, H, W] -> log-probabilities [B, K]

A network needs nothing but what the run left in the store. Nearest neighbours, class means and `trained.data` need the
run's images where they were, or where `where` says they are now; that they are the same is checked.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import data as images
from bench import models
from bench.data import augment, pixel_norm
from bench.data.imagedata import ImageData
from bench.data.sources.depth import Range
from bench.features import features
from bench.models import origin, preprocess, transfer, weights
from bench.models.hashes import file_sha256
from bench.models.heads import Backbone, readout
from bench.pretrained import HERE, derive_input, fetch_weights
from bench.restore import experiment_of
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.label import dataset_name
from bench.schema.model import Knn, Ncm
from bench.schema.part import build
from bench.schema.transfer import Input
from bench.track.record import Record
from bench.track.store import Store
from bench.train.knn import score_queries
from bench.train.scoring import Autocast, at_once, autocast_of, score
from bench.train.test_time import average_views, averages_views

LAST = "last"  # in place of a run id: the newest finished run of the store
FEWEST = 6  # characters of a run id
FILE = "images.json"  # a run's artifact: the images' shape, the classes' names, how deep images were read
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


def open_run(store: Store, word: str, where: Mapping[str, Any] | None = None, device: str = "auto") -> Trained:
    """The model of a finished run.

    Args:
        word: a run's id, its first characters, or `last`.
        where: dataset.root or dataset.file, where the images have moved.
        device: auto, cpu or a torch device.

    Raises:
        RequestError: for no such run, one that failed or has no weights, and where images that it needs are missing.
    """
    record = find(store, word)
    if record.status != "finished":
        why = f": {record.reason}" if record.reason else ""
        raise RequestError(
            f"Run {record.run_id} {record.status}{why}. Only a finished run has a model; 'bench ui' shows which are."
        )
    where = {**{name: record.config[name] for name in HERE if record.config.get(name) is not None}, **(where or {})}
    exp = experiment_of(record, record.seed, None, where)
    chosen = torch.device("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else torch.device(device)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shape, classes, spans = _read_images(store, record, exp, folder)
        made = Trained(record, exp, classes, shape, spans, None, nn.Identity(), chosen, where)
        if isinstance(exp.model, Knn | Ncm):
            return dataclasses.replace(made, prepare=pixel_norm.make(exp.pixel_norm, made.data))
        if made.nearest is not None:
            net, prepare = _load_frozen(store, made, folder)
        else:
            net, prepare = _load_network(store, made, folder)
    return dataclasses.replace(made, net=net.to(chosen).eval(), prepare=prepare.to(chosen).eval())


def find(store: Store, word: str) -> Record:
    """The Record of a run: by its id, the first characters of it, or `last`.

    Raises:
        RequestError: when there is none, or several.
    """
    if len(word) == 32:
        return store.get(word)
    if word != LAST and (len(word) < FEWEST or set(word) - set("0123456789abcdef")):
        raise RequestError(
            f"'{word}' names no run: expected a run's id, its first {FEWEST} or more characters, or 'last'. "
            "'bench run' prints the id and 'bench ui' lists them."
        )
    every = [record for name in store.experiments() for record in store.records(name)]
    if word == LAST:
        done = [r for r in every if r.status == "finished"]
        if not done:
            raise RequestError(f"There is no finished run in {store.shown} yet: bench run dataset=digits model=cnn.")
        return max(done, key=lambda r: float(r.provenance.get("started", 0)))
    match = [r for r in every if r.run_id.startswith(word)]
    if len(match) != 1:
        what = f"is the start of {len(match)} run ids" if match else "is the start of no run id"
        raise RequestError(f"'{word}' {what} in {store.shown}. Give {'more of it' if match else 'another'}.")
    return match[0]


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


def _read_images(
    store: Store, record: Record, exp: Experiment, folder: Path
) -> tuple[Shape, tuple[str, ...], Mapping[str, Range]]:
    """Shape, class names and spans: as the run says, or from its images for runs that are older than images.json.

    Runs that are older than spans have what the user said, `dataset.range`, for both kinds.
    """
    asked = getattr(exp.dataset, "range", None)
    older = {"int": asked, "float": asked} if asked else {}
    try:
        said = json.loads(store.artifact(record.run_id, FILE, folder).read_text(encoding="utf-8"))
        c, h, w = said["shape"]
        spans = {kind: (low, high) for kind, (low, high) in said["spans"].items()} if "spans" in said else older
        return (c, h, w), tuple(said["classes"]), spans
    except RequestError:
        data = own_images(record, exp)
        return data.shape, data.classes, data.entry.spans if data.entry is not None else older


def _load_network(store: Store, made: Trained, folder: Path) -> tuple[nn.Module, nn.Module]:
    """The run's network with its weights, and its preprocessing to the last bit."""
    path = store.artifact(made.record.run_id, "weights.pt", folder)
    said, exp = _read_input(store, made.record, path), made.exp
    if exp.transfer.mode != "scratch" and exp.transfer.preprocess == "weights":
        # So that the file or run that it began with need not be there any more.
        exp = dataclasses.replace(exp, transfer=dataclasses.replace(exp.transfer, input=said))
    net = models.build(exp, made.shape, len(made.classes))
    try:
        net.load_state_dict(weights.read(path))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise RequestError(
            f"The weights of run {made.record.run_id} do not fit the model that its settings describe: {reason}"
        ) from None
    return net, _make_prepare(said)


def _read_input(store: Store, record: Record, path: Path) -> Input:
    """What the run's preprocessing.json says, or, for older runs, what its settings and images say."""
    try:
        said = json.loads(store.artifact(record.run_id, origin.FILE, path.parent).read_text(encoding="utf-8"))
    except RequestError:
        return derive_input(record)
    if said.pop(origin.OF_WEIGHTS, None) not in (None, file_sha256(path)):
        raise RequestError(f"The {origin.FILE} of run {record.run_id} belongs to other weights.")
    return build(Input, said, where=origin.FILE)


def _make_prepare(on: Input) -> nn.Module:
    """The module that does what an Input says."""
    mean, std = (255 / on.range * np.array(values, np.float64) for values in (on.mean, on.std))
    return preprocess.Preprocess(pixel_norm.Scale(mean, std), len(on.mean), on.size, on.interpolation, repeat=True)


def _load_frozen(store: Store, made: Trained, folder: Path) -> tuple[nn.Module, nn.Module]:
    """The backbone that made the features for neighbours or means, from the weights that the run began with."""
    kind, _, run = made.exp.transfer.weights.partition(":")
    asked = made.exp.transfer.preprocess == "weights" and made.exp.transfer.input is None
    path = fetch_weights(store, run, folder, preprocessing=asked) if kind == "run" else None
    exp = origin.resolve(made.exp, path)
    net = models.build(exp, made.shape, len(made.classes))
    digest, then = transfer.initialise(exp, net, path), made.record.provenance.get("weights_sha256")
    if then and digest != then:
        raise RequestError(
            f"Run {made.record.run_id} began with weights {then[:12]}; {exp.transfer.weights} are now {digest[:12]}."
        )
    needs_images = preprocess.trained_input(exp) is None and exp.pixel_norm.name in ("standardize", "own")
    return net, preprocess.make(exp, made.data if needs_images else blank(made.shape, made.classes))
