"""What a user's code reads while it is imported and tried: refused where its key does not know the file.

The syntax tells which modules a part imports and which files it names (`bench.parts.code`). Where it does not tell, as
of a name that is computed or a folder that the code puts on sys.path, a changed file would leave the key as it was, and
an old number would answer for new code. So Python's own audit events are listened to: which file is opened, and by
whose code; which class a pickle asks for. Libraries that open files in C are asked by functions that are listened to
(`bench.parts.loaders`). Variables of the environment are in no key either, and refused in the same way. Of another
program that is started it is said that what it reads is not known.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
import urllib.parse
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from bench.parts.environment import OF_THE_MACHINE, SET_BY_CODE, Environment
from bench.parts.loaders import listen
from bench.parts.walk import state_of
from bench.parts.watches import WATCHES, Watch, note
from bench.parts.whose import is_elsewhere, of_user, whose, whose_line
from bench.schema.errors import RequestError
from bench.schema.names import make_printable
from bench.schema.secrets import redact_text

_hooked = False


@contextmanager
def watch_reads(
    what: str,
    known: Collection[Path],
    only: str = "",
    names: Collection[tuple[Path, str]] = (),
    tell: bool = False,
    fault: type[Exception] = RequestError,
) -> Iterator[None]:
    """Inside, users' code may read the files and folders that are known.

    Args:
        what: whose code it is, for the message.
        only: ending of the names that count, of files; "" for all, and for variables of the environment.
        names: (file, name of a class or function in it) that are known, for those that a pickle asks for.
        tell: whether to say which other programs it starts, and which hosts it asks.
        fault: the class of what is raised.

    Raises:
        fault: after it, for the first other file that users' code has read, the first variable of the
            environment, or the first class that a pickle is made of.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_hear)  # it cannot be taken out again; without a watch it does nothing
        os.environ.__class__ = Environment
        os.environb.__class__ = Environment
        _hooked = True
    watch, place = Watch(), os.getcwd()
    before = {os.path.realpath(path): state_of(path) for path in known}
    WATCHES.append(watch)
    try:
        with listen(_hear_library) if len(WATCHES) == 1 else nullcontext():
            yield
    finally:
        WATCHES[:] = [other for other in WATCHES if other is not watch]
    if os.getcwd() != place:
        os.chdir(place)
        raise fault(
            f"{what} changes the working directory (os.chdir), in which the store and settings are looked for. Name "
            "files from the part's folder: Path(__file__).parent / 'weights.pt'."
        )
    # One file has several names: by a link, by "..", from a folder that is a link.
    own = {name for path in known for name in (os.path.abspath(path), os.path.realpath(path))} if watch.read else set()
    for text, where in watch.read.items():
        path, real = Path(os.path.abspath(text)), Path(os.path.realpath(text))
        if not only and str(real) in before and watch.states[text] != {before[str(real)]}:
            raise fault(f"{what} reads {path} ({where}), which was changed after this was planned. The same command "
                        "plans it anew.")  # fmt: skip
        if not path.name.endswith(only) or any(str(p) in own for one in (path, real) for p in (one, *one.parents)):
            continue
        raise fault(
            f"{what} reads {path} ({where}), and the hash of its code does not see that: when the file changes, "
            "nothing would run again. Put it into the part's folder and write its name as a text, or import it from "
            "there; or make its name a setting (weights: str = 'first.pt', folder: str = './first')."
        )
    if (watch.copies or watch.programs) and not only:
        passed = "" if watch.copies else r"\$\{?"  # a program has them all; in its words, `$SCALE`
        for name in sorted(_words_of(known, passed).intersection(os.environ)):
            if name not in SET_BY_CODE and not OF_THE_MACHINE.fullmatch(name):
                watch.variables.setdefault(name, next(iter({**watch.copies, **watch.programs}.values())))
    for name, where in watch.variables.items() if not only else ():
        raise fault(
            f"{what} reads the environment variable {name} ({where}), which is not in its key: with another value "
            "nothing would run again. Make it a setting, as in scale: float = 2.0."
        )
    seen = {(os.path.realpath(path), name) for path, name in names} if watch.classes else set()
    for (module, name), where in watch.classes.items():
        file = getattr(sys.modules.get(module), "__file__", None)
        if only or not file or not of_user(file) or (os.path.realpath(file), name.partition(".")[0]) in seen:
            continue
        raise fault(
            f"{what} unpickles {name} of {os.path.basename(file)} ({where}), and the hash of its code does not see "
            f"that: when {name} changes, nothing would run again. Import it where it is loaded, and use its name: "
            f"assert isinstance(loaded, {name})."
        )
    if tell:
        lines = [f"starts another program, {program} ({where}). What that reads is not in the key of its code."
                 for program, where in watch.programs.items()]  # fmt: skip
        lines += [f"asks {host} ({where}). What that answers is not in the key of its code."
                  for host, where in watch.hosts.items()]  # fmt: skip
        lines += [f"takes all variables of the environment ({where}). What it reads of them is not in the key of its "
                  "code." for where in watch.copies if not watch.programs]  # fmt: skip
        for line in lines:
            print(make_printable(f"{what} {line}"), file=sys.stderr, flush=True)


