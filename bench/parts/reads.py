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
import dis
import importlib.util
import os
import re
import sys
import sysconfig
import tempfile
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from bench.parts.loaders import listen
from bench.schema.errors import RequestError
from bench.schema.names import make_printable
from bench.schema.secrets import redact_text

BENCH = str(Path(__file__).resolve().parents[1]) + os.sep
# What is not the user's: Python and what is installed, the system, what libraries keep for themselves.
_VARIABLES = (
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCH_HOME", "HF_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"),
    *("TRITON_CACHE_DIR", "NUMBA_CACHE_DIR"),
)
_PLACES = (
    *(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")),
    *("/proc", "/sys", "/dev", "/etc", "/usr"),
    *(os.path.expanduser(f"~/{name}") for name in (".cache", ".config", ".triton", ".nv")),
)
ELSEWHERE = (
    *(place.rstrip(os.sep) + os.sep for name in _PLACES for place in {name, os.path.realpath(name)}),
    os.path.join(tempfile.gettempdir(), "torchinductor_"),
)
INSTALLED = re.compile(r"/(site-packages|[^/]+\.(egg|dist)-info)/")
SOURCES = tuple(f"{os.sep}{name}.py" for name in ("linecache", "tokenize"))
HEARING = tuple(f"{BENCH}parts{os.sep}{name}.py" for name in ("reads", "loaders", "load", "finders"))
# Variables that say where things lie and how the machine works; which files are read by them is heard.
OF_THE_MACHINE = re.compile(
    "HOME|USER|LOGNAME|PATH|PWD|SHELL|TERM|LANG|TZ|TMPDIR|TEMP|TMP|DISPLAY|COLUMNS|LINES|CI|EDITOR|HOSTNAME|RANK|"
    "WORLD_SIZE|(LOCAL|NODE|GROUP)_RANK|LOCAL_WORLD_SIZE|VIRTUAL_ENV|(LC_|XDG_|CUDA|NVIDIA_|NCCL_|GLOO_|OMP_|MKL_|"
    "OPENBLAS_|KMP_|NUMEXPR_|TORCH(_|INDUCTOR_|DYNAMO_|ELASTIC_|VISION_)|PYTORCH_|TRITON_|HF_|SLURM_(?!ARRAY)|MASTER_|"
    "PYTHON|CONDA_|IMAGEBENCH_|MLFLOW_(TRACKING|S3|ARTIFACT|HTTP|EXPERIMENT|RUN)_|RAY_|JOBLIB_).*"
)
# Modules between a user's code and what it asks for.
PASSING = ("os", "collections.abc", "subprocess", "posixpath", "ntpath", "string", "re")
_watches: list[_Watch] = []
_copying: tuple[Any, int] | None = None  # code and place in it of the last that asked the environment for its keys
_set_by_code: set[str] = set()  # variables to which users' code has given a value
_hooked = False


class _Watch:
    """What users' code was seen to do: each thing -> where from.

    Attributes:
        read: files that were opened for reading, as the path was given.
        written: files that were written.
        classes: (module, name) of what a pickle was made of.
        variables: of the environment.
        programs: that were started.
        hosts: that were connected to.
        copies: of the whole environment.
    """

    def __init__(self) -> None:
        self.read: dict[str, str] = {}
        self.written: set[Path] = set()
        self.classes: dict[tuple[str, str], str] = {}
        self.variables: dict[str, str] = {}
        self.programs: dict[str, str] = {}
        self.hosts: dict[str, str] = {}
        self.copies: dict[str, str] = {}


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
        os.environ.__class__ = _Environment
        os.environb.__class__ = _Environment
        _hooked = True
    watch, place = _Watch(), os.getcwd()
    _watches.append(watch)
    try:
        with listen(_hear_library) if len(_watches) == 1 else nullcontext():
            yield
    finally:
        _watches[:] = [other for other in _watches if other is not watch]
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
            if name not in _set_by_code and not OF_THE_MACHINE.fullmatch(name):
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
    if not _watches:
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
        _note("classes", (arguments[0], arguments[1]), _whose(sys._getframe(1)))
    elif event in ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec"):
        _note("programs", _program(event, arguments), _whose_line(sys._getframe(1)))
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        _note("hosts", f"{arguments[1][0]}:{arguments[1][1]}", _whose(sys._getframe(1)))


def _hear_library(path: str) -> None:
    """Of a library that opens it in C."""
    _open(path, None, None)


def _note(kind: str, thing: Any, where: str) -> None:
    for watch in _watches if where else ():
        getattr(watch, kind).setdefault(thing, where)


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
    if _is_elsewhere(path):
        return
    there = os.path.isfile(path)
    if isinstance(mode, str):
        reads = not set(mode) & set("wax") or (set(mode) >= {"a", "+"} and there)
    else:
        bits = flags if isinstance(flags, int) else os.O_RDONLY
        reads = not bits & os.O_WRONLY and not bits & os.O_TRUNC and (there or not bits & os.O_CREAT)
    for watch in _watches:
        if not reads:  # what it reads afterwards is what it has written
            watch.written.add(Path(path))
        elif there and Path(path) not in watch.written and (where := _whose(sys._getframe(1))):
            watch.read.setdefault(text, where)


class _Environment(type(os.environ)):  # type: ignore[misc]
    """`os.environ`, which notices who reads a variable; not who passes all on, to programs that are started most often.

    A variable that is set or taken out is read where the value that this gives back is used.
    """

    def __getitem__(self, key: Any) -> Any:
        """Its value."""
        frame = sys._getframe(1)
        if _copying != (frame.f_code, frame.f_lasti):  # `{**os.environ}`, `dict(os.environ)`: keys and values in one
            self._read(key, frame)
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Give it a value."""
        if _watches and _whose(sys._getframe(1)):
            _set_by_code.add(os.fsdecode(key) if isinstance(key, str | bytes) else "")
        super().__setitem__(key, value)

    @staticmethod
    def _read(key: Any, frame: Any) -> None:
        name = os.fsdecode(key) if isinstance(key, str | bytes) else ""
        if _watches and name and not OF_THE_MACHINE.fullmatch(name):
            _note("variables", name, _whose_line(frame))

    def keys(self) -> Any:
        """As of a dict."""
        global _copying
        frame = sys._getframe(1)
        _copying = frame.f_code, frame.f_lasti
        self._copied(frame)
        return super().keys()

    @staticmethod
    def _copied(frame: Any) -> None:
        if _watches and (where := _whose_line(frame)):
            _note("copies", where, where)

    def copy(self) -> dict[Any, Any]:
        """As of a dict."""
        self._copied(sys._getframe(1))
        return {key: super(_Environment, self).__getitem__(key) for key in self}

    def items(self) -> Any:
        """As of a dict."""
        self._copied(sys._getframe(1))
        return self.copy().items()

    def values(self) -> Any:
        """As of a dict."""
        self._copied(sys._getframe(1))
        return self.copy().values()

    def __or__(self, other: Any) -> Any:
        self._copied(sys._getframe(1))
        return self.copy() | dict(other) if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Any) -> Any:
        self._copied(sys._getframe(1))
        return dict(other) | self.copy() if isinstance(other, Mapping) else NotImplemented

    def setdefault(self, key: Any, value: Any) -> Any:
        """As of a dict."""
        if key not in [*self]:
            self[key] = value
        elif not _is_left(frame := sys._getframe(1)):
            self._read(key, frame)
        return super().__getitem__(key)

    def pop(self, key: Any, *default: Any) -> Any:
        """As of a dict."""
        if not _is_left(frame := sys._getframe(1)):
            self._read(key, frame)
        value = self.copy().pop(key, *default)
        if key in [*self]:
            del self[key]
        return value

    def clear(self) -> None:
        """As of a dict."""
        for key in [*self]:
            del self[key]


def _is_left(frame: Any) -> bool:
    """Whether the code that calls drops what it is given back: a statement that is a call and nothing more."""
    after = (one for one in dis.get_instructions(frame.f_code) if one.offset > frame.f_lasti)
    return next((one.opname for one in after), "") == "POP_TOP"


def _program(event: str, arguments: tuple[Any, ...]) -> str:
    given = arguments[1] if event == "subprocess.Popen" else arguments[0]
    words = [os.fsdecode(w) for w in ([given] if isinstance(given, str | bytes | os.PathLike) else [*given])]
    return repr(redact_text(" ".join(words))[:60])  # cut afterwards: what ends a password may lie behind that


def _database(name: Any) -> Any:
    """The file that SQLite is asked for, which it opens itself; None where it is none, or comes only now."""
    text = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
    text = urllib.parse.unquote(text[5:].partition("?")[0]) if text.startswith("file:") else text
    return text if os.path.isfile(text) else None


def _is_elsewhere(path: str) -> bool:
    """Whether a file is Python's, ours, of what is installed, or what libraries keep for themselves."""
    if path.startswith((BENCH, *ELSEWHERE)) or INSTALLED.search(path):
        return True
    return path.startswith(tuple(_kept_by_libraries()))


def _kept_by_libraries() -> list[str]:
    """Folders that variables give to libraries for settings and caches of theirs; never one with the user's own."""
    found = [place for name in _VARIABLES if (place := os.environ.get(name))]
    both = {place for name in found for place in (os.path.abspath(name), os.path.realpath(name))}
    return [place for name in both if not f"{os.getcwd()}{os.sep}".startswith(place := name.rstrip(os.sep) + os.sep)]


def of_user(file: str) -> bool:
    """Whether a file of code is the user's: neither Python's, nor of what is installed, nor ours."""
    return not file.startswith("<") and not _is_elsewhere(file)


def _whose_line(frame: Any) -> str:
    """`net.py, line 7` where a user's code asked for it itself, "" where a library did."""
    while frame is not None and frame.f_globals.get("__name__") in PASSING:
        frame = frame.f_back
    user = frame is not None and of_user(frame.f_code.co_filename)
    return f"{os.path.basename(frame.f_code.co_filename)}, line {frame.f_lineno}" if user else ""


def _whose(frame: Any) -> str:
    """`net.py, line 7` where a user's code asked for it, be it through a library; "" where it was bench."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.endswith(SOURCES):  # for a message or a decorator: of code that has been imported
            return ""
        if file.startswith(BENCH) and not file.startswith(HEARING):
            return ""
        if of_user(file):
            return f"{os.path.basename(file)}, line {frame.f_lineno}"
        frame = frame.f_back
    return ""
