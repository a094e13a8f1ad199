"""Metrics of somebody's own: the same scores and labels that ours are computed from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.parts.load import function, raised
from bench.schema.errors import RequestError
from bench.schema.metric import METRICS
from bench.schema.own import Own


def own_metrics(
    owns: Sequence[Own], scores: NDArray[np.float32], labels: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, float]:
    """Name -> value of each.

    Args:
        scores: log-probabilities [N, K].
        labels: int64 [N].

    Raises:
        RequestError: for what is no number, or outside of the range that the metric states.
    """
    found = {}
    for own in owns:
        named = f"metric '{own.name}'"
        try:  # copies, as what is handed out here is measured by others too
            value = function("metric", own)(scores.copy(), labels.copy(), tuple(classes))
        except RequestError:
            raise
        except Exception as error:
            raise raised(f"{named} cannot be computed", error) from error
        if not isinstance(value, int | float | np.floating | np.integer) or isinstance(value, bool):
            hint = " Return float(value) or value.item()." if hasattr(value, "item") else ""
            raise RequestError(f"{named} gives back {type(value).__name__}. Expected a number, float.{hint}")
        number = float(value)
        known = METRICS.get(own.name)
        if not math.isfinite(number) or (known is not None and known.outside(number)):
            ends = f" in {known.low:g}..{known.high:g}" if known is not None and known.ends else ""
            raise RequestError(f"{named} is {number}. Expected a finite number{ends}, as its range says.")
        found[own.name] = number
    return found
