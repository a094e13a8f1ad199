"""What torch and Lightning import for features that few runs use, kept out of a process: half of its start-up.

Every worker of a sweep pays for what is imported. Here are torch's compiler (`torch._dynamo`, which brings sympy,
triton and the compiler's own libraries) and whole libraries. Where a process has one of them already, nothing is done.
"""

from __future__ import annotations

import functools
import gc
import inspect
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DYNAMO = "torch._dynamo"


@contextmanager
def without_module(name: str) -> Iterator[None]:
    """Imports within find no module of this name, unless it is there already."""
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]


@contextmanager
def without_collector() -> Iterator[None]:
    """Imports within are not interrupted to look for garbage, of which they make none: a tenth of their time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _IsCompiled(type):
    """Of what `torch.compile` makes; without torch's compiler in the process there is no such thing."""

    def __instancecheck__(cls, thing: object) -> bool:
        compiler = sys.modules.get(DYNAMO)
        return compiler is not None and isinstance(thing, compiler.OptimizedModule)


class CompiledModule(metaclass=_IsCompiled):
    """The place of `torch._dynamo.OptimizedModule` in checks of types."""


@contextmanager
def without_compiler() -> Iterator[None]:
    """Imports within get no more of torch's compiler than `CompiledModule`; whoever asks it for more gets it whole."""
    if DYNAMO in sys.modules:
        yield
        return
    place: Any = types.ModuleType(DYNAMO)
    place.OptimizedModule = CompiledModule

    def whole(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(DYNAMO) is place:
            del sys.modules[DYNAMO]
        import torch._dynamo

        return getattr(torch._dynamo, name)

    place.__getattr__ = whole
    sys.modules[DYNAMO] = place
    try:
        yield
    finally:
        if sys.modules.get(DYNAMO) is place:
            del sys.modules[DYNAMO]


def spare(kind: type) -> None:
    """Let a class of torch work without loading the compiler, only to tell it to leave its methods alone."""
    import torch

    if DYNAMO in sys.modules:
        return
    guarded = torch._disable_dynamo(lambda: None).__code__
    for method in vars(kind).values():
        if getattr(method, "__code__", None) is guarded:
            # Where torch keeps what the compiler made of the method, once it has been called.
            method.__wrapped__.__dict__.setdefault("__dynamo_disable", method.__wrapped__)


@functools.cache
def without_graph_breaks(kind: Any) -> Any:
    """An optimizer of torch, whose step no longer loads the compiler, only to tell it where to cut.

    What is left of torch's wrapper is that gradients of the step are not recorded, unless they were asked for.
    """
    import torch

    step = inspect.unwrap(kind.step)

    class Same(kind):
        __doc__ = kind.__doc__

        def step(self, closure: Any = None) -> Any:
            with torch.set_grad_enabled(self.defaults["differentiable"]):
                return step(self, closure)

        def __reduce__(self) -> Any:  # by name, pickle would look for torch's own
            return _unpickle, (kind, self.__getstate__())

    Same.__name__ = Same.__qualname__ = kind.__name__
    return Same


def _unpickle(kind: Any, state: dict[str, Any]) -> Any:
    made: Any = object.__new__(without_graph_breaks(kind))
    made.__setstate__(state)
    return made
