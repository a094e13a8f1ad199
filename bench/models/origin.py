"""What a weights file says about the images that its network was trained on.

The rule, for transfer.weights=file:PATH and for the weights of an earlier run, first found first taken:

1. in the file: `preprocessing` beside the state dict of a checkpoint, or in the metadata of a .safetensors (JSON);
2. beside it: preprocessing.json, as a run leaves it, where its `weights_sha256` is the file's hash, or is absent;
3. beside it: config.json with a `pretrained_cfg`, as in timm's repositories on the hub, for the names used there.

1 and 2 are a `bench.schema.transfer.Input`. A file without any of them is used with pixel_norm at the images' size,
and a warning says so.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.models import hashes, weights
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.part import build
from bench.schema.transfer import Input

FILE = "preprocessing.json"
INSIDE = "preprocessing"  # the same, under this name in a checkpoint or in a .safetensors' metadata
OF_WEIGHTS = "weights_sha256"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # what config.json is about, in timm's repositories


def resolve(exp: Experiment, path: Path | None) -> Experiment:
    """The Experiment with `transfer.input` filled in from its weights, where it asks for what they say.

    Args:
        path: the weights of the earlier run, for transfer.weights=run:ID.

    Raises:
        RequestError: see `read_input`.
    """
    transfer = exp.transfer
    kind, _, rest = transfer.weights.partition(":")
    if kind not in ("file", "run") or transfer.preprocess == "own" or transfer.input is not None:
        return exp
    file = Path(os.path.expanduser(rest)) if kind == "file" else path
    found = read_input(file) if file is not None else None
    if found is None:
        if file is not None:
            warnings.warn(
                f"Neither {file} nor a {FILE} beside it says what it was trained with: images keep their size and are "
                "scaled by pixel_norm. transfer.input.mean=[...] transfer.input.std=[...] says it; "
                "transfer.preprocess=own says that this is meant.",
                stacklevel=2,
            )
        return exp
    return dataclasses.replace(exp, transfer=dataclasses.replace(transfer, input=found))


def read_input(path: Path) -> Input | None:
    """What a weights file was trained with, by the rule above; None where nothing says it.

    Raises:
        RequestError: when there is no such file, or what is said is not an Input.
    """
    content = _inside(path)
    return build(Input, content, where=str(path)) if content is not None else _read_beside(path)


def with_input_beside(exp: Experiment) -> Experiment:
    """The Experiment with `transfer.input` filled in from what lies beside its weights' file.

    The hash in `transfer.sha256` is the file's alone: what lies beside it enters the run key by this.

    Raises:
        RequestError: see `read_input`.
    """
    file = exp.transfer.asks_file
    if file is None:
        return exp
    path = Path(os.path.expanduser(file))
    beside = [path.with_name(FILE), path.with_name("config.json")]
    times = tuple(place.stat().st_mtime_ns if place.is_file() else None for place in (path, *beside))
    found = _input_beside(path, times) if times[0] is not None and any(times[1:]) else None
    return exp if found is None else dataclasses.replace(exp, transfer=dataclasses.replace(exp.transfer, input=found))


@functools.lru_cache(maxsize=64)  # a sweep asks for each of its points
def _input_beside(path: Path, times: tuple[int | None, ...]) -> Input | None:
    return _read_beside(path) if _inside(path) is None else None


def _read_beside(path: Path) -> Input | None:
    beside = path.with_name(FILE)
    if beside.is_file():
        content = _mapping(beside.read_text(encoding="utf-8"), beside)
        if content.pop(OF_WEIGHTS, None) in (None, hashes.file_sha256(path)):
            return build(Input, content, where=str(beside))
    config = path.with_name("config.json")
    if path.name in HUB_FILES and config.is_file():
        published = _mapping(config.read_text(encoding="utf-8"), config).get("pretrained_cfg")
        if isinstance(published, Mapping) and {"mean", "std"} <= published.keys():
            return _as_timm(published, config)
    return None


def to_json(trained_on: Input, sha256: str) -> str:
    """The content of preprocessing.json for the weights with that hash."""
    return json.dumps({**dataclasses.asdict(trained_on), OF_WEIGHTS: sha256}, indent=1)


def _inside(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return weights.read(path).get(INSIDE)
    if not path.is_file():
        raise RequestError(f"There is no weights file {path}.")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            said = (file.metadata() or {}).get(INSIDE)
    except SafetensorError as error:
        raise RequestError(f"{path} is not a safetensors file: {error}.") from error
    return None if said is None else _mapping(said, path)


def _mapping(content: str, whence: Path) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{whence}: expected JSON ({error}).") from None
    if not isinstance(found, dict):
        raise RequestError(f"{whence}: expected a JSON object, got {type(found).__name__}.")
    return found


def _as_timm(published: Mapping[str, Any], whence: Path) -> Input:
    size = published.get("input_size")
    said = {
        "mean": published["mean"],
        "std": published["std"],
        "size": size[-2:] if isinstance(size, list) else None,
        "interpolation": "bilinear" if published.get("interpolation") == "bilinear" else "bicubic",
    }
    return build(Input, said, where=str(whence))
