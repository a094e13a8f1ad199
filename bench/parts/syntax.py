"""A file of the user's as the hash of code sees it: its statements, the names they bind, what they may do."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.parts.hints import BLIND, FILE, PATH, WithoutHints, acts, folders_of_file, reads
from bench.parts.quoted import written_names
from bench.schema.offered import KINDS, decorators

# Decorators that leave nothing behind outside of what they decorate, by the module that they are imported from.
HARMLESS = {"abc", "contextlib", "dataclasses", "functools", "typing", "typing_extensions"}
HARMLESS_OF_TORCH = {"no_grad", "inference_mode", "enable_grad", "compile", "script"}
# Where code is looked up by computed names, the syntax does not tell which.
COMPUTED_NAMES = {"__annotations__", "eval", "exec", "globals", "locals", "vars", "__import__", "__builtins__"}
COMPUTED_MODULES = {"builtins", "imp", "importlib", "pkgutil", "pydoc", "runpy"}
COMPUTED_ATTRIBUTES = {"import_module", "__subclasses__", "__init_subclass__", "__set_name__", "__globals__",
                       "f_globals", "f_locals", "f_builtins", "getmodule", "get_objects", "get_referrers",
                       "instantiate", "get_class", "get_method", "get_object"}  # fmt: skip
OF_THE_TEXT = {
    "__doc__",
    "getdoc",
    "getsource",
    "getsourcelines",
    "getcomments",
    "co_firstlineno",
    "f_lineno",
    "lineno",
    "tb_lineno",
    "co_consts",
}
PLAIN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Pass,
         ast.Assign, ast.AnnAssign)  # fmt: skip
SKIPPED = ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'")


class Module:
    """One of the user's files.

    Attributes:
        label: its name in the hash and in the kept source.
        package: dotted, from which relative imports in it are meant; it starts with a dot in the part's folder.
        statements: those at its top, but for docstrings and what is not run on import; imports one name each.
        binds: name -> indices of all statements that may bind it, whatever the last one to do so.
        effects: indices of those that may change something besides binding names: they count in any case.
        written: ids of the nodes that name files which it only writes.
        open: whether it may offer names that it does not bind: by `from x import *` or `__getattr__`.

    Args:
        hints: whether all type hints count, as somebody reads them.
    """

    def __init__(self, path: Path, label: str, package: str, hints: bool = True) -> None:
        self.path, self.label, self.package = path, label, package
        content = path.read_bytes()
        self.text = content.decode("utf-8", errors="replace")
        tree = ast.parse(content, str(path))
        kinds = decorators(tree)
        if not hints:
            tree = WithoutHints(kinds).visit(tree)
        self.written = written_names(tree)
        self._folder = folders_of_file(tree)
        bound = {*_rebound(tree)}
        self.statements = [one for s in tree.body if not _is_skipped(s, bound) for one in _split_imports(s)]
        self.binds: dict[str, list[int]] = {}
        for i, statement in enumerate(self.statements):
            for name in dict.fromkeys(_bound(statement)):
                self.binds.setdefault(name, []).append(i)
        self._parts = {name for name, kind in kinds.items() if kind in KINDS}  # others leave something
        self.effects = [i for i, s in enumerate(self.statements) if self._acts(s)]
        self.open = "*" in self.binds or "__getattr__" in self.binds

    def asks_for_name(self, node: ast.AST) -> bool:
        """Whether one of its nodes asks for the name of the file."""
        return reads(node, FILE) and id(node) not in self._folder

    def asks_for_path(self, node: ast.AST) -> bool:
        """Whether one of its nodes asks where the file is, and so may read its text."""
        return reads(node, PATH) and id(node) not in self._folder

    def canonical(self, used: set[int], label: str, in_order: bool = False) -> str:
        """Those statements as text: in the file's order what may change a value and what reads one when it is run.

        Args:
            in_order: whether all of them are, as somebody goes through the file's names.
        """
        if in_order:
            return "\n".join([label, *(canonical(self.statements[i]) for i in sorted(used))])
        star = "*" in self.binds  # may bind any name
        several = {i for name, found in self.binds.items() if star or len(found) > 1 or hasattr(builtins, name)
                   for i in found}  # fmt: skip
        changing = {i for i in used if i in several or i in self.effects}
        ordered = [i for i in sorted(used) if changing and (i in changing or self._reads(self.statements[i]))]
        free = sorted(canonical(self.statements[i]) for i in used.difference(ordered))
        return "\n".join([label, *free, *(canonical(self.statements[i]) for i in ordered)])

    def _acts(self, statement: ast.stmt) -> bool:
        """Whether a statement may do more on import than bind names to values."""
        if not isinstance(statement, PLAIN):
            return not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            plain = all(isinstance(n, ast.Name | ast.Tuple | ast.List | ast.Starred | ast.expr_context)
                        for t in targets for n in ast.walk(t))  # fmt: skip
            hinted = isinstance(statement, ast.AnnAssign) and acts(statement.annotation)
            value = statement.value
            if isinstance(value, ast.Name | ast.Attribute) and not all(isinstance(t, ast.Name) for t in targets):
                value = ast.Starred(value)  # it is gone through
            return not plain or hinted or (value is not None and self._runs(value))
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            defaults = [*statement.args.defaults, *(d for d in statement.args.kw_defaults if d is not None)]
            return (
                any(map(self._runs, defaults))
                or any(map(acts, _hints(statement)))
                or not all(map(self._harmless, statement.decorator_list))
            )
        if isinstance(statement, ast.ClassDef):
            return (
                bool(statement.keywords)
                or any(map(self._runs, statement.bases))
                or not all(map(self._harmless, statement.decorator_list))
                or any(map(self._acts, statement.body))
            )
        return False

    def _runs(self, node: ast.AST) -> bool:
        """Whether an expression may run somebody's code: a call, or an operator, item or loop of what is no plain data.

        An attribute is taken for a value, unless it is one of what another expression has made.
        """
        match node:
            case ast.Constant() | ast.Name() | ast.expr_context():
                return False
            case ast.Lambda(args=given):  # its body is not run
                return any(map(self._runs, [*given.defaults, *filter(None, given.kw_defaults)]))
            case ast.Tuple() | ast.List() | ast.Set() | ast.Dict() | ast.NamedExpr() | ast.IfExp():
                return any(map(self._runs, ast.iter_child_nodes(node)))
            case ast.Attribute(value=ast.Attribute() as inner):
                return self._runs(inner)
            case ast.Attribute(value=ast.Name(id=name)):
                made = [self.statements[i] for i in self.binds.get(name, ())]
                return any(isinstance(s, ast.Assign | ast.AnnAssign) for s in made) and not self._is_plain(name)
        return not all(map(self._is_plain_leaf, ast.walk(node)))

    def _is_plain_leaf(self, node: ast.AST) -> bool:
        """Whether a node of an expression brings only data of Python's own, or of libraries that are known."""
        if isinstance(node, ast.Name):
            return self._is_plain(node.id)
        return not isinstance(node, ast.Call | ast.Await | ast.Yield | ast.YieldFrom)

    def _is_plain(self, name: str, above: tuple[str, ...] = ()) -> bool:
        """Whether all that binds a name gives it a value whose operators and items run no code of the user's."""
        for statement in [self.statements[i] for i in self.binds.get(name, ())]:
            match statement:
                case ast.Import(names=[alias]):
                    plain = alias.name.partition(".")[0] in BLIND
                case ast.ImportFrom(module=str(module), level=0):
                    plain = module.partition(".")[0] in BLIND
                case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value) if name not in above:
                    inner = {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
                    calls = any(isinstance(n, ast.Call | ast.Await | ast.Lambda) for n in ast.walk(value))
                    plain = not calls and all(self._is_plain(one, (*above, name)) for one in inner)
                case _:
                    plain = False
            if not plain:
                return False
        return "*" not in self.binds

    def _reads(self, statement: ast.stmt) -> bool:
        """Whether a statement that only binds names reads one of the file's where it stands, not when it is called."""
        return any(isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and (n.id in self.binds or "*" in self.binds)
                   for n in run_nodes(statement))  # fmt: skip

    def _harmless(self, decorator: ast.expr) -> bool:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        text = ast.unparse(target)
        if text in self._parts:
            return True
        root, _, rest = text.partition(".")
        if root not in self.binds:  # of Python itself, or of the class
            return text in ("property", "staticmethod", "classmethod") or rest in ("setter", "getter", "deleter")
        (first, *more) = (self.statements[i] for i in self.binds[root])
        if more or not isinstance(first, ast.Import | ast.ImportFrom):
            return False
        origin = first.module or "" if isinstance(first, ast.ImportFrom) else first.names[0].name
        top = origin.partition(".")[0] if not getattr(first, "level", 0) else ""
        return top in HARMLESS or (top == "torch" and text.rpartition(".")[2] in HARMLESS_OF_TORCH)


def is_computed(node: ast.AST) -> bool:
    """Whether one node of a syntax tree looks code up by a computed name."""
    match node:
        case ast.Name(id=name):
            return name in COMPUTED_NAMES or name in COMPUTED_MODULES
        case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
            return True
        case ast.Attribute(attr=name) | ast.FunctionDef(name=name):
            return name in COMPUTED_ATTRIBUTES
        case ast.keyword(arg="metaclass"):
            return True
        case ast.ImportFrom(module=module, names=names) if module:
            return module.partition(".")[0] in COMPUTED_MODULES or any(
                a.name in COMPUTED_ATTRIBUTES or (module, a.name) == ("sys", "modules") for a in names
            )
        case ast.Import(names=names):
            return any(
                a.name.partition(".")[0] in COMPUTED_MODULES or (a.name == "sys" and a.asname is not None)  # s.modules
                for a in names
            )
    return False


def reads_text(node: ast.AST) -> bool:
    """Whether one node asks for docstrings, lines or the source: words for people then are what the code works with."""
    match node:
        case (
            ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()) | ast.Constant(value=str(name))
        ):
            return name in OF_THE_TEXT
        case ast.alias(name=name):
            return name in OF_THE_TEXT
    return False


