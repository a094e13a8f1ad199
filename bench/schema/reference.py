"""Every setting with its type, range, default and meaning, read from the schema itself: nothing here can go stale.

Meanings are the comments that stand beside and above a field, and the docstrings of the parts.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import io
import json
import sys
import tokenize
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.schema.where import members


@dataclass(frozen=True)
class Entry:
    """One setting.

    Attributes:
        name: in full, `optim.lr`; of a sweep file its key.
        only: choices of its group that have it, by the setting that tells them apart; () where all have it.
        type: in words, its range included: `number above 0`, `sgd, adam or adamw`, `list of whole numbers`.
        default: as an override would say it; None where it has none and must be given.
        meaning: what the schema says beside it; may be empty.
        part: name of the part of the schema that has it.
        source: file of the schema.
    """

    name: str
    only: tuple[str, ...]
    type: str
    default: str | None
    meaning: str
    part: str
    source: str


def entries(part: Any, prefix: str = "", only: tuple[str, ...] = ()) -> Iterator[Entry]:
    """The settings of a part and of the parts in it, in the order of the code; one of several parts comes for each."""
    hints = typing.get_type_hints(part, include_extras=True)
    said = _comments(part)
    for field in dataclasses.fields(part):
        hint, name = hints[field.name], f"{prefix}{field.name}"
        nested = [] if any(typing.get_origin(m) in (list, dict, tuple) for m in members(hint)) else parts(hint)
        # Somebody's own code is chosen by its name, and what tells the parts of a group apart by the group's choices.
        if field.name == "own" or [[f.name for f in dataclasses.fields(p)] for p in nested] == [["own"]]:
            continue
        if field.name == _tag(part):
            continue
        if not nested or type(None) in members(hint):
            # Not the line: it would be another one after each change of the file, on the committed page too.
            file = f"bench/schema/{Path(inspect.getfile(part)).name}"
            yield Entry(name, only, words(hint), default(field), said[field.name], part.__name__, file)
        for one in nested:
            yield from entries(one, f"{name}.", tags(one) if len(nested) > 1 else only)


def fill_meanings(found: Iterable[Entry]) -> list[Entry]:
    """The same; one without a meaning has that of the same setting, of the same type, of another part."""
    found = list(found)
    said = {(e.name, e.type): e.meaning for e in reversed(found) if e.meaning}
    return [dataclasses.replace(e, meaning=e.meaning or said.get((e.name, e.type), "")) for e in found]


def parts(hint: Any) -> list[Any]:
    """The parts (dataclasses of the schema) that a type names."""
    return [m for m in members(hint) if dataclasses.is_dataclass(m)]


def tags(part: Any) -> tuple[str, ...]:
    """What tells a part of a group apart from the others: `("knn",)`; () for a part that is the only one."""
    name = _tag(part)
    return tuple(str(v) for v in typing.get_args(typing.get_type_hints(part)[name])) if name else ()


def _tag(part: Any) -> str:
    """The setting that tells a part apart: a Literal without a default, or the kind of a claim; "" for none."""
    for name in ("family", "source", "kind"):
        field = getattr(part, "__dataclass_fields__", {}).get(name)
        if field is not None and typing.get_origin(typing.get_type_hints(part)[name]) is typing.Literal:
            values = typing.get_args(typing.get_type_hints(part)[name])
            return name if default(field) is None or len(values) == 1 else ""
    return ""


def docstring_text(part: Any) -> str:
    """A docstring: its paragraphs as single lines, but for those with an indented part; "" for a made-up one."""
    text = part.__doc__ or ""
    if text.startswith(f"{getattr(part, '__name__', '')}("):  # what a dataclass without one gets
        return ""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(p if "\n " in p else " ".join(p.split()) for p in paragraphs)


def words(hint: Any) -> str:
    """A type as people say it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return " ".join([words(arguments[0]), *_limits(arguments[1:])]).strip()
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(words(a) for a in arguments))
    if origin is typing.Literal:
        *first, last = [_value(a) for a in arguments]
        return f"{', '.join(first)} or {last}" if first else last
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"[{', '.join(words(a) for a in arguments)}]"
    if origin in (list, tuple):
        return f"list of {words(arguments[0]).replace('number', 'numbers', 1)}"
    if origin is dict:
        return f"mapping of {words(arguments[0])} to {words(arguments[1])}"
    plain = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null", Any: "any"}
    return plain.get(hint) or getattr(hint, "__name__", str(hint)).lower()


def default(field: dataclasses.Field[Any]) -> str | None:
    """A field's default as an override would say it; None where there is none."""
    value = getattr(field.default, "default", field.default)
    factory = getattr(field.default, "default_factory", None) or field.default_factory
    if callable(factory):
        value = factory()
    if value is dataclasses.MISSING or type(value).__name__ == "PydanticUndefinedType" or value is Ellipsis:
        return None
    return "null" if dataclasses.is_dataclass(value) else _value(value)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value or "''"
    return json.dumps(value).replace('"', "").replace(", ", ",")


def _limit(value: float) -> str:
    if isinstance(value, int):
        return f"2^{value.bit_length() - 1}" if value >= 2**31 and value.bit_count() == 1 else f"{value:,}"
    return f"{value:.12g}"


def _limits(extras: tuple[Any, ...]) -> list[str]:
    """`above 0`, `up to 1`: what a Field says of a value."""
    found = {}
    for extra in extras:
        for limit in getattr(extra, "metadata", [extra]):
            for name in ("gt", "ge", "lt", "le", "min_length", "pattern"):
                if getattr(limit, name, None) is not None:
                    found[name] = getattr(limit, name)
    words = (("gt", "above"), ("ge", "from"), ("lt", "below"), ("le", "up to"))
    limits = [(word, found[name]) for name, word in words if name in found]
    out = [f"{word} {_limit(v)}" for word, v in limits]
    out += [f"(at least {found['min_length']})"] if found.get("min_length") else []
    return out + ([f"matching {found['pattern']}"] if "pattern" in found else [])


def _comments(part: Any) -> dict[str, str]:
    """Field -> the comments above and beside it in the schema, else those of its type."""
    source, tree = _parse(sys.modules[part.__module__].__file__ or "")
    named = {n.targets[0].id: n for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)}
    body = next(n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == part.__name__).body
    fields = {n.target.id: n for n in body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    found = {}
    for name, node in fields.items():
        text = _comments_at(node, source)
        if not text and isinstance(node.annotation, ast.Name) and node.annotation.id in named:
            text = _comments_at(named[node.annotation.id], source)
        found[name] = text
    return found


def _comments_at(node: ast.stmt, source: dict[int, tuple[bool, str]]) -> str:
    """The comments above and beside a statement."""
    above: list[str] = []
    line = node.lineno - 1
    while line in source and source[line][0]:
        above.insert(0, source[line][1])
        line -= 1
    beside = [source[n][1] for n in range(node.lineno, (node.end_lineno or 0) + 1) if n in source]
    return " ".join(t for t in (*above, *beside) if not t.startswith(("fmt:", "type:", "noqa")))


@functools.cache
def _parse(file: str) -> tuple[dict[int, tuple[bool, str]], ast.Module]:
    """Line -> (whether the comment stands alone, its text), and the file's syntax."""
    text = Path(file).read_text(encoding="utf-8")
    lines = text.splitlines()
    found = {
        token.start[0]: (lines[token.start[0] - 1].lstrip().startswith("#"), token.string.lstrip("# ").strip())
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    return found, ast.parse(text)
