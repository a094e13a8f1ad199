"""The user's images in folders: one sub-folder a class, or train/, val/ and test/ above them."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.sources import files
from bench.data.sources.classes import NO_LABEL, UNLABELLED, note_unsaid
from bench.data.sources.contract import UNASSIGNED, Contents, Source, Write
from bench.data.sources.entries import (
    ARCHIVES,
    IMAGES,
    entries,
    hidden,
    inode,
    is_dir,
    is_text,
    leads_nowhere,
    left_aside,
    walk,
)
from bench.data.sources.files import Listed, Listing
from bench.data.sources.layout import are_splits, check_class, check_inside, check_packed, check_splits, check_tops
from bench.data.sources.lost import NAMED
from bench.data.sources.split_names import assign_splits
from bench.schema.errors import RequestError


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


def sizes(dataset: Any) -> list[tuple[int, int]]:
    """(width, height) of every image that can be read, before anything is resized."""
    found = _list_files(dataset).scanned(dataset.source).headers()
    return [head.size for head in found if not isinstance(head, str)]


def _root(dataset: Any) -> Path:
    return Path(os.path.expanduser(dataset.root))


def _list_files(dataset: Any) -> Listing:
    """Every file below the root in the order of its path, and "file reason" for what has no place there."""
    root = _root(dataset)
    if not root.is_dir() or not str(dataset.root):
        raise no_folder(dataset.root, root)
    bad: list[str] = []
    aside: list[str] = []
    texts: list[str] = []
    tops = _folders(root, bad, aside)
    parts = assign_splits(top.name for top in tops) if dataset.splits == "auto" else {}
    remarks: list[str] = []
    if are_splits(root, tops, parts):
        groups = [(parts[top.name], _folders(top, bad, aside)) for top in tops]
        check_splits(tops, [classes for _, classes in groups])
        remarks += [
            f"Folder {name} is taken as the {NAMED[parts[name]]} split." for name in parts if name not in NAMED.values()
        ]
    else:
        groups = [(UNASSIGNED, tops)]
        if dataset.splits == "auto":
            check_tops(root, tops)
    check_packed(root, parts, aside)
    if away := [name for folder in (root, *tops) for name in hidden(folder)]:
        remarks.append(f"Folders left aside by their names: {', '.join(away[:5])}{', ...' if len(away) > 5 else ''}.")
    listed: list[Listed] = []
    inside: list[str] = []
    empty: list[str] = []
    start = len(str(root / "x")) - 1  # of the path below the root; relative_to would take most of the time
    for official, classes in groups:
        for folder in classes:
            check_class(folder)
            before, label, below = len(listed), folder.name, len(str(folder)) + 1
            for path in walk(str(folder), frozenset(map(inode, (root, folder.parent))), bad, texts):
                listed.append(Listed(path, path[start:], label, official))
                inside.append(path[below:].rpartition(os.sep)[0])
            if len(listed) == before:
                bad.append(f"{folder.relative_to(root)}{os.sep} has no image in it")
                empty.append(label)
            if dataset.splits == "auto":
                check_inside(folder, set(inside[before:]))
    if len(found := {item.label for item in listed}) < 2:
        loose = f" {bad[0].removesuffix(', so it has no class')}." if bad else ""
        what = "no images found in class folders"
        what = f"at least two classes are needed, found only '{found.pop()}'" if found else what
        raise RequestError(
            f"{root}: {what}.{' '.join(['', *remarks])}{loose} Expected one sub-folder a class, with images in it, or "
            f"train/, val/ and test/ with class folders in each.{_lists_and_archives(root, aside)}"
        )
    if vanished := [label for label in dict.fromkeys(empty) if label not in found]:
        raise RequestError(
            f"{root}: no image is in the class folders {', '.join(vanished[:5])}. Put their images there, or take the "
            "folders away."
        )
    remarks += left_aside([*aside, *(path[start:] for path in texts)])
    if deeper := sorted({path for path in inside if path}):
        shown = ", ".join(deeper[:3]) + (", ..." if len(deeper) > 3 else "")
        remarks.append(f"Folders inside class folders ({shown}) count as their class, and are no classes.")
    notes = note_unsaid(Counter(item.label for item in listed), (*NO_LABEL, *UNLABELLED))
    return Listing(listed, bad, str(root.resolve()), {"folder": inside}, tuple(notes), tuple(remarks))


def no_folder(said: str | Path, root: Path) -> RequestError:
    """The error for a root that is no folder: an address, an archive, a list, nothing."""
    if not str(said):
        return RequestError("dataset.root is empty. Expected a folder with one sub-folder of images a class.")
    if re.match(r"\w{2,}:/", str(said)):
        what = "is an address, and folders are read from this machine: download it, or list its files (dataset=csv)"
    elif root.name.lower().endswith(ARCHIVES):
        what = "is an archive: unpack it and name its folder" if root.exists() else "does not exist"
    elif root.name.lower().endswith((".csv", ".tsv")) and root.exists():
        what = f"is a list: say dataset=csv dataset.file={shlex.quote(str(root))}"
    else:
        what = "is a file" if root.exists() else "does not exist"
    return RequestError(f"dataset.root={said} {what}. Expected a folder with one sub-folder of images a class.")


def _lists_and_archives(root: Path, aside: Sequence[str]) -> str:
    """What to do with a list or an archive that lies in a folder without classes; empty where there is none."""
    lists = [name for name in aside if name.lower().endswith((".csv", ".tsv"))]
    packed = [name for name in aside if name.lower().endswith(ARCHIVES)]
    if lists:
        return f" If {lists[0]} lists the images: dataset=csv dataset.file={shlex.quote(str(root / lists[0]))}"
    return f" {packed[0]} has to be unpacked first." if packed else ""


def _folders(folder: Path, bad: list[str], aside: list[str]) -> list[Path]:
    """The sub-folders by name. An image beside them has no class; what is none (README, lists) is left aside."""
    found = []
    for entry in entries(folder):
        if is_dir(entry):
            found.append(Path(entry.path))
        elif (where := leads_nowhere(entry)) and not is_text(entry.name):
            if _was_meant(entry):
                bad.append(f"{entry.path} is a link that leads {where}")
            else:
                aside.append(f"{entry.name} (a link that leads {where})")
        elif entry.name.lower().endswith(IMAGES):
            bad.append(f"{entry.path} lies beside the class folders, so it has no class")
        else:
            aside.append(entry.name)
    return found


def _was_meant(link: os.DirEntry[str]) -> bool:
    """Whether a link that leads nowhere was to an image, or to a class: dog -> away/animals/dog, not latest -> run7."""
    target = os.path.basename(os.readlink(link.path).rstrip(os.sep))
    return link.name.lower().endswith(IMAGES) or target.lower().endswith(IMAGES) or target == link.name


FOLDER = Source(_identity, _read)
