"""The hash of a part's code: its definition, and what that uses of the user's own files, from file to file.

Taken from the syntax, statement by statement: of each file that is imported on the way, those statements count that
may bind a name which is used, all of them, and those that may change something by being run. Comments, docstrings,
layout, the place of files, the name of the part's own and type hints that nobody reads (`bench.parts.hints`) do not
count. What the syntax cannot tell apart counts as used: all of a module that is imported as a whole, and all Python
files in and beside the folder where code is looked up by computed names.

A file that the code names counts with its content: `"table.json"`, `"weights/first.bin"`, or folder and name apart
(`Path("weights") / "first.bin"`), in the part's folder, beside it, in the working directory and beside the file of code
that is imported; not where it is only written (`open("net.log", "a")`). A folder in the part's folder that is named
counts as a whole. A pattern (`"t/*.txt"`) counts as the names that it matches; one that begins with wildcards alone
(`"*"`, `"**/*.txt"`), or that has neither a dot nor a slash, in the part's folder and in folders that are named. A name
that is partly computed is such a pattern: `f"{kind}.txt"`, `"%s.txt" % kind`, `kind + ".txt"`, `with_suffix(".txt")`;
whoever lists a folder (`iterdir`) reads all of it. Of a named folder that lies elsewhere only what stands directly in
it can be meant by a pattern: it may be a whole disk. A compiled module that is not of an installed package counts with
its content. `bench.parts.reads` refuses what is opened besides, while the part is imported and tried; what another
program opens it does not hear. A setting that names a file counts by `bench.parts.named`.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

from bench.parts.ordering import unordered
from bench.parts.use import Use
from bench.parts.walk import State, TooMany, state_of
from bench.schema.errors import RequestError
from bench.schema.offered import Listed

VERSION = 5  # raise when the same code would get another hash


@dataclass(frozen=True)
class Code:
    """The code of a part.

    Attributes:
        hash: SHA-256 (hex), or "distribution==version".
        files: the user's own files that it is in, and small texts that it names: path from the part's folder -> text.
        modules: dotted name -> file, of what is imported by an absolute name.
        paths: all files that it is in, and data files that it names.
        names: (file, name) of what it uses of these files, as far as all that binds the name counts.
        unordered: where it depends on how this process hashes texts, `net.py, line 7`; "" where it does not.
    """

    hash: str
    files: dict[str, str] = field(default_factory=dict)
    modules: dict[str, Path] = field(default_factory=dict)
    paths: frozenset[Path] = frozenset()
    names: frozenset[tuple[Path, str]] = frozenset()
    unordered: str = ""


def code(part: Listed) -> Code:
    """The code of a part; computed anew where one of the files has changed.

    Raises:
        SyntaxError: when a file that it uses is no Python.
        RequestError: when it may mean any file of a large folder that lies elsewhere.
    """
    if part.package:
        return Code(part.package)
    here = (part.file, part.name, Path.cwd(), part.kind == "dataset")
    made, states = _code(*here)
    if any(state_of(path) != state for path, state in states):
        _code.cache_clear()
        made, states = _code(*here)
    return made


@functools.lru_cache(maxsize=256)
def _code(file: Path, name: str, cwd: Path, is_dataset: bool) -> tuple[Code, tuple[tuple[Path, State], ...]]:
    importlib.invalidate_caches()
    use = _use(file, name, cwd, is_dataset, hints=False)
    if use.reads_hints:
        use = _use(file, name, cwd, is_dataset, hints=True)
    try:
        use.count_files()
    except TooMany as error:
        raise RequestError(
            f"{file.parent.name}/{file.name}: '{name}' names the folder {error}, and may mean any of the many files "
            "there, which would all be in its key. Write the names of those that it reads in full, in a folder with "
            "few others, or pack them into one file."
        ) from None
    named = use.verbatim or use.asks_for_name
    sources = [module.canonical(use.used[path], module.label if named or path != file else "", use.computed)
               for path, module in use.modules.items()]  # fmt: skip
    if use.verbatim:
        sources += [f"{module.label} as it stands: {module.text}" for module in use.modules.values()]
    order = [module.label if named or module.path != file else "" for module in use.order(use.modules[file])]
    text = "\n".join([f"imagebench code {VERSION}", *sorted(sources), *sorted(use.compiled | use.data.found), *order])
    files = {**use.data.texts, **{module.label: module.text for module in use.modules.values()}}
    states = {**use.states, **use.data.states}
    paths = frozenset(path for path, state in states.items() if state is not None and path.is_file())
    names = frozenset((path, name) for path, module in use.modules.items()
                      for name, bound in module.binds.items() if use.used[path].issuperset(bound))  # fmt: skip
    places = [(module.label, unordered(module.statements[i] for i in sorted(use.used[path])))
              for path, module in use.modules.items()]  # fmt: skip
    place = next((f"{label}, line {line}" for label, line in places if line), "")
    made = Code(hashlib.sha256(text.encode()).hexdigest(), files, use.imported, paths, names, place)
    return made, tuple(states.items())


def _use(file: Path, name: str, cwd: Path, is_dataset: bool, hints: bool) -> Use:
    use = Use(file.parent, cwd, is_dataset, hints)
    use.names(use.module(file, file.stem, "."), {name})
    use.follow()
    return use
