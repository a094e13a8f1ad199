"""Workers of a sweep, and processes of several devices, that a test starts in its own process: forked from a process
that has imported what runs need.

A worker imports torch and MLflow for several seconds before it trains a test's network for a tenth of one. Behind the
imports it is what it is for users: a new process that knows of its parent what it is sent, and the variables. Tests
that call the command as a process of its own (tests/sweep/calling.py) get the product's workers, which import.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from tests.services import warm


class Process(ForkServerProcess):
    """A process whose variables are those of its parent, not of the one it is forked from."""

    def __init__(
        self,
        *,
        target: Callable[..., object],
        args: tuple[Any, ...],
        env: Mapping[str, str] | None = None,
        daemon: bool | None = None,
    ) -> None:
        super().__init__(target=_begin, args=({**os.environ, **(env or {})}, target, args), daemon=daemon)

    def start(self) -> None:
        with warm.as_it_was():
            super().start()


class Context(ForkServerContext):
    """For `ProcessPoolExecutor(context=...)`."""

    Process = Process


def _begin(variables: Mapping[str, str], target: Callable[..., object], args: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(variables)
    target(*args)
