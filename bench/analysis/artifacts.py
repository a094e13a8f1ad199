"""What runs leave beside their records: epoch curves, gradient norms, confusion matrices, reliability.

Files of a run, as its training writes them:

    curves.csv        epoch,train_loss,val_loss,val_accuracy,...    a row an epoch, epochs from 1
    gradients.csv     epoch,<layer>,<layer>,...                     gradient norm a layer, input first, from epoch 0
    confusion.json    {"classes": [...], "counts": [[...], ...]}    row = true class, column = predicted class
    reliability.json  {"edges": [...], "count": [...], "confidence": [...], "accuracy": [...]}    a bin an entry

The report keeps the ones that its figures need in artifacts.json beside records.csv, so that figures can be drawn
again without the store.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.schema.errors import Missing, RequestError
from bench.schema.own import SOURCE, codes
from bench.track.record import Record, parse_json

Reader = Callable[
    [Record, str], str | None
]  # (record, file name) -> the file's text, None where the run has no such file

FILE = {
    "curves": "curves.csv",
    "gradients": "gradients.csv",
    "confusion": "confusion.json",
    "reliability": "reliability.json",
}
# Beside them, of runs with own code alone, its source: 'bench reproduce --with-parts' runs it again.
KEPT = "artifacts.json"


def read_kept(folder: Path) -> Reader:
    """Read from the artifacts.json in `folder`; a folder without one has no artifacts.

    Raises:
        RequestError: when the file is not what the report wrote.
    """
    path = folder / KEPT
    content: dict[str, dict[str, str]] = {}
    if path.exists():
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
            if not all(isinstance(t, str) for files in content.values() for t in files.values()):
                raise TypeError
        except (ValueError, TypeError, AttributeError):
            raise RequestError(f"{path}: not an {KEPT}: expected run -> file name -> text.") from None
    return lambda record, name: content.get(_place(record), {}).get(name)


class Files(Protocol):
    """A store that runs' files can be read from."""

    def read_file(self, run_id: str, name: str) -> bytes:
        """The content of one file of a run; Missing where it has none."""


def read_stored(store: Files) -> Reader:
    """Read from a store; a run without the file, as kNN has no curves, gives None."""

    def read(record: Record, name: str) -> str | None:
        try:
            content = store.read_file(record.run_id, name)
        except Missing:
            return None
        # A reader gives text: binary files come in base64.
        if name.endswith(".npz"):
            return base64.b64encode(content).decode()
        return io.StringIO(content.decode("utf-8"), newline=None).read()

    return read


def keep(records: Iterable[Record], names: Iterable[str], reader: Reader) -> str:
    """The text of an artifacts.json with these files of the finished runs."""
    names = sorted(set(names))
    content = {}
    for record in records:
        if record.status == "finished":
            own = [SOURCE] if codes(record.config) else []
            files = {name: text for name in (*names, *own) if (text := reader(record, name)) is not None}
            if files:
                content[_place(record)] = files
    return json.dumps(content, indent=0, sort_keys=True) + "\n"


def _place(record: Record) -> str:
    return record.key or record.run_id


@dataclass(frozen=True)
class Curves:
    """Columns over epochs.

    Attributes:
        epochs: from 1.
        columns: name -> one value an epoch, in the file's order.
    """

    epochs: list[int]
    columns: dict[str, list[float]]


def curves(text: str, where: str) -> Curves:
    """curves.csv or gradients.csv.

    Raises:
        RequestError: for text that is no such table.
    """
    rows = list(csv.reader(io.StringIO(text)))
    try:
        head, body = rows[0], [row for row in rows[1:] if row]
        numbers = [[float(cell) if cell else float("nan") for cell in row] for row in body]
        place = head.index("epoch")
        if any(len(row) != len(head) for row in numbers):
            raise ValueError
        columns = {name: [row[i] for row in numbers] for i, name in enumerate(head) if i != place}
        return Curves([int(row[place]) for row in numbers], columns)
    except (IndexError, ValueError):
        raise RequestError(f"{where}: expected a table with a column 'epoch' and numbers.") from None


@dataclass(frozen=True)
class Confusion:
    """Counts [K, K] (row = true class, column = predicted class) and the K class names.

    int64, or float64 where some images count in parts for several classes that were tied.
    """

    classes: list[str]
    counts: NDArray[np.generic]


def confusion(text: str, where: str) -> Confusion:
    """confusion.json.

    Raises:
        RequestError: for text that is no confusion matrix.
    """
    content = _object(text, where, ("classes", "counts"))
    classes = [str(c) for c in content["classes"]]
    try:
        counts = np.asarray(content["counts"])
        counts = counts.astype(np.int64 if counts.dtype.kind in "iu" else np.float64)
    except (ValueError, TypeError):
        counts = np.zeros(0, dtype=np.int64)
    if counts.shape != (len(classes), len(classes)):
        raise RequestError(f"{where}: expected counts of {len(classes)} x {len(classes)} classes, got {counts.shape}.")
    return Confusion(classes, counts)


@dataclass(frozen=True)
class Reliability:
    """B bins of confidence: B+1 edges in 0..1; per bin the count, mean confidence and accuracy (NaN where empty)."""

    edges: NDArray[np.float64]
    count: NDArray[np.float64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean |accuracy - confidence| over samples (Guo et al. 2017, eq. 3)."""
        gaps = np.abs(self.accuracy - self.confidence) * self.count
        return float(np.nansum(gaps) / self.count.sum())

    def wilson(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ends of each bin's 95% interval for its accuracy (Wilson 1927); NaN where a bin is empty."""
        n, z = self.count, 1.959963984540054  # the normal distribution's 97.5% point
        with np.errstate(invalid="ignore", divide="ignore"):
            centre = (self.accuracy + z**2 / (2 * n)) / (1 + z**2 / n)
            half = z / (1 + z**2 / n) * np.sqrt(self.accuracy * (1 - self.accuracy) / n + z**2 / (4 * n**2))
        return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def reliability(text: str, where: str) -> Reliability:
    """reliability.json.

    Raises:
        RequestError: for text that is no such diagram.
    """
    content = _object(text, where, ("edges", "count", "confidence", "accuracy"))
    try:
        parts = {name: np.asarray(content[name], dtype=float) for name in ("edges", "count", "confidence", "accuracy")}
    except (ValueError, TypeError):
        raise RequestError(f"{where}: expected lists of numbers.") from None
    bins = len(parts["edges"]) - 1
    if any(parts[name].shape != (bins,) for name in ("count", "confidence", "accuracy")):
        raise RequestError(f"{where}: expected {bins} bins between {bins + 1} edges.")
    return Reliability(**parts)


def pool_reliability(diagrams: list[Reliability]) -> Reliability:
    """Several runs' samples in one diagram; all must have the same edges."""
    count = np.sum([d.count for d in diagrams], axis=0)
    with np.errstate(invalid="ignore"):
        confidence = np.nansum([d.confidence * d.count for d in diagrams], axis=0) / count
        accuracy = np.nansum([d.accuracy * d.count for d in diagrams], axis=0) / count
    return Reliability(diagrams[0].edges, count, confidence, accuracy)


def _object(text: str, where: str, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        content = parse_json(text)
    except ValueError:
        raise RequestError(f"{where}: not JSON.") from None
    if not isinstance(content, dict) or any(name not in content for name in names):
        raise RequestError(f"{where}: expected a JSON object with {', '.join(names)}.")
    return content
