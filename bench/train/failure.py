"""What a library's code raises while a network is trained or scored: one message with model, settings and reason."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch

from bench.schema.errors import RunFailed
from bench.schema.experiment import Experiment
from bench.schema.science import science

P = ParamSpec("P")
T = TypeVar("T")

# What Python and torch raise; errors of ours are none of these, nor is what a caller interrupts a training by.
LIBRARY = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)
GROUPS = ("model", "norm_layer", "augment", "optim", "trainer", "transfer")  # settings that such an error may be due to


def names_what_failed(method: Callable[P, T]) -> Callable[P, T]:
    """A learner's method, whose errors of library code become a `RunFailed`; the first Experiment is told."""

    @functools.wraps(method)
    def run(*args: P.args, **options: P.kwargs) -> T:
        try:
            return method(*args, **options)
        except torch.OutOfMemoryError:  # the loop's business
            raise
        except LIBRARY as error:
            learner: Any = args[0]
            raise RunFailed(explain(getattr(learner, "exp", None) or learner.exps[0], error)) from error

    return run


def explain(exp: Experiment, error: Exception) -> str:
    """`resnet18 failed in training, with optim.name=lars, trainer.compile=True: RuntimeError: ...`."""
    line = str(error).strip().partition("\n")[0] or "no message"
    trainer = {f"trainer.{f.name}": getattr(exp.trainer, f.name) for f in dataclasses.fields(exp.trainer)
               if getattr(exp.trainer, f.name) != getattr(f.default, "default", f.default)}  # fmt: skip
    chosen = {name: value for name, value in {**science(exp), **trainer}.items() if name.split(".")[0] in GROUPS}
    hidden = ("model.family", "model.name", "transfer.sha256")
    words = [f"{name}={value}" for name, value in chosen.items() if name not in hidden and not name.endswith(".code")]
    settings = f", with {', '.join(words)}" if words else ""
    return f"{exp.model_name} failed in training{settings}: {type(error).__name__}: {line}"
