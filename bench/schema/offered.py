"""The kinds of parts there are, and which parts a file offers, read from its syntax: nothing is imported or run.

A part is ours where its file lies in bench/shipped/, and somebody's own anywhere else; the file is the same.
"""

from __future__ import annotations

import ast
import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHIPPED = "imagebench"  # what stands for the code of a part that comes along
FOLDER = Path(__file__).resolve().parents[1] / "shipped"


@dataclass(frozen=True)
class Kind:
    """A kind of part.

    Attributes:
        name: of the decorator.
        group: of the configuration where it is chosen: `model=NAME`, or `corrupt.names=[NAME]` for a list.
        takes: what it is called with before its settings, in order.
        gives: what it gives back, in words.
        listed: whether it is one of a list of names, and then without settings of its own.
    """

    name: str
    group: str
    takes: tuple[str, ...]
    gives: str
    listed: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind("model", "model", ("shape", "classes"), "a network: float32 [B, C, H, W] -> logits [B, classes]"),
        Kind("dataset", "dataset", (), "bench.parts.Images, or a generator of chunks of them"),
        Kind("augmentation", "augment", ("images", "targets", "draws"), "images and targets, changed"),
        Kind("corruption", "corrupt", ("images", "severity", "generator"), "images, changed", listed=True),
        Kind("pixel_norm", "pixel_norm", ("train",), "(mean, std) a channel"),
        Kind("norm_layer", "norm_layer", ("channels", "dim"), "a layer on [B, channels, ...]"),
        Kind("metric", "metrics", ("scores", "labels", "classes"), "a number", listed=True),
        Kind("loss", "loss", ("logits", "targets"), "a number a batch, a tensor without dimensions"),
        Kind("optimizer", "optim", ("parameters",), "a torch.optim.Optimizer"),
        Kind("schedule", "schedule", ("done",), "what lr is multiplied by"),
        Kind("training", "training", (), "an object with some of start, begin, loss, end, scored"),
    )
}
# A network that a user's file registers with timm: `model=timm model.name=NAME`, built as timm's own are.
REGISTERED = Kind("timm", "model", (), "a network of timm.models.register_model")
GROUPS = {kind.group: kind for kind in KINDS.values()}


@dataclass(frozen=True)
class Listed:
    """A part that a file offers.

    Attributes:
        kind: of KINDS, or REGISTERED.
        name: of the function or class.
        file: absolute path of the file.
        line: of its definition.
        package: "distribution==version" of an installed package, SHIPPED where it comes along, else "".
        summary: the first paragraph of its docstring.
        facts: what the decorator is told, as far as the syntax tells.
        defaults: settings -> default, as far as the syntax tells; what is computed is left out.
    """

    kind: str
    name: str
    file: Path
    line: int
    package: str
    summary: str
    facts: dict[str, Any] = field(compare=False)
    defaults: dict[str, Any] = field(compare=False)

    @property
    def where(self) -> str:
        """`parts/convmixer.py, line 7`."""
        return f"{self.file.parent.name}/{self.file.name}, line {self.line}"

    @property
    def ours(self) -> bool:
        """Whether it comes along."""
        return self.package == SHIPPED


@functools.cache
def shipped_parts() -> tuple[Listed, ...]:
    """The parts that come along, in the order of their files' names."""
    return tuple(part for file in sorted(FOLDER.glob("[!_]*.py")) for part in parts_of(file, 0, SHIPPED))


@functools.lru_cache(maxsize=1024)
def tree(file: Path, changed: int) -> ast.Module:
    """The syntax of a file; `changed` is its time, so that it is read anew."""
    return ast.parse(file.read_bytes(), str(file))


@functools.lru_cache(maxsize=1024)
def parts_of(file: Path, changed: int, package: str) -> tuple[Listed, ...]:
    """The parts that a file offers; none where it is no Python."""
    try:
        body = tree(file, changed)
    except (SyntaxError, ValueError):
        return ()
    known = decorators(body)
    found = []
    for node in body.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            kinds = [(k, d) for k, d in ((_kind(d, known), d) for d in node.decorator_list) if k is not None]
            if kinds:
                kind, decorator = kinds[0]
                told = decorator.keywords if isinstance(decorator, ast.Call) else []
                facts = _literals([(k.arg, k.value) for k in told if k.arg])
                summary = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
                defaults = _defaults(node) if isinstance(node, ast.FunctionDef) else _class_defaults(node)
                found.append(Listed(kind, node.name, file, node.lineno, package, summary, facts, defaults))
    return tuple(found)


def misplaced_decorators(body: ast.Module) -> list[str]:
    """What is said of decorators where no part is found: inside of something, or called (`net = model(f)`)."""
    known = decorators(body)
    top = {id(n) for n in body.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    used = {id(d) for n in ast.walk(body) for d in getattr(n, "decorator_list", ())}
    found = []
    for node in ast.walk(body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and id(node) not in top:
            found += [(node.lineno, k) for d in node.decorator_list if (k := _kind(d, known)) in KINDS]
        elif isinstance(node, ast.Call) and node.args and id(node) not in used and (k := _kind(node, known)) in KINDS:
            found.append((node.lineno, k))
    return [f"line {line}: {kind} is found as @{kind} on a function or class at the top of a file only"
            for line, kind in sorted(found)]  # fmt: skip


def decorators(body: ast.Module) -> dict[str, str]:
    """Dotted name in this file -> kind: `model`, `parts.model`, `bench.parts.model`; timm's `register_model` too."""
    known: dict[str, str] = {}
    for node in ast.walk(body):
        if isinstance(node, ast.ImportFrom) and node.module == "bench.parts":
            known |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name in KINDS}
            known |= {kind: kind for alias in node.names if alias.name == "*" for kind in KINDS}
        elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "timm":
            known |= {a.asname or a.name: REGISTERED.name for a in node.names if a.name == "register_model"}
        elif isinstance(node, ast.ImportFrom) and node.module == "bench":
            for alias in node.names:
                if alias.name == "parts":
                    known |= {f"{alias.asname or 'parts'}.{kind}": kind for kind in KINDS}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "timm" or alias.name.startswith("timm."):
                    known[f"{alias.asname or 'timm.models'}.register_model"] = REGISTERED.name
                if alias.name == "bench.parts":
                    known |= {f"{alias.asname or 'bench.parts'}.{kind}": kind for kind in KINDS}
    return known


def _kind(decorator: ast.expr, known: dict[str, str]) -> str | None:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return known.get(ast.unparse(target))


def _defaults(node: ast.FunctionDef) -> dict[str, Any]:
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args]
    pairs = list(zip(positional[len(positional) - len(spec.defaults) :], spec.defaults, strict=True))
    pairs += [(a, d) for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if d is not None]
    return _literals([(argument.arg, default) for argument, default in pairs])


def _class_defaults(node: ast.ClassDef) -> dict[str, Any]:
    start = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    return _defaults(start) if start is not None else {}


def _literals(pairs: list[tuple[str, ast.expr]]) -> dict[str, Any]:
    found = {}
    for name, node in pairs:
        try:
            value = ast.literal_eval(node)
            json.dumps(value)  # a set is for the function to say, not for a configuration
            found[name] = value
        except (ValueError, TypeError, SyntaxError, RecursionError):
            continue
    return found
