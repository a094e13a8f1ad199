"""What people are told on standard error; and what a run is about, before it starts and with its summary."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.schema.errors import RequestError
from bench.schema.names import make_printable
from bench.schema.secrets import redact_text

if TYPE_CHECKING:
    from bench.data import ImageData
    from bench.schema.experiment import Experiment
    from bench.track.record import Record


def say(text: str) -> None:
    """For people, on standard error: standard output is for results. What a store holds cannot steer the terminal."""
    print(make_printable(redact_text(text)), file=sys.stderr, flush=True)


@contextmanager
def store_may_refuse(otherwise: str) -> Iterator[None]:
    """Around what a command writes into a store besides, which may be read-only: `otherwise` says where it is then."""
    try:
        yield
    except RequestError as error:
        say(f"warning: {error} {otherwise}.")


def begins(exp: Experiment, data: ImageData, optimizer: str = "") -> str:
    """Data, model, recipe and device of a run that is about to start; an optimizer where the network brings one."""
    channels, height, width = data.shape
    images = f"{len(data.train):,} / {len(data.val):,} / {len(data.test):,} images to train, choose and test on"
    lines = [f"data   {source(exp)}: {images}, {height}x{width}, {_colours(channels)}, {len(data.classes)} classes"]
    lines += [f"       {remark}" for remark in data.remarks]
    return "\n".join([*lines, f"model  {exp.model_name}, {recipe(exp, optimizer)}; on {device(exp)}; seed {exp.seed}"])


def source(exp: Experiment) -> str:
    """The dataset as people know it: its name, or the folder, file or hub name of one's own."""
    found = exp.dataset
    for field in ("root", "file", "name"):
        if found.source in ("folder", "csv", "huggingface", "own") and getattr(found, field, None):
            from bench.schema.secrets import redact

            return redact(str(getattr(found, field)))
    return found.source


def recipe(exp: Experiment, optimizer: str = "") -> str:
    """How it is trained, in a few words."""
    parts = [] if exp.transfer.mode == "scratch" else [f"{exp.transfer.mode} from {exp.transfer.weights}"]
    if exp.norm_layer.name != "native":
        parts.append(f"norm_layer {exp.norm_layer.own.name if exp.norm_layer.own else exp.norm_layer.name}")
    if not exp.trains:
        return ", ".join([*parts, "no training by gradient steps"])
    trainer = exp.trainer
    if trainer.seconds is not None:
        length = f"{trainer.seconds:g} s in"
    elif trainer.steps is not None:
        length = f"{trainer.steps:,} step{'s' if trainer.steps > 1 else ''} on"
    else:
        length = f"{trainer.epochs} epoch{'s' if trainer.epochs > 1 else ''} of"
    name = exp.optim.own.name if exp.optim.own else exp.optim.name
    chosen = {"loss": exp.loss, "schedule": exp.schedule, "training": exp.training, "augment": exp.augment}
    parts += [f"{group} {node.own.name}" for group, node in chosen.items() if node is not None and node.own is not None]
    stepped = optimizer or f"{name} at lr {exp.optim.lr:g}"
    return ", ".join([*parts, stepped, f"{length} batches of {trainer.batch_size}"])


def device(exp: Experiment) -> str:
    """Where it will run, found without importing torch."""
    from bench.sweep.machine import cores, gpus

    trainer = exp.trainer
    number = trainer.devices * trainer.num_nodes
    kind = trainer.accelerator
    if kind == "auto":
        kind = "gpu" if gpus() else "cpu"
    if kind == "cpu" and number == 1:
        threads = trainer.threads or cores()
        return f"the CPU, {threads} thread{'s' if threads > 1 else ''}"
    return f"{number} {kind.upper()}{'s' if number > 1 else ''}"


def was(record: Record) -> str:
    """Data and model of a run that is over, by its record."""
    said: dict[str, Any] = record.config
    data = next((said[f"dataset.{f}"] for f in ("root", "file", "name") if said.get(f"dataset.{f}")), None)
    own = said.get("dataset.source") in ("folder", "csv", "huggingface", "own")
    name = data if own and data else said.get("dataset.source", "")
    images = record.provenance.get("images", "").replace("/", " / ")
    model = said.get("model.name") or said.get("model.family", "")
    return f"{model} on {name}" + (f" ({images} images)" if images else "") + f", seed {record.seed}"


def _colours(channels: int) -> str:
    return {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
