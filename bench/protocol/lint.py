"""Protocol lint over experiments, their data, their networks and what their store knows.

The rules about images and settings are `bench.data.protocol`'s; here they meet everything that has to be loaded,
built or asked for them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.protocol.ledger import looks
from bench.schema.errors import RequestError
from bench.schema.idle import remarks

if TYPE_CHECKING:
    from bench.data import ImageData
    from bench.data.finding import Finding
    from bench.schema.experiment import Experiment


def findings(
    experiments: Sequence[Experiment],
    keys: Sequence[str],
    claims: int = 0,
    replicates: Sequence[str] = ("seed",),
    deep: bool = True,
    near: bool = False,
) -> list[Finding]:
    """Everything there is to say about experiments, their data and what their store knows.

    Args:
        keys: the data fingerprint of each experiment.
        claims: how many claims rest on them.
        replicates: the settings whose values are drawn anew.
        deep: also build the networks that keep a part frozen or group channels, one of each kind and without memory
            (below a second).
        near: also look for near duplicates across splits (seconds for 10,000 images).

    Raises:
        RequestError: as loading the data does.
    """
    from bench import data as images
    from bench.data.protocol import lint

    loaded: dict[str, ImageData] = {}
    for exp, key in zip(experiments, keys, strict=True):
        if key not in loaded:
            loaded[key] = images.load(exp.dataset, exp.split)
    found = lint(experiments, loaded, keys, claims, replicates, looks(experiments, keys))
    if near:
        from bench.data.near import across_splits

        sources = {key: exp.dataset.source for exp, key in zip(experiments, keys, strict=True)}
        for source in dict.fromkeys(sources.values()):  # once, at however many settings
            alike = [f for key, data in loaded.items() if sources[key] == source for f in across_splits(data)]
            found += [replace(f, reason=f"{source}{_of(len(alike))}: {f.reason}") for f in alike[:1]]
    if deep:
        found += [f for f in dict.fromkeys(_networks(experiments, loaded, keys)) if f not in found]
    return found


def _of(count: int) -> str:
    return f", in {count} of its settings" if count > 1 else ""


def _networks(
    experiments: Sequence[Experiment], loaded: dict[str, ImageData], keys: Sequence[str]
) -> Iterator[Finding]:
    seen = set()
    for exp, key in zip(experiments, keys, strict=True):
        kept = exp.transfer.mode in ("frozen", "partial") or exp.transfer.unfreeze_every
        grouped = exp.norm_layer.name == "group" or exp.model.family == "own"
        what = (exp.model, exp.norm_layer, exp.transfer.mode, exp.transfer.trainable_from, exp.transfer.unfreeze_every)
        if (kept or grouped) and what not in seen:
            seen.add(what)
            yield from _network(exp, loaded[key])


def _network(exp: Experiment, data: ImageData) -> list[Finding]:
    """The findings about one network, frozen as training will freeze it; none where it cannot be built.

    A run says that itself, and in a sweep it is one failed cell, which must not stop the others.
    """
    import torch

    from bench import models
    from bench.data.protocol import frozen_updates, single_channels
    from bench.models import transfer

    try:
        with torch.device("meta"):  # shapes without memory: the weights do not matter here
            net = models.build(exp, data.shape, len(data.classes))
            transfer.freeze(net, exp.transfer)
            transfer.training_mode(net, exp.transfer)
    except RequestError:
        return []
    return [*frozen_updates(net), *single_channels(net)]


def require(found: Sequence[Finding], allowed: dict[str, str], title: str) -> None:
    """Stop before compute is spent where a finding is an error that nobody allowed.

    Raises:
        RequestError: with each of them, its reason and its remedy.
    """
    from bench.data.finding import check_allowed, stops

    bad = stops(found, check_allowed(allowed))
    if bad:
        lines = [f"{f.name}: {f.reason} {f.remedy}" for f in bad]
        raise RequestError(
            "\n".join([f"The protocol of {title} would mislead; nothing was run.", *lines])
            + "\nWith a written reason a finding may stand: allow: {name: reason} in a sweep file, "
            "--allow 'name=reason' for bench run."
        )


def warn_untested(experiments: Sequence[Experiment], keys: Sequence[str]) -> None:
    """Say of a device that nobody here has ever used, and of settings that change nothing.

    Args:
        keys: the data fingerprint of each experiment.
    """
    from bench import data as images
    from bench.protocol.idle import facts

    loaded: dict[str, ImageData] = {}
    known = []
    for exp, key in zip(experiments, keys, strict=True):
        if key not in loaded:
            loaded[key] = images.load(exp.dataset, exp.split)
        known.append(facts(exp, loaded[key]))
    for line in remarks(experiments, known):
        print(f"warning: {line}", file=sys.stderr, flush=True)
    if any(exp.trainer.accelerator == "tpu" for exp in experiments):
        print(
            "warning: trainer.accelerator=tpu is untested: nothing in this project ever ran on a TPU.",
            file=sys.stderr, flush=True,
        )  # fmt: skip
