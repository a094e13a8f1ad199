"""Hashes of weights: what a file or a set of tensors is, and whether it is what was asked for."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.schema.errors import RequestError


def verify(path: Path, sha256: str) -> str:
    """Compare a file with its expected SHA-256 (hex; "": anything goes), and return what it is.

    Raises:
        RequestError: with the file's own hash where they differ.
    """
    found = file_sha256(path)
    if sha256 and found != sha256:
        raise RequestError(f"{path} has SHA-256 {found}, expected {sha256}: another or a damaged file.")
    return found


def verify_name(path: Path) -> None:
    """Compare a file, where it is there, with the start of the SHA-256 that torch.hub's convention puts in its name.

    Raises:
        RequestError: where they differ.
    """
    published = hash_in_name(path.name)
    if published and path.is_file() and not (found := file_sha256(path)).startswith(published):
        raise RequestError(
            f"{path} has SHA-256 {found}; by its name it was published with {published}...: a damaged or another "
            "file. Delete it, and it is fetched again."
        )


def hash_in_name(name: str) -> str:
    """The start of the SHA-256 in a published file's name, "" where there is none.

    torch.hub itself takes any run of such letters for one, as in IN22K-vit.g.16-600e.pth.tar (600 epochs).
    """
    found = re.search(r"-([0-9a-f]{8,})\.", name)
    return found[1] if found else ""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex; read once a process, as long as its size and time of change stay.

    Raises:
        RequestError: when there is no such file.
    """
    if not path.is_file():
        raise RequestError(f"There is no weights file {path}.")
    now = path.stat()
    return _sha256(path.absolute(), now.st_size, now.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of tensors: names, types, shapes and bytes, in order of the names."""
    content = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        content.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        content.update(tensor.flatten().view(torch.uint8).numpy().data)
    return content.hexdigest()
