"""Typed settings from a function's own signature."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from bench.parts.declare import BESIDE
from bench.schema.errors import RequestError
from bench.schema.offered import KINDS, Listed
from bench.schema.part import build, part

RESERVED = ("name", "code", "own", "family", "source")  # what every own part has besides its settings
PLAIN = (
    "Settings are plain data: int, float, bool, str, Literal, Enum, a dataclass, a tuple, list or dict of these, or "
    "one of them | None. An object is made inside, by its name: act: Literal['relu', 'gelu'] = 'relu'."
)
GIVEN = {"model": ("norm",), "optimizer": ("lr", "momentum", "weight_decay")}  # parameters by name that are no settings


def takes_norm(function: Callable[..., Any]) -> bool:
    """Whether a model's function asks for a norm factory."""
    return "norm" in inspect.signature(function).parameters


def settings(listed: Listed, function: Callable[..., Any]) -> type:
    """The settings of a part as a checked dataclass, made from the signature: name, type, range and default.

    Raises:
        RequestError: for a signature that cannot serve, with what is missing.
    """
    key = (listed.kind, listed.where)
    return _settings(function, key)


@functools.lru_cache(maxsize=256)
def _settings(function: Callable[..., Any], key: tuple[str, str]) -> type:
    kind, where = key
    name = function.__name__
    first = parameters(function, kind, where)
    start = function.__init__ if inspect.isclass(function) else function
    try:
        hints = typing.get_type_hints(start, include_extras=True)
    except Exception as error:
        raise RequestError(f"{where}: an annotation of {kind} '{name}' cannot be read: {error}.") from None
    space: dict[str, Any] = {"__annotations__": {}, "__module__": __name__, "__doc__": inspect.getdoc(function)}
    for parameter in first:
        if parameter.name in RESERVED or parameter.name in BESIDE.get(KINDS[kind].group, ()):
            has = "every part" if parameter.name in RESERVED else f"every {KINDS[kind].group}"
            raise RequestError(f"{where}: setting '{parameter.name}' of {kind} '{name}': {has} has a "
                               f"{parameter.name} already. Choose another word.")  # fmt: skip
        if parameter.name not in hints:
            if not isinstance(parameter.default, int | float | str | tuple | list | dict | type | None):
                raise RequestError(f"{where}: setting '{parameter.name}' of {kind} '{name}' has the default "
                                   f"{parameter.default!r}, which no command can say. {PLAIN}")  # fmt: skip
            example = f"{parameter.name}: {_type_of(parameter.default)}"
            given = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
            raise RequestError(
                f"{where}: setting '{parameter.name}' of {kind} '{name}' has no type. Write {example}{given}."
            )
        space["__annotations__"][parameter.name] = hints[parameter.name]
        if type(parameter.default).__hash__ is None:
            # A copy, as the same one is handed out again.
            space[parameter.name] = field(default_factory=functools.partial(copy.deepcopy, parameter.default))
        elif parameter.default is not parameter.empty:
            space[parameter.name] = parameter.default
    try:
        made: type = part(type(name, (), space))
        TypeAdapter(made)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError, ValueError) as error:
        raise RequestError(
            f"{where}: the settings of {kind} '{name}' cannot be checked: "
            f"{str(error).splitlines()[0].partition('. Set ')[0]}. {PLAIN}"
        ) from None
    return made


def parameters(function: Callable[..., Any], kind: str, where: str) -> list[inspect.Parameter]:
    """The parameters that are settings: those after what every part of the kind is called with.

    Raises:
        RequestError: when it cannot be called so.
    """
    takes = KINDS[kind].takes
    everything = [p for p in inspect.signature(function).parameters.values() if p.name not in GIVEN.get(kind, ())]
    wanted = f"def {function.__name__}({', '.join([*takes, '*', 'setting: int = 1'])})"
    bad = next((p for p in everything if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)), None)
    if bad is not None:
        raise RequestError(
            f"{where}: {kind} '{function.__name__}' takes *{bad.name}, which names no setting. Expected {wanted}."
        )
    positional = [p for p in everything if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < len(takes) or any(p.default is p.empty for p in positional[len(takes) :]):
        raise RequestError(f"{where}: {kind} '{function.__name__}' is called with {', '.join(takes) or 'its settings'}"
                           f" first. Expected {wanted}.")  # fmt: skip
    given = {p.name for p in positional[: len(takes)]}
    if shut := [p.name for p in positional[len(takes) :] if p.kind == p.POSITIONAL_ONLY]:
        raise RequestError(f"{where}: setting '{shut[0]}' of {kind} '{function.__name__}' stands before the /, and has "
                           f"no name for its caller. Expected {wanted}.")  # fmt: skip
    return [p for p in everything if p.name not in given]


def check_settings(listed: Listed, function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a part as plain data: those given, checked, and the defaults of the others.

    Raises:
        RequestError: as `build`, and for settings of a part that takes none.
    """
    kind = KINDS[listed.kind]
    if kind.listed and values:
        raise RequestError(f"{kind.group}.names: '{listed.name}' has no settings of its own.")
    under = _under(settings(listed, function), kind.group)

    def checked(given: Mapping[str, Any]) -> dict[str, Any]:
        made: Any = build(under, {kind.group: dict(given)})
        return dict(json.loads(TypeAdapter(type(made)).dump_json(made))[kind.group])

    found = checked(values)
    again = checked(found)  # as whoever reads them from a plan or a record does
    if changed := [name for name in found if found[name] != again[name]]:
        raise RequestError(
            f"{listed.where}: setting '{changed[0]}' of {listed.kind} '{listed.name}' is {found[changed[0]]!r} when it "
            f"is checked, and {again[changed[0]]!r} when that is checked again: its validator may check and round, not "
            "compute. Compute inside the function."
        )
    return found


def defaults(listed: Listed, function: Callable[..., Any]) -> dict[str, Any]:
    """The defaults of a part's settings as plain data, as `check_settings` gives values; without one: left out."""
    start = function.__init__ if inspect.isclass(function) else function
    hints = typing.get_type_hints(start, include_extras=True)
    return {
        p.name: TypeAdapter(hints[p.name]).dump_python(p.default, mode="json")
        for p in parameters(function, listed.kind, listed.where)
        if p.default is not p.empty
    }


def arguments(function: Callable[..., Any], values: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Recorded settings as the function takes them: of the types that its signature says."""
    made: Any = build(_settings(function, (kind, function.__module__)), dict(values))
    return {field.name: getattr(made, field.name) for field in fields(made)}


def forget_settings() -> None:
    """Let go of the functions whose settings are known, and with them of all that their modules hold."""
    _settings.cache_clear()
    _under.cache_clear()


@functools.lru_cache(maxsize=256)
def _under(made: type, group: str) -> type:
    """The settings below the group's name, so that messages say `model.dim`."""
    return part(type(made.__name__, (), {"__annotations__": {group: made}, "__module__": __name__}))


def _type_of(default: Any) -> str:
    return "int" if default is inspect.Parameter.empty or default is None else type(default).__name__
