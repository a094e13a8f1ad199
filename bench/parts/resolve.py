"""Own parts in a composed configuration: found by name, their settings checked, their code hashed."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from collections.abc import Mapping
from typing import Any

from bench.parts import listing
from bench.parts.code import code
from bench.parts.declare import BESIDE, MARK
from bench.parts.load import _unreadable, load
from bench.parts.metrics import enter_listed
from bench.parts.named import named_files
from bench.parts.outline import outline
from bench.parts.signature import check_settings, defaults, takes_norm
from bench.schema.errors import RequestError, suggestion, unknown_name
from bench.schema.metric import ON_REQUEST, from_facts
from bench.schema.offered import GROUPS, REGISTERED, Kind, Listed
from bench.schema.own import DIGEST, Own
from bench.schema.pixels import CorruptionName
from bench.schema.training import Optimizer, Schedule

NAMED = ("augment", "pixel_norm", "norm_layer", "optim")  # groups whose choice is their setting `name`
# Names of ours that are in no file of conf/.
TAKEN = {
    "corruption": typing.get_args(CorruptionName),
    "optimizer": typing.get_args(Optimizer),
    "schedule": typing.get_args(Schedule),
}
CODE = "code"  # the setting that marks a group's choice as own code
ALL_FACTORY = ("none", "batch", "layer", "group", "instance")  # norm layers that a factory can make


def resolve_parts(config: dict[str, Any]) -> dict[str, Any]:
    """A composed configuration with each own part as plain data under `own`; others are as they were.

    Raises:
        RequestError: for a part that is missing, does not import, has other code than the configuration names, or a
            setting that is wrong.
    """
    out = None
    for group, kind in GROUPS.items():
        node = config.get(group)
        if not isinstance(node, dict):
            continue
        if kind.listed:
            made = _resolve_list(group, kind, node)
        elif group == REGISTERED.group and node.get("family") == REGISTERED.name:
            made = _resolve_registered(node)
        elif CODE in node:
            made = _chosen(group, kind, node)
        else:
            continue
        if made is not node:
            out = dict(config) if out is None else out
            out[group] = made
    return config if out is None else out


def _chosen(group: str, kind: Kind, node: dict[str, Any]) -> dict[str, Any]:
    """`{name: convmixer, code: null, dim: 64}` as `{family: own, own: {...}}`."""
    part = find_part(kind, str(node.get("name")), node[CODE])
    beside = BESIDE.get(group, ())
    settings = {k: v for k, v in node.items() if k not in ("name", CODE, "family", "source", *beside)}
    settings = {k: v for k, v in settings.items() if not k.endswith(DIGEST)}  # of a record: the file is read anew
    rest = {k: v for k, v in node.items() if k in ("family", "source", *beside)}
    if group in NAMED:
        rest["name"] = node["name"] if group == "augment" else "own"
    return {**rest, "own": dataclasses.asdict(own(part, settings, node[CODE]))}


def _resolve_registered(node: dict[str, Any]) -> dict[str, Any]:
    """`{family: timm, name: mine}` with the code, where a file of the user's registers that name."""
    name, recorded = str(node.get("name")), node.get(CODE)
    if recorded is None and name not in listing.names(REGISTERED.name):
        return node
    rest = {k: v for k, v in node.items() if k != CODE}
    return {**rest, "own": dataclasses.asdict(own(find_part(REGISTERED, name, recorded), {}, recorded))}


def _resolve_list(group: str, kind: Kind, node: dict[str, Any]) -> dict[str, Any]:
    """`{names: [noise, fog]}` as `{names: [noise], own: [{...}]}`."""
    names = node.get("names") or []
    codes = node.get(CODE) or {}
    if not isinstance(names, list) or not names:
        return node
    # Metrics of ours stay among the names, as those did that were there before there were parts.
    offered = [p.name for p in (listing.own() if kind.name == "metric" else listing.all_parts()) if p.kind == kind.name]
    mine = [n for n in names if n in offered or n in codes]
    if kind.name == "metric":
        for name in names:
            if name not in (*mine, *ON_REQUEST) and suggestion(str(name), [*offered, *ON_REQUEST]):
                raise unknown_name("metric", str(name), [*offered, *ON_REQUEST])
        if mine:
            enter_listed()
    if not mine:
        return node
    owns = []
    for name in mine:
        part = find_part(kind, name, codes.get(name))
        owns.append(dataclasses.asdict(own(part, {}, codes.get(name))))
    rest = {k: v for k, v in node.items() if k not in ("names", CODE)}
    return {**rest, "names": [n for n in names if n not in mine], "own": owns}


