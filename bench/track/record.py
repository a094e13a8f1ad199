"""Record: one run as one flat row. Reading and writing records needs neither torch nor MLflow."""

from __future__ import annotations

import csv
import functools
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from bench.disk import formula, write_atomically
from bench.parts.metrics import enter
from bench.schema.errors import RequestError, suggestion, unknown_name
from bench.schema.metric import METRICS, last_part

TUNING = "tuning"  # in the provenance: "true" of a run that was made to choose hyperparameters, and is not judged
OWN_METRICS = "own_metrics"  # in the provenance: what metrics of somebody's own are (JSON)
Status = Literal["finished", "failed", "running", "missing"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One point of a sweep and what became of it.

    Attributes:
        key: run key; "" where it is not known.
        sweep: name of the sweep.
        axes: axis name -> label of the value, without the seed.
        seed: training seed.
        status: `missing` means planned and never run.
        reason: why a run failed, one line; "" otherwise.
        run_id: MLflow run id; "" where there is none.
        metrics: "val/accuracy", "test/accuracy", "test/top5", "test/macro_f1", "test/nll", "test/ece", ...
            Accuracies are fractions in 0..1. Under a corruption: "corrupt/<name>/<severity>/accuracy".
        costs: "cost/params" (count), "cost/flops" (per image, multiply and add count as two),
            "cost/fit_seconds", "cost/images_per_second", "cost/peak_memory_mb", "cost/selected_epoch" (from 1).
        config: flat settings, "optim.lr" -> 0.1, tracking left out.
        provenance: "data_fingerprint", "test_fingerprint", "git_commit", "git_dirty", "packages", ... as text.

    What does not fit one row is an artifact of the run; the figures that need it say so (`bench.analysis.artifacts`).
    """

    key: str
    sweep: str
    axes: dict[str, Any]
    seed: int
    status: Status
    reason: str = ""
    run_id: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What a metric of somebody's own is travels with the record: who reads it may not have the code.
        if OWN_METRICS in self.provenance:
            for name, facts in json.loads(self.provenance[OWN_METRICS]).items():
                enter(name, facts)


FIXED = ("key", "sweep", "seed", "status", "reason", "run_id")
LARGEST = 128 * 2**20  # bytes of a file: ten times as many in memory
SHARED = 1000  # different values of one column that rows share
PREFIXES = ("axis.", "cost/", "config.", "prov.")


def write_csv(records: Iterable[Record], path: Path) -> None:
    """Records as a table, one row each; the file is replaced as a whole or not at all.

    Columns: `key`, `sweep`, `seed`, `status`, `reason`, `run_id`, `axis.*` in the sweep's order, then metrics under
    their own names (`val/accuracy`), `cost/*`, `config.*`, `prov.*`, each sorted. An empty cell means that the record
    has no such entry. `read_csv` gives equal records back, types included.
    """
    write_atomically(path, to_csv(records))


def to_csv(records: Iterable[Record]) -> str:
    """The text that `write_csv` writes."""
    rows = [_cells(record) for record in records]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = list(FIXED) + [n for n in names if n.startswith("axis.")]
    rest = [n for n in names if n not in columns]
    columns += sorted(n for n in rest if not n.startswith(PREFIXES))
    columns += [n for prefix in PREFIXES[1:] for n in sorted(rest) if n.startswith(prefix)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in rows)
    return out.getvalue()


def read_csv(path: Path) -> list[Record]:
    """The records that `write_csv` wrote.

    Raises:
        RequestError: naming file and line, for a file that cannot be read or has more than `LARGEST` bytes, unknown or
            missing columns, a row of the wrong length, a value of the wrong type, an accuracy outside 0..1, two rows
            for the same point and seed.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size > LARGEST:
        raise RequestError(
            f"{path} has {path.stat().st_size / 2**20:,.0f} MiB; {LARGEST >> 20} are the most that are read, some "
            "50,000 runs. Make several sweeps of it; runs in a store are counted as they are."
        )
    records: list[Record] = []
    seen: dict[tuple[str, str, int], int] = {}
    columns: list[_Column] = []
    number = 0
    try:
        # Line by line, as it may be large; spreadsheets put a byte-order mark in front.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                number = reader.line_num
                where = f"{path}, line {number}"
                if not columns:
                    columns = [_Column(name) for name in _header(row, where)]
                elif row:
                    record = _record(columns, row, where)
                    point = (record.sweep, json.dumps(record.axes, sort_keys=True), record.seed)
                    if point in seen:
                        raise RequestError(
                            f"{where}: the same point and seed as in line {seen[point]}. "
                            "A point has one record a seed; remove one of the two."
                        )
                    seen[point] = number
                    records.append(record)
    except csv.Error as error:
        raise RequestError(f"{path}, line {reader.line_num}: not a CSV row ({error}).") from None
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}). Expected a records.csv.") from None
    except UnicodeDecodeError:
        raise RequestError(f"{path}: not UTF-8 text after line {number}. Expected a records.csv.") from None
    if not columns:
        raise RequestError(f"{path}: empty. Expected a records.csv with a header line.")
    return records


def _cells(record: Record) -> dict[str, str]:
    cells = {"key": record.key, "sweep": record.sweep, "seed": str(record.seed), "status": record.status}
    cells |= {"reason": record.reason, "run_id": record.run_id}
    cells = {name: _text(value) if value else "" for name, value in cells.items()}
    cells |= {f"axis.{name}": _value(value) for name, value in record.axes.items()}
    cells |= {name: json.dumps(value) for name, value in {**record.metrics, **record.costs}.items()}
    cells |= {f"config.{name}": _value(value) for name, value in record.config.items()}
    cells |= {f"prov.{name}": _text(value) for name, value in record.provenance.items()}
    return cells


