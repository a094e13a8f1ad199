"""The workers' side of a launch: which point goes to which worker, and what comes back from it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path

from bench.disk import DiskFull
from bench.sweep.failure import seal_failure
from bench.sweep.launch_result import View
from bench.sweep.plan import Point
from bench.sweep.pool import Died, Runner
from bench.sweep.shares import Shares
from bench.track.lease import LeaseLost
from bench.track.spool import Spool

DEATHS = 2  # a run that takes its worker with it so often has failed


class Dispatcher:
    """Workers, and the points that are ready for them.

    Args:
        todo: every point of the launch.
        begin: called before a point goes to a worker; False where it is not ours any more.
        lost: told of a point that somebody else took over while it ran.
        has_ended: whether the store has a point's outcome, which is not in the spool any more.
        alone: train no points together as one program.
        ahead: whether to have points ready for workers that are busy. A job of many that is busy for long would keep
            them from the others.

    Attributes:
        ready: points that are ours and wait for a worker.
        ways: how many were run as one program, or alone and why (`worker.work`).
    """

    def __init__(
        self, pool: Sequence[Runner], todo: Sequence[Point], title: str, spool: Spool, view: View,
        begin: Callable[[Point], bool] = lambda _: True, lost: Callable[[Point], None] = lambda _: None,
        has_ended: Callable[[Point], bool] = lambda _: False, alone: bool = False, ahead: bool = True,
    ) -> None:  # fmt: skip
        self.pool, self.title, self.spool, self.view = pool, title, spool.of(title), view
        self.begin, self.lost, self.has_ended, self.alone, self.ahead = begin, lost, has_ended, alone, ahead
        self.ready: deque[Point] = deque()
        self.deaths: dict[str, int] = {}
        self.ways: list[tuple[int, str]] = []  # how many were run as one program, or alone and why
        self.shares = Shares(todo, len(pool))

    def add(self, points: Sequence[Point]) -> None:
        """More points of the launch."""
        self.shares.add(points)

    def wants(self, point: Point) -> bool:
        """Whether there should be more points ready, the next one being this."""
        workers = [w for w in self.pool if self.ahead or (w.warm and w.future is None)]
        return len(self.ready) < len(workers) * self._share(point)

    def running(self) -> bool:
        """Whether any worker runs points."""
        return any(worker.points for worker in self.pool)

    def hand_out(self) -> None:
        """Give ready points to the workers that wait for some."""
        for worker in self.pool:
            while worker.warm and worker.future is None and self.ready:
                if points := [p for p in self._next() if self.begin(p)]:
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
        return 1 if self.alone or point.key in self.deaths else self.shares.of(point)

    def _next(self) -> list[Point]:
        """The next point that is ready, with those that are trained with it as one program."""
        first = self.ready.popleft()
        share = self._share(first)
        more = [p for p in self.ready if share > 1 and self._share(p) > 1 and self.shares.alike(first, p)][: share - 1]
        self.ready = deque(p for p in self.ready if p not in more)
        return [first, *more]

    def _back(self, worker: Runner) -> Iterator[Path]:
        """A worker has started, finished its points, or died."""
        points, future = worker.points, worker.future
        if not points or future is None:
            worker.started()
            return
        error = future.exception()
        ran: list[str] = []
        if error is None:
            ran, ways = future.result()
            self.ways += ways
        worker.points, worker.future = [], None
        self.view.running(worker.number, [])
        if isinstance(error, DiskFull):
            raise error
        if isinstance(error, Died):
            worker.stop()
            worker.start()
        for point in points:
            # Who looks at a sweep delivers what waits in the spool: an outcome may be gone before we see it.
            if point.key in ran:
                yield self.spool.place(point.key)
            elif (place := self._end(point, error, worker.threads)) is not None:
                yield place

    def _end(self, point: Point, error: BaseException | None, threads: int) -> Path | None:
        """A point has left its worker: sealed, or with the error that the worker ended with; None to try it again."""
        place = self.spool.find_sealed(point.key)
        if place is not None:
            return place
        if error is not None and self.has_ended(point):  # its worker ended behind the seal
            return self.spool.place(point.key)
        if isinstance(error, LeaseLost):
            self.lost(point)
            return None
        if isinstance(error, Died):
            return self._mourn(point, threads)
        if error is None:  # they made no program, and the first of them was run
            self.shares.part(point)
            self.ready.append(point)
            return None
        reason = f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}"
        return seal_failure(self.spool, point, self.title, reason, threads)

    def _mourn(self, point: Point, threads: int) -> Path | None:
        """A run took its worker with it: once can be an accident, twice is the run."""
        self.deaths[point.key] = self.deaths.get(point.key, 0) + 1
        if self.deaths[point.key] < DEATHS:
            self.view.say(f"{point.name}: its worker process died; trying it again.")
            self.ready.appendleft(point)
            return None
        reason = f"its worker process died {DEATHS} times, without a Python error: often the memory limit"
        return seal_failure(self.spool, point, self.title, reason, threads)
