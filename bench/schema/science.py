"""The settings of an experiment on one level, and those of them that decide its numbers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from bench.schema.experiment import Experiment
from bench.schema.offered import SHIPPED
from bench.schema.own import Own, codes_by_name
from bench.schema.secrets import redact

# Settings that change where and how fast a run is executed but not what it finds.
# Adding a name here changes no existing key, as defaults are left out (see `science`).
NOT_SCIENCE = frozenset(
    {
        "tracking",
        "dataset.root",
        "dataset.file",
        "dataset.storage",
        "dataset.workers",
        "trainer.max_minutes",
        "trainer.accelerator",
        "trainer.devices",
        "trainer.num_nodes",
        "trainer.strategy",
        "trainer.channels_last",
        "trainer.compile",
        "trainer.stack",
        "trainer.last_digits",
        "trainer.threads",
        "trainer.deterministic",
        "trainer.gradients",
        "augment.name",
        "transfer.cache",
    }
)


def flat_settings(value: Any, prefix: str = "") -> dict[str, Any]:
    """A part as one level: `{"optim.lr": 0.1, "model.hidden": [400, 100], ...}`; addresses as they may be shown."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        name, item = prefix + field.name, getattr(value, field.name)
        if name == "trainer.epochs" and value.whole_epochs is None:
            continue  # it decides nothing
        if field.name == "own":
            out.update(_own_settings(item, out, prefix))
        elif isinstance(value, Experiment) and item is None:
            continue  # a group that nobody chose from
        elif dataclasses.is_dataclass(item):
            out.update(flat_settings(item, name + "."))
        else:
            out[name] = list(item) if isinstance(item, tuple) else redact(item) if isinstance(item, str) else item
    return out


def _own_settings(item: Any, before: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Own parts among the settings of their group, as if they were its own."""
    if isinstance(item, Own):
        return _redact_values(item.flat(prefix))
    if not item:
        return {}
    return {
        f"{prefix}names": [*before.get(f"{prefix}names", []), *(own.name for own in item)],
        **codes_by_name(item, prefix),
    }


def _redact_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: redact(v) if isinstance(v, str) else v for k, v in settings.items()}


def science(exp: Experiment) -> dict[str, Any]:
    """The settings that decide a run's numbers, flat, without those at their default.

    Defaults are left out so that a setting added later does not change the key of an earlier run.
    """
    return _science(exp, "")


def _science(value: Any, prefix: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for attribute, name, default in _science_fields(type(value), prefix):  # type: ignore[arg-type]
        item = getattr(value, attribute)
        if name == "trainer.epochs" and value.whole_epochs is None:
            continue
        if attribute == "own":
            # The code of a part of an installed package is the package's version, which does not say which part it is,
            # and that of one that comes along is no code at all.
            code = str(getattr(item, "code", ""))
            named = "==" in code or code == SHIPPED
            found = (
                _redact_values(item.science(prefix)) if isinstance(item, Own) else _own_settings(item, out, prefix)
            ).items()
            out.update({k: v for k, v in found if k not in NOT_SCIENCE or (named and k == f"{prefix}name")})
        elif hasattr(item, "__dataclass_fields__"):
            out.update(_science(item, name + "."))
        elif default is dataclasses.MISSING or item != default:
            out[name] = list(item) if isinstance(item, tuple) else item
    return out


@functools.cache  # a large sweep asks for each of its points
def _science_fields(part: type, prefix: str) -> list[tuple[str, str, Any]]:
    """(attribute, full name, default) of the settings of a part that are science."""
    named = [(field.name, prefix + field.name, _default(field)) for field in dataclasses.fields(part)]
    return [entry for entry in named if entry[1] not in NOT_SCIENCE]


def _default(field: dataclasses.Field[Any]) -> Any:
    """A field's default; pydantic keeps it in a FieldInfo of its own where `Field(...)` was the default."""
    return getattr(field.default, "default", field.default)
