"""The user's images in folders: one sub-folder a class, or train/, val/ and test/ above them."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.data.sources import files
from bench.data.sources.contract import TEST, TRAIN, UNASSIGNED, VAL, Contents, Source, Write
from bench.data.sources.files import Listed
from bench.schema.errors import RequestError

SPLITS = {
    "train": TRAIN, "training": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "dev": VAL, "test": TEST,
    "testing": TEST,
}  # fmt: skip
LITTER = ("thumbs.db", "desktop.ini", "__macosx")  # what operating systems leave; hidden files (.name) likewise


def _identity(dataset: Any) -> Mapping[str, Any]:
    """Relative path, size and time of change of every file, and the settings of decoding."""
    listed, bad = _listed(dataset)
    digest = hashlib.sha256()
    for item in listed:
        try:
            found = os.stat(item.place)
            digest.update(f"{item.shown}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(errors="surrogateescape"))
        except OSError as error:
            digest.update(f"{item.shown}\0{error.errno}\n".encode(errors="surrogateescape"))
    digest.update("\n".join(bad).encode(errors="surrogateescape"))
    settings = [dataset.size, dataset.fit, dataset.colour, dataset.on_bad_image, dataset.storage]
    # A stream reads its files later, from where they were.
    where = str(_root(dataset).resolve()) if dataset.storage == "stream" else ""
    return {"files": digest.hexdigest(), "settings": settings, "where": where}


def _read(dataset: Any, write: Write) -> Contents:
    return files.read(dataset, *_listed(dataset), write)


def _root(dataset: Any) -> Path:
    return Path(dataset.root).expanduser()


def _listed(dataset: Any) -> tuple[list[Listed], list[str]]:
    """Every file below the root in the order of its path, and "file reason" for what has no place there."""
    root = _root(dataset)
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise RequestError(f"dataset.root={root} {what}. Expected a folder with one sub-folder of images a class.")
    bad: list[str] = []
    listed: list[Listed] = []
    tops = _folders(root, bad)
    parts = {top: SPLITS.get(top.name.lower()) for top in tops}
    named = [top.name for top in tops if parts[top]]
    if TRAIN in parts.values() and 1 < len(named) < len(tops):
        others = ", ".join(top.name for top in tops if not parts[top])
        raise RequestError(
            f"{root} has the split folders {', '.join(named)} and beside them {others}, which is neither a split nor, "
            "then, a class. Move it elsewhere."
        )
    if parts and all(parts.values()):
        if TRAIN not in parts.values():
            raise RequestError(f"{root} has {', '.join(t.name for t in tops)} but no folder train.")
        if len(set(parts.values())) < len(parts):
            raise RequestError(f"{root} has two folders for one split: {', '.join(t.name for t in tops)}.")
        groups = [(official or UNASSIGNED, _folders(top, bad)) for top, official in parts.items()]
    else:
        groups = [(UNASSIGNED, tops)]
    start = len(str(root / "x")) - 1  # of the path below the root; relative_to would take most of the time
    for official, classes in groups:
        for folder in classes:
            _check_class(folder, official)
            before = len(listed)
            label = folder.name
            for path in _walk(str(folder), frozenset(), bad):
                listed.append(Listed(path, path[start:], label, official))
            if len(listed) == before:
                bad.append(f"{folder.relative_to(root)}{os.sep} has no image in it")
    if not listed:
        raise RequestError(f"{root}: no images found. Expected one sub-folder a class, with images in it.")
    return listed, bad


def _check_class(folder: Path, official: int) -> None:
    """Raise RequestError where a folder cannot be a class: by its name, or as it holds splits of its own."""
    # Control characters would break tables; surrogates stand for bytes that are not UTF-8.
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in folder.name):
        raise RequestError(
            f"{folder.parent}: a class folder is named {folder.name!a}, which cannot be shown. Rename it (UTF-8)."
        )
    inside = [SPLITS.get(e.name.lower()) for e in _entries(folder) if e.is_dir()]
    if official == UNASSIGNED and TRAIN in inside and (TEST in inside or VAL in inside):
        raise RequestError(
            f"{folder} holds folders for splits. Expected them above the classes: {folder.parent}/train/{folder.name}, "
            f"{folder.parent}/test/{folder.name}, ..."
        )


def _folders(folder: Path, bad: list[str]) -> list[Path]:
    """The sub-folders by name; a file beside them belongs to no class."""
    found = []
    for entry in _entries(folder):
        if _litter(entry.name):
            continue
        if entry.is_dir():
            found.append(Path(entry.path))
        else:
            bad.append(f"{entry.path} lies beside the class folders, so it has no class")
    return found


def _walk(folder: str, above: frozenset[tuple[int, int]], bad: list[str]) -> Iterator[str]:
    """Files below `folder`, links followed, circles reported."""
    here = os.stat(folder)
    above = above | {(here.st_dev, here.st_ino)}
    for entry in _entries(folder):
        if _litter(entry.name):
            continue
        if entry.is_dir():
            there = os.stat(entry.path)
            if (there.st_dev, there.st_ino) in above:
                bad.append(f"{entry.path} is a link that leads back to a folder above it")
            else:
                yield from _walk(entry.path, above, bad)
        else:
            yield entry.path


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (e for e in entries if not (_litter(e.name) and e.name.startswith("."))), key=lambda e: e.name
            )
    except OSError as error:
        raise RequestError(f"{folder}: the folder cannot be read ({error.strerror}). Check its permissions.") from error


def _litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


FOLDER = Source(_identity, _read)