def _words_of(files: Collection[Path], before: str) -> set[str]:
    """The words in the texts of files of Python that stand behind `before`."""
    found: set[str] = set()
    for file in files:
        tree = ast.parse(file.read_bytes()) if file.suffix == ".py" else ast.Module([], [])
        texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str | bytes))
        found |= {word for text in texts for word in re.findall(rf"{before}(\w+)", os.fsdecode(text))}
    return found


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not WATCHES:
        return
    if event == "open":
        _open(*arguments)
    elif event == "sqlite3.connect":
        _open(_database(arguments[0]), None, None)
    elif event == "ctypes.dlopen" and arguments[0] and os.path.isfile(arguments[0]):
        _open(arguments[0], None, None)
    elif event == "import" and arguments[1] and not str(arguments[1]).endswith(".py"):  # compiled
        _open(arguments[1], None, None)
    elif event == "pickle.find_class":
        note("classes", (arguments[0], arguments[1]), whose(sys._getframe(1)))
    elif event in ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec"):
        note("programs", _program(event, arguments), whose_line(sys._getframe(1)))
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        note("hosts", f"{arguments[1][0]}:{arguments[1][1]}", whose(sys._getframe(1)))


def _hear_library(path: str) -> None:
    """Of a library that opens it in C."""
    _open(path, None, None)


def _open(name: Any, mode: Any, flags: Any) -> None:
    if not isinstance(name, str | bytes | os.PathLike):
        return
    text = os.fsdecode(name)
    if text.endswith(".pyc"):
        try:
            text = importlib.util.source_from_cache(text)
        except ValueError:
            return
    text = os.path.join(os.getcwd(), text)
    path = os.path.abspath(text)
    if is_elsewhere(path):
        return
    there = os.path.isfile(path)
    if isinstance(mode, str):
        reads = not set(mode) & set("wax") or (set(mode) >= {"a", "+"} and there)
    else:
        bits = flags if isinstance(flags, int) else os.O_RDONLY
        reads = not bits & os.O_WRONLY and not bits & os.O_TRUNC and (there or not bits & os.O_CREAT)
    for watch in WATCHES:
        if not reads:  # what it reads afterwards is what it has written
            watch.written.add(Path(path))
        elif there and Path(path) not in watch.written and (where := whose(sys._getframe(1))):
            watch.read.setdefault(text, where)
            watch.states.setdefault(text, set()).add(state_of(Path(path)))


def _program(event: str, arguments: tuple[Any, ...]) -> str:
    given = arguments[1] if event == "subprocess.Popen" else arguments[0]
    words = [os.fsdecode(w) for w in ([given] if isinstance(given, str | bytes | os.PathLike) else [*given])]
    return repr(redact_text(" ".join(words))[:60])  # cut afterwards: what ends a password may lie behind that


def _database(name: Any) -> Any:
    """The file that SQLite is asked for, which it opens itself; None where it is none, or comes only now."""
    text = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
    text = urllib.parse.unquote(text[5:].partition("?")[0]) if text.startswith("file:") else text
    return text if os.path.isfile(text) else None
