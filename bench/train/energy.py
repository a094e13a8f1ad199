"""Energy of the processors, where the kernel counts it and lets us read it (RAPL). Nothing is estimated."""

from __future__ import annotations

import time
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
MOST_WATTS = 500.0  # of one package: how soon a counter may have begun anew twice


class Meter:
    """Counts from now on, in joules, what all processor packages use; whatever else runs meanwhile counts too.

    The counters are the kernel's (Documentation/power/powercap): microjoules that begin anew after some minutes, so
    `read` has to be called now and then.

    Args:
        root: where the kernel shows them.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self.total: float | None = None
        self.last, self.at = self._counters(root), time.monotonic()
        self.root = root
        if self.last:
            self.total = 0.0

    def read(self) -> float | None:
        """Joules until now; None where there is no counter, or one may have begun anew unseen."""
        if self.total is None:
            return None
        now, at = self._counters(self.root), time.monotonic()
        if now.keys() != self.last.keys():
            self.total = None
            return None
        for zone, (value, whole) in now.items():
            if (at - self.at) * MOST_WATTS * 1e6 > whole:
                self.total = None
                return None
            self.total += ((value - self.last[zone][0]) % (whole + 1)) / 1e6
        self.last, self.at = now, at
        return self.total

    @staticmethod
    def _counters(root: Path) -> dict[str, tuple[int, int]]:
        """Zone -> counter and its largest value, of every package; empty where one cannot be read."""
        found = {}
        try:
            for zone in sorted(root.glob("intel-rapl:*")):
                if (zone / "name").read_text().startswith("package"):
                    values = [int((zone / name).read_text()) for name in ("energy_uj", "max_energy_range_uj")]
                    found[zone.name] = (values[0], values[1])
        except (OSError, ValueError):
            return {}
        return found
