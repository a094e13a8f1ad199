"""Which sweep the words of a command line ask for: a file by its name, or axes stated in place."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bench.compose.overrides import parse
from bench.schema.errors import RequestError
from bench.schema.sweep import Sweep
from bench.sweep import file


def requested_sweep(args: argparse.Namespace, keep: bool = False) -> tuple[Sweep, list[str]]:
    """The named sweep and the overrides on top of it, or the sweep that --axes states.

    A name with a scale behind it, as folders of results have (`adhoc-smoke`), is that sweep at that scale.

    Args:
        keep: write down what --axes states, so that other verbs know it by its name.

    Raises:
        RequestError: when the words ask for no sweep, or for more than one.
    """
    if args.axes:
        # argparse gives every word after --axes to it: an axis has several values, an override has one.
        axes = [a for a in args.axes if is_axis(a)]
        base = [a for a in args.axes if a not in axes] + args.words
        if not axes:
            raise RequestError(f"--axes {' '.join(args.axes)}: no axis has several values. Expected model=linear,dnn.")
        wrong = next((w for w in base if "=" not in w), None)
        if wrong is not None:
            raise RequestError(f"--axes states a sweep without a file; '{wrong}' is neither an axis nor an override.")
        # How a sweep is launched is no part of what it is.
        launcher = [w for w in base if of_hydra(w)]
        base = [w for w in base if w not in launcher]
        name, count = args.name or "adhoc", seeds(args.seeds) or 3
        made = file.from_axes(name, axes, base, count)
        if keep:
            file.keep(file.axes_data(name, axes, base, count))
        return made, launcher
    named = [w for w in args.words if "=" not in w]
    if len(named) != 1:
        known = ", ".join(file.names())
        raise RequestError(f"Expected the name of one sweep, got {len(named)}. Known: {known}. Or state --axes.")
    name, _, scale = named[0].rpartition("-")
    if named[0] not in file.names() and name in file.names() and scale in ("smoke", "full"):
        args.scale = scale
        named = [name]
    return file.read(named[0]), [w for w in args.words if "=" in w]


def of_hydra(text: str) -> bool:
    """Whether an override is for Hydra itself: hydra/launcher=ray, +hydra.launcher.ray.init.num_cpus=2."""
    return text.lstrip("+~").startswith(("hydra/", "hydra."))


def is_axis(text: str) -> bool:
    """Whether an --axes word has several values, or none at all (which is then reported as an empty axis)."""
    return text.endswith("=") or parse([text])[0].is_sweep_override()


def seeds(text: str | None) -> int | list[int] | None:
    """`3` as a count, `0,1,7` as a list.

    Raises:
        RequestError: for anything else.
    """
    if text is None:
        return None
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        raise RequestError(f"--seeds {text}: expected a count such as 3 or a list such as 0,1,7.") from None
    return numbers if "," in text else numbers[0]


def experiment_name(sweep: str, scale: str) -> str:
    """The MLflow experiment and results folder of a sweep at a scale; `small` is the one that is published."""
    return sweep if scale == "small" else f"{sweep}-{scale}"


def confirming(
    sweep: Sweep, title: str, wanted: int | list[int] | None, overrides: Sequence[str] = (), made: bool = True
) -> tuple[Sweep, str]:
    """The sweep on seeds that nobody has looked at, and the name of its own experiment and results folder.

    The seeds are drawn once, after all that any launch planned and any record has, committed or in the store, as many
    as the sweep has or `wanted` says; the same command later goes on with the same ones.

    Args:
        made: whether seeds may be drawn; else those of an earlier launch are needed.

    Raises:
        RequestError: when there are none, or those asked for were used already.
    """
    import dataclasses

    from bench.protocol import register
    from bench.schema.sweep import CONFIRM, seeds_of
    from bench.sweep.completed import records_file
    from bench.sweep.plan import points
    from bench.track.record import read_csv
    from bench.track.store import existing

    own = f"{title}{CONFIRM}"
    planned = seeds_of(sweep.seeds)
    store = existing(points(sweep, overrides)[0].experiment.tracking.uri)
    # The folder may be gone, or another user's: the store has its log too.
    known = register.merge(register.read(register.log_file(own)), register.read_stored(store, own))
    launches = [entry for entry in known if entry["event"] == "launch"]
    # Judged or about to be, wherever it was: a look at any of them may have led to the claim.
    entries = [*register.read(register.log_file(title)), *register.read_stored(store, title)]
    records = [*(store.records(title) if store is not None else ())]
    records += read_csv(records_file(title)) if records_file(title).is_file() else []
    used = {
        *planned,
        *(sweep.select.seeds if sweep.select else ()),
        *(seed for entry in entries for seed in entry["seeds"]),
        *(record.seed for record in records),
    }
    if isinstance(wanted, list):
        fresh = wanted
        if seen := sorted({*fresh} & used):
            raise RequestError(
                f"--confirm --seeds {','.join(map(str, fresh))}: {title} has used seed{'s'[: len(seen) != 1]} "
                f"{', '.join(map(str, seen))} already. Take seeds above {max(used)}, or leave --seeds away."
            )
    elif launches:
        fresh = list(launches[-1]["seeds"])
    elif not made:
        raise RequestError(f"No fresh seeds of {title} were run: bench sweep {sweep.name} --confirm.")
    else:
        fresh = [max(used) + 1 + i for i in range(wanted if isinstance(wanted, int) else len(planned))]
    return dataclasses.replace(sweep, seeds=fresh), own