def _is_skipped(statement: ast.stmt, bound: set[str]) -> bool:
    if isinstance(statement, ast.If) and not statement.orelse:
        test = ast.unparse(statement.test)
        return test in SKIPPED and test.partition(" ")[0] not in bound
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _rebound(tree: ast.AST) -> Iterator[str]:
    """The names that a file gives a value of its own: of `TYPE_CHECKING` it is then not known which."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module not in ("typing", "typing_extensions"):
            yield from (alias.asname or alias.name for alias in node.names)


def _split_imports(statement: ast.stmt) -> list[ast.stmt]:
    """An import of several names as several imports: their order is layout, and those not used do not count."""
    if isinstance(statement, ast.Import) and len(statement.names) > 1:
        return [ast.copy_location(ast.Import([alias]), statement) for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        node, names = statement, statement.names
        if node.module == "bench.parts" and names[0].name == "*":  # whose names are known
            names = [ast.alias(name) for name in (*KINDS, "Images")]
        return [ast.copy_location(ast.ImportFrom(node.module, [a], node.level), node) for a in names]
    return [statement]


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement may bind where it stands; the bodies of functions and classes are their own."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
            yield from (n.target.id for n in run_nodes(node) if isinstance(n, ast.NamedExpr))
            return
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.alias(name=name, asname=asname):
            yield asname or name.split(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
    for inner in ast.iter_child_nodes(node):
        yield from _bound(inner)


def _hints(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    """Of its arguments, and of what it gives back."""
    given = [n.annotation for n in ast.walk(function.args) if isinstance(n, ast.arg)]
    return [hint for hint in (*given, function.returns) if hint is not None]


def run_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement that are run where it stands: all but the bodies of its functions."""
    yield node
    body = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
    for inner in ast.iter_child_nodes(node):
        if not any(inner is s for s in body):
            yield from run_nodes(inner)


def canonical(node: ast.AST) -> str:
    """A syntax tree as text that is the same in every version of Python: no positions, docstrings or empty fields."""
    parts = []
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):  # a text that stands alone is words for people, wherever it stands
            value = [v for v in value if not isinstance(v, ast.Pass)
                     and not (isinstance(v, ast.Expr) and isinstance(v.value, ast.Constant))]  # fmt: skip
        if value is None or value == [] or name in ("type_comment", "kind", "type_ignores", "ctx"):
            continue
        parts.append(f"{name}={_text(value)}")
    return f"{type(node).__name__}({', '.join(parts)})"


def _text(value: Any) -> str:
    if isinstance(value, ast.AST):
        return canonical(value)
    if isinstance(value, list):
        return "[" + ", ".join(_text(v) for v in value) + "]"
    return f"{type(value).__name__}:{value!r}"
