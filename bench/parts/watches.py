"""What users' code was seen to do, for whoever listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.parts.walk import State

WATCHES: list[Watch] = []


class Watch:
    """What users' code was seen to do: each thing -> where from.

    Attributes:
        read: files that were opened for reading, as the path was given.
        states: how these were each time.
        written: files that were written.
        classes: (module, name) of what a pickle was made of.
        variables: of the environment.
        programs: that were started.
        hosts: that were connected to.
        copies: of the whole environment.
    """

    def __init__(self) -> None:
        self.read: dict[str, str] = {}
        self.states: dict[str, set[State]] = {}
        self.written: set[Path] = set()
        self.classes: dict[tuple[str, str], str] = {}
        self.variables: dict[str, str] = {}
        self.programs: dict[str, str] = {}
        self.hosts: dict[str, str] = {}
        self.copies: dict[str, str] = {}


def note(kind: str, thing: Any, where: str) -> None:
    """For whoever listens: a thing of a kind (an attribute of `Watch`), seen first at this place; "" is nobody's."""
    for watch in WATCHES if where else ():
        getattr(watch, kind).setdefault(thing, where)
