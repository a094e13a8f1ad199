"""What jobs elsewhere bring to an end, told to who waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from bench.sweep.launch_result import View
from bench.sweep.plan import Point
from bench.track.rows import counts
from bench.track.store import Store, record_of
from bench.track.unavailable import StoreUnavailable

POLL_SECONDS = 3.0


class Watcher:
    """Tells the view what jobs elsewhere bring to an end, by looking into the store now and then."""

    def __init__(self, todo: Sequence[Point], title: str, store: Store, before: set[str], view: View) -> None:
        self.points = {p.key: p for p in todo}
        self.title, self.store, self.before, self.view = title, store, before, view
        self.seen: dict[str, Any] = {}
        self._looking = threading.Lock()  # the launch looks too, between what this thread sees
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watcher")

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def taken(self) -> int:
        """How often points of the launch were ever taken."""
        names = self.store.params(self.store.lease_run(self.title))
        return sum(name.partition("/")[0] in self.points for name in names)

    def look(self) -> dict[str, Any]:
        """Records of the points that have ended since the launch, by run key."""
        with self._looking:
            for row in self.store.rows(self.title):
                key = row.tags.get("run_key", "")
                if key in self.points and key not in self.seen and counts(row) and row.run_id not in self.before:
                    self.seen[key] = record_of(row)
                    self.view.done(self.points[key], self.seen[key])
            return dict(self.seen)

    def _watch(self) -> None:
        pause = POLL_SECONDS
        while not self._stop.wait(pause):
            begun = time.monotonic()
            try:
                self.look()
            except StoreUnavailable:
                continue
            pause = max(POLL_SECONDS, 10 * (time.monotonic() - begun))  # a large sweep is not read all the time
