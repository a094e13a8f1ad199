"""imagebench: which choice makes an image classifier better, by how much, and how sure are we?

From Python: `bench.run("dataset=digits", "model=dnn")`, `bench.sweep`, `bench.table`, `bench.records`, `bench.compare`
do what the commands do (`bench.api`). Importing `bench` costs nothing; what is used is imported then.

Rooms, each with a map of its own; data goes down this list:
    schema      what an experiment and a sweep are
    parts       own code: models, datasets, metrics and the like
    data        images, splits, pixel_norm, augmentation, batches
    models      classifiers, transfer, what they cost
    train       from an Experiment, its data and its model to a Result
    shipped     parts that come along
    track       from a Result to an MLflow run and back to a Record
    analysis    from Records to verdicts
    report      from both to tables, figures and pages
Beside them
    disk.py     whole files, and what a disk says when it cannot take them
    npz.py      NumPy's archives, which somebody may have sent, or damaged
    process.py  which process is meant, and whether it lives
    hashing.py  the order of sets, the same in all processes of a command
    imports.py  what is kept out of a process that does not need it
    features.py features of a frozen backbone, kept on disk
    protocol    checks before compute is spent; looks and test scores that were had
Glue, which may use all of them
    run.py, seal.py  one experiment, top to bottom; what it leaves
    compose     from Hydra's grammar to plain data
    refusals.py  what a run would refuse once its network is built
    rehearsal   a small pass through own code before any training
    pretrained.py, restore.py, reopen.py, trained.py  what an earlier run left: weights, its Experiment, a classifier
    sweep       from a question to finished runs
    explain, serve, auto  pictures of a run; a run as a service; the best classifier for a folder
    api.py, cli the commands, from Python and from the shell
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
