"""The user's images listed in a CSV file: path or URL, label, optional split."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.data.sources import files
from bench.data.sources.classes import NO_LABEL, label_notes, unshown
from bench.data.sources.columns import check_unsaid_splits, find_columns, split_column
from bench.data.sources.contract import TEST, TRAIN, UNASSIGNED, VAL, Contents, Source, Write
from bench.data.sources.decode import BadImage
from bench.data.sources.entries import IMAGES
from bench.data.sources.fetch import fetch, is_remote
from bench.data.sources.files import Listed, Listing
from bench.data.sources.formats import no_list
from bench.data.sources.places import Places, lost_because
from bench.data.sources.split_names import assign_splits
from bench.schema.errors import RequestError
from bench.schema.secrets import redact

DELIMITERS = (",", ";", "\t", "|")
LONGEST = 255  # letters of a label, as of a folder's name


def _identity(dataset: Any) -> Mapping[str, Any]:
    """The CSV's bytes, those of every file it names, and the settings of decoding."""
    columns = [dataset.path_column, dataset.label_column, dataset.split_column]
    where = ""
    if dataset.storage == "stream":  # which reads its files later, from where they were
        remote = hashlib.sha256(dataset.file.encode()).hexdigest()  # the identity is kept: no credentials in it
        where = remote if is_remote(dataset.file) else str(Path(dataset.file).resolve())
    return {
        "list": hashlib.sha256(_raw(dataset.file)).hexdigest(),
        "files": _list_rows(dataset).identity(dataset.source),
        "settings": files.settings(dataset),
        "columns": columns,
        "where": where,
    }


def _read(dataset: Any, write: Write) -> Contents:
    return files.read(dataset, _list_rows(dataset), write)


def _raw(file: str) -> bytes:
    try:
        raw = fetch(file if is_remote(file) else str(Path(os.path.expanduser(file))))
    except BadImage as error:
        raise RequestError(f"dataset.file={redact(file)} {error}.") from error
    if what := no_list(raw):
        raise RequestError(f"dataset.file={redact(file)} {what}.")
    if raw[:4] == b"PK\x03\x04":
        raise RequestError(
            f"dataset.file={redact(file)} is a zip archive. Unpack it, or name the list inside it: "
            f"dataset.file=zip://LIST.csv::{redact(file)}"
        )
    return raw


