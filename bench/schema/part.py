"""`part` makes a validated, frozen dataclass; `build` turns plain data into one, with errors that teach."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as _dataclass

from bench.schema.errors import RequestError, suggestion
from bench.schema.where import members, where_it_belongs

T = TypeVar("T")
_adapters: dict[Any, TypeAdapter] = {}  # of unions
ADAPTER = "__imagebench_adapter__"


# What people know from Lightning's Trainer, and what there is here in its place.
LIGHTNING = {
    "max_epochs": "here trainer.epochs",
    "min_epochs": "here trainer.epochs, which is how many there are unless trainer.patience ends them",
    "min_steps": "here trainer.steps, which is how many there are",
    "max_steps": "here trainer.steps",
    "max_time": "here trainer.seconds, a budget that schedules follow, or trainer.max_minutes, a limit",
    "accumulate_grad_batches": "here trainer.accumulate, the parts that a batch of trainer.batch_size is cut into",
    "gradient_clip_val": "here trainer.clip",
    "gradient_clip_algorithm": "here trainer.clip, always by the norm",
    "limit_train_batches": "here trainer.steps for a shorter training, split.train_fraction for fewer images",
    "limit_val_batches": "here split.val for fewer images; all of val is scored",
    "limit_test_batches": "here split.test for fewer images; all of test is scored",
    "overfit_batches": "here split.train_per_class for fewer images",
    "fast_dev_run": "here trainer.steps=1",
    "check_val_every_n_epoch": "val is scored after each epoch",
    "val_check_interval": "val is scored after each epoch",
    "num_sanity_val_steps": "the protocol is checked before training, by 'bench check' too",
    "callbacks": "here trainer.patience for EarlyStopping, trainer.select for ModelCheckpoint, optim.ema for averages, "
    "training=NAME for what is your own",
    "logger": "here tracking.uri, an MLflow store",
    "default_root_dir": "here tracking.uri, an MLflow store",
    "log_every_n_steps": "numbers are recorded after each epoch",
    "enable_checkpointing": "checkpoints are always written, and a killed run goes on from its last one",
    "enable_progress_bar": "there is a bar where the output is a terminal",
    "enable_model_summary": "'bench models NAME' prints it",
    "profiler": "costs are always recorded; trainer.gradients=true records norms of gradients",
    "use_distributed_sampler": "each image is always seen once, on any number of devices",
    "benchmark": "here trainer.deterministic=false",
}
TOLD = 100  # wrong settings of one file that are told one by one


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
def part(cls: type[T]) -> type[T]:
    """A frozen keyword-only dataclass whose fields are checked strictly and which refuses unknown names.

    Strict means that `epochs: "3"` and `seed: true` are errors; an int where a float is
    expected is fine. Ranges are stated beside the field with pydantic's `Field(gt=0)`.
    """
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return _dataclass(cls, frozen=True, kw_only=True, config=config)  # type: ignore[return-value]


def build(cls: type[T] | Any, data: Mapping[str, Any] | Any, where: str = "") -> T:
    """An instance of `cls` from plain data (dicts, lists, scalars).

    Args:
        cls: a class made by `part`, or a union of such classes discriminated by a field.
        data: nested plain data, as from YAML.
        where: dotted prefix for the names in messages, e.g. the file the data came from.

    Raises:
        RequestError: naming every wrong setting, the value that came, what was expected,
            and the nearest name for a misspelled one.
    """
    adapter = _adapter(cls)
    try:
        # Through JSON, because only there do strict dataclasses and tuples come from mappings and lists.
        return adapter.validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        found = error.errors(include_url=False)
        lines = [_explain(e, data, cls) for e in found[:TOLD]]
        lines += [f"and {len(found) - TOLD:,} more."] if len(found) > TOLD else []
    prefix = f"{where}: " if where else ""
    raise RequestError("\n".join(prefix + line for line in dict.fromkeys(lines)))


def _adapter(cls: Any) -> TypeAdapter:
    """Made once; of a class it lies in the class, so that one made for somebody's function goes with the function."""
    if not isinstance(cls, type):
        if cls not in _adapters:
            _adapters[cls] = TypeAdapter(cls)
        return _adapters[cls]
    found = cls.__dict__.get(ADAPTER)
    if found is None:
        found = TypeAdapter(cls)
        setattr(cls, ADAPTER, found)
    return found


