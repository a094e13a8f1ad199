"""The rules of VERDICTS.md in a few lines of numpy, drawn by the hundred thousand: which cells of its table are chance?

`python -m tests.analysis.simulated_at_large [DRAWS]` prints them. Nothing of the product is in it; test_simulated.py
holds that `judge` says the same of the same draws. A trend is tested by its slope alone here: that one step against it
takes the word away can only make fewer errors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tests.analysis.simulated import MARGIN, SHAPES

Draws = NDArray[np.float64]  # [draws, seeds]


def t(values: Draws, threshold: float = 0.0) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (values.mean(axis=1) - threshold) / (values.std(axis=1, ddof=1) / values.shape[1] ** 0.5)


def two_sided(values: Draws, alpha: float = 0.05, threshold: float = 0.0) -> NDArray[np.bool_]:
    return np.abs(t(values, threshold)) >= special.stdtrit(values.shape[1] - 1, 1 - alpha / 2)


def equivalence(difference: Draws) -> NDArray[np.bool_]:
    least = special.stdtrit(difference.shape[1] - 1, 0.975)
    upper, lower = t(difference, MARGIN), t(difference, -MARGIN)
    return ((upper <= -least) & (lower >= least)) | (upper >= least) | (lower <= -least)


RULES: dict[str, Callable[[list[Draws]], NDArray[np.bool_]]] = {  # of the cells of a sweep -> whether it is settled
    "compare": lambda c: two_sided(c[0] - c[1]),
    "trend": lambda c: two_sided((c[2] - c[0]) / 2),
    "interaction": lambda c: two_sided((c[0] - c[1]) - (c[2] - c[3])),
    "equivalence": lambda c: equivalence(c[0] - c[1] + MARGIN),
    "bound": lambda c: two_sided(c[0], 0.01, 0.9),
}


def table(draws: int) -> str:
    rng, lines = np.random.default_rng(0), [f"| claim | n | {' | '.join(SHAPES)} |", "|---|---|" + "---|" * len(SHAPES)]
    for kind, rule in RULES.items():
        for n in (3, 5, 10):
            rates = [rule([shape(rng, (draws, n)) for _ in range(4)]).mean() for shape in SHAPES.values()]
            lines.append(f"| {kind} | {n} | {' | '.join(f'{100 * rate:.2f}' for rate in rates)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 400_000))
