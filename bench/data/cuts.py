"""Where an epoch is cut into global batches. Needs no torch, as plans ask it."""

from __future__ import annotations


def bounds(count: int, batch_size: int, drop_last: bool) -> list[int]:
    """Where the global batches of `count` samples begin, and where the last one ends."""
    cuts = list(range(0, count + 1, batch_size))
    rest = count - cuts[-1]
    if rest and not drop_last:
        if rest < max(2, batch_size / 8) and len(cuts) > 1:
            cuts[-1] = count
        else:
            cuts.append(count)
    return cuts
