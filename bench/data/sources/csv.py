"""The user's images listed in a CSV file: path or URL, label, optional split."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.data.sources import files
from bench.data.sources.contract import UNASSIGNED, Contents, Source, Write
from bench.data.sources.decode import BadImage
from bench.data.sources.files import Listed, is_remote
from bench.data.sources.folder import SPLITS
from bench.schema.errors import RequestError, unknown
from bench.schema.secrets import redacted


def _identity(dataset: Any) -> Mapping[str, Any]:
    """The CSV's bytes, the state of every file it names, and the settings of decoding."""
    digest = hashlib.sha256(_raw(dataset.file))
    for item in _listed(dataset):
        digest.update(f"{item.shown}\0{_state(item.place)}\n".encode())
    settings = [dataset.size, dataset.fit, dataset.colour, dataset.on_bad_image, dataset.storage]
    columns = [dataset.path_column, dataset.label_column, dataset.split_column]
    where = ""
    if dataset.storage == "stream":  # which reads its files later, from where they were
        remote = hashlib.sha256(dataset.file.encode()).hexdigest()  # the identity is kept: no credentials in it
        where = remote if is_remote(dataset.file) else str(Path(dataset.file).resolve())
    return {"files": digest.hexdigest(), "settings": settings, "columns": columns, "where": where}


def _state(place: str) -> str:
    """What changes when a file's content does: size and time, or fsspec's word for it; empty where it is missing."""
    if not is_remote(place):
        try:
            found = os.stat(place)
        except (OSError, ValueError):  # ValueError: a zero byte in the name
            return ""
        return f"{found.st_size} {found.st_mtime_ns}"
    import fsspec

    try:
        system, path = fsspec.url_to_fs(place)
        return str(system.ukey(path))
    except ImportError as error:
        raise RequestError(f"{redacted(place)}: fsspec needs another package for this address: {error}") from error
    except Exception:  # the file system's own; reading tells it, naming the line
        return ""


def _read(dataset: Any, write: Write) -> Contents:
    return files.read(dataset, _listed(dataset), (), write)


def _raw(file: str) -> bytes:
    try:
        return files.fetch(file if is_remote(file) else str(Path(file).expanduser()))
    except BadImage as error:
        raise RequestError(f"dataset.file={redacted(file)} {error}.") from error


def _listed(dataset: Any) -> list[Listed]:
    """The rows in the file's order.

    Raises:
        RequestError: naming line and column, for what is not UTF-8, a missing column, a row of the wrong length, an
            empty path or label, an unknown split or a path listed twice.
    """
    file, shown = dataset.file, redacted(dataset.file)
    try:
        text = _raw(file).decode("utf-8-sig")  # spreadsheets put a byte order mark first
    except UnicodeDecodeError as error:
        raise RequestError(f"{shown}: not UTF-8 (byte {error.start}). Save it as 'CSV UTF-8'.") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    folder = file.split("?")[0].rsplit("/", 1)[0] if is_remote(file) else str(Path(file).expanduser().parent)
    try:
        columns = _header(dataset, next(rows, []))
        path_at, label_at = columns.index(dataset.path_column), columns.index(dataset.label_column)
        split_at = columns.index(dataset.split_column) if dataset.split_column in columns else None
        listed, lines = [], dict[str, int]()
        for row in rows:
            if not row:
                continue
            line = rows.line_num
            if len(row) != len(columns):
                raise RequestError(f"{shown}, line {line}: expected {len(columns)} fields, found {len(row)}.")
            path, label = row[path_at].strip(), row[label_at].strip()
            if not path or not label:
                raise RequestError(f"{shown}, line {line}: the {'path' if not path else 'label'} is empty.")
            if path in lines:
                raise RequestError(f"{shown}, line {line}: '{redacted(path)}' is listed in line {lines[path]} already.")
            lines[path] = line
            split = row[split_at].strip().lower() if split_at is not None else ""
            if split and split not in SPLITS:
                raise RequestError(
                    f"{shown}, line {line}: unknown split '{split}'. Expected train, val, test or empty."
                )
            place = path if is_remote(path) else f"{folder}/{path}" if is_remote(file) else os.path.join(folder, path)
            listed.append(Listed(place, f"line {line}: {redacted(path)}", label, SPLITS.get(split, UNASSIGNED)))
    except csv.Error as error:
        raise RequestError(f"{shown}, line {rows.line_num}: not a readable CSV line ({error}).") from error
    if not listed:
        raise RequestError(f"{shown}: no rows below the header.")
    return listed


def _header(dataset: Any, first: list[str]) -> list[str]:
    """The column names; raises RequestError where one that is needed is missing or there twice."""
    columns = [name.strip() for name in first]
    named = {setting: getattr(dataset, setting) for setting in ("path_column", "label_column", "split_column")}
    for other, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(columns) == 1 and other in columns[0]:
            raise RequestError(
                f"{redacted(dataset.file)}: its fields are separated by {called}, expected commas. Save it with commas."
            )
    for setting, wanted in named.items():
        if wanted not in columns and setting != "split_column":
            raise unknown(f"column in {redacted(dataset.file)}: dataset.{setting} is", wanted, columns)
        if columns.count(wanted) > 1:
            raise RequestError(
                f"{redacted(dataset.file)}: column '{wanted}' is there {columns.count(wanted)} times. Keep one."
            )
    return columns


CSV = Source(_identity, _read)
