"""What the files of a set for the hub say of themselves, and its library passes over in silence."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.data.sources.contract import Note
from bench.data.sources.entries import ARCHIVES, IMAGES
from bench.schema.errors import RequestError

Files = Mapping[str, Sequence[str]]  # split -> its files: local paths, or addresses on the hub
SHARD = re.compile(r"(.*?)-(\d+)-of-(\d+)(.*)", re.DOTALL)  # data/train-00000-of-00002.parquet


def missing_shards(files: Files) -> str:
    """A sentence where names count more files than there are, as the rest was lost or not downloaded; else empty."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for part in files.values():
        for file in part:
            if shard := SHARD.fullmatch(file):
                before, number, count, after = shard.groups()
                found.setdefault((before, count, after), set()).add(int(number))
    for (before, count, after), numbers in found.items():
        if missing := sorted(set(range(int(count))) - numbers):
            first = f"{os.path.basename(before)}-{missing[0]:0{len(count)}}-of-{count}{after}"
            return f"{len(missing)} of {int(count)} files are missing by their names, the first is {first}."
    return ""


def note_unlisted(name: str, files: Files, rows: Mapping[str, int]) -> list[Note]:
    """A note where images of a split are in no row, as its metadata.csv does not name them.

    Args:
        rows: split -> how many there are.
    """
    lost: dict[str, tuple[int, int]] = {}
    for split, count in rows.items():
        part = [file.lower() for file in files.get(split, ())]
        images = sum(file.endswith(IMAGES) for file in part)
        if images > count and not any(file.endswith(ARCHIVES) for file in part):
            lost[split] = images - count, images
    if not lost:
        return []
    shown = ", ".join(f"{lacking:,} of {images:,} images of {split}" for split, (lacking, images) in lost.items())
    return [
        (
            "images_unlisted",
            f"{name}: {shown} are left out, as the metadata beside them do not name them.",
            "Add a line for each, or take the images away.",
        )
    ]


def note_class_names(dataset: Any, files: Files, names: Sequence[str] | None) -> list[Note]:
    """A note where some tables say which class a number means, and others do not.

    Args:
        names: those that the library takes for all files: of the set's card, or the first file.

    Raises:
        RequestError: where a Parquet or Arrow file numbers the classes otherwise, as labels would be those of others.
    """
    tables = [file for part in files.values() for file in part if file.endswith((".parquet", ".arrow"))]
    if not tables:
        return []
    import datasets

    told: dict[str, list[str] | None] = {}
    for file, local in zip(tables, datasets.DownloadManager().download(tables), strict=True):
        told[file] = _class_names(local, dataset.label_column)
    said = {file: own for file, own in told.items() if own is not None}
    known = list(names) if names is not None else next(iter(said.values()), None)
    for file, own in said.items():
        if own != known:
            raise RequestError(
                f"{dataset.name}: {os.path.basename(file)} numbers the classes {', '.join(own[:4])}, and another file "
                f"{', '.join(known or ())[:80]}: images would get the names of other classes. Save all files with one "
                "order."
            )
    if not said or len(said) == len(told):
        return []
    silent = next(file for file, own in told.items() if own is None)
    return [
        (
            "classes_unsaid",
            f"{dataset.name}: {len(told) - len(said)} of {len(told)} files, such as {os.path.basename(silent)}, do not "
            f"say which classes their numbers mean; they are taken as those of {os.path.basename(next(iter(said)))}.",
            "Compare some of their images with their labels, or save all files with the names of the classes.",
        )
    ]


def _class_names(file: str, column: str) -> list[str] | None:
    """The names that a table's own schema gives to the numbers of a column; None where it gives none."""
    import pyarrow
    from pyarrow import ipc, parquet

    try:
        if file.endswith(".arrow"):
            with pyarrow.OSFile(file) as source:
                try:
                    schema = ipc.open_stream(source).schema
                except pyarrow.ArrowInvalid:
                    schema = ipc.open_file(file).schema
        else:
            schema = parquet.read_schema(file)
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return [str(name) for name in told["info"]["features"][column]["names"]]
    except (pyarrow.ArrowInvalid, OSError, ValueError, KeyError, TypeError):  # which says nothing of classes
        return None
