"""The files that a definition names: their content counts, and it counts when one comes."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePath

from bench.parts.quoted import ANYWHERE
from bench.parts.walk import State, TooMany, digest, few_files_below, files_below, matches, state_of

MOST = 100  # folders that are looked into for files that the code names
OF_RUNS = ("mlflow.db", ".imagebench", "mlruns", "mlartifacts")  # what runs write into the working directory
ENTRIES = 2000  # files of folders elsewhere that patterns may mean
KEPT = 2**20  # bytes of a text file that the code names and a run keeps


class DataFiles:
    """Collects files that are named by the code's texts, and patterns of names.

    Attributes:
        folder: the part's.
        places: it, the one around it, and the working directory.
        found: name and hash of each.
        texts: label -> content, of small ones of text.
        states: of every file and folder that was looked at, so that a change is noticed.
    """

    def __init__(self, folder: Path, cwd: Path, is_dataset: bool) -> None:
        self.folder, self.places = folder, list(dict.fromkeys([folder, folder.parent, cwd]))
        self.found: set[str] = set()
        self.texts: dict[str, str] = {}
        self.states: dict[Path, State] = {}
        self._elsewhere = 0  # files that patterns mean in folders that lie elsewhere
        self._is_dataset = is_dataset  # what it reads is in its images, however many they are

    def count(self, named: Mapping[Path, Collection[str]], labels: Mapping[Path, str]) -> None:
        """Count the files that the texts of the code name, with their content.

        Args:
            named: folder of files of code -> what they name.
            labels: folder of files of code -> what it is called in labels of its files.
        """
        texts = sorted(_may_be_names(frozenset().union(*named.values())))
        places = list(self.places)
        for place in places:  # it grows: a folder that is named may hold another that is
            places += [p for p in self._in_place(place, texts) if p not in places][: max(MOST - len(places), 0)]
        plain = [text for text in texts if not glob.has_magic(text)]
        for place in sorted(labels.keys() - {*places}):
            own = sorted(filter(glob.has_magic, _may_be_names(named.get(place, ()))))
            for _ in self._in_place(place, [*plain, *own], f"{labels[place]}/"):
                pass

    def _in_place(self, place: Path, texts: list[str], label: str = "") -> Iterator[Path]:
        """Count the files that are meant in one place, and give the other folders that are."""
        for text in dict.fromkeys([*texts, *self._matches(place, texts)]):
            path = place / text
            if path.is_dir() and self.folder in path.parents and ".." not in path.parts:
                self.states[path] = state_of(path)
                try:
                    below = few_files_below(path)
                except TooMany:
                    if not self._is_dataset:
                        raise
                    below = []
                for file in below:
                    self._file(label + file.relative_to(place).as_posix(), file)
            elif path.is_dir():
                if text in texts or self._near(place):
                    yield path
            elif {".", "/"} & {*text} or path.is_file():  # it may come
                self._file(label + text, path)

    def _matches(self, place: Path, texts: list[str]) -> Iterator[str]:
        """The names in a place that the patterns among texts mean; in the part's folder at any depth, as by rglob."""
        for named in filter(glob.has_magic, texts):
            text = named.removeprefix(ANYWHERE)
            if place == self.folder:
                text = f"**/{text}" if text != named else text
            elif not self._near(place):
                words = Path(text).parts
                text = "/".join("*" if w == "**" else w for w in words[words[0] == "**" and len(words) > 1 :])
            # "*" is seldom a pattern; the working directory's files, of which runs write some, are not meant by it.
            # `f"m{i}"` is the name of a layer: without a dot or a folder it is none of a file there (mlflow.db).
            alone = (
                named.startswith(ANYWHERE) or not any(map(str.isalnum, Path(text).parts[0])) or not {*"./"} & {*text}
            )
            if place == self.folder or place not in self.places:
                yield from self._glob(place, text)
            elif not alone:
                yield from (n for n in self._glob(place, text) if not n.startswith(OF_RUNS))
            if place == self.folder:
                self.states |= {Path(here): state_of(Path(here)) for here, *_ in os.walk(place)}
                names = (PurePath(file.relative_to(place).as_posix()) for file in files_below(place))
                yield from (str(n) for n in names if n.match(text) and (n.suffix != ".py" or text.endswith(".py")))

    def _glob(self, place: Path, text: str) -> Iterator[str]:
        near = self._near(place)
        found, looked = matches(place, text, None if near else ENTRIES)
        self.states |= {folder: state_of(folder) for folder in looked}
        if not near:
            self._elsewhere += len(looked) - 1 + sum((place / name).is_file() for name in found)
            if self._elsewhere > ENTRIES:
                if self._is_dataset:
                    return
                raise TooMany(place)
        yield from (name for name in found if not name.endswith(".py") or text.endswith(".py"))

    def _near(self, place: Path) -> bool:
        """Whether a folder is the part's, the one around it, the working directory, or below one of them."""
        return any(near == place or near in place.parents for near in self.places)

    def _file(self, text: str, path: Path) -> None:
        self.states[path] = state = state_of(path)
        if state is not None and path.is_file():
            self.found.add(f"file {text}: {digest(path, state)}")
            root = next((p for p in (self.folder, self.folder.parent) if p in path.parents), None)
            if root is not None and ".." not in path.parts and state[2] <= KEPT:
                with contextlib.suppress(UnicodeDecodeError):
                    name = path.relative_to(root).as_posix()
                    self.texts[name if root == self.folder else f"../{name}"] = path.read_text(encoding="utf-8")


def _may_be_names(texts: Iterable[str]) -> Iterator[str]:
    return (t for t in texts if len(t) < 200 and t.strip("./ ") and not {"\n", "\0"} & set(t))
