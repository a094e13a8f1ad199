"""Names that become parts of paths, and text that goes to a terminal: checked here, and only here."""

from __future__ import annotations

import codecs
import re
from typing import Any, TextIO

from bench.schema.errors import RequestError

LONGEST = 150  # characters; file systems take 255 bytes


def checked_name(name: str, what: str) -> str:
    """The same name, where it can be a folder or a file and nothing more.

    Raises:
        RequestError: for an empty name, one that leads elsewhere (`../x`, `a/b`), is hidden, or cannot be printed.
    """
    fault = ""
    if not name.strip():
        fault = "it is empty"
    elif re.search(r"[/\\]", name):
        fault = "it holds a slash"
    elif name.startswith((".", "-", "~")):
        fault = f"it begins with '{name[0]}'"
    elif not name.isprintable():
        fault = "it holds characters that cannot be printed"
    elif len(name) > LONGEST:
        fault = f"it has {len(name)} characters, {LONGEST} are the most"
    if fault:
        raise RequestError(f"{what} {name[:80]!r}: {fault}. Results lie in a folder of that name: use a plain word.")
    return name


def make_printable(text: str) -> str:
    """Text without the characters that steer a terminal, but for line ends and tabs: each becomes a question mark."""
    return "".join(c if c in "\n\t" or c.isprintable() else "?" for c in text)


# All that steer a terminal, but for line ends and tabs; and what turns the direction of writing, or ends lines, unseen.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Harmless:
    """A stream for results: names out of a file or a store that somebody sent cannot steer the terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, with a question mark for each character that steers."""
        return self._stream.write(CONTROL.sub("?", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


# What tables and messages hold beyond ASCII, for a terminal that shows no more.
PLAIN = str.maketrans({"±": "+/-", "·": "-", "×": "x", "–": "-", "—": "-", "─": "-", "≤": "<=", "≥": ">=", "…": "..."})


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode("ascii", "replace").decode(), error.end


codecs.register_error("imagebench-plain", _plain)


def tolerate_narrow_encoding(stream: TextIO | None) -> None:
    """Let a terminal or pipe of a narrow encoding get `+/-` for `±` instead of raising."""
    if stream is not None and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="imagebench-plain")
