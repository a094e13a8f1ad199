"""What a sweep shows while it runs: a live view on a terminal, one plain line a run elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.schema.names import make_printable
from bench.schema.secrets import redact_text
from bench.sweep.plan import Point
from bench.track.record import Record
from bench.track.spool import PROGRESS, Spool


@dataclass
class Busy:
    """What a worker runs: a point, or several as one program, since when (seconds, monotonic)."""

    name: str
    count: int
    since: float
    epochs: int | None = None
    progress: Path | None = None

    def epoch(self) -> str:
        """`   epoch 3 of 10`, where the run has said so."""
        of = f" of {self.epochs}" if self.epochs else ""
        try:
            return f"   epoch {int(self.progress.read_text())}{of}" if self.progress else ""
        except (OSError, ValueError):  # not yet, or no more
            return ""

    def spent(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.since

    def __str__(self) -> str:
        more = f" and {self.count - 1} more as one program" if self.count > 1 else ""
        return f"{make_printable(self.name)}{more}   {duration(self.spent())}{self.epoch()}"


class Live:
    """Overall bar, counts, time left, best val so far, and a line for each worker.

    Only val is shown: test is for the table.

    Args:
        total: points to run.
        workers: worker processes, each with a line of its own.
        spool: where runs say which epoch is over.
    """

    def __init__(self, total: int, workers: int, spool: Spool | None = None) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.total, self.workers, self.spool = total, workers, spool
        self.finished = self.failed = 0
        self.started = time.monotonic()
        self.seconds: list[float] = []  # of the runs that ended here
        self.best: tuple[float, str] | None = None  # val accuracy, point
        self.now: dict[int, Busy | None] = dict.fromkeys(range(workers))
        self.ready: set[int] = set()  # workers that have started
        self.live: Any = None
        if self.console.is_terminal:
            from rich.live import Live as Display

            self.live = Display(get_renderable=self._drawn, console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Live:
        self.started = time.monotonic()
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def running(self, worker: int, points: Sequence[Point]) -> None:
        """A worker runs these points now, several as one program, or none."""
        self.ready.add(worker)
        before = self.now.get(worker)
        if before is not None:
            self.seconds += [before.spent() / before.count] * before.count
        self.now[worker] = self._busy(points) if points else None

    def _busy(self, points: Sequence[Point]) -> Busy:
        first = points[0]
        progress = self.spool.place(first.key) / PROGRESS if self.spool and first.experiment.trains else None
        return Busy(first.name, len(points), time.monotonic(), first.experiment.trainer.whole_epochs, progress)

    def done(self, point: Point, record: Record) -> None:
        """One more point has ended."""
        if record.status == "finished":
            self.finished += 1
            val = record.metrics["val/accuracy"]
            if self.best is None or val > self.best[0]:
                self.best = (val, point.name)
            text = f"val {val:.4f}  ({record.costs.get('cost/fit_seconds', 0.0):.1f} s)"
        else:
            self.failed += 1
            text = f"FAILED: {record.reason}"
        if self.live is None:
            self.say(f"[{self.finished + self.failed}/{self.total}] {point.name}: {text}")
        elif record.status != "finished":
            self.say(f"{point.name}: {text}")

    def say(self, text: str) -> None:
        """Something worth a line, above the live part."""
        text = make_printable(redact_text(text))
        if self.live is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self.console.print(text, markup=False, highlight=False)

    def left(self) -> float | None:
        """Seconds until the end, from the runs so far; None before the first."""
        over = self.finished + self.failed
        if not self.workers:  # jobs elsewhere: all that is seen of them is what they bring to an end
            return (time.monotonic() - self.started) / over * (self.total - over) if over else None
        if not self.seconds:
            return None
        busy = [now for now in self.now.values() if now is not None]
        mean = sum(self.seconds) / len(self.seconds)
        waiting = self.total - over - sum(now.count for now in busy)
        work = max(waiting, 0) * mean + sum(max(mean * now.count - now.spent(), 0.0) for now in busy)
        return work / self.workers

    def headline(self) -> str:
        """Counts, best and time left in one line."""
        running = sum(now.count for now in self.now.values() if now is not None)
        parts = [f"{self.finished} finished", f"{self.failed} failed"]
        if self.workers:
            parts.insert(1, f"{running} running")
        if self.best is not None:
            parts.append(f"best val {self.best[0]:.4f} ({make_printable(self.best[1])})")
        if (left := self.left()) is not None:
            parts.append(f"about {duration(left)} left")
        return " · ".join(parts)

    def _drawn(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        over = self.finished + self.failed
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=self.total, completed=over, width=40), Text(f"{over}/{self.total}"))
        lines: list[Any] = [bar, Text(self.headline())]
        room = max(self.console.height - 6, 1)
        for worker, now in list(self.now.items())[:room]:
            since = duration(time.monotonic() - self.started)
            idle = "-" if worker in self.ready else f"starting   {since}"
            lines.append(Text(f"  worker {worker + 1}: {now or idle}", style="dim"))
        return Group(*lines)

    def summary(self) -> str:
        """One line at the end."""
        took = duration(time.monotonic() - self.started)
        best = f"; best val {self.best[0]:.4f} ({self.best[1]})" if self.best is not None else ""
        return f"{self.finished} finished, {self.failed} failed in {took}{best}"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
