"""Another day on another machine, as far as Python tells: what a run's numbers may not depend on."""

from __future__ import annotations

import datetime
import getpass
import multiprocessing
import os
import platform
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.parts.whose import whose_line

LATER = datetime.timedelta(days=400)
NAME = "another-machine"


class _Moment(type):
    """Every moment is one of its own."""

    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, _NOW.__self__)


class _Datetime(datetime.datetime, metaclass=_Moment):
    """The class that asks the clock in C."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        """Later."""
        return _NOW(tz) + LATER

    @classmethod
    def utcnow(cls) -> Any:
        """Later."""
        return _NOW(datetime.UTC).replace(tzinfo=None) + LATER

    @classmethod
    def today(cls) -> Any:
        """Later."""
        return _NOW() + LATER


_NOW: Any = datetime.datetime.now


@contextmanager
def elsewhere() -> Iterator[None]:
    """Inside, users' code finds another time, machine, user, process and command line; libraries find what there is.

    The exception is `time.time`, which all find later, as `date.today` asks it.
    """
    now, now_ns, localtime, strftime, uname = time.time, time.time_ns, time.localtime, time.strftime, os.uname()
    seconds, count = int(LATER.total_seconds()), (os.cpu_count() or 1) + 1
    others: list[tuple[Any, str, Any]] = [
        (time, "time", lambda: now() + seconds),
        (time, "time_ns", lambda: now_ns() + seconds * 10**9),
        *((time, name, _told(getattr(time, name), _later(getattr(time, name)))) for name in ("localtime", "gmtime")),
        (time, "ctime", _told(time.ctime, _later(time.ctime))),
        (time, "strftime", lambda form, *moment: strftime(form, *(moment or [localtime(time.time())]))),
        (datetime, "datetime", _Datetime),
        (socket, "gethostname", _told(socket.gethostname, lambda: NAME)),
        (socket, "getfqdn", _told(socket.getfqdn, lambda *_: NAME)),
        (platform, "node", _told(platform.node, lambda: NAME)),
        (os, "uname", _told(os.uname, lambda: os.uname_result((uname[0], NAME, *uname[2:])))),
        (os, "cpu_count", _told(os.cpu_count, lambda: count)),
        (multiprocessing, "cpu_count", _told(multiprocessing.cpu_count, lambda: count)),
        (os, "getpid", _told(os.getpid, lambda: 2**22 - 1)),
        (getpass, "getuser", _told(getpass.getuser, lambda: "somebody")),
        (uuid, "getnode", _told(uuid.getnode, lambda: 1)),
        (sys, "argv", [NAME]),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in others]
    try:
        for place, name, other in others:
            setattr(place, name, other)
        yield
    finally:
        for place, name, real in before:
            setattr(place, name, real)


def _told(ask: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    """What users' code is told something else by."""
    return lambda *given: (other if whose_line(sys._getframe(1)) else ask)(*given)


def _later(ask: Callable[..., Any]) -> Callable[..., Any]:
    """`time.localtime` and its like, which mean now where they are given no moment."""
    return lambda *moment: ask(*(moment or [time.time()]))
