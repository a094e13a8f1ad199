"""Metrics that are measured where somebody asks for them, ours (bench/shipped) and one's own alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.parts.load import error_of, function
from bench.schema.errors import RequestError
from bench.schema.metric import METRICS
from bench.schema.offered import SHIPPED
from bench.schema.own import Own


def on_request(
    names: Sequence[str], scores: NDArray[np.float32], labels: NDArray[np.int64], classes: Sequence[str] = ()
) -> dict[str, float]:
    """`own_metrics` of those of `bench.schema.metric.ON_REQUEST` that are named."""
    return own_metrics([Own(name=name, code=SHIPPED) for name in names], scores, labels, classes)


def own_metrics(
    owns: Sequence[Own], scores: NDArray[np.float32], labels: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, float]:
    """Name -> value of each; `name/k` for each class number k where a metric gives a number a class.

    One of ours that is not defined on these labels, and says None, is left out.

    Args:
        scores: log-probabilities [N, K].
        labels: int64 [N].

    Raises:
        RequestError: for what is no number, or outside of the range that the metric states.
    """
    found: dict[str, float] = {}
    for own in owns:
        try:  # copies, as what is handed out here is measured by others too
            value = function("metric", own)(scores.copy(), labels.copy(), tuple(classes))
        except RequestError:
            raise
        except Exception as error:
            raise error_of(f"metric '{own.name}' cannot be computed", error) from error
        if value is None and own.code == SHIPPED:
            continue
        if isinstance(value, Mapping):
            found |= {f"{own.name}/{_class(k, own.name)}": _number(v, own.name) for k, v in value.items()}
        else:
            found[own.name] = _number(value, own.name)
    return found


def _class(key: Any, name: str) -> int:
    if not isinstance(key, int | np.integer) or isinstance(key, bool) or key < 0:
        raise RequestError(
            f"metric '{name}' gives back a dict with {key!r}. Expected a number, or one for each class number."
        )
    return int(key)


def _number(value: Any, name: str) -> float:
    if not isinstance(value, int | float | np.floating | np.integer) or isinstance(value, bool):
        hint = " Return float(value) or value.item()." if hasattr(value, "item") else ""
        raise RequestError(f"metric '{name}' gives back {type(value).__name__}. Expected a number, float.{hint}")
    number = float(value)
    known = METRICS.get(name)
    if not math.isfinite(number) or (known is not None and known.outside(number)):
        ends = f" in {known.low:g}..{known.high:g}" if known is not None and known.ends else ""
        raise RequestError(f"metric '{name}' is {number}. Expected a finite number{ends}, as its range says.")
    return number
