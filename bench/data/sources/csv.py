"""The user's images listed in a CSV file: path or URL, label, optional split."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.data.sources import files
from bench.data.sources.contract import UNASSIGNED, Contents, Source, Write
from bench.data.sources.decode import BadImage
from bench.data.sources.fetch import fetch, is_remote
from bench.data.sources.files import Listed, Listing
from bench.data.sources.split_names import assigned
from bench.schema.errors import RequestError, near, unknown
from bench.schema.secrets import redacted

DELIMITERS = (",", ";", "\t", "|")
NO_LABEL = ("nan", "<na>")  # what tables are saved with where a label is missing


def _identity(dataset: Any) -> Mapping[str, Any]:
    """The CSV's bytes, those of every file it names, and the settings of decoding."""
    columns = [dataset.path_column, dataset.label_column, dataset.split_column]
    where = ""
    if dataset.storage == "stream":  # which reads its files later, from where they were
        remote = hashlib.sha256(dataset.file.encode()).hexdigest()  # the identity is kept: no credentials in it
        where = remote if is_remote(dataset.file) else str(Path(dataset.file).resolve())
    return {
        "list": hashlib.sha256(_raw(dataset.file)).hexdigest(),
        "files": _listed(dataset).identity(dataset.source),
        "settings": files.settings(dataset),
        "columns": columns,
        "where": where,
    }


def _read(dataset: Any, write: Write) -> Contents:
    return files.read(dataset, _listed(dataset), write)


def _raw(file: str) -> bytes:
    try:
        raw = fetch(file if is_remote(file) else str(Path(file).expanduser()))
    except BadImage as error:
        raise RequestError(f"dataset.file={redacted(file)} {error}.") from error
    if raw[:4] == b"PK\x03\x04":
        raise RequestError(
            f"dataset.file={redacted(file)} is a zip archive. Unpack it, or name the list inside it: "
            f"dataset.file=zip://LIST.csv::{redacted(file)}"
        )
    return raw


def _listed(dataset: Any) -> Listing:
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
    lines, rows = _rows(dataset, text)
    columns = _header(dataset, [name.strip() for name in rows[0]] if rows else [])
    path_at, label_at = columns.index(dataset.path_column), columns.index(dataset.label_column)
    split_at, remarks = _split_column(dataset, columns, rows[1:])
    listed, at_line, place_of = [], dict[str, int](), _Places(file)
    known = assigned({row[split_at].strip() for row in rows[1:] if len(row) == len(columns)}) if split_at != -1 else {}
    for line, row in zip(lines[1:], rows[1:], strict=True):
        if len(row) != len(columns):
            raise RequestError(f"{shown}, line {line}: expected {len(columns)} fields, found {len(row)}.")
        path, label = row[path_at].strip(), row[label_at].strip()
        if not path or not label or label.lower() in NO_LABEL:
            what = "path is empty" if not path else "label is empty" if not label else f"label is '{label}'"
            raise RequestError(f"{shown}, line {line}: the {what}. Fill it in, or take the line away.")
        if path in at_line:
            raise RequestError(f"{shown}, line {line}: '{redacted(path)}' is listed in line {at_line[path]} already.")
        at_line[path] = line
        split = row[split_at].strip() if split_at != -1 else ""
        if split and split not in known:
            raise RequestError(f"{shown}, line {line}: unknown split '{split}'. Expected train, val, test or empty.")
        place = place_of(path)
        listed.append(Listed(place, f"line {line}: {redacted(path)}", label, known.get(split, UNASSIGNED)))
    if not listed:
        raise RequestError(f"{shown}: no rows below the header.")
    _check_numbers(shown, {item.label for item in listed})
    others = {
        name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(columns) if i not in (path_at, label_at)
    }
    where = hashlib.sha256(file.encode()).hexdigest() if is_remote(file) else str(Path(file).expanduser().resolve())
    return Listing(listed, place_of.missing, where, others, remarks=remarks)


def _rows(dataset: Any, text: str) -> tuple[list[int], list[list[str]]]:
    """(line number of each row, rows), by the delimiter whose first line names the columns that are needed."""
    first = text.split("\n", 1)[0]
    wanted = {dataset.path_column, dataset.label_column}

    def columns(delimiter: str) -> set[str]:
        return {name.strip().strip('"') for name in first.split(delimiter)}

    delimiter = max(DELIMITERS, key=lambda d: (len(wanted & columns(d)), first.count(d), d == ","))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                lines.append(reader.line_num)
                rows.append(row)
    except csv.Error as error:
        raise RequestError(
            f"{redacted(dataset.file)}, line {reader.line_num}: not a readable CSV line ({error})."
        ) from error
    return lines, rows


