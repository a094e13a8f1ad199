"""Being interrupted: Ctrl-C, or a scheduler's SIGTERM."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

GRACE_SECONDS = 10.0  # what runs may finish within
LAST_SECONDS = 5.0  # after a second signal: to tell the store what was running, then the command ends without
MASKS = hasattr(signal, "pthread_sigmask")  # not on Windows
ALARMS = hasattr(signal, "setitimer")  # not there either


@contextmanager
def interrupt_later() -> Iterator[None]:
    """Ctrl-C inside the block reaches this process behind it, and processes that start in it after `interrupt_again`.

    A terminal sends it to them too, and Python would show where in its own start-up that was.
    """
    if not MASKS:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def interrupt_again() -> None:
    """In a process that was started inside `interrupt_later`: it has said what Ctrl-C means to it."""
    if MASKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class Stopping:
    """Inside the block an interruption is noted instead of raised; a second one cuts the grace short.

    A store that freezes, or answers a letter at a time, holds the main thread for longer than anybody waits: some
    seconds after the second one KeyboardInterrupt is raised there after all, out of whatever it waits for.

    Attributes:
        signal: number of the signal that came; 0 for none.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.signal = 0
        self.deadline = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
            if ALARMS:
                self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, signal.default_int_handler)
        return self

    def __exit__(self, *_: object) -> None:
        if ALARMS and signal.SIGALRM in self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal:
            self.deadline = now
            if ALARMS:
                signal.setitimer(signal.ITIMER_REAL, LAST_SECONDS, LAST_SECONDS)  # where it was swallowed, again
            return
        self.signal, self.deadline = number, now + GRACE_SECONDS
        self.say(f"Interrupted: no new runs; those that run may finish within {GRACE_SECONDS:.0f} s (again: stop now).")

    @property
    def overdue(self) -> bool:
        """Whether the grace is over."""
        return bool(self.signal) and time.monotonic() >= self.deadline
