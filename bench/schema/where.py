"""Which settings there are, and to which part one belongs: for messages, and for what reads values as text."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """One setting: its full name, the options whose part has it (empty: all), and its type."""

    name: str
    options: tuple[str, ...]
    hint: Any


def settings(cls: Any, prefix: str = "", options: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every setting of a part and of the parts in it; one that several options of a union have comes for each."""
    for name, hint in typing.get_type_hints(cls, include_extras=False).items():
        if name not in getattr(cls, "__dataclass_fields__", {}) or typing.get_origin(hint) is typing.ClassVar:
            continue
        parts = [m for m in members(hint) if dataclasses.is_dataclass(m)]
        if not parts:
            yield Setting(prefix + name, options, hint)
        for part in parts:
            yield from settings(part, f"{prefix}{name}.", _tags(part) if len(parts) > 1 else options)


def where_it_belongs(cls: Any, name: str) -> str:
    """` It belongs to knn: model=knn.` or ` Did you mean 'optim.lr'?` for a setting that is not where it was put."""
    group, _, last = name.rpartition(".")
    found = [s for s in settings(cls) if s.name == name]
    if found:
        options = list(dict.fromkeys(option for s in found for option in s.options))
        return f" It belongs to {', '.join(options)}: {group}={options[0]}." if options else ""
    names = list(
        dict.fromkeys(s.name for s in settings(cls) if s.name.rpartition(".")[2] == last and ".own." not in s.name)
    )
    return f" Did you mean {' or '.join(repr(n) for n in names[:3])}?" if names else ""


def is_text(hint: Any) -> bool:
    """Whether a setting takes any text: a path, an address, a name."""
    return str in members(hint)


def fixed_values(hint: Any) -> list[str]:
    """The values that a type lists, as overrides say them; [] where it takes whatever fits."""
    out = []
    for member in members(hint):
        if typing.get_origin(member) is typing.Literal:
            out += [str(v) for v in typing.get_args(member)]
        out += ["true", "false"] if member is bool else ["null"] if member is type(None) else []
    return out


def members(hint: Any) -> list[Any]:
    """The alternatives of a type: a union's members, or the type itself."""
    if typing.get_origin(hint) is typing.Annotated:
        return members(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [m for a in typing.get_args(hint) for m in members(a)]
    return [hint]


def _tags(part: Any) -> tuple[str, ...]:
    """The options that choose a member of a union: the values of its first Literal."""
    hints = typing.get_type_hints(part, include_extras=False)
    literal = next((h for h in hints.values() if typing.get_origin(h) is typing.Literal), None)
    return tuple(str(v) for v in typing.get_args(literal)) if literal is not None else ()