def _explain(error: Any, data: Any, cls: Any) -> str:
    """One line for one of pydantic's findings."""
    # Union members and validators put their own names into the location; keep what is in the data.
    path: list[str] = []
    here = data
    for step in error["loc"]:
        inside = isinstance(here, Mapping) and step in here
        listed = isinstance(here, list | tuple) and isinstance(step, int) and step < len(here)
        if inside or listed:
            here = here[step]
        elif error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
            if step != error["loc"][-1]:
                continue
        else:
            continue
        path.append(str(step))
    name = ".".join(path) or "the configuration"
    kind, value = error["type"], error["input"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        theirs = name.removeprefix("trainer.")
        if theirs in LIGHTNING:
            return f"Unknown setting '{name}', which is one of Lightning's Trainer: {LIGHTNING[theirs]}."
        options = _siblings(cls, error["loc"][:-1])
        if options == ["own"]:  # a group whose choices are parts by name
            return _of_nobody(*name.rsplit(".", 1))
        known = f" Known here: {', '.join(options)}." if options else ""
        hint = where_it_belongs(cls, name) or suggestion(path[-1] if path else "", options)
        return f"Unknown setting '{name}'.{hint}{known}"
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        if name.endswith(".own") and isinstance(value, Mapping) and value:
            return _of_nobody(name.removesuffix(".own"), next(iter(value)))
        return f"Setting '{name}' is missing."
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        context = error.get("ctx", {})
        tag, expected = context.get("tag", "nothing"), context.get("expected_tags", "")
        names = re.findall(r"'([^']+)'", expected)
        field = context.get("discriminator", "").strip("'")
        return f"{name}.{field}: unknown value '{tag}'.{suggestion(tag, names)} Expected one of: {', '.join(names)}."
    if kind == "literal_error":
        names = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        return f"{name}: unknown value {value!r}.{suggestion(str(value), names)} Expected one of: {', '.join(names)}."
    if kind == "value_error":
        text = str(error["ctx"]["error"])
        return text if not path else f"{name}: {text}"
    text = (
        error["msg"]
        .replace("Input should be", "expected")
        .replace("a valid integer", "an integer")
        .replace("a valid array", "a list")
        .replace("an object", "settings")
        .replace("a valid ", "a ")
    )
    remedy = ""
    if isinstance(value, str) and "a list" in text:
        remedy = f" Say {name}=[{value}]."
    elif isinstance(value, str) and "expected settings" in text:
        names = _siblings(cls, error["loc"])
        remedy = f" It has no choices by name; known here: {', '.join(names)}." if names else ""
    return f"{name}: {text[0].lower() + text[1:]}, got {value!r} ({type(value).__name__}).{remedy}"


def _of_nobody(group: str, setting: str) -> str:
    return f"Setting '{group}.{setting}' is one of a {group} by name, and none is chosen: say {group}=NAME with it."


def _siblings(cls: Any, loc: tuple[Any, ...]) -> list[str]:
    """Field names of the part that `loc` leads to, as far as the annotations tell."""
    import typing

    here: Any = cls
    for step in loc:
        parts = [m for m in members(here) if hasattr(m, "__dataclass_fields__")]
        found = None
        for member in parts:
            if isinstance(step, str) and step in member.__dataclass_fields__:
                found = typing.get_type_hints(member, include_extras=False)[step]
                break
            # A discriminated union's tag is a step of its own.
            tags = [
                typing.get_args(h)
                for h in typing.get_type_hints(member).values()
                if typing.get_origin(h) is typing.Literal
            ]
            if len(parts) > 1 and any(step in t for t in tags):
                found = member
                break
        if found is not None:
            here = found
        elif isinstance(step, int) or typing.get_origin(here) in (dict, list, tuple):
            args = [a for a in typing.get_args(here) if a is not Ellipsis]
            here = args[-1] if args else here
    parts = [m for m in members(here) if dataclasses.is_dataclass(m)]
    names = {field.name for m in parts for field in dataclasses.fields(m)}
    return sorted(names - {"own"} or names)  # `own` holds a part that is chosen by name
