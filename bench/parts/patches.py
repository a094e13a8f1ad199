"""What users' code puts into the classes and modules of torch, and taking it back before another run.

`nn.ReLU.forward = mine` counts in the hash of all parts of its file. In a warm worker it would also change the runs
that come after it and have no such file, of which no key says anything.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from bench.parts.whose import of_user

WATCHED = ("torch", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.optim", "torch.optim.lr_scheduler",
           "timm.layers", "numpy", "random", "math")  # fmt: skip
# Of torch as a whole: how each is read, and set.
SWITCHES: dict[str, tuple[Any, Any]] = {
    "matmul": (lambda t: _matmul_precision(t), lambda t, v: t.set_float32_matmul_precision(v or "highest")),
    "deterministic": (lambda t: t.get_deterministic_debug_mode(), lambda t, v: t.set_deterministic_debug_mode(v)),
    "anomaly": (lambda t: t.is_anomaly_enabled(), lambda t, v: t.autograd.set_detect_anomaly(v)),
    "autocast": (lambda t: t.is_autocast_enabled("cpu"), lambda t, v: t.set_autocast_enabled("cpu", v)),
    "autocast dtype": (lambda t: t.get_autocast_dtype("cpu"), lambda t, v: t.set_autocast_dtype("cpu", v)),
    "denormal": (
        lambda t: t.tensor(1e-310, dtype=t.float64, device="cpu").mul(1).item() == 0,
        lambda t, v: t.set_flush_denormal(v),
    ),
    **{
        f"{name} attention": (
            lambda t, name=name: getattr(t.backends.cuda, f"{name}_sdp_enabled")(),
            lambda t, v, name=name: getattr(t.backends.cuda, f"enable_{name}_sdp")(v),
        )
        for name in ("flash", "mem_efficient", "math", "cudnn")
    },
    **{
        f"cudnn.{name}": (
            lambda t, name=name: getattr(t.backends.cudnn, name),
            lambda t, v, name=name: setattr(t.backends.cudnn, name, v),
        )
        for name in ("enabled", "benchmark", "deterministic", "allow_tf32")
    },
}
CHANGED_ALWAYS = ("__abstractmethods__", "_abc_impl", "__annotations__", "__doc__", "__dict__", "__weakref__")
_MISSING = object()
_as_it_was: dict[Any, dict[str, Any]] = {}  # module or class -> its names
_defaults: dict[Any, tuple[Any, Any, Any]] = {}  # function -> its code and its defaults
_settings: dict[str, Any] = {}
_targets: list[tuple[Any, str, bool, Any]] = []  # what users' code assigns to: object, name, whether it has it, value
_threads: list[tuple[int, int]] = []  # before and after a user's file was imported


def note(texts: Any) -> None:
    """Remember how classes and modules are, before a user's files are imported.

    Args:
        texts: of these files; torch is imported first where they name it.
    """
    if any("torch" in text for text in texts):
        importlib.import_module("torch.optim")
    for name in WATCHED:
        module = sys.modules.get(name)
        if module is None or module in _as_it_was:
            continue
        _as_it_was[module] = dict(vars(module))
        classes = [value for value in vars(module).values() if inspect.isclass(value)]
        for value in [base for kind in classes for base in kind.__mro__]:  # nn.BatchNorm2d has its methods of others
            if value not in _as_it_was and value.__module__.startswith(("torch", "timm")):
                _as_it_was[value] = dict(vars(value))
    for place in _as_it_was:
        for value in _as_it_was[place].values():
            plain = getattr(value, "__func__", value)
            if inspect.isfunction(plain) and plain not in _defaults:
                _defaults[plain] = plain.__code__, plain.__defaults__, dict(plain.__kwdefaults__ or {})
    for place, name in targets(texts):
        if not any(place is other and name == known for other, known, *_ in _targets):
            own = _own_of(place)
            _targets.append((place, name, name in own, own.get(name, getattr(place, name, _MISSING))))
    note_settings()


def note_settings() -> None:
    """Remember the settings of torch and NumPy, where they are not yet."""
    for name, value in _now().items():
        _settings.setdefault(name, value)


def _own_of(place: Any) -> dict[str, Any]:
    return dict(vars(place)) if hasattr(place, "__dict__") else {}


def targets(texts: Iterable[str]) -> Iterator[tuple[Any, str]]:
    """(module, class or object of a library, name) that users' files assign to: `json.dumps = mine`.

    A library that is assigned to is imported first.
    """
    for text in texts:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue  # a data file
        bound: dict[str, tuple[str, str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                bound |= {a.asname or a.name.partition(".")[0]: (a.name if a.asname else a.name.partition(".")[0], "")
                          for a in node.names}  # fmt: skip
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                bound |= {a.asname or a.name: (node.module, a.name) for a in node.names}
        for node in ast.walk(tree):
            words: list[str] = []
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
                words = ast.unparse(node).split(".")
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr") and len(node.args) > 1:
                name = getattr(node.args[1], "value", "")
                words = [*ast.unparse(node.args[0]).split("."), str(name)]
            if words and words[0] in bound and all(map(str.isidentifier, words)):
                module, name = bound[words[0]]
                with suppress(Exception):  # their own file says what is missing
                    place = importlib.import_module(module)
                    for word in (*([name] if name else []), *words[1:-1]):
                        place = getattr(place, word)
                    file = getattr(sys.modules.get(getattr(place, "__module__", module)), "__file__", None)
                    if file is None or not of_user(file):
                        yield place, words[-1]


@contextmanager
def threads_noted() -> Iterator[None]:
    """Notice whether a user's file that is imported inside sets the number of threads; a run and a worker do, too."""
    before = _number_of_threads()
    try:
        yield
    finally:
        if (after := _number_of_threads()) != before and before:
            _threads.append((before, after))


