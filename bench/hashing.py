"""How texts are hashed, and with that the order of sets: Python draws it anew in each process.

The command `bench` starts itself with that draw fixed, so that a run in any of its workers is the same. In a process
that somebody else has started, as a notebook or a worker of Ray's on another machine, it may be drawn: own code that
depends on it is refused there.
"""

from __future__ import annotations

import os
import sys

SEED, FIXED = "PYTHONHASHSEED", "0"


def is_drawn() -> bool:
    """Whether texts are hashed otherwise in this process than in others."""
    return bool(sys.flags.hash_randomization)


def start_again() -> None:
    """Start this program again, in its own place, with the draw fixed; what it starts itself inherits that."""
    if sys.executable and is_drawn() and os.environ.get(SEED) != FIXED and not sys.flags.ignore_environment:
        os.environ[SEED] = FIXED
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