def _text(value: str) -> str:
    """A string as it is, quoted as JSON only where it would break the one-line row or look like an empty cell."""
    plain = (
        value and not formula(value) and value.isprintable() and not value.startswith('"') and value == value.strip()
    )
    return value if plain else json.dumps(value)


def _from_text(cell: str) -> str:
    value = parse_json(cell) if cell.startswith('"') else cell
    if not isinstance(value, str):
        raise ValueError
    return value


def _value(value: Any) -> str:
    """A setting: strings as they are where they cannot be mistaken for another type, all else as JSON."""
    return _word(value) if isinstance(value, str) else json.dumps(value)


@functools.lru_cache(maxsize=2**12)  # ten thousand runs have few different words among their settings
def _word(value: str) -> str:
    return value if _text(value) == value and _from_value(value) == value else json.dumps(value)


def _from_value(cell: str) -> Any:
    try:
        return parse_json(cell)
    except ValueError:
        return cell


def parse_json(text: str) -> Any:
    """JSON from a store or a file.

    Raises:
        ValueError: for anything else: brackets without end, numbers of a thousand digits, halves of letters.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "\\" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _number(cell: str) -> float:
    value = parse_json(cell)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    return value


def _header(columns: list[str], where: str) -> list[str]:
    for name in FIXED:
        if name not in columns:
            raise RequestError(
                f"{where}: column '{name}' is missing.{suggestion(name, columns)} Expected a records.csv."
            )
    for name in columns:
        if name not in FIXED and not name.startswith(PREFIXES) and "/" not in name:
            wanted = f"{', '.join(FIXED)}, axis.*, a metric, cost/*, config.* or prov.*"
            raise unknown_name("column", name, FIXED, f"In {where}; expected {wanted}.")
        if columns.count(name) > 1:
            raise RequestError(f"{where}: column '{name}' appears twice.")
    return columns


class _Column:
    """How the cells of one column are read. Many rows say the same: they share one object, and memory with it.

    Attributes:
        group: prefix of the records' mapping that it belongs to; None for a column that every record has.
        key: its name there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.group = None if name in FIXED else next((p for p in PREFIXES if name.startswith(p)), "")
        self.key = name.removeprefix(self.group) if self.group not in (None, "", "cost/") else name
        kind: tuple[Callable[[str], Any], str] = (_from_text, "text") if self.group is None else _KINDS[self.group]
        self._read, self._kind = kind
        self._known: dict[str, Any] = {}

    def value(self, cell: str, where: str) -> Any:
        """What a cell says; checked."""
        if cell in self._known:
            return self._known[cell]
        if self.name in ("seed", "status"):
            return cell
        value = _parse(self._read, cell, self.name, where, self._kind)
        if self.group in ("", "cost/"):
            self._check_metric(value, cell, where)
        if len(self._known) < SHARED and not isinstance(value, list | dict):  # which somebody might change
            self._known[cell] = value
        return value

    def _check_metric(self, value: float, cell: str, where: str) -> None:
        described = METRICS.get(last_part(self.name))
        if described is not None and described.outside(value):
            ends = f"{described.low:g} to {described.high:g}" if described.ends else f"{described.low:g} and more"
            unit = ", a fraction" if described.unit == "%" else ""
            raise RequestError(f"{where}: {self.name} is {cell}. Expected {ends}{unit}.")


def _record(columns: list[_Column], row: list[str], where: str) -> Record:
    if len(row) != len(columns):
        raise RequestError(f"{where}: {len(row)} cells, but the header has {len(columns)} columns.")
    fixed: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {"axis.": {}, "cost/": {}, "config.": {}, "prov.": {}, "": {}}
    for column, cell in zip(columns, row, strict=True):
        if column.group is None:
            fixed[column.name] = column.value(cell, where)
        elif cell != "":
            groups[column.group][column.key] = column.value(cell, where)
    if fixed["status"] not in get_args(Status):
        raise unknown_name(
            "status", fixed["status"], get_args(Status), f"In {where}; expected {', '.join(get_args(Status))}."
        )
    if not fixed["seed"].isdecimal():
        raise RequestError(f"{where}: seed is '{fixed['seed']}'. Expected a whole number from 0.")
    fixed["seed"] = int(fixed["seed"])
    try:
        return Record(
            **fixed,
            axes=groups["axis."],
            metrics=groups[""],
            costs=groups["cost/"],
            config=groups["config."],
            provenance=groups["prov."],
        )
    except (ValueError, AttributeError, TypeError):
        raise RequestError(
            f"{where}: prov.{OWN_METRICS} does not describe metrics. Expected what a run wrote."
        ) from None


_KINDS: dict[str, tuple[Callable[[str], Any], str]] = {
    "axis.": (_from_value, "a value"),
    "config.": (_from_value, "a value"),
    "cost/": (_number, "a number"),
    "prov.": (_from_text, "text"),
    "": (_number, "a number"),
}


def _parse(read: Callable[[str], Any], cell: str, name: str, where: str, kind: str) -> Any:
    try:
        return read(cell)
    except ValueError:
        raise RequestError(f"{where}: {name} is '{cell}'. Expected {kind}.") from None
