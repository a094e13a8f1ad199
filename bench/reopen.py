"""A finished run opened: its model and preprocessing from what it left in the store.

    trained = open_run(Store(), "1f3a9c")

A network needs nothing but that. Nearest neighbours, class means and `trained.data` need the run's images where they
were, or where `where` says they are now; that they are the same is checked.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench import models
from bench.data import pixel_norm
from bench.data.sources.depth import Range
from bench.models import origin, preprocess, transfer, weights
from bench.models.hashes import file_sha256
from bench.parts.watches import WATCHES
from bench.pretrained import HERE, derive_input, fetch_weights
from bench.restore import experiment_of
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.model import Knn, Ncm
from bench.schema.part import build
from bench.schema.transfer import Input
from bench.track.record import Record
from bench.track.store import Store
from bench.trained import Shape, Trained, blank, own_images

LAST = "last"  # in place of a run id: the newest finished run of the store
FEWEST = 6  # characters of a run id
FILE = "images.json"  # a run's artifact: the images' shape, the classes' names, how deep images were read


def open_run(store: Store, word: str, where: Mapping[str, Any] | None = None, device: str = "auto") -> Trained:
    """The model of a finished run.

    Args:
        word: a run's id, its first characters, or `last`.
        where: dataset.root or dataset.file, where the images have moved.
        device: auto, cpu or a torch device.

    Raises:
        RequestError: for no such run, one that failed or has no weights, where images that it needs are missing, and
            for `last` where own code asks within a run.
    """
    if word == LAST and WATCHES:
        raise RequestError("Own code asks for the run 'last', which is another one tomorrow, under the same key. "
                           "Give the run's id: 'bench run' prints it, and 'bench ui' lists them.")  # fmt: skip
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
