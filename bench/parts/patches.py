"""What users' code puts into the classes and modules of torch, and taking it back before another run.

`nn.ReLU.forward = mine` counts in the hash of all parts of its file. In a warm worker it would also change the runs
that come after it and have no such file, of which no key says anything.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import Any

from bench.parts.reads import of_user

WATCHED = ("torch", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.optim", "torch.optim.lr_scheduler",
           "timm.layers", "numpy", "random", "math")  # fmt: skip
CHANGED_ALWAYS = ("__abstractmethods__", "_abc_impl", "__annotations__", "__doc__", "__dict__", "__weakref__")
_as_it_was: dict[Any, dict[str, Any]] = {}  # module or class -> its names
_dtype: list[Any] = []


def note(texts: Any) -> None:
    """Remember how classes and modules are, before a user's files are imported.

    Args:
        texts: of these files; torch is imported first where they name it.
    """
    if any("torch" in text for text in texts):
        importlib.import_module("torch.optim")
    for name in WATCHED:
        module = sys.modules.get(name)
        if module is None or module in _as_it_was:
            continue
        _as_it_was[module] = dict(vars(module))
        for value in list(vars(module).values()):
            if inspect.isclass(value) and value not in _as_it_was and value.__module__.startswith(("torch", "timm")):
                _as_it_was[value] = dict(vars(value))
    if "torch" in sys.modules and not _dtype:
        _dtype.append(sys.modules["torch"].get_default_dtype())


def take_back() -> None:
    """Undo what users' code has put there since, and the type of numbers that it has made the usual one."""
    for place, before in _as_it_was.items():
        for name, value in list(vars(place).items()):
            old = before.get(name)
            if value is old or name in CHANGED_ALWAYS or not _put(value, old, isinstance(place, ModuleType)):
                continue
            if name in before:
                setattr(place, name, old)
            else:
                delattr(place, name)
    if _dtype and sys.modules["torch"].get_default_dtype() != _dtype[0]:
        sys.modules["torch"].set_default_dtype(_dtype[0])


def _put(value: Any, old: Any, in_module: bool) -> bool:
    """Whether a user's code has put a value there: its own function or class, or one of another name."""
    plain = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
    code = getattr(plain, "__code__", None)
    if code is not None and of_user(code.co_filename):
        return True
    if inspect.isclass(value):
        file = getattr(sys.modules.get(value.__module__), "__file__", None)
        return value.__module__.startswith("imagebench_own_") or (file is not None and of_user(file))
    moved = inspect.isfunction(value) and inspect.isfunction(old)
    return moved and not in_module and value.__qualname__ != old.__qualname__
