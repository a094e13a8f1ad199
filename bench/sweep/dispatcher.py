"""The workers' side of a launch: which point goes to which worker, and what comes back from it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path

from bench.disk import DiskFull
from bench.sweep.launch_result import View
from bench.sweep.plan import Point
from bench.sweep.pool import Died, Worker
from bench.sweep.shares import Shares
from bench.track.spool import Spool

DEATHS = 2  # a run that takes its worker with it so often has failed


class Dispatcher:
    """Workers, and the points that are ready for them.

    Args:
        todo: every point of the launch.
        failed: seals a FAILED outcome, with its reason, for a run that could not do it itself.

    Attributes:
        ready: points that are ours and wait for a worker.
    """

    def __init__(
        self, pool: list[Worker], todo: Sequence[Point], title: str, spool: Spool, view: View,
        failed: Callable[[Point, str], Path],
    ) -> None:  # fmt: skip
        self.pool, self.title, self.spool, self.view, self.failed = pool, title, spool, view, failed
        self.ready: deque[Point] = deque()
        self.deaths: dict[str, int] = {}
        self.shares = Shares(todo, len(pool))

    def wants(self, point: Point) -> bool:
        """Whether there should be more points ready, the next one being this."""
        return len(self.ready) < len(self.pool) * self._share(point)

    def running(self) -> bool:
        """Whether any worker runs points."""
        return any(worker.points for worker in self.pool)

    def hand_out(self) -> None:
        """Give ready points to the workers that wait for some."""
        for worker in self.pool:
            if worker.warm and worker.future is None and self.ready:
                points = self._next()
                self.view.running(worker.number, points)
                worker.run(points, self.title, self.spool.root)

    def collect(self, seconds: float) -> Iterator[Path]:
        """Wait so long for something to happen; gives the sealed folders of points that have ended.

        Raises:
            DiskFull: when a worker could not write.
            RequestError: when a worker does not start.
        """
        busy = [w for w in self.pool if w.future is not None]
        if not busy:
            time.sleep(seconds)  # `wait` for nothing would return at once
        happened, _ = wait([w.future for w in busy if w.future], timeout=seconds, return_when=FIRST_COMPLETED)
        for worker in busy:
            if worker.future in happened:
                yield from self._back(worker)

    def stop(self) -> None:
        """End the workers, whatever they are doing."""
        for worker in self.pool:
            worker.stop()

    def _share(self, point: Point) -> int:
        """How many points a worker gets at once together with this one, itself included."""
        return 1 if point.key in self.deaths else self.shares.of(point)

    def _next(self) -> list[Point]:
        """The next point that is ready, with those that are trained with it as one program."""
        first = self.ready.popleft()
        share = self._share(first)
        more = [p for p in self.ready if share > 1 and self._share(p) > 1 and self.shares.alike(first, p)][: share - 1]
        self.ready = deque(p for p in self.ready if p not in more)
        return [first, *more]

    def _back(self, worker: Worker) -> Iterator[Path]:
        """A worker has started, finished its points, or died."""
        points, future = worker.points, worker.future
        if not points or future is None:
            worker.started()
            return
        error = future.exception()
        worker.points, worker.future = [], None
        self.view.running(worker.number, [])
        if isinstance(error, DiskFull):
            raise error
        if isinstance(error, Died):
            worker.stop()
            worker.start()
        for point in points:
            if (place := self._ended(point, error)) is not None:
                yield place

    def _ended(self, point: Point, error: BaseException | None) -> Path | None:
        """A point has left its worker: sealed, or with the error that the worker ended with; None to try it again."""
        place = self.spool.sealed(point.key)
        if place is None and isinstance(error, Died):
            return self._mourn(point)
        if place is None and error is not None:
            place = self.failed(point, f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}")
        assert place is not None, "a run that returns has sealed its outcome"
        return place

    def _mourn(self, point: Point) -> Path | None:
        """A run took its worker with it: once can be an accident, twice is the run."""
        self.deaths[point.key] = self.deaths.get(point.key, 0) + 1
        if self.deaths[point.key] < DEATHS:
            self.view.say(f"{point.name}: its worker process died; trying it again.")
            self.ready.appendleft(point)
            return None
        reason = f"its worker process died {DEATHS} times, without a Python error: often the memory limit"
        return self.failed(point, reason)
