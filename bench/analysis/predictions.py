"""What each run said of each image of val and test: kept with the results, so that nobody has to load weights for it.

A run leaves predictions.npz: for each split `val` and `test` `<split>_true`, `<split>_class` (uint16 [N], the label
and the predicted class, of equal ones the lower) and `<split>_logp` (float16 [N], log-probability of the true class, in
nats). Where classes are tied, `<split>_sharing` (uint16 [N]) says how many share the first place with the true one, it
counted, and 0 where it has not that place. A results folder keeps those of its finished runs in one predictions.npz,
equal labels once: of all replicates, or of the first ones where all would take more than MOST bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.artifacts import Reader
from bench.npz import Damaged, read_npz
from bench.schema.errors import RequestError
from bench.track.record import Record, parse_json

FILE = "predictions.npz"
SPLITS = ("val", "test")
INDEX = "index"
MOST = 8_000_000  # bytes, compressed
Arrays = Mapping[str, NDArray[np.generic]]


def of(record: Record, reader: Reader) -> dict[str, NDArray[np.generic]] | None:
    """The arrays of a run's predictions.npz; None where it left none, as runs of earlier versions."""
    if isinstance(reader, Once):
        return reader.arrays(record)
    text = reader(record, FILE)
    if text is None:
        return None
    try:
        return read_npz(io.BytesIO(base64.b64decode(text)))
    except (ValueError, OSError):
        raise RequestError(f"predictions of run {record.run_id or record.key}: not an .npz of a run.") from None


def readable(reader: Reader) -> Reader:
    """The same without files that are damaged or cannot be had: for the end of a sweep, which no run's files hold up.

    `bench table` reads them all, and names the run.
    """

    def read(record: Record, name: str) -> str | None:
        try:
            text = reader(record, name)
            if name == FILE and text is not None:
                of(record, lambda *_: text)
        except RequestError:
            return None
        return text

    return read


class Once:
    """A Reader that fetches and unpacks each run's predictions once.

    Attributes:
        kept: places (run key, or run id) of the runs whose predictions it gives; None: of all.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.kept: set[str] | None = None
        self._known: dict[str, dict[str, NDArray[np.generic]] | None] = {}

    def __call__(self, record: Record, name: str) -> str | None:
        """A file of a run, as of the Reader."""
        return self.reader(record, name) if name != FILE or self._gives(record) else None

    def arrays(self, record: Record) -> dict[str, NDArray[np.generic]] | None:
        """See `of`."""
        if not self._gives(record):
            return None
        place = record.key or record.run_id
        if place not in self._known:
            self._known[place] = of(record, self.reader)
        return self._known[place]

    def _gives(self, record: Record) -> bool:
        return self.kept is None or (record.key or record.run_id) in self.kept


def limit(records: Iterable[Record], reader: Reader, drawn: Sequence[str] = ()) -> tuple[Reader, str]:
    """Predictions of the first replicates, whole ones, that fit into MOST bytes, two at least; and what to say of that.

    What is written is judged by what is kept, so that the files of a folder give the same verdicts again. It takes two
    replicates to tell that a model does not vary, and is to be judged by its images.

    Args:
        drawn: the sweep's replicates besides the seed.
    """
    replicates: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        if record.status == "finished":
            name = (record.seed, *(record.axes.get(axis) for axis in drawn))
            replicates.setdefault(name, []).append(record)
    size, kept, some = 0, set(), 0
    once = Once(reader)
    for name in sorted(replicates, key=lambda name: [(v is None, isinstance(v, str), v or 0) for v in name]):
        found = [(r, arrays) for r in replicates[name] if (arrays := of(r, once)) is not None]
        size += sum(_size(arrays) for _, arrays in found)
        if size > MOST and some >= 2:
            break
        kept |= {r.key or r.run_id for r, _ in found}
        some += bool(found)

    once.kept = kept
    of_some = f"Predictions image by image: of {some} of {len(replicates)} replicates."
    return once, of_some if 0 < some < len(replicates) else ""


def _size(arrays: Arrays) -> int:
    """Bytes that they take in a results folder, where labels are kept once."""
    return len(zlib.compress(b"".join(a.tobytes() for name, a in sorted(arrays.items()) if not name.endswith("_true"))))


def keep(records: Iterable[Record], reader: Reader) -> bytes | None:
    """One predictions.npz for all finished runs; None where no run left any."""
    arrays: dict[str, NDArray[np.generic]] = {}
    index: dict[str, dict[str, str]] = {}
    for record in records:
        found = of(record, reader) if record.status == "finished" else None
        if found is None:
            continue
        place = record.key or record.run_id
        for name, array in sorted(found.items()):  # the same bytes from a run and from what was kept of it
            label = hashlib.sha256(array.tobytes()).hexdigest()[:16] if name.endswith("_true") else place[:16]
            index.setdefault(place, {})[name] = f"{label}.{name}"
            arrays[f"{label}.{name}"] = array
    if not arrays:
        return None
    arrays[INDEX] = np.frombuffer(json.dumps(index, sort_keys=True).encode(), dtype=np.uint8)
    np.savez_compressed(out := io.BytesIO(), **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def read_predictions(folder: Path, other: Reader) -> Reader:
    """Reads predictions from the folder's own file, and everything else by `other`."""
    path = folder / FILE
    if not path.is_file():
        return other
    try:
        arrays = read_npz(path)
        index = parse_json(arrays[INDEX].tobytes().decode())
        if not all(label in arrays for mine in index.values() for label in mine.values()):
            raise Damaged("an index of other arrays")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise RequestError(f"{path}: not what 'bench table' wrote. Restore it, or take it away.") from None

    def read(record: Record, name: str) -> str | None:
        if name != FILE:
            return other(record, name)
        mine = index.get(record.key or record.run_id)
        if mine is None:
            return None
        np.savez(out := io.BytesIO(), **{name: arrays[label] for name, label in mine.items()})  # type: ignore[arg-type]
        return base64.b64encode(out.getvalue()).decode()

    return read


