"""The verbs of the command, and the arguments of each; a verb's module is imported when it is asked for.

A verb is a file here with a docstring (the help), a line `SUMMARY = "what it does"`, `options` and `main`.
"""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path
from types import ModuleType

from bench.schema.errors import RequestError

FIRST = ("run", "sweep", "table", "report", "reproduce", "compare", "options", "models")  # the others by name
SUMMARY = re.compile(r'^SUMMARY = "(.+)"$', re.MULTILINE)


def _find_verbs() -> dict[str, str]:
    """Verb -> what it does, of every file here that says it: nothing is imported."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if said := SUMMARY.search(file.read_text(encoding="utf-8")):
            found[file.stem] = said[1]
    return {verb: found[verb] for verb in [*FIRST, *(name for name in found if name not in FIRST)]}


VERBS = _find_verbs()


def parser_of(verb: str) -> tuple[Parser, ModuleType]:
    """A verb's arguments, and its module."""
    module = importlib.import_module(f"bench.cli.{verb}")
    parser = Parser(
        prog=f"bench {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
        allow_abbrev=False,
    )
    module.options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--debug", action="store_true", help="tracebacks instead of messages")
    parser.add_argument("--parts", metavar="DIR", help="a folder of own parts, besides parts/ here")
    return parser, module


class Parser(argparse.ArgumentParser):
    """argparse, with its errors as RequestErrors."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise what argparse would print."""
        raise RequestError(f"{message}\n'{self.prog} --help' shows what it takes.")
