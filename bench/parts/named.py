"""Files and folders that the settings of a part name: their content is in the key, as that of files in its code is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.parts.walk import BELOW, TooMany, digest, few_files_below, state_of
from bench.schema.errors import RequestError
from bench.schema.offered import KINDS, Listed


def named_files(part: Listed, values: Mapping[str, Any]) -> dict[str, str]:
    """Setting -> SHA-256 of the file or folder that its value names; what a dataset reads is in its images."""
    if part.kind == "dataset" or part.package:
        return {}
    return {name: digest for name, (_, digest) in places_named(part, values).items()}


def places_named(part: Listed, values: Mapping[str, Any]) -> dict[str, tuple[Path, str]]:
    """The same, with the place: the part's folder, the one around it, or the working directory, as code looks there.

    A folder is meant by a text with a slash: a word may be anything.

    Raises:
        RequestError: for a folder that holds more than BELOW files, and for what cannot be read.
    """
    found = {}
    for name, text in _texts(values):
        for place in (part.file.parent, part.file.parent.parent, Path.cwd()):
            path = place / os.path.expanduser(text)  # these leave and deny what cannot be: a name too long, ~nobody
            if not os.path.isfile(path) and not ("/" in text and os.path.isdir(path)):
                continue
            setting = f"{KINDS[part.kind].group}.{name}"
            try:
                found[name] = path.absolute(), _digest_below(path)
            except TooMany:
                raise RequestError(
                    f"{setting} names the folder {path.absolute()}, which holds more than {BELOW} files: all of them "
                    f"would be in the key. Name a folder with those that '{part.name}' reads, or pack them into one "
                    "file."
                ) from None
            except OSError as error:
                raise RequestError(f"{setting} names {path.absolute()}, and {error.filename} cannot be read "
                                   f"({error.strerror}).") from None  # fmt: skip
            break
    return found


def _digest_below(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files below a folder."""
    if path.is_file():
        return digest(path, state_of(path))
    files = [f"{file.relative_to(path)}: {digest(file, state_of(file))}" for file in few_files_below(path)]
    return hashlib.sha256("\n".join(files).encode()).hexdigest()


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, text) of each text in settings that may be the name of a file."""
    if isinstance(value, Mapping):
        for inner, one in value.items():
            yield from _texts(one, f"{name}.{inner}" if name else str(inner))
    elif isinstance(value, list | tuple):
        for i, one in enumerate(value):
            yield from _texts(one, f"{name}.{i}")
    elif isinstance(value, str) and value.strip("./ ") and len(value) < 500 and not {"\n", "\0"} & set(value):
        yield name, value