def _header(dataset: Any, columns: list[str]) -> list[str]:
    """The column names; raises RequestError where one that is needed is missing or there twice."""
    shown = redacted(dataset.file)
    for setting in ("path_column", "label_column"):
        wanted = getattr(dataset, setting)
        if wanted in columns:
            continue
        if any(os.path.splitext(name)[1].lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff") for name in columns):
            raise RequestError(
                f"{shown}: its first line holds an image ({', '.join(columns)}), expected the names of the columns. "
                f"Put a line above it: {','.join(_names(dataset, columns))}"
            )
        raise unknown(f"column in {shown}: dataset.{setting} is", wanted, columns)
    for wanted in (dataset.path_column, dataset.label_column, dataset.split_column):
        if columns.count(wanted) > 1:
            raise RequestError(f"{shown}: column '{wanted}' is there {columns.count(wanted)} times. Keep one.")
    return columns


def _names(dataset: Any, row: list[str]) -> list[str]:
    """A header for a list that has none: the field that ends as images do is the path, the next one the label."""
    names = [f"column{i}" for i in range(1, len(row) + 1)]
    path = next((i for i, field in enumerate(row) if re.search(r"\.(png|jpe?g|tiff?)$", field.lower())), 0)
    names[path] = dataset.path_column
    other = next((i for i in range(len(row)) if i != path), None)
    if other is not None:
        names[other] = dataset.label_column
    return names


def _split_column(dataset: Any, columns: list[str], rows: list[list[str]]) -> tuple[int, tuple[str, ...]]:
    """(the column of splits, a remark where it is spelled in another way); -1 where there is none.

    Raises:
        RequestError: for a name that no column has, or where another column holds names of splits.
    """
    shown, wanted = redacted(dataset.file), dataset.split_column
    if wanted is None:
        return -1, ()
    if wanted in columns:
        return columns.index(wanted), ()
    same = [name for name in columns if name.casefold() == wanted.casefold()]
    if len(same) == 1:
        return columns.index(same[0]), (f"Column {same[0]} is taken as the split.",)
    if wanted != type(dataset).__dataclass_fields__["split_column"].default:
        raise RequestError(
            f"{shown}: no column is named '{wanted}' (dataset.split_column).{near(wanted, columns)} "
            f"Its columns: {', '.join(columns)}. dataset.split_column=null draws the splits."
        )
    for i, name in enumerate(columns):
        values = {row[i].strip() for row in rows if len(row) == len(columns)} - {""}
        if (
            name not in (dataset.path_column, dataset.label_column)
            and len(values) > 1
            and values == set(assigned(values))
        ):
            raise RequestError(
                f"{shown}: column '{name}' holds {', '.join(sorted(values))}. Say dataset.split_column={name} to keep "
                "these splits, or dataset.split_column=null to draw others."
            )
    return -1, ()


def _check_numbers(shown: str, labels: set[str]) -> None:
    """Raise RequestError where one number is spelled in two ways (1 and 1.0), as tables with gaps are saved."""
    for label in sorted(labels):
        if re.fullmatch(r"\d+\.0+", label) and label.split(".")[0] in labels:
            raise RequestError(
                f"{shown}: the labels '{label.split('.')[0]}' and '{label}' are one number spelled in two ways. "
                "Write it in one way."
            )


class _Places:
    """Where a row's path leads: relative ones from the list's folder, with ~, backslashes and other Unicode forms."""

    def __init__(self, file: str) -> None:
        self.missing: list[str] = []
        self.chain, self.remote = "", is_remote(file)
        if self.remote:
            head, _, rest = file.partition("::")  # zip://lists/a.csv::https://host/b.zip
            self.chain = f"::{rest}" if rest else ""
            protocol, _, inner = head.split("?")[0].partition("://")
            folder = inner.rpartition("/")[0]
            self.folder = f"{protocol}://{folder}/" if folder or not rest else f"{protocol}://"
        else:
            self.folder = str(Path(file).expanduser().parent)
        self._names: dict[str, dict[str, str]] = {}

    def __call__(self, path: str) -> str:
        """The address or local path."""
        if is_remote(path):
            return path
        if self.remote:
            return f"{self.folder}{path}{self.chain}"
        place = os.path.join(self.folder, os.path.expanduser(path))
        if os.path.lexists(place) if "\0" not in place else True:
            return place
        if "\\" in path and os.path.exists(other := place.replace("\\", "/")):
            return other
        return self._spelled(place)

    def _spelled(self, place: str) -> str:
        """The file whose name differs in its Unicode form only; else the path as it is."""
        folder, name = os.path.split(place)
        if folder not in self._names:
            try:
                found = os.listdir(folder)
            except OSError:
                found = []
            self._names[folder] = {unicodedata.normalize("NFC", f): f for f in found}
        return os.path.join(folder, self._names[folder].get(unicodedata.normalize("NFC", name), name))


CSV = Source(_identity, _read)
