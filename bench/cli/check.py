"""Protocol lint: what would make the numbers mean less than they seem to, before compute is spent.

    bench check batchnorm --scale full
    bench check dataset=folder dataset.root=photos model=resnet
    bench check --names                      the findings that there are

Errors stop a run, warnings are stamped onto the table. A sweep file allows a finding by name, with a written reason:
allow: {flip_changes_label: mirrored digits are what this sweep is about}.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.cli.looking import once
from bench.schema.errors import RequestError

if TYPE_CHECKING:
    from bench.data import ImageData
    from bench.data.finding import Finding
    from bench.schema.experiment import Experiment
    from bench.track.store import Store


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("words", nargs="*", metavar="NAME | OVERRIDE", help="a sweep's name, or Hydra overrides")
    parser.add_argument("--scale", help="smoke, small or full (default: small)", default="small")
    parser.add_argument("--seeds", help="a count, or a list such as 0,1,7")
    parser.add_argument("--names", action="store_true", help="list the findings that there are, and stop")


@once
def main(args: argparse.Namespace) -> int:
    """Print the findings; 0 without an error among them (or with every error allowed), else 2."""
    if args.names:
        return named(args.json)
    from bench.data.finding import Finding, stops
    from bench.schema.errors import Refused

    try:
        title, experiments, keys, claims, allowed = asked(args)
        found = findings(experiments, keys, claims)
    except Refused as refused:  # whatever else it says, nothing of it can be run
        title, experiments, allowed = " ".join(args.words), [], {}
        found = [Finding(refused.name, "error", refused.reason, refused.remedy)]
    bad = stops(found, allowed)
    if args.json:
        rows = [{**f.row(), "allowed": allowed.get(f.name)} for f in found]
        print(json.dumps({"checked": title, "experiments": len(experiments), "findings": rows, "stops": len(bad)}))
    else:
        print(text(found, allowed, title, len(experiments)))
    return 2 if bad else 0


def asked(args: argparse.Namespace) -> tuple[str, list[Experiment], list[str], int, dict[str, str]]:
    """What is to be checked: title, experiments, the fingerprint of each one's data, claims, allowed findings.

    Raises:
        RequestError: as reading a sweep file and composing do; `Refused` for selection on test.
    """
    from bench import data as images
    from bench.cli.sweep_arguments import seeds
    from bench.compose import compose
    from bench.data.finding import checked
    from bench.schema.experiment import experiment
    from bench.sweep import file
    from bench.sweep.plan import at_scale, points

    names = [w for w in args.words if "=" not in w]
    if len(names) > 1:
        raise RequestError(f"Expected one sweep or overrides, got the names {', '.join(names)}.")
    if not names:
        exp = experiment(compose(args.words))
        return "this experiment", [exp], [images.fingerprint(exp.dataset, exp.split)], 0, {}
    sweep = at_scale(file.read(names[0]), args.scale, seeds(args.seeds))
    planned = points(sweep, [w for w in args.words if "=" in w])
    allowed = dict(checked(sweep.allow))
    return names[0], [p.experiment for p in planned], [p.data for p in planned], len(sweep.claims), allowed


def named(as_json: bool) -> int:
    """Every finding there is, by name."""
    from bench.data.finding import NAMES

    width = max(map(len, NAMES))
    lines = [f"{name:<{width}}  {what}" for name, what in NAMES.items()]
    print(json.dumps(NAMES) if as_json else "\n".join(lines))
    return 0


def findings(
    experiments: Sequence[Experiment], keys: Sequence[str], claims: int = 0, deep: bool = True
) -> list[Finding]:
    """Everything there is to say about experiments, their data and what their store knows.

    Args:
        keys: the data fingerprint of each experiment.
        claims: how many claims rest on them.
        deep: also build the networks that keep a part frozen, one of each kind and without memory (below a second).

    Raises:
        RequestError: as loading the data does.
    """
    from bench import data as images
    from bench.data.protocol import lint

    loaded: dict[str, ImageData] = {}
    for exp, key in zip(experiments, keys, strict=True):
        if key not in loaded:
            loaded[key] = images.load(exp.dataset, exp.split)
    found = lint(experiments, loaded, keys, claims, looks(experiments, keys))
    if deep:
        found += [f for f in dict.fromkeys(_frozen(experiments, loaded, keys)) if f not in found]
    return found


def looks(experiments: Sequence[Experiment], keys: Sequence[str]) -> dict[str, int]:
    """Fingerprint -> how many finished runs of the experiments' store have scored its test split; makes no store.

    Sets that differ in the train split only have one test split, whose looks are added up.
    """
    from bench import data as images

    store = existing(experiments[0].tracking.uri)
    places = {key: (exp.dataset, exp.split) for exp, key in zip(experiments, keys, strict=True)}
    tests = {key: images.test_fingerprint(*place) for key, place in places.items()}
    counts = dict.fromkeys(tests.values(), 0)
    if store is None:
        return dict.fromkeys(keys, 0)
    for name in store.experiments():
        for row in store.rows(name, values=False):
            # Runs of before have no fingerprint of their test split.
            test = row.tags.get("test_fingerprint") or tests.get(row.tags.get("data_fingerprint", ""), "")
            if test in counts and row.status == "FINISHED":
                counts[test] += 1
    return {key: counts[test] for key, test in tests.items()}


def existing(uri: str | None) -> Store | None:
    """The store, or None where it would have to be made first."""
    from bench.track.address import checked_uri, sqlite_file
    from bench.track.store import Store

    file = sqlite_file(checked_uri(uri))
    return None if file is not None and not file.exists() else Store(uri)


def _frozen(experiments: Sequence[Experiment], loaded: dict[str, ImageData], keys: Sequence[str]) -> Iterator[Finding]:
    seen = set()
    for exp, key in zip(experiments, keys, strict=True):
        kept = exp.transfer.mode in ("frozen", "partial") or exp.transfer.unfreeze_every
        what = (exp.model, exp.norm_layer, exp.transfer.mode, exp.transfer.trainable_from, exp.transfer.unfreeze_every)
        if kept and what not in seen:
            seen.add(what)
            yield from _updates(exp, loaded[key])


def _updates(exp: Experiment, data: ImageData) -> list[Finding]:
    """The findings about one network, frozen as training will freeze it; none where it cannot be built.

    A run says that itself, and in a sweep it is one failed cell, which must not stop the others.
    """
    import torch

    from bench import models
    from bench.data.protocol import frozen_updates
    from bench.models import transfer

    try:
        with torch.device("meta"):  # shapes without memory: the weights do not matter here
            net = models.build(exp, data.shape, len(data.classes))
            transfer.freeze(net, exp.transfer)
    except RequestError:
        return []
    return list(frozen_updates(net))


def require(found: Sequence[Finding], allowed: dict[str, str], title: str) -> None:
    """Stop before compute is spent where a finding is an error that nobody allowed.

    Raises:
        RequestError: with each of them, its reason and its remedy.
    """
    from bench.data.finding import checked, stops

    bad = stops(found, checked(allowed))
    if bad:
        lines = [f"{f.name}: {f.reason} {f.remedy}" for f in bad]
        raise RequestError(
            "\n".join([f"The protocol of {title} would mislead; nothing was run.", *lines])
            + "\nWith a written reason a finding may stand: allow: {name: reason} in a sweep file, "
            "--allow 'name=reason' for bench run."
        )


def untested(experiments: Sequence[Experiment]) -> None:
    """Say of a device that nobody here has ever used."""
    if any(exp.trainer.accelerator == "tpu" for exp in experiments):
        print(
            "warning: trainer.accelerator=tpu is untested: nothing in this project ever ran on a TPU.",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def text(found: Sequence[Finding], allowed: dict[str, str], title: str, count: int) -> str:
    """For people: one paragraph a finding, errors first."""
    lines = []
    for f in sorted(found, key=lambda f: f.level):
        head = f"allowed ({f.level})" if f.name in allowed else f.level
        lines += [f"{head}: {f.name}", f"  {f.reason}", f"  {f.remedy}"]
        if f.name in allowed:
            lines.append(f"  Allowed: {allowed[f.name]}")
    errors = sum(f.level == "error" for f in found)
    runs = f"{count} experiment{'s'[: count != 1]}"
    lines.append(f"{title}: {runs} checked, {errors} errors, {len(found) - errors} warnings.")
    unused = sorted(allowed.keys() - {f.name for f in found})
    if unused:
        lines.append(f"Allowed but not found: {', '.join(unused)}.")
    return "\n".join(lines)
