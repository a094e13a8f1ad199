"""imagebench: which choice makes an image classifier better, by how much, and how sure are we?

From Python: `bench.run("dataset=digits", "model=dnn")`, `bench.sweep`, `bench.table`, `bench.records`, `bench.compare`
do what the commands do (`bench.api`). Importing `bench` costs nothing; what is used is imported then.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

__version__ = "0.2.0"

OFFERED = {"table": "bench.api", "records": "bench.api", "compare": "bench.api", "RequestError": "bench.schema.errors"}
ALSO_MODULES = ("run", "sweep")  # functions under the names of modules, which are called like functions


def __getattr__(name: str) -> Any:
    if name in OFFERED:
        return getattr(importlib.import_module(OFFERED[name]), name)
    if name in ALSO_MODULES:
        return importlib.import_module(f"bench.{name}")
    raise AttributeError(f"module 'bench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *OFFERED, *ALSO_MODULES])


class Command(types.ModuleType):
    """A module of which `bench.api` has a function of the same name: it can be called like that."""

    def __call__(self, *words: Any, **options: Any) -> Any:
        """`bench.run("dataset=digits")`."""
        function = getattr(importlib.import_module("bench.api"), self.__name__.rpartition(".")[2])
        return function(*words, **options)


def offer(module: str) -> None:
    """Make a module one that can be called."""
    sys.modules[module].__class__ = Command