def find_part(kind: Kind, name: str, recorded: str | None = None) -> Listed:
    """The part of this kind and name.

    Raises:
        RequestError: when there is none here.
    """
    part = listing.find(kind.name, name)
    if part is not None and name in TAKEN.get(kind.name, ()):
        raise RequestError(f"{kind.name} '{name}' is one of ours already, and is offered by {part.where}. Rename the "
                           "function.")  # fmt: skip
    if part is not None:
        return part
    known = listing.names(kind.name)
    where = ", ".join(str(f) for f in listing.folders()) or "no parts/ in the working directory"
    version = f" (code {recorded[:12]})" if recorded else ""
    kept = " 'bench reproduce NAME --with-parts' shows the recorded source, and runs it." if recorded else ""
    found = [*listing.broken_files().items(), *listing.misplaced_files().items()]
    broken = "".join(f"\n{file}: {reason}" for file, reason in found)
    raise RequestError(
        f"{kind.name} '{name}'{version} is somebody's own code and not here.{suggestion(name, known)} "
        f"Looked into: {where}. Put its file into parts/, or name its folder: --parts DIR.{kept}{broken}"
    )


def own(part: Listed, settings: Mapping[str, Any], recorded: str | None = None) -> Own:
    """The part with its settings as plain data.

    Args:
        recorded: the code that a record names; None for the code that is here.

    Raises:
        RequestError: for another code than the recorded one, a file that does not import, or settings that are wrong.
    """
    try:
        now = code(part).hash
    except (SyntaxError, OSError) as error:
        raise _unreadable(part, error) from None
    if recorded is not None and recorded != now:
        raise RequestError(
            f"{part.kind} '{part.name}' has other code here ({now[:12]}, {part.where}) than was recorded "
            f"({recorded[:12]}). Bring the file of then back, or name a folder that has it: --parts DIR."
        )
    made = _own(part, json.dumps(settings, sort_keys=True), now)
    named = named_files(part, made.values)
    return dataclasses.replace(made, named=json.dumps(named, sort_keys=True)) if named else made


@functools.lru_cache(maxsize=4096)  # a large sweep asks for each of its points
def _own(part: Listed, settings: str, now: str) -> Own:
    function = outline(part) if part.ours else load(part)
    if part.kind == REGISTERED.name:
        return Own(name=part.name, code=now, place=_place(part))
    values = check_settings(part, function, json.loads(settings))
    said = json.loads(getattr(function, MARK).facts)
    if part.kind == "metric" and from_facts(part.name, said) != from_facts(part.name, part.facts):
        raise RequestError(f"{part.where}: tables read what the decorator of metric '{part.name}' says without running "
                           "the file. Write its values as they are: higher_is_better=False, range=(0, 1).")  # fmt: skip
    facts = {**said, **_facts(part, function)}
    if part.ours:
        facts["defaults"] = defaults(part, function)
    return Own(
        name=part.name,
        code=now,
        settings=json.dumps(values, sort_keys=True, separators=(",", ":")),
        place=_place(part),
        facts=json.dumps(facts, sort_keys=True),
    )


def _place(part: Listed) -> str:
    return str(part.file) if not part.package else f"={part.package}"


def _facts(part: Listed, function: Any) -> dict[str, Any]:
    """What the signature says that is needed without the code."""
    if part.kind != "model":
        return part.facts
    said: Mapping[str, Any] = json.loads(getattr(function, MARK).facts)
    if not takes_norm(function):
        if said.get("norm_layers"):
            raise RequestError(
                f"{part.where}: model '{part.name}' says norm_layers={said['norm_layers']}, but takes no `norm`. "
                f"Write def {part.name}(shape, classes, *, norm, ...) and make its norms by norm(channels)."
            )
        return {"norm_layers": [], "native": "native"}
    return {"norm_layers": said.get("norm_layers") or list(ALL_FACTORY), "native": said.get("native") or "batch"}
