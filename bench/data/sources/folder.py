"""The user's images in folders: one sub-folder a class, or train/, val/ and test/ above them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.sources import files
from bench.data.sources.contract import TEST, TRAIN, UNASSIGNED, VAL, Contents, Source, Write
from bench.data.sources.entries import IMAGES, entries, is_dir, left_aside, loops, sub_folders, walk
from bench.data.sources.files import Listed, Listing
from bench.data.sources.split_names import assign_splits, hidden_splits, split_of
from bench.schema.errors import RequestError

NAMED = {TRAIN: "train", VAL: "val", TEST: "test"}


def _identity(dataset: Any) -> Mapping[str, Any]:
    """Names and bytes of every file, and the settings of decoding."""
    # A stream reads its files later, from where they were.
    where = str(_root(dataset).resolve()) if dataset.storage == "stream" else ""
    return {
        "files": _list_files(dataset).identity(dataset.source),
        "settings": files.settings(dataset),
        "where": where,
    }


def _read(dataset: Any, write: Write) -> Contents:
    return files.read(dataset, _list_files(dataset), write)


def _root(dataset: Any) -> Path:
    return Path(dataset.root).expanduser()


def _list_files(dataset: Any) -> Listing:
    """Every file below the root in the order of its path, and "file reason" for what has no place there."""
    root = _root(dataset)
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise RequestError(f"dataset.root={root} {what}. Expected a folder with one sub-folder of images a class.")
    bad: list[str] = []
    aside: list[str] = []
    texts: list[str] = []
    tops = _folders(root, bad, aside)
    parts = assign_splits(top.name for top in tops) if dataset.splits == "auto" else {}
    remarks: list[str] = []
    if _are_splits(root, tops, parts):
        groups = [(parts[top.name], _folders(top, bad, aside)) for top in tops]
        remarks += [
            f"Folder {name} is taken as the {NAMED[parts[name]]} split." for name in parts if name not in NAMED.values()
        ]
    else:
        groups = [(UNASSIGNED, tops)]
        if dataset.splits == "auto":
            _check_tops(root, tops)
    listed: list[Listed] = []
    inside: list[str] = []
    start = len(str(root / "x")) - 1  # of the path below the root; relative_to would take most of the time
    for official, classes in groups:
        for folder in classes:
            _check_class(folder, may_hold_splits=official != UNASSIGNED or dataset.splits == "none")
            before, label, below = len(listed), folder.name, len(str(folder)) + 1
            for path in walk(str(folder), frozenset(), bad, texts):
                listed.append(Listed(path, path[start:], label, official))
                inside.append(os.path.dirname(path[below:]))
            if len(listed) == before:
                bad.append(f"{folder.relative_to(root)}{os.sep} has no image in it")
    if not listed:
        loose = f" {bad[0].removesuffix(', so it has no class')}." if bad else ""
        raise RequestError(
            f"{root}: no images found in class folders.{loose} Expected one sub-folder a class, with images in it, or "
            "train/, val/ and test/ with class folders in each."
        )
    remarks += left_aside([*aside, *(path[start:] for path in texts)])
    return Listing(listed, bad, str(root.resolve()), {"folder": inside}, remarks=tuple(remarks))


def _are_splits(root: Path, tops: Sequence[Path], parts: Mapping[str, int]) -> bool:
    """Whether the folders below the root are splits; raises RequestError where some are not, or two are one."""
    others = [top.name for top in tops if top.name not in parts]
    if TRAIN in parts.values() and len(parts) > 1 and others:
        raise RequestError(
            f"{root} has the split folders {', '.join(parts)} and beside them {', '.join(others)}, which is neither a "
            "split nor, then, a class. Move it elsewhere."
        )
    holding = [top for top in tops if sub_folders(top)]
    if others and (deep := [top.name for top in holding if top.name in parts]):
        raise RequestError(
            f"{root}: the folder {deep[0]} is called as a split is, and holds folders as one does; beside it lies "
            f"{', '.join(others[:3])}{', ...' if len(others) > 3 else ''}, which is no split. Call the splits train, "
            "val and test and move the rest elsewhere; if all of them are classes, say dataset.splits=none."
        )
    if not parts or others or (len(parts) == 1 and not holding):
        return False
    if TRAIN not in parts.values():
        raise RequestError(f"{root} has {', '.join(parts)} but no folder train.")
    if len(set(parts.values())) < len(parts):
        raise RequestError(
            f"{root} has two folders for one split: {', '.join(parts)}. Put their images into one; if they are "
            "classes, say dataset.splits=none."
        )
    inside = [(top, names) for top in tops if len(names := sub_folders(top)) == 1]
    if len(inside) == len(tops) and len({names[0] for _, names in inside}) == 1:
        (top, (only,)) = inside[0]
        if deeper := sub_folders(top / only):
            raise RequestError(
                f"{root}: each split holds one folder, {only}, so there is one class; the folders "
                f"{', '.join(deeper[:3])} lie in {top.name}/{only}. Move them up: expected {top.name}/{deeper[0]}."
            )
    return True


def _check_tops(root: Path, tops: Sequence[Path]) -> None:
    """Raise RequestError where the top folders look like splits of unknown names, or classes lie deeper."""
    inside = {top: frozenset(_branches(top)) for top in tops}
    if len(tops) == 1:
        (only,) = tops
        deeper = only
        while len(names := sub_folders(deeper)) == 1 and split_of(names[0]) is None:
            deeper = deeper / names[0]
        if len(names) > 1:
            shown = ", ".join(names[:3])
            raise RequestError(
                f"{root} holds one folder, {only.name}; the folders {shown} lie in {deeper}. "
                f"Point dataset.root at {deeper}."
            )
    if seem := hidden_splits(top.name for top in tops):
        raise RequestError(
            f"{root}: the folders {', '.join(seem[:4])} seem to say which split their images belong to. Expected "
            "train/, val/ and test/ with one folder a class in each; if they are classes, say dataset.splits=none."
        )
    named = [top for top in tops if len(inside[top]) > 1]
    for i, one in enumerate(named):
        for other in named[i + 1 :]:
            shared = inside[one] & inside[other]
            if TRAIN in assign_splits(shared).values():
                continue  # which is told by the class
            if len(shared) > 1 and 2 * len(shared) >= min(len(inside[one]), len(inside[other])):
                raise RequestError(
                    f"{root}: the folders {one.name} and {other.name} hold the same folders "
                    f"({', '.join(sorted(shared)[:3])}{', ...' if len(shared) > 3 else ''}), as splits do. If they are "
                    "splits, call them train, val and test; if they are classes, say dataset.splits=none."
                )


def _branches(folder: Path) -> list[str]:
    """Its sub-folders; where it holds a single one, as archives often do, those of that one."""
    deeper = folder
    while len(names := sub_folders(deeper)) == 1:
        deeper = deeper / names[0]
    return names


def _check_class(folder: Path, may_hold_splits: bool) -> None:
    """Raise RequestError where a folder cannot be a class: by its name, or as it holds splits of its own."""
    # Control characters would break tables; surrogates stand for bytes that are not UTF-8.
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in folder.name):
        raise RequestError(
            f"{folder.parent}: a class folder is named {folder.name!a}, which cannot be shown. Rename it (UTF-8)."
        )
    inside = assign_splits(sub_folders(folder)).values()
    if not may_hold_splits and TRAIN in inside and (TEST in inside or VAL in inside):
        raise RequestError(
            f"{folder} holds folders for splits. Expected them above the classes: {folder.parent}/train/{folder.name}, "
            f"{folder.parent}/test/{folder.name}, ..."
        )


def _folders(folder: Path, bad: list[str], aside: list[str]) -> list[Path]:
    """The sub-folders by name. An image beside them has no class; what is none (README, lists) is left aside."""
    found = []
    for entry in entries(folder):
        if is_dir(entry):
            found.append(Path(entry.path))
        elif entry.name.lower().endswith(IMAGES) or loops(entry):
            bad.append(f"{entry.path} lies beside the class folders, so it has no class")
        else:
            aside.append(entry.name)
    return found


FOLDER = Source(_identity, _read)