def _text(raw: bytes, shown: str) -> str:
    """UTF-8, with a byte order mark or without; UTF-16 and UTF-32 by their mark, or by the zeros between letters.

    Raises:
        RequestError: for anything else, as nothing says which letters are meant.
    """
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
             codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
    coding = next((name for mark, name in marks.items() if raw.startswith(mark)), "utf-8")
    if coding == "utf-8" and 0 in raw[:2]:
        coding = "utf-16-be" if raw[0] == 0 else "utf-16-le"
    try:
        return raw.decode(coding).lstrip("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        beside = shlex.quote(f"{shown.removesuffix('.csv')}-utf8.csv")
        remedy = f"iconv -f WINDOWS-1252 -t UTF-8 {shlex.quote(shown)} > {beside}"
        raise RequestError(
            f"{shown}, line {line}: not {coding.upper().removesuffix('-SIG')} (byte {error.start}). Save it as 'CSV "
            f"UTF-8' in the spreadsheet it came from, or, where it is of Western Europe: {remedy}"
        ) from error


def _list_rows(dataset: Any) -> Listing:
    """The rows in the file's order.

    Raises:
        RequestError: naming line and column, for text that cannot be read, a missing column, a row of the wrong length,
            an empty path or label, an unknown split or a file listed twice; where no path leads to a file, or no two
            images have a label in common.
    """
    file, shown = dataset.file, redact(dataset.file)
    lines, rows = _rows(dataset, text := _text(_raw(file), shown))
    if not rows:
        raise RequestError(f"{shown} is empty. Expected a first line such as path,label and a line for each image.")
    columns = [name.strip() for name in rows[0]]
    (path_at, label_at), remarks = find_columns(dataset, columns)
    split_at, more = split_column(dataset, columns, rows[1:])
    listed, at_line, place_of = [], dict[str, tuple[int, str]](), Places(file)
    known = (
        assign_splits({row[split_at].strip() for row in rows[1:] if len(row) == len(columns)}) if split_at != -1 else {}
    )
    for line, row in zip(lines[1:], rows[1:], strict=True):
        if len(row) != len(columns):
            raise RequestError(f"{shown}, line {line}: expected {len(columns)} fields, found {len(row)}.")
        path, label = row[path_at].strip(), row[label_at].strip()
        _check_quotes(f"{shown}, line {line}", row)
        _check_row(f"{shown}, line {line}", path, label)
        place = place_of(path)
        same = place if is_remote(place) else os.path.normpath(place)
        if same in at_line:
            before, other = at_line[same]
            labels = f", with the label '{other}' there and '{label}' here" if other != label else ""
            raise RequestError(
                f"{shown}, line {line}: '{redact(path)}' is listed in line {before} already{labels}. Keep one line."
            )
        at_line[same] = line, label
        split = row[split_at].strip() if split_at != -1 else ""
        if split and split not in known:
            raise RequestError(
                f"{shown}, line {line}: unknown split '{split}'. Expected train, val, test or empty; "
                "dataset.split_column=null draws the splits."
            )
        listed.append(Listed(place, f"line {line}: {redact(path)}", label, known.get(split, UNASSIGNED)))
    if not listed:
        raise RequestError(f"{shown}: no rows below the header.")
    if label_at == len(columns) - 1 and not text.endswith(("\n", "\r")):
        _check_end(f"{shown}, line {lines[-1]}", [item.label for item in listed])
    _check_places(shown, place_of, [row[path_at].strip() for row in rows[1:]], listed)
    if split_at == -1 and dataset.split_column is not None:
        paths = [row[path_at].strip() for row in rows[1:]]
        more = (*more, *check_unsaid_splits(shown, columns[label_at], listed, paths))
    others = {
        name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(columns) if i not in (path_at, label_at)
    }
    where = (
        hashlib.sha256(file.encode()).hexdigest() if is_remote(file) else str(Path(os.path.expanduser(file)).resolve())
    )
    said = {item.official for item in listed}
    if {TRAIN, UNASSIGNED} <= said and not {VAL, TEST} <= said:
        count = sum(item.official == UNASSIGNED for item in listed)
        more = (*more, f"{count} images of no split count as those of train: val or test are drawn from both.")
    if place_of.respelled:
        more = (*more, f"Of {place_of.respelled} paths the files' names differ in upper and lower case, or form.")
    notes = label_notes(f"{shown}: column '{columns[label_at]}'", [item.label for item in listed])
    return Listing(listed, [], where, others, notes, (*remarks, *more))


def _rows(dataset: Any, text: str) -> tuple[list[int], list[list[str]]]:
    """(line number of each row that is not empty, rows), by the delimiter whose first line names what is needed."""
    stated = re.match(r"sep=(.)\r?\n", text)  # a line of spreadsheets
    first = text[stated.end() :] if stated else text.lstrip("\r\n")
    first = re.split(r"[\r\n]", first, maxsplit=1)[0]
    wanted = {dataset.path_column.casefold(), dataset.label_column.casefold()}

    def columns(delimiter: str) -> set[str]:
        return {name.strip().strip('"').casefold() for name in first.split(delimiter)}

    delimiter = max(DELIMITERS, key=lambda d: (len(wanted & columns(d)), first.count(d), d == ","))
    delimiter = stated.group(1) if stated else delimiter
    try:
        lines, rows = _parse(text, delimiter, skip=True)
    except csv.Error as error:
        try:  # a quote behind a blank may be a letter: a.png,b, "x" y
            lines, rows = _parse(text, delimiter, skip=False)
        except csv.Error:
            raise RequestError(f"{redact(dataset.file)}, {error}.") from error
    return (lines[1:], rows[1:]) if stated else (lines, rows)


def _parse(text: str, delimiter: str, skip: bool) -> tuple[list[int], list[list[str]]]:
    """The same by a delimiter; `skip`: blanks before a field count for nothing. Raises csv.Error naming the line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter, skipinitialspace=skip)
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        for row in reader:
            if any(field.strip() for field in row):
                lines.append(reader.line_num)
                rows.append(row)
    except csv.Error as error:
        raise csv.Error(f"line {reader.line_num}: not a readable CSV line ({error})") from error
    return lines, rows


def _check_row(where: str, path: str, label: str) -> None:
    """Raise RequestError for a row without a path, or with a label that says none."""
    missing = label.casefold() in NO_LABEL
    if not path or not label or missing:
        what = "path is empty" if not path else "label is empty" if not label else f"label is '{label}'"
        raise RequestError(f"{where}: the {what}. Fill it in, or take the line away.")
    if unshown(label):
        raise RequestError(f"{where}: the label {label!a} holds a control character. Write it in one plain line.")
    if len(label) > LONGEST:
        raise RequestError(
            f"{where}: the label has {len(label):,} letters ({label[:40]}...): it names no class. Say which column "
            "does: dataset.label_column=NAME."
        )


def _check_quotes(where: str, row: list[str]) -> None:
    """Raise RequestError where a field of several lines holds whole rows: a quote that was never closed took them."""
    for field in row:
        for line in re.split(r"\r\n|\r|\n", field)[1:-1]:
            parts = re.split("[" + re.escape("".join(DELIMITERS)) + "]", line)
            if len(parts) >= len(row) and any(part.strip().lower().endswith(IMAGES) for part in parts):
                raise RequestError(
                    f"{where}: a quote that begins above is not closed, so that whole lines ({line[:60]}) are within "
                    'one field. Close it; a quote that is a letter is written twice ("").'
                )


def _check_end(where: str, labels: list[str]) -> None:
    """Raise RequestError where the last label is the beginning of another and no line ends it: the list was cut off."""
    last = labels[-1]
    whole = next((label for label in labels if label != last and label.startswith(last)), None)
    if whole is not None and labels.count(last) == 1:
        raise RequestError(
            f"{where}: the label '{last}' is there once, is the beginning of '{whole}', and the list ends without the "
            "end of a line, as one that was cut off does. Fetch it anew, or end its last line."
        )


def _check_places(shown: str, place_of: Places, paths: list[str], listed: list[Listed]) -> None:
    """Raise RequestError where not one path leads to a file: the list, and not single files, is wrong then."""
    local = [(p, item.place) for p, item in zip(paths, listed, strict=True) if not is_remote(item.place)]
    if local and len(local) == len(listed) and not place_of.found:
        path, place = local[0]
        raise RequestError(
            f"{shown}: not one of its paths ({len(local)}) leads to a file. The first, '{path}', is looked for at "
            f"{place}: paths are relative to the folder of the list. {lost_because(path, place)}".strip()
        )


CSV = Source(_identity, _read)
