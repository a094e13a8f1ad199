"""Where the paths of a list lead: files beside it, elsewhere on this machine, addresses."""

from __future__ import annotations

import os
import re
import unicodedata
from glob import escape, glob
from pathlib import Path
from urllib.parse import unquote

from bench.data.sources.fetch import is_remote


class Places:
    """Where a row's path leads: relative ones from the list's folder, with ~, backslashes, other case or Unicode form.

    Attributes:
        found: how many local paths led to something.
        respelled: how many of them are spelled in another way than their files.
    """

    def __init__(self, file: str) -> None:
        self.found = self.respelled = 0
        self.caches, self.chain, self.remote = "", "", is_remote(file)
        if self.remote:
            before, found, after = file.partition("://")
            self.caches, _, protocol = before.rpartition("::")  # simplecache::s3://lists/a.csv
            self.caches += "::" if self.caches else ""
            head, _, rest = f"{protocol}{found}{after}".partition("::")  # zip://lists/a.csv::https://host/b.zip
            self.chain = f"::{rest}" if rest else ""
            inner = head.split("?")[0].partition("://")[2]
            folder = inner.rpartition("/")[0]
            self.folder = f"{protocol}://{folder}/" if folder or not rest else f"{protocol}://"
        else:
            self.folder = str(Path(os.path.expanduser(file)).parent)
        self._names: dict[str, dict[str, list[str]]] = {}

    def __call__(self, path: str) -> str:
        """The address or local path; where nothing is there, as it was written."""
        if path.startswith("file:///") and not self.remote:
            path = path.removeprefix("file://")
        if is_remote(path):
            return path
        if self.remote:
            return f"{self.caches}{self.folder}{path}{self.chain}"
        place = os.path.join(self.folder, os.path.expanduser(path))
        if "\0" in place:
            return place
        if os.path.lexists(place):
            self.found += 1
            return place
        for other in dict.fromkeys((place, place.replace("\\", "/"))):
            if (there := self._find_spelling(other)) is not None:
                self.found += 1
                self.respelled += there != other
                return there
        return place

    def _find_spelling(self, place: str) -> str | None:
        """The one file whose path differs in Unicode form, upper and lower case only; None where there is none."""
        if os.path.lexists(place):
            return place
        folder, name = os.path.split(place)
        if not name or not folder:
            return None
        if not os.path.isdir(folder):
            above = self._find_spelling(folder)
            if above is None or not os.path.isdir(above):
                return None
            folder = above
        if folder not in self._names:
            self._names[folder] = {}
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            for one in names:
                self._names[folder].setdefault(_fold(one), []).append(one)
        alike = self._names[folder].get(_fold(name), [])
        same = [one for one in alike if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", name)]
        chosen = same or alike
        return os.path.join(folder, chosen[0]) if len(chosen) == 1 else None


def lost_because(path: str, place: str) -> str:
    """Why a path may lead nowhere, as a sentence; empty where nothing is known."""
    if re.match(r"[A-Za-z]:[\\/]|\\\\", path):
        return "It is an absolute path of Windows: write paths relative to the list."
    if path[0] in "'\"" and path[-1] == path[0]:
        return "It stands in quotes of a kind that CSV has not: write it without, or in double quotes."
    ended = glob(f"{escape(place)}.*")
    if ended:
        return f"There is {os.path.basename(ended[0])}: write names with their endings."
    if "%" in path and os.path.exists(unquote(place)):
        return f"There is {unquote(path)}: write names as they are, not as in an address."
    return ""


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
