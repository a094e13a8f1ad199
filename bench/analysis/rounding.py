"""Where a sum or a difference ends and rounding begins."""

from __future__ import annotations

import math


def without_noise(value: float, largest: float) -> float:
    """A sum or a difference to 13 digits of the largest number that went into it: beyond there is only rounding."""
    if not math.isfinite(value) or not math.isfinite(largest) or not largest:
        return value
    return round(value, 12 - math.floor(math.log10(abs(largest))))
