"""Whether folders are classes or splits: what looks like splits and is called otherwise is refused with the remedy."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data.sources.classes import sound, unshown
from bench.data.sources.contract import TEST, TRAIN, VAL
from bench.data.sources.entries import ARCHIVES, IMAGES, entries, sub_folders
from bench.data.sources.split_names import assign_splits, fold_names, hidden_splits, split_of
from bench.schema.errors import RequestError


def check_splits(tops: Sequence[Path], classes: Sequence[Sequence[Path]]) -> None:
    """Raise RequestError where a folder that is a split holds no folders of classes."""
    for top, found in zip(tops, classes, strict=True):
        if found:
            continue
        if any(entry.name.lower().endswith(IMAGES) for entry in entries(top)):
            raise RequestError(
                f"{top} is called as a split is and holds images without folders of classes, so they have no labels. "
                f"Sort them into folders of classes, or move {top.name} elsewhere: a split is drawn then."
            )
        raise RequestError(
            f"{top} is called as a split is and holds no folder of a class. Put its images there; without them take "
            f"{top.name} away: a split is drawn then."
        )


def check_inside(folder: Path, below: set[str]) -> None:
    """Raise RequestError where the folders inside a class, at any depth, are called as splits are."""
    within: dict[str, set[str]] = {}
    for path in below - {""}:
        parts = path.split(os.sep)
        for i, name in enumerate(parts):
            within.setdefault(os.sep.join(parts[:i]), set()).add(name)
    for above, names in within.items():
        found = set(assign_splits(names).values())
        if TRAIN in found and len(found) > 1:
            raise RequestError(
                f"{folder / above} holds folders for splits ({', '.join(sorted(names)[:3])}). Expected them above the "
                f"classes: train/{folder.name}, test/{folder.name}, ...; if they are none, say dataset.splits=none."
            )


def are_splits(root: Path, tops: Sequence[Path], parts: Mapping[str, int]) -> bool:
    """Whether the folders below the root are splits; raises RequestError where some are not, or two are one."""
    if not parts:
        return False
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
    if others or (len(parts) == 1 and not holding):
        return False
    if TRAIN not in parts.values():
        raise RequestError(
            f"{root} has {', '.join(parts)} but no folder train. To use the images of {next(iter(parts))} alone, say "
            f"dataset.root={shlex.quote(str(root / next(iter(parts))))}; if these are classes, say dataset.splits=none."
        )
    if len(set(parts.values())) < len(parts):
        raise RequestError(
            f"{root} has two folders for one split: {', '.join(parts)}. Put their images into one; if they are "
            "classes, say dataset.splits=none."
        )
    inside = [(top, names[0]) for top in tops if len(names := sub_folders(top)) == 1]
    # train/images/cat, test/images/cat; training_set/training_set/cat, test_set/test_set/cat, as archives unpack.
    only_names = {only for _, only in inside}
    if len(inside) == len(tops) and (len(only_names) == 1 or assign_splits(only_names).keys() == only_names):
        for top, only in inside:
            if deeper := sub_folders(top / only):
                raise RequestError(
                    f"{root}: each split holds one folder, such as {top.name}/{only}, so no split has two classes; the "
                    f"folders {', '.join(deeper[:3])} lie in it. Move them up: expected {top.name}/{deeper[0]}."
                )
    return True


def check_packed(root: Path, parts: Mapping[str, int], aside: Sequence[str]) -> None:
    """Raise RequestError where a split beside others is an archive still: another would be drawn from train."""
    lacking = {VAL, TEST} - set(parts.values()) if parts else set()
    for name in aside:
        split = split_of(name.split(".")[0]) if name.lower().endswith(ARCHIVES) else None
        if split in lacking or (split == "either" and lacking):
            raise RequestError(
                f"{root}: {name} is called as a split is and has to be unpacked first. If its images are not meant, "
                "move it elsewhere: a split is drawn then."
            )


def check_tops(root: Path, tops: Sequence[Path]) -> None:
    """Raise RequestError where the top folders look like splits of unknown names, or classes lie deeper."""
    inside = {top: frozenset(map(sound, _branches(top))) for top in tops}
    if len(tops) == 1:
        (only,) = tops
        deeper = only
        while len(names := sub_folders(deeper)) == 1 and split_of(names[0]) is None:
            deeper = deeper / names[0]
        if len(names) > 1 or (names and sub_folders(deeper / names[0])):  # the latter: data/train/{cat,dog}
            shown = ", ".join(names[:3])
            raise RequestError(
                f"{root} holds one folder, {only.name}; the {'folders' if len(names) > 1 else 'folder'} {shown} "
                f"{'lie' if len(names) > 1 else 'lies'} in {deeper}. Point dataset.root at {deeper}."
            )
    if seem := hidden_splits(top.name for top in tops) or fold_names(top.name for top in tops):
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


def check_class(folder: Path) -> None:
    """Raise RequestError where a folder cannot be a class, as its name cannot be shown."""
    if unshown(folder.name):
        raise RequestError(
            f"{folder.parent}: a class folder is named {folder.name!a}, which cannot be shown. Rename it (UTF-8)."
        )
