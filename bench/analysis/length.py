"""How long runs trained, as their settings say it."""

from __future__ import annotations

from collections.abc import Iterable

from bench.track.record import Record

UNITS = {"trainer.epochs": ("epoch", "epochs"), "trainer.steps": ("step", "steps"),
         "trainer.seconds": ("s of training", "s of training")}  # fmt: skip


def trains(record: Record) -> bool:
    """Whether a run's model, or its head on frozen features, is trained: neighbours and means are not."""
    model, mode, head = (record.config.get(name) for name in ("model.family", "transfer.mode", "transfer.head"))
    return (head if mode == "frozen" else model) not in ("knn", "ncm")


def lengths(records: Iterable[Record]) -> dict[str, list[float]]:
    """Setting of `UNITS` -> its different values, sorted, of the runs whose budget it is."""
    found: dict[str, set[float]] = {name: set() for name in UNITS}
    for record in records:
        name = next((n for n in reversed(UNITS) if record.config.get(n) is not None), None)
        if name is not None and trains(record):
            found[name].add(float(record.config[name]))
    return {name: sorted(numbers) for name, numbers in found.items() if numbers}


def spans(found: dict[str, list[float]]) -> list[str]:
    """`10 epochs`, `500 to 2,000 steps`."""
    out = []
    for name, numbers in found.items():
        one = len(numbers) == 1
        text = f"{numbers[0]:,.6g}" if one else f"{numbers[0]:,.6g} to {numbers[-1]:,.6g}"
        out.append(f"{text} {UNITS[name][numbers != [1]]}")
    return out
