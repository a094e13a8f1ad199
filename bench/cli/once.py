"""A verb looks at the files of a set once, however often it asks for the set."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def once(verb: Callable[P, R]) -> Callable[P, R]:
    """The same function, inside `bench.data.cache.one_look`; which is imported when it is called."""

    @functools.wraps(verb)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        from bench.data.cache import one_look

        with one_look():
            return verb(*args, **kwargs)

    return inside
