"""Errors that teach: what was expected, what came, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RequestError(Exception):
    """The request was wrong: the command ends with exit status 2 before anything is trained."""


class Missing(RequestError):
    """What was asked for is not there, and nothing else is wrong."""


class Refused(RequestError):
    """A request that breaks the protocol in a way that no written reason excuses.

    Attributes:
        name, reason, remedy: as a finding of `bench check` has them.
    """

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name}: {reason} {remedy}")
        self.name, self.reason, self.remedy = name, reason, remedy


def chosen_on_test(where: str, metric: str) -> Refused:
    """The refusal of a setting `where` that would choose by a test metric."""
    return Refused(
        "selection_on_test",
        f"{where} is '{metric}': test would be what is chosen on, and its scores no test any more.",
        "Selection is on val, never on test: use val/accuracy.",
    )


class RunFailed(Exception):
    """A run could not produce a Result; `reason` is one line for its Record.

    Raised by training for causes that belong to the run, not to the request: divergence,
    time limit, out of memory. The sweep goes on and the Record says FAILED.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OutOfTime(RunFailed):
    """`trainer.max_minutes` have passed. With a higher limit the run can go on from its last checkpoint."""


def suggestion(word: str, options: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest option to `word`, or an empty string."""
    close = difflib.get_close_matches(str(word), [str(o) for o in options], n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def unknown_name(kind: str, word: str, options: Iterable[str], remedy: str = "") -> RequestError:
    """The error for a name that is not in `options`, with the nearest one and the whole list."""
    options = sorted(str(o) for o in options)
    message = f"Unknown {kind} '{word}'.{suggestion(word, options)}"
    message += f" {remedy}" if remedy else f" Expected one of: {', '.join(options)}."
    return RequestError(message)
