"""Own: the part of an Experiment that is somebody's own code, as plain data that travels and is hashed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from bench.schema.metric import ON_REQUEST
from bench.schema.offered import GROUPS, REGISTERED, SHIPPED
from bench.schema.part import part

DIGEST = "/sha256"  # model.weights/sha256: of the file that model.weights names
SOURCE = "parts.json"  # what a run keeps of the code of its own parts


@part
class Own:
    """A part of the user's own, made by `bench.parts.resolve` from its name and settings.

    It is plain data, so an Experiment can be planned, pickled, hashed and sent to a worker without the code; whoever
    calls the code loads it with `bench.parts.load.function`, which refuses code that is not the one of `code`.
    """

    name: str
    # SHA-256 (hex) of the code, "distribution==version" of an installed package, SHIPPED for a part that comes along.
    code: str
    settings: str = "{}"  # every setting with its value, as canonical JSON
    named: str = "{}"  # setting -> SHA-256 of the file that its value names, as JSON
    # Where this machine has the code, and what the decorator says of it (JSON): neither is science.
    place: Annotated[str, Field(repr=False)] = ""
    facts: Annotated[str, Field(repr=False)] = "{}"

    @property
    def values(self) -> dict[str, Any]:
        """The settings, as plain data."""
        return dict(json.loads(self.settings))

    def says(self, fact: str, otherwise: Any = None) -> Any:
        """What the decorator was told, such as `norm_layers`."""
        return json.loads(self.facts).get(fact, otherwise)

    def science(self, prefix: str) -> dict[str, Any]:
        """What is in the key: of a part that comes along its name and settings that differ from their defaults."""
        if self.code != SHIPPED:
            return self.flat(prefix)
        usual = self.says("defaults", {})
        chosen = {k: v for k, v in self.values.items() if k not in usual or usual[k] != v}
        return {prefix + k: v for k, v in {"name": self.name, **chosen, **self._digests()}.items()}

    def flat(self, prefix: str) -> dict[str, Any]:
        """Name, code and settings under the group's own prefix: `model.name`, `model.code`, `model.dim`."""
        settings = {"name": self.name, "code": self.code, **self.values, **self._digests()}
        return {prefix + k: v for k, v in settings.items()}

    def _digests(self) -> dict[str, str]:
        return {f"{setting}{DIGEST}": digest for setting, digest in json.loads(self.named).items()}


def uses_own_code(experiments: Iterable[Any]) -> bool:
    """Whether any of the Experiments uses own code."""
    return any(own_parts(exp) for exp in experiments)


def own_or_named(name: str, own: Own | None, group: str) -> None:
    """Hold `name: own` and `own` together.

    Raises:
        ValueError: where one comes without the other.
    """
    if (name == "own") != (own is not None):
        raise ValueError(f"'own' is no {group} by itself: say {group}=NAME, NAME being one of your own.")


@part
class Metrics:
    """What is measured beside that which always is: ours on request, one's own, and the training images."""

    names: tuple[str, ...] = ()  # of ours those that are not always measured, and your own
    train: bool = False  # the training images are scored too, unaugmented, at the selected epoch: train/accuracy, ...
    own: tuple[Own, ...] = ()

    def __post_init__(self) -> None:
        strange = [name for name in self.names if name not in ON_REQUEST]
        if strange:
            raise ValueError(
                f"names: '{strange[0]}' is none of your own metrics, which are functions with @metric in parts/. "
                f"Of those that come along these are measured on request: {', '.join(ON_REQUEST)}; the others always."
            )
        if len(set(self.names)) < len(self.names):
            raise ValueError("names: a metric is named twice.")


def codes_by_name(owns: tuple[Own, ...], prefix: str) -> dict[str, Any]:
    """The code of each own part of several that a list of names asks for: `corrupt.code` -> {"fog": "5d3f..."}."""
    found = {own.name: own.code for own in owns if own.code != SHIPPED}
    return {f"{prefix}code": found} if found else {}


def codes(config: Mapping[str, Any]) -> dict[str, str]:
    """ "model net" -> its code, for each part of a record's flat settings that is somebody's own."""
    found: dict[str, str] = {}
    for setting, code in config.items():
        group, _, last = setting.rpartition(".")
        if last == "code" and isinstance(code, Mapping):
            found |= {f"{group} {name}": str(one) for name, one in code.items()}
        elif last == "code" and isinstance(code, str) and code != SHIPPED:
            found[f"{group} {config.get(f'{group}.name', '')}"] = code
    return found


def own_parts(value: Any) -> list[tuple[str, Own]]:
    """(group, part) of every part of an Experiment that is somebody's own code; a list's parts one by one."""
    found: list[tuple[str, Own]] = []
    for group in dataclasses.fields(value):
        node = getattr(value, group.name)
        own = getattr(node, "own", None)
        found += [(group.name, one) for one in (own if isinstance(own, tuple) else (own,))
                  if isinstance(one, Own) and one.code != SHIPPED]  # fmt: skip
    return found


def kind_of(exp: Any, group: str) -> str:
    """The kind of an Experiment's own part in a group."""
    return REGISTERED.name if exp.model.family == "timm" and group == "model" else GROUPS[group].name