@contextmanager
def same_draws() -> Iterator[None]:
    """Inside, the global generators give the same numbers each time, and go on after it as if nothing had been drawn.

    A file may draw where it is imported (`PROJECTION = torch.randn(64, 64)`), and be imported anew in each run.
    """
    import numpy as np

    torch: Any = sys.modules.get("torch") if "torch.optim" in sys.modules else None
    before = random.getstate(), np.random.get_state(), torch.get_rng_state() if torch else None  # noqa: NPY002
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (the one that their code may use)
    if torch:
        torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        if torch:
            torch.set_rng_state(before[2])


def take_back() -> None:
    """Undo what users' code has put there since, and the settings of torch and NumPy that it has changed."""
    for place, before in _as_it_was.items():
        for name, value in list(vars(place).items()):
            old = before.get(name)
            if value is old or name in CHANGED_ALWAYS or not _put(value, old, place, name in before):
                continue
            if name in before:
                setattr(place, name, old)
            else:
                delattr(place, name)
    for place, name, had, old in _targets:
        own = _own_of(place)
        with suppress(AttributeError, TypeError, RuntimeError):
            if name in own and not had:
                delattr(place, name)
            elif own.get(name, getattr(place, name, _MISSING)) is not old and old is not _MISSING:
                setattr(place, name, old)
    for function, (code, defaults, by_name) in _defaults.items():
        if function.__code__ is not code:
            function.__code__ = code
        if function.__defaults__ is not defaults:
            function.__defaults__ = defaults
        if [*map(id, (function.__kwdefaults__ or {}).values())] != [*map(id, by_name.values())]:
            function.__kwdefaults__ = dict(by_name)
    _take_back_settings()


def _now() -> dict[str, Any]:
    """What holds for all code that runs, of torch and NumPy where they are loaded."""
    found: dict[str, Any] = {}
    if numpy := sys.modules.get("numpy"):
        found["errors"] = numpy.geterr()
    if (torch := sys.modules.get("torch")) and "torch.optim" in sys.modules:  # imported whole
        hooks = vars(torch.nn.modules.module)
        found |= {name: get(torch) for name, (get, _) in SWITCHES.items()}
        found |= {
            "dtype": torch.get_default_dtype(), "device": torch.get_default_device(),
            "grad": torch.is_grad_enabled(), "mkldnn": torch.backends.mkldnn.enabled,
            "hooks": {n: dict(v) if isinstance(v, dict) else v for n, v in hooks.items() if n.startswith("_global_")},
        }  # fmt: skip
    return found


def _matmul_precision(torch: Any) -> str:
    """As torch says it; "" where it is set for one backend alone, of which it only complains."""
    try:
        return str(torch.get_float32_matmul_precision())
    except RuntimeError:
        return ""


def _take_back_settings() -> None:
    now = _now()
    changed = {name: value for name, value in _settings.items() if now.get(name) != value}
    if "errors" in changed:
        sys.modules["numpy"].seterr(**changed["errors"])
    torch: Any = sys.modules.get("torch")
    for name in changed.keys() & SWITCHES.keys():
        SWITCHES[name][1](torch, changed[name])
    if "dtype" in changed:
        torch.set_default_dtype(changed["dtype"])
    if "device" in changed:
        torch.set_default_device(None if changed["device"].type == "cpu" else changed["device"])
    if "grad" in changed:
        torch.set_grad_enabled(changed["grad"])
    if "mkldnn" in changed:
        torch.backends.mkldnn.enabled = changed["mkldnn"]
    for name, value in changed.get("hooks", {}).items():
        if isinstance(value, dict):  # others hold the same one
            hooks = getattr(torch.nn.modules.module, name)
            hooks.clear()
            hooks.update(value)
        else:
            setattr(torch.nn.modules.module, name, value)
    if _threads:
        if _number_of_threads() == _threads[-1][1]:  # nobody has set another since
            torch.set_num_threads(_threads[0][0])
        _threads.clear()


def _number_of_threads() -> int:
    return sys.modules["torch"].get_num_threads() if "torch.optim" in sys.modules else 0


def _put(value: Any, old: Any, place: Any, known: bool) -> bool:
    """Whether a user's code has put a value there: of its own, or in place of another class or function.

    A library that is loaded later wraps functions of torch, as its compiler does with `nn.Module.__init__`, and not
    always by `functools.wraps`: what was made inside a function of a library stays, too.
    """
    first: Any = value.fget if isinstance(value, property) else value
    while isinstance(first, functools.partial | functools.partialmethod):
        first = first.func
    chain: list[Any] = [getattr(first, "__func__", first)]
    while hasattr(chain[-1], "__wrapped__") and len(chain) < 20:
        chain.append(chain[-1].__wrapped__)
    if any(of_user(code.co_filename) for one in chain if (code := getattr(one, "__code__", None)) is not None):
        return True
    if inspect.isclass(value):
        file = getattr(sys.modules.get(value.__module__), "__file__", None)
        if value.__module__.startswith("imagebench_own_") or (file is not None and of_user(file)):
            return True
    if not known and inspect.isclass(place):  # what it inherits is hidden by a method of another
        return inspect.isfunction(first) and first in _defaults
    if value is first and inspect.isfunction(first) and "<locals>" in first.__qualname__ and first not in _defaults:
        return False
    before = getattr(old, "__func__", old)
    same = value is first and chain[-1] is inspect.unwrap(before)
    return known and (callable(before) or isinstance(before, property)) and not same