def faults(records: Iterable[Record], reader: Reader) -> list[str]:
    """Where a record's accuracy or NLL is not that of its predictions."""
    out = []
    for record in records:
        found = of(record, reader) if record.status == "finished" else None
        for split in SPLITS if found is not None else ():
            assert found is not None
            right = correct(found, split)
            nll = -found[f"{split}_logp"].astype(float).mean()
            for name, given, room in (("accuracy", right.mean(), 1e-9), ("nll", nll, 2e-3 + 2e-3 * abs(nll))):
                said = record.metrics.get(f"{split}/{name}")
                if said is not None and math.isfinite(given) and abs(said - given) > room:
                    where = f"seed {record.seed}: {split}/{name}"
                    out.append(f"{where} is {said:.6g}, but its predictions give {given:.6g}")
    return out


def correct(found: Arrays, split: str) -> NDArray[np.float64]:
    """How far each image counts as right: 1 or 0, and 1/m where the true class shares the first place with m - 1."""
    sharing = found.get(f"{split}_sharing")
    if sharing is None:
        return (found[f"{split}_true"] == found[f"{split}_class"]).astype(np.float64)
    many = np.asarray(sharing, np.float64)
    return np.divide(1.0, many, out=np.zeros(len(many)), where=many > 0)


def mcnemar(one: Arrays, other: Arrays, split: str = "test") -> float:
    """Two-sided p of the exact McNemar test: of the images that one gets more right than the other, half each way?

    Raises:
        RequestError: for predictions on other images.
    """
    if not np.array_equal(one[f"{split}_true"], other[f"{split}_true"]):
        raise RequestError("These two runs were not scored on the same images.")
    a, b = (correct(side, split) for side in (one, other))
    only, unequal = int((a > b).sum()), int((a != b).sum())
    from scipy import stats  # slow to import

    return float(stats.binomtest(only, unequal).pvalue) if unequal else 1.0


def always_wrong(runs: Sequence[Arrays], split: str = "test") -> NDArray[np.int64]:
    """Places of the images, in the order of the split, that every run gets wrong."""
    wrong = [correct(r, split) == 0 for r in runs]
    return np.flatnonzero(np.logical_and.reduce(wrong)) if wrong else np.zeros(0, dtype=np.int64)
