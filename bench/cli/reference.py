"""The whole reference as plain data: groups with their choices and settings, a sweep file's keys, claims, figures,
metrics. It is read from the schema, from conf/ and from parts/, so it cannot say what is not so."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from bench.parts import listing
from bench.schema import claim, examples, sweep
from bench.schema.experiment import Experiment
from bench.schema.metric import METRICS, OURS
from bench.schema.offered import KINDS
from bench.schema.reference import Entry, docstring_text, entries, fill_meanings, parts, tags

# Keys of a sweep file that hold keys of their own.
NESTED = {"table": sweep.Table, "select": sweep.Select, "published": sweep.Published, "scales": sweep.Scale}


@dataclasses.dataclass(frozen=True)
class Section:
    """What belongs together: a group of settings, or a part of a sweep file.

    Attributes:
        name: what `bench options NAME` calls it.
        about: (what it is about, words) for each of its parts, the first one about it as a whole.
        choices: (name, what it sets, what is said of it).
        settings: in the order of the schema.
        examples: (of what, text of a sweep file).
    """

    name: str
    about: list[tuple[str, str]]
    choices: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    settings: list[Entry] = dataclasses.field(default_factory=list)
    examples: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def sections(own: bool = True) -> list[Section]:
    """Everything there is to set.

    Args:
        own: also what conf/ and parts/ of the working directory offer; else only what is shipped.
    """
    return [*_groups(own), *_of_sweeps(own)]


def _groups(own: bool) -> Iterator[Section]:
    """One section a group of settings, those that are no part of the Experiment (scale) last."""
    hints = typing.get_type_hints(Experiment, include_extras=True)
    settings = fill_meanings(entries(Experiment))
    offered = _choices(own)
    alone = [e for e in settings if "." not in e.name]
    for name, hint in hints.items():
        found = [e for e in settings if e.name.startswith(f"{name}.")]
        members = [p for p in parts(hint) if [f.name for f in dataclasses.fields(p)] != ["own"]]
        said = [(", ".join(tags(p)), docstring_text(p)) for p in members if docstring_text(p)]
        if found or offered.get(name):
            whole = [("", text) for _, text in said[:1]] if len(members) == 1 else said
            yield Section(name, whole, offered.pop(name, []), found)
    yield Section("seed", [], [], alone)
    for name, choices in sorted(offered.items()):
        yield Section(name, [], choices)


def _of_sweeps(own: bool) -> list[Section]:
    keys = fill_meanings(e for e in entries(sweep.Sweep) if "." not in e.name)
    for name, part in NESTED.items():
        place = f"{name}.SCALE." if name == "scales" else f"{name}."
        keys += fill_meanings(entries(part, place))
    kinds = {tags(part)[0]: part for part in typing.get_args(typing.get_args(claim.Claim)[0])}
    claims = [e for kind, part in kinds.items() for e in fill_meanings(entries(part, only=(kind,)))]
    _, _, text = docstring_text(sweep.Figure).partition("kind:\n")
    by_kind = [
        line.partition(": ") for line in inspect.cleandoc("    " + text.lstrip()).replace("\n    ", " ").splitlines()
    ]
    return [
        Section("sweep", [("", docstring_text(sweep.Sweep))], [], keys),
        Section(
            "claims",
            [("", docstring_text(claim)), *((kind, docstring_text(part)) for kind, part in kinds.items())],
            settings=claims,
            examples=list(examples.CLAIMS.items()),
        ),
        Section(
            "figures",
            [("", docstring_text(sweep.Figure).partition("\n\n")[0]), *((kinds, said) for kinds, _, said in by_kind)],
            settings=fill_meanings(entries(sweep.Figure)),
            examples=[(kind, f"figure: {text}\n") for kind, text in examples.FIGURES.items()],
        ),
        Section("metric", [("", METRICS_ARE)], [(m.name, "", _metric(m)) for m in (METRICS.values() if own else OURS)]),
    ]


METRICS_ARE = (
    "What tables, figures and claims name, with the images before it: val/accuracy, test/nll, cost/params; "
    "run/failed for the share of runs that failed."
)


def _metric(one: Any) -> str:
    better = {True: "higher is better", False: "lower is better", None: ""}[one.higher_is_better]
    ends = f"{'' if one.low is None else f'{one.low:g}'}..{'' if one.high is None else f'{one.high:g}'}"
    return ", ".join(t for t in (one.label, better, ends if ends != ".." else "") if t)


def _choices(own: bool) -> dict[str, list[tuple[str, str, str]]]:
    """Group -> (choice, what it sets, what is said of it)."""
    from bench.compose import shipped_folder

    found: dict[str, dict[str, tuple[str, str, str]]] = {}
    folders = [shipped_folder("conf"), *([Path.cwd() / "conf"] if own else [])]
    for folder in folders:
        for file in sorted(folder.glob("*/*.yaml")):
            found.setdefault(file.parent.name, {})[file.stem] = (file.stem, *_file(file))
    for part in listing.all_parts() if own else listing.shipped_parts():
        if part.kind in KINDS and not (part.ours and part.kind == "metric"):  # those stand among all metrics
            group, where = KINDS[part.kind].group, "" if part.ours else f" ({part.where})"
            found.setdefault(group, {})[part.name] = (part.name, _flat(part.defaults), f"{part.summary}{where}".strip())
    return {group: list(choices.values()) for group, choices in found.items()}


def _file(file: Path) -> tuple[str, str]:
    """(what a choice sets, the comment at its head)."""
    text = file.read_text(encoding="utf-8")
    said = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#") and "@package" not in line]
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        data = None
    return _flat(data if isinstance(data, dict) else {}), " ".join(said)


def _flat(data: Mapping[str, Any], prefix: str = "") -> str:
    """`name=sgd lr=0.1`."""
    words = []
    for name, value in data.items():
        if isinstance(value, dict):
            words.append(_flat(value, f"{prefix}{name}."))
        elif name != "defaults":
            words.append(f"{prefix}{name}={yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}")
    return " ".join(w for w in words if w)
