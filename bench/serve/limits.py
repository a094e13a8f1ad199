"""What a server allows: bytes of an upload, pixels, requests a second of one address, requests that wait."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

ADDRESSES = 10_000  # remembered at most; the longest silent one is forgotten first


@dataclass(frozen=True)
class Limits:
    """See the module.

    Attributes:
        rate: requests a second of one address, over time; 0: no limit. Twice as many may come at once.
        waiting: requests that are worked on or wait, of all addresses.
    """

    upload_bytes: int = 10 * 2**20
    pixels: int = 25_000_000
    rate: float = 20.0
    waiting: int = 64


class Buckets:
    """A token bucket for each address: refilled at `rate` a second, as deep as two seconds' worth."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.clock = rate, clock
        self.left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address -> (tokens, when)

    def wait(self, address: str) -> float:
        """0 where a request may be answered now, which is then counted; else the seconds to wait."""
        if not self.rate:
            return 0.0
        now, deep = self.clock(), max(1.0, 2 * self.rate)
        tokens, then = self.left.pop(address, (deep, now))
        tokens = min(deep, tokens + (now - then) * self.rate)
        enough = tokens >= 1
        self.left[address] = (tokens - enough, now)
        if len(self.left) > ADDRESSES:
            self.left.popitem(last=False)
        return 0.0 if enough else (1 - tokens) / self.rate
