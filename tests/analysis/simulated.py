"""Sweeps drawn where the truth is known, judged by the product's own `judge`: how often is a verdict false?

`python -m tests.analysis.simulated [DRAWS]` prints the table that VERDICTS.md holds. `judge` takes a millisecond;
`Command` asks `bench table` itself, with files for records, sweep and log, in half a second. Nothing is going on: both
arms have one distribution, a cell's mean is its bound, a difference is exactly its margin; so every settled verdict is
false. `planted` asks the same where there is an effect: how often it is found, and whether the interval holds it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.claims import judge
from bench.analysis.looks import look
from bench.analysis.settings import settings_of_records
from bench.cli import main
from bench.schema.sweep import Sweep
from bench.track.record import Record, write_csv
from tests.records import make_records, make_sweep

AXES = {"model": ["a", "b"], "depth": [8, 20, 56]}
PAIR = {"compare": {"model": "a"}, "against": {"model": "b"}}
MARGIN = 0.02
KINDS: dict[str, dict[str, Any]] = {
    "compare": {**PAIR, "at": {"depth": 8}},
    "trend": {"kind": "trend", "over": "depth", "at": {"model": "a"}},
    "interaction": {"kind": "interaction", **PAIR, "where": {"depth": 56}, "versus": {"depth": 8}},
    "equivalence": {"kind": "equivalence", **PAIR, "at": {"depth": 8}, "margin": MARGIN},
    "bound": {"kind": "bound", "at": {"model": "a", "depth": 8}, "bound": 0.9},
}
SD = 0.01
Draw = NDArray[np.float64]  # [cells, seeds], mean 0.9


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Draw:
    return 0.9 + rng.normal(0, SD, shape)


def skewed(rng: np.random.Generator, shape: tuple[int, int]) -> Draw:
    return 0.9 + SD * (1 - rng.exponential(1, shape))  # a tail to the bad side


def heavy(rng: np.random.Generator, shape: tuple[int, int]) -> Draw:
    return np.clip(0.9 + SD * rng.standard_t(3, shape) / 3**0.5, 0, 1)


def collapsing(rng: np.random.Generator, shape: tuple[int, int]) -> Draw:
    """A fifth of the runs stays at chance; the mean is 0.9 nevertheless, so that bounds can be asked about."""
    return np.where(rng.random(shape) < 0.2, 0.5, 1.0 - np.abs(rng.normal(0, 1e-3, shape)))


SHAPES = {"normal": normal, "skewed": skewed, "heavy tails": heavy, "collapsing": collapsing}
MISSING = ("nothing", "at random", "when bad")  # what becomes of runs: none fail, a fifth of all, the worst 30% of a


def lost(values: Draw, missing: str, cells: list[Record], rng: np.random.Generator) -> NDArray[np.bool_]:
    if missing == "at random":
        return rng.random(values.shape) < 0.2
    if missing == "when bad":
        mine = np.array([cell.axes["model"] == "a" for cell in cells])[:, None]
        return mine & (values < 0.9 - 0.524 * SD)  # the normal distribution's 30% point
    return np.zeros(values.shape, dtype=bool)


Definition = dict[str, Any]  # what a sweep file says
Told = list[dict[str, Any]]  # a verdict each: word, p and interval, and the looks before


class Command:
    """`bench table NAME --records CSV --json` in the working directory, whose log stays until `forget`."""

    def __call__(self, definition: Definition, records: list[Record]) -> Told:
        Path("sweeps").mkdir(exist_ok=True)
        Path("sweeps/made.yaml").write_text(json.dumps({"question": "Does it help?", **definition}))
        write_csv(records, Path("made.csv"))
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()):
            assert main(["table", "made", "--records", "made.csv", "--json"]) == 0
        return json.loads(said.getvalue())["verdicts"]  # type: ignore[no-any-return]

    def forget(self) -> None:
        shutil.rmtree("results", ignore_errors=True)


class Function:
    """The same of `judge`, with the looks that it is to remember."""

    def __init__(self) -> None:
        self.looks: list[dict[str, Any]] = []
        self.last: Callable[[], dict[str, Any]] | None = None
        self.made: tuple[Definition, Sweep] | None = None

    def __call__(self, definition: Definition, records: list[Record]) -> Told:
        if self.made is None or self.made[0] is not definition:
            self.made = definition, make_sweep(**definition)
        if self.last is not None:
            self.looks.append(self.last())
        sweep, context = self.made[1], {"looks": list(self.looks)}
        verdicts = judge(sweep, records, context)
        self.last = lambda: look(
            verdicts, verdicts[0].frame, sweep, context, settings_of_records(sweep, records)
        )  # of which there is need only where somebody looks again
        return [{"verdict": v.word, "p": v.p, "low": v.low, "high": v.high, "looks": v.looks.earlier} for v in verdicts]

    def forget(self) -> None:
        self.looks, self.last = [], None


def error_rate(
    kind: str, n: int, shape: str, missing: str = "nothing", draws: int = 1000, test: str = "t",
    by: Command | Function | None = None,
) -> float:  # fmt: skip
    """The share of draws without an effect in which the claim comes out supported or refuted."""
    by = by or Function()
    rng = np.random.default_rng([n, draws, *map(ord, kind + shape + missing)])
    claim = {"says": "x", **KINDS[kind], "test": test}
    axes = AXES if kind in ("trend", "interaction") else {**AXES, "depth": [8]}
    definition = {"axes": axes, "claims": [claim], "seeds": n}
    template = make_records(axes, lambda _: 0.5, seeds=n)
    cells = template[::n]
    shift = MARGIN * np.array([kind == "equivalence" and cell.axes["model"] == "a" for cell in cells])[:, None]
    wrong = 0
    for _ in range(draws):
        values = SHAPES[shape](rng, (len(cells), n))
        failed = lost(values, missing, cells, rng).ravel()
        records = [
            dataclasses.replace(r, status="failed" if f else "finished", metrics={} if f else {"test/accuracy": v})
            for r, v, f in zip(template, (values + shift).ravel(), failed, strict=True)
        ]
        wrong += by(definition, records)[0]["verdict"] != "open"
        by.forget()
    return wrong / draws


EFFECT = 0.02  # two standard deviations of a run


def planted(kind: str, n: int, shape: str, draws: int = 1000) -> tuple[float, float, float]:
    """Shares of draws with an effect of `EFFECT` that come out supported and refuted, and whose interval holds it."""
    rng = np.random.default_rng([n, draws, *map(ord, kind + shape)])
    axes = AXES if kind in ("trend", "interaction") else {**AXES, "depth": [8]}
    sweep = make_sweep(axes, claims=[{"says": "x", **KINDS[kind]}], seeds=n)
    template = make_records(axes, lambda _: 0.5, seeds=n)
    cells = [r.axes for r in template[::n]]
    mine = np.array([at["model"] == "a" for at in cells])[:, None]
    depth = np.array([at["depth"] for at in cells])[:, None]
    shift = (
        EFFECT
        * mine
        * {"trend": (depth > 8) / 2 + (depth > 20) / 2, "interaction": depth == 56, "equivalence": 0}.get(kind, 1)
    )
    truth = {"trend": EFFECT / 2, "equivalence": 0.0, "bound": 0.9 + EFFECT}.get(kind, EFFECT)
    words = {"supported": 0, "refuted": 0, "open": 0}
    covered = 0
    for _ in range(draws):
        values = (SHAPES[shape](rng, (len(cells), n)) + shift).ravel()
        records = [dataclasses.replace(r, metrics={"test/accuracy": v}) for r, v in zip(template, values, strict=True)]
        (verdict,) = judge(sweep, records)
        words[verdict.word] += 1
        covered += verdict.low <= truth <= verdict.high
    return words["supported"] / draws, words["refuted"] / draws, covered / draws


def looking(
    first: int, step: int, last: int, draws: int, sequential: bool = False, by: Command | Function | None = None
) -> float:
    """The share of draws in which looks at `first`, `first` + `step`, ... seeds settle a claim without an effect."""
    rng, by = np.random.default_rng(5), by or Function()
    axes = {**AXES, "depth": [8]}
    definition = {
        "axes": axes, "claims": [{"says": "x", **KINDS["compare"]}], "seeds": last, "sequential": sequential,
    }  # fmt: skip
    template = make_records(axes, lambda _: 0.5, seeds=last)
    wrong = 0
    for _ in range(draws):
        values = normal(rng, (2, last)).ravel()
        every = [dataclasses.replace(r, metrics={"test/accuracy": v}) for r, v in zip(template, values, strict=True)]
        by.forget()
        for n in range(first, last + 1, step):
            if by(definition, [r for r in every if r.seed < n])[0]["verdict"] != "open":
                wrong += 1
                break
    return wrong / draws


def table(draws: int) -> str:
    """Markdown: a row a kind of claim and number of seeds, a column a distribution."""
    heads = [*SHAPES, *(f"lost {m}" for m in MISSING[1:])]
    lines = [f"| claim | n | {' | '.join(heads)} |", "|---|---|" + "---|" * len(heads)]
    for kind in KINDS:
        for n in (3, 5, 10):
            rates = [error_rate(kind, n, shape, draws=draws) for shape in SHAPES]
            rates += [error_rate(kind, n, "normal", missing, draws) for missing in MISSING[1:]]
            lines.append(f"| {kind} | {n} | " + " | ".join(f"{100 * rate:.1f}" for rate in rates) + " |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def table_of_planted(draws: int) -> str:
    """Markdown: supported / refuted / interval holds the effect, in percent."""
    shapes = [name for name in SHAPES if name != "collapsing"]
    lines = [f"| claim | n | {' | '.join(shapes)} |", "|---|---|" + "---|" * len(shapes)]
    for kind in KINDS:
        for n in (3, 5, 10):
            found = [planted(kind, n, shape, draws) for shape in shapes]
            said = " | ".join(" / ".join(f"{100 * share:.1f}" for share in shares) for shares in found)
            lines.append(f"| {kind} | {n} | {said} |")
    return "\n".join(lines)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("looks at 3, 5, ..., 15 of 15 planned seeds:", looking(3, 2, 15, count), flush=True)
    print("the same, sequential:", looking(3, 2, 15, count, sequential=True), flush=True)
    print("20 looks, sequential:", looking(3, 1, 22, count, sequential=True), flush=True)
    print(table_of_planted(count), flush=True)
    print(table(count))
