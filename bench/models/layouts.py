"""What checkpoints hold besides weights, and where in them the weights of a backbone are."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.models.heads import head_names, in_heads
from bench.schema.errors import RequestError

DEEPEST = 4  # dictionaries in dictionaries
# What torch.compile, sharding and saved activations put between the names of modules.
FRAMES = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# What wrappers put before all names, of weights whose names are converted first (VGG, ConvNeXt).
PREFIXES = ("module.", "net.", "network.", "model.", "backbone.", "encoder.")

State = dict[str, Tensor]


def backbone_in(net: nn.Module, content: Mapping[Any, Any], entry: str | None, whence: str) -> State:
    """The state dict in `content` that holds the backbone of `net`, under the network's names; more may be in it.

    It may be all of the content, or lie in dictionaries in it, beside an epoch, an optimizer's state, settings; and in
    each below a prefix, as wrappers (Lightning, DataParallel, torch.compile) and self-supervised training leave it.
    Where no state dict holds the backbone, that with the most of its tensors is given back: who copies it says what
    differs.

    Args:
        entry: which one, where there are several: a part of its dotted name, such as `teacher`.

    Raises:
        RequestError: nothing in it is a tensor; or it holds the backbone more than once, with other values, and
            `entry` names none or several of them.
    """
    states = dict(_states(content))
    if not states:
        raise RequestError(f"{whence} holds no weights, but {some(content)}. Expected a state dict (names to tensors).")
    wanted = [n for n in net.state_dict() if not in_heads(n, head_names(net)) and not n.endswith("num_batches_tracked")]
    if not wanted:
        return next(iter(states.values()))
    found = {place: state for name, held in states.items() for place, state in _wholes(net, name, held, wanted)}
    if entry is not None:
        named = {place: state for place, state in found.items() if f".{entry}." in f".{place}."}
        if not named:
            inside = ", ".join(sorted(found)) or some(content)
            raise RequestError(f"{whence}: transfer.entry={entry} holds no such backbone. There is {inside}.")
        found = named
    places = list(found)
    others = [p for p in places[1:] if not all(torch.equal(found[p][n], found[places[0]][n]) for n in wanted)]
    if others:
        raise RequestError(
            f"{whence} holds this backbone {len(places)} times, with other values: {', '.join(places)}. Say which, as "
            f"in transfer.entry={places[0]}."
        )
    if places:
        return found[places[0]]
    closest = max(states.values(), key=lambda held: (len(held.keys() & {*wanted}), len(held)))
    return to_timm_names(net, _strip_prefixes(closest))


def _states(content: Mapping[Any, Any], name: str = "", depth: int = 0) -> Iterator[tuple[str, State]]:
    """(where, tensors by their names) of every dictionary that holds tensors, itself first."""
    plain: State = {}
    framed: State = {}
    for key, value in content.items():
        if isinstance(value, Tensor):
            bare = FRAMES.sub("", str(key))
            (plain if bare == str(key) else framed)[bare] = value
    if plain.keys() & framed.keys():  # a network beside the same one compiled: two, which may differ
        yield name, plain
        yield f"{name}.compiled".removeprefix("."), framed
    elif plain or framed:
        yield name, {**plain, **framed}
    if depth < DEEPEST:
        for key, value in content.items():
            if isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
                value = dict(enumerate(value))  # networks of an ensemble
            if isinstance(value, Mapping):
                yield from _states(value, f"{name}.{key}" if name else str(key), depth + 1)


def _wholes(net: nn.Module, name: str, held: State, wanted: list[str]) -> Iterator[tuple[str, State]]:
    """(where, state) of each prefix below which every tensor of the backbone is, without it."""
    first = wanted[0]
    prefixes = {n.removesuffix(first) for n in held if n == first or n.endswith(f".{first}")}
    for prefix in sorted(prefixes):
        if all(prefix + n in held for n in wanted):
            below = {n.removeprefix(prefix): t for n, t in held.items() if n.startswith(prefix)}
            yield ".".join(filter(None, (name, prefix.rstrip(".")))) or "the file itself", below
    if not prefixes:
        converted = to_timm_names(net, _strip_prefixes(held))
        if all(n in converted for n in wanted):
            yield name or "the file itself", converted


def _strip_prefixes(state: State) -> State:
    """Without the prefixes that all names have."""
    for prefix in PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            return _strip_prefixes({name.removeprefix(prefix): tensor for name, tensor in state.items()})
    return state


def to_timm_names(net: nn.Module, state: State) -> State:
    """The state dict under timm's names, where it is one that timm's module of the network knows to convert.

    VGG as torchvision publishes it and ConvNeXt as its authors do are the usual ones.
    """
    convert: Any = None
    for name in ("checkpoint_filter_fn", "_filter_fn"):
        convert = convert or getattr(inspect.getmodule(type(net)), name, None)
    own = {name for name in net.state_dict() if not in_heads(name, head_names(net))}
    if convert is None or own <= state.keys():
        return state
    try:
        takes_net = len(inspect.signature(convert).parameters) > 1
        return dict(convert(dict(state), net) if takes_net else convert(dict(state)))
    except Exception:  # another network's, of which the converter expects what is not there
        return state


def some(names: Iterable[object]) -> str:
    """The first of the names, for people."""
    first = [str(name) for name in itertools.islice(names, 6)]
    return f"{', '.join(first[:5])}{', ...' if len(first) > 5 else ''}" or "nothing"
