"""A local folder in the hub's layout: whether the hub's library takes its splits as they are meant."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.data.sources.contract import TRAIN
from bench.data.sources.entries import ARCHIVES, IMAGES
from bench.data.sources.split_names import assign_splits, split_of
from bench.parts.walk import files_below
from bench.schema.errors import RequestError

DATA = (*IMAGES, *ARCHIVES, ".parquet", ".arrow")  # what holds images; lists and texts beside them are left aside


def check_folder(
    name: str,
    taken: Mapping[object, Sequence[str]] | None,
    others: Iterable[Mapping[object, Sequence[str]] | None] = (),
) -> None:
    """Raise RequestError where files of the folder are in no split, or in another one than their folder says.

    The library knows few names of splits: it leaves out `holdout/` beside `train/` and `test/`, and takes `Training/`
    and `Testing/` for one split.

    Args:
        taken: split -> its files, as the library found them.
        others: the same of the folder's other configs, whose files are not lost.
    """
    if not taken:
        return
    root = Path(name).resolve()
    split = _split_of_files(taken, root)
    known = set(split).union(*(_split_of_files(other or {}, root) for other in others))
    there = sorted(os.path.relpath(p, root) for p in files_below(root) if p.is_file())
    left = [path for path in there if path.lower().endswith(DATA) and path not in known]
    remedy = (
        "Call the folders train, validation and test; where they hold one folder a class, "
        f"dataset=folder dataset.root={shlex.quote(name)} reads them too."
    )
    if left:
        raise RequestError(
            f"{name}: {len(left)} of {len(there)} files are in no split that the hub's library knows ("
            f"{', '.join(sorted(set(split.values())))}), the first is {left[0]}. {remedy}"
        )
    folders = {path: os.path.dirname(path).split(os.sep) for path in split}
    for depth in range(max((len(f) for f in folders.values()), default=0)):
        at = {path: f[depth] for path, f in folders.items() if len(f) > depth}
        found = assign_splits(set(at.values()))
        if TRAIN not in found.values() or len(found) < 2:
            continue
        for path, folder in at.items():
            if folder in found and split_of(split[path]) != found[folder]:
                raise RequestError(f"{name}: the hub's library takes {path} as a part of {split[path]}. {remedy}")
    _check_one(name, set(split.values()), folders.values(), remedy)


def _split_of_files(taken: Mapping[object, Sequence[str]], root: Path) -> dict[str, str]:
    """File below the root -> its split."""
    return {
        os.path.relpath(os.path.realpath(file), root): str(which) for which, files in taken.items() for file in files
    }


def _check_one(name: str, splits: set[str], folders: Iterable[list[str]], remedy: str) -> None:
    """Raise RequestError where all is one split, and folders with the same folders inside look like several."""
    inside: dict[str, set[str]] = {}
    for parts in folders:
        if len(parts) > 1:
            inside.setdefault(parts[0], set()).add(parts[1])
    tops = sorted(inside)
    for i, one in enumerate(tops if len(splits) == 1 else ()):
        for other in tops[i + 1 :]:
            shared = inside[one] & inside[other]
            if len(shared) > 1 and 2 * len(shared) >= min(len(inside[one]), len(inside[other])):
                raise RequestError(
                    f"{name}: the hub's library takes all as one split, {splits.pop()}, and the folders {one} and "
                    f"{other} hold the same folders ({', '.join(sorted(shared)[:3])}), as splits do. {remedy}"
                )
