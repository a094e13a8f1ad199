"""What a sweep asks, kept with its parent run in the store: whoever gets the store can make its table.

A sweep of --axes, or of somebody's own file, has no file elsewhere. `bench sync` keeps the statement that comes with a
store where those of --axes are kept; a sweep that has a file of that name here stays as it is.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.schema.errors import RequestError
from bench.schema.secrets import redact_text
from bench.schema.sweep import CONFIRM, Sweep
from bench.schema.sweep_file import sweep
from bench.sweep import file
from bench.sweep.parent_run import STATEMENT
from bench.track.importing import Unbelievable, own_files
from bench.track.store import Store
from bench.track.unavailable import StoreUnavailable

SCALES = ("", "-smoke", "-full")  # behind a sweep's name in that of its experiment


def statement_of(stated: Sweep) -> str:
    """The file that states this sweep; "" where none of its name does, or another sweep, or it holds credentials."""
    path = next((p for folder in file.folders() if (p := folder / f"{stated.name}.yaml").is_file()), None)
    if path is None or _shown(file.read(str(path))) != _shown(stated):
        return ""
    text = path.read_text(encoding="utf-8")
    return text if text == redact_text(text) else ""


def _shown(stated: Sweep) -> Sweep:
    """A sweep without credentials: no file of --axes has them."""
    return dataclasses.replace(stated, base=[word for word in stated.base if word == redact_text(word)])


def take_over(source: Store, title: str) -> Path | None:
    """Keep the statement of an experiment of another store; where it lies then, None where there is nothing to keep.

    What it says of a store to track in is left out: it was another machine's.

    Raises:
        RequestError: where it is no sweep.
        StoreUnavailable: when the store does not answer.
    """
    parent = source.parent(title)
    if parent is None or not re.fullmatch(r"[0-9a-f]{32}", parent):
        return None
    try:
        found = next((path for path in own_files(source, parent, title) if path.name == STATEMENT), None)
    except StoreUnavailable:
        raise
    except (RequestError, Unbelievable):  # a parent run that nobody has described has no files
        return None
    if found is None:
        return None
    where, name = f"{STATEMENT} of {title}", title.removesuffix(CONFIRM)
    data = {"name": name, **file.content(found)}
    stated = sweep(data, where)
    if stated.name in file.names() or name not in {f"{stated.name}{scale}" for scale in SCALES}:
        return None  # known here, or of an experiment that was renamed since
    data["base"] = [word for word in stated.base if not _tracks(word)]
    if any(map(_tracks, _words(data))):
        raise RequestError(f"{where}: tells where to keep runs.")
    file.keep(data)
    return file.stated_folder() / f"{stated.name}.yaml"


def _tracks(word: str) -> bool:
    """Whether an override, or an axis, says where runs go."""
    return word.strip("+~'\" ").startswith("tracking")


def _words(data: Any) -> Iterator[str]:
    """Every text in a statement, names of axes too; what people read aside."""
    if isinstance(data, dict):
        for name, part in data.items():
            yield str(name)
            yield from () if name in ("question", "says") else _words(part)
    elif isinstance(data, list):
        for part in data:
            yield from _words(part)
    elif isinstance(data, str):
        yield data
