"""Null and planted sweeps whose replicates are no plain seeds: splits of one pool of images, folds, data sets, choices.

`python -m tests.analysis.simulated_replicates [DRAWS]` prints the table that VERDICTS.md holds. Splits and folds are
real ones: a pool of 120 images is drawn, each arm has features of its own and learns the class means of its training
images; so replicates share images as those of a sweep do. Without a gain both arms have one distribution.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.claims import judge
from bench.schema.sweep import Sweep
from bench.track.record import Record
from tests.records import make_sweep

POOL, FEATURES, APART, TEST = 120, 8, 0.25, 0.25
ARMS = ("a", "b")
PAIR = {"says": "x", "compare": {"model": "a"}, "against": {"model": "b"}}
Drawn = tuple[Sweep, list[Record]]
Draw = Callable[[np.random.Generator, int, float], Drawn]  # generator, replicates, gain
COUNTS = {"across": (6, 8, 12), "across, t": (6, 8, 12)}  # values of n; Wilcoxon's test needs six data sets


def run(at: dict[str, Any], seed: int, metrics: dict[str, float], **config: Any) -> Record:
    """A finished run, as little as is judged."""
    return Record(
        key=f"{at}{seed}", sweep="made", axes=at, seed=seed, status="finished", metrics=metrics,
        config={"seed": seed, **config, **at},
    )  # fmt: skip


class Pool:
    """Images of two classes, with features for each arm, and what class means learn of a part of them."""

    def __init__(self, rng: np.random.Generator, gain: float) -> None:
        self.labels = np.arange(POOL) % 2
        apart = {"a": APART * (1 + gain), "b": APART}
        self.seen: dict[str, NDArray[np.float64]] = {
            arm: rng.normal(0, 1, (POOL, FEATURES)) + apart[arm] * (2 * self.labels[:, None] - 1) for arm in ARMS
        }

    def accuracy(self, arm: str, test: NDArray[np.int64], rng: np.random.Generator | None = None) -> float:
        """Of the test images, learned from all others; with a generator, of a random nine tenths of those."""
        train = np.setdiff1d(np.arange(POOL), test)
        if rng is not None:
            train = rng.permutation(train)[: 9 * len(train) // 10]
        x, y = self.seen[arm], self.labels
        means = np.array([x[train][y[train] == k].mean(axis=0) for k in (0, 1)])
        said = ((x[test][:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        return float((said == y[test]).mean())


def split(rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(POOL)[: int(POOL * TEST)]


def own_splits(rng: np.random.Generator, n: int, gain: float) -> Drawn:
    """`split.seed=${seed}`: each seed has a split of its own."""
    pool, tests = Pool(rng, gain), [split(rng) for _ in range(n)]
    config = {"split.kind": "holdout", "split.test": TEST}
    made = [
        run({"model": arm}, seed, {"test/accuracy": pool.accuracy(arm, test)}, **config, **{"split.seed": seed})
        for arm in ARMS for seed, test in enumerate(tests)
    ]  # fmt: skip
    return make_sweep({"model": list(ARMS)}, seeds=n, base=["split.seed=${seed}"], claims=[PAIR]), made


def crossed(rng: np.random.Generator, n: int, gain: float) -> Drawn:
    """Three seeds, each on the same n splits."""
    pool, tests = Pool(rng, gain), [split(rng) for _ in range(n)]
    made = [
        run({"model": arm, "split.seed": k}, seed, {"test/accuracy": pool.accuracy(arm, test, rng)},
            **{"split.kind": "holdout", "split.test": TEST})
        for arm in ARMS for k, test in enumerate(tests) for seed in range(3)
    ]  # fmt: skip
    axes = {"model": list(ARMS), "split.seed": list(range(n))}
    return make_sweep(axes, seeds=3, replicates=["seed", "split.seed"], claims=[PAIR]), made


def folds(rng: np.random.Generator, n: int, gain: float) -> Drawn:
    """Cross-validation of n folds, one seed."""
    pool, parts = Pool(rng, gain), np.array_split(rng.permutation(POOL), n)
    made = [
        run({"model": arm, "split.fold": k}, 0, {"test/accuracy": pool.accuracy(arm, part)},
            **{"split.kind": "kfold", "split.folds": n})
        for arm in ARMS for k, part in enumerate(parts)
    ]  # fmt: skip
    axes = {"model": list(ARMS), "split.fold": list(range(n))}
    return make_sweep(axes, seeds=1, replicates=["seed", "split.fold"], claims=[PAIR]), made


def across(rng: np.random.Generator, n: int, gain: float, test: str = "wilcoxon") -> Drawn:
    """n data sets with three seeds each: which arm a data set suits is drawn with it."""
    sets = [f"set{i}" for i in range(n)]
    suits = rng.normal(0.04 * gain, 0.02, n)
    made = [
        run({"dataset": name, "model": arm}, seed, {"test/accuracy": 0.8 + suit * (arm == "a") + rng.normal(0, 0.01)})
        for name, suit in zip(sets, suits, strict=True) for arm in ARMS for seed in range(3)
    ]  # fmt: skip
    claim = {**PAIR, "kind": "across", "test": test}
    return make_sweep({"dataset": sets, "model": list(ARMS)}, seeds=3, claims=[claim]), made


def across_t(rng: np.random.Generator, n: int, gain: float) -> Drawn:
    return across(rng, n, gain, "t")


def choice(rng: np.random.Generator, n: int, gain: float) -> Drawn:
    """Of four candidates, chosen by val or by train; val says as little of test as train does, but for the gain."""
    made = []
    for k in range(4):
        true = 0.8 + rng.normal(0, 0.01, n)
        for seed in range(n):
            said = {"val/accuracy": gain * true[seed] + rng.normal(0, 0.01), "train/accuracy": rng.normal(0.9, 0.01)}
            made.append(run({"model.k": k}, seed, {"test/accuracy": float(true[seed]), **said}))
    claim = {
        "kind": "choice", "says": "x", "over": ["model.k"], "compare": {"by": "val/accuracy"},
        "against": {"by": "train/accuracy"},
    }  # fmt: skip
    return make_sweep({"model.k": [0, 1, 2, 3]}, seeds=n, claims=[claim]), made


KINDS: dict[str, Draw] = {
    "own splits": own_splits, "splits x 3 seeds": crossed, "folds": folds, "across": across, "across, t": across_t,
    "choice": choice,
}  # fmt: skip
MISSING = ("nothing", "at random", "when bad")


def lose(records: list[Record], missing: str, rng: np.random.Generator) -> list[Record]:
    """The same with failed runs: a twentieth of all, or the worst 30% of arm a (of a choice: of the first two)."""
    if missing == "nothing":
        return records
    values = np.array([r.metrics["test/accuracy"] for r in records])
    bad = rng.random(len(records)) < 0.05
    if missing == "when bad":
        mine = np.array([r.axes.get("model") == "a" or r.axes.get("model.k", 9) < 2 for r in records])
        bad = mine & (values < values[mine].mean() - 0.524 * values[mine].std())
    return [dataclasses.replace(r, status="failed", metrics={}) if b else r for r, b in zip(records, bad, strict=True)]


def rates(kind: str, n: int, draws: int, missing: str = "nothing", gain: float = 0.0) -> tuple[float, float, float]:
    """Shares of draws that come out supported and refuted, and whose interval holds the mean effect of all draws."""
    rng = np.random.default_rng([n, draws, *map(ord, kind + missing), int(100 * gain)])
    found = []
    for _ in range(draws):
        sweep, records = KINDS[kind](rng, n, gain)
        found.append(judge(sweep, lose(records, missing, rng))[0])
    truth = float(np.nanmean([v.effect for v in found])) if gain else 0.0
    held = [v.low <= truth <= v.high for v in found if v.low == v.low]
    share = [sum(v.word == word for v in found) / draws for word in ("supported", "refuted")]
    return share[0], share[1], sum(held) / max(1, len(held))


def table(draws: int) -> str:
    """Markdown: false verdicts where nothing is going on, and what becomes of an effect."""
    heads = ["nothing lost", "interval holds 0", "lost at random", "lost when bad", "with an effect"]
    lines = [f"| replicates | n | {' | '.join(heads)} |", "|---|---|" + "---|" * len(heads)]
    for kind in KINDS:
        for n in COUNTS.get(kind, (3, 5, 10)):
            null = [rates(kind, n, draws, missing) for missing in MISSING]
            said = [f"{100 * (one + other):.1f}" for one, other, _ in null]
            said.insert(1, f"{100 * null[0][2]:.1f}")
            effect = rates(kind, n, draws, gain=1.0)
            said.append(" / ".join(f"{100 * share:.1f}" for share in effect))
            lines.append(f"| {kind} | {n} | {' | '.join(said)} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 600))
