"""What of a file's syntax is written for people or for type checkers, and what reads it all the same.

A type hint of a setting is science: it says what the setting may be. Those of other arguments, of locals and of what a
function gives back change nothing, unless somebody reads them: `inspect`, `singledispatch`, TorchScript, a package
that checks them. The name of a part's file changes nothing either, unless its code asks for it.
"""

from __future__ import annotations

import ast
import sys

from bench.schema.offered import KINDS

# What may be used without hints being read. Any other package may read those of what it is handed.
BLIND = {
    *("bench", "torch", "torchvision", "timm", "pytorch_lightning", "lightning", "torchmetrics", "numpy", "scipy"),
    *("sklearn", "skimage", "PIL", "cv2", "einops", "pandas", "matplotlib", "tqdm", "mlxtend", "pydantic", "yaml"),
    *(sys.stdlib_module_names - {"inspect", "pydoc", "importlib", "doctest", "runpy", "ast", "dis", "tokenize"}),
}
# What reads them, of those and of Python; as a name, an attribute or a text.
HINTS = {
    *("__annotations__", "__annotate__", "get_type_hints", "get_annotations", "getfullargspec", "signature"),
    *("singledispatch", "singledispatchmethod", "script", "jit", "custom_op", "triton_op", "infer_schema", "library"),
    *("create_model", "validate_call", "validate_arguments", "TypeAdapter"),
}
# What asks for the name of a file; `Path(__file__).parent` asks for its folder.
FILE = {"__name__", "__file__", "__module__", "__spec__", "__package__", "co_filename", "getfile", "getsourcefile"}
PATH = {"__file__", "co_filename", "getfile", "getsourcefile"}  # of these, what gives its place
FOLDER = {"Path", "PurePath", "resolve", "absolute", "abspath", "realpath"}


def reads(node: ast.AST, words: set[str]) -> bool:
    """Whether one node is such a word; of a module's dunder names, as a name only (`type(x).__name__` is a class's)."""
    match node:
        case ast.Name(id=name):
            return name in words
        case ast.Attribute(attr=name):
            return name in words and name != "__name__"
        case ast.alias(name=name):
            return not words.isdisjoint(name.split("."))
        case ast.ImportFrom(module=str(name)):
            return not words.isdisjoint(name.split("."))
        case ast.Constant(value=str(text)):
            return text in words or any(word in text for word in words if word.startswith("__annot"))
    return False


def folders_of_file(tree: ast.AST) -> set[int]:
    """Ids of those `__file__` that only say which folder it is: `Path(__file__).resolve().parent`."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr="parent" | "parents", value=inner):
                pass
            case ast.Call(func=ast.Attribute(attr="dirname") | ast.Name(id="dirname"), args=[inner]):
                pass
            case ast.Call(func=ast.Attribute(attr="with_name", value=inner)):
                pass
            case _:
                continue
        while isinstance(inner, ast.Call):
            name = inner.func.attr if isinstance(inner.func, ast.Attribute) else getattr(inner.func, "id", "")
            method = isinstance(inner.func, ast.Attribute) and not inner.args
            if name not in FOLDER or not (method or inner.args):
                break
            inner = inner.func.value if method else inner.args[0]  # type: ignore[attr-defined]
        found.add(id(inner))
    return found


class WithoutHints(ast.NodeTransformer):
    """Takes out of a file's syntax the hints that are no setting's and no field's; those that call something stay.

    Args:
        parts: decorator, as the file writes it -> kind of part.
    """

    def __init__(self, parts: dict[str, str]) -> None:
        self.parts = parts
        self.inside: list[ast.AST] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """The hints of its fields stay: a dataclass is made of them."""
        self.inside.append(node)
        node.body = [s if isinstance(s, ast.AnnAssign) else self.visit(s) for s in node.body]
        self.inside.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Those of settings stay."""
        return self._function(node, self._settings(node))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """It has no settings."""
        return self._function(node, [])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """`x: int = 1` is `x = 1`; `x: int` alone makes x a local."""
        self.generic_visit(node)
        if acts(node.annotation) and not any(isinstance(n, ast.FunctionDef) for n in self.inside):
            return node
        if node.value is None:
            return ast.copy_location(ast.AnnAssign(node.target, ast.Constant(None), None, node.simple), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, kept: list[ast.arg]) -> ast.AST:
        given = node.args
        extra = [a for a in (given.vararg, given.kwarg) if a is not None]
        for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, *extra):
            if argument not in kept and argument.annotation is not None and not acts(argument.annotation):
                argument.annotation = None
        if node.returns is not None and not acts(node.returns):
            node.returns = None
        self.inside.append(node)
        node.body = [self.visit(s) for s in node.body]
        self.inside.pop()
        return node

    def _settings(self, node: ast.FunctionDef) -> list[ast.arg]:
        """The arguments of a part that are its settings, by place as they are called; "" for none."""
        owner = self.inside[-1] if self.inside else None
        if owner is not None and not (isinstance(owner, ast.ClassDef) and node.name == "__init__"):
            return []
        marked = [d.func if isinstance(d, ast.Call) else d for d in (owner or node).decorator_list]
        kinds = [kind for d in marked if (kind := self.parts.get(ast.unparse(d)))]
        takes = len(KINDS[kinds[0]].takes) if kinds and kinds[0] in KINDS else 0
        positional = [*node.args.posonlyargs, *node.args.args]
        return [*positional[takes + (owner is not None) :], *node.args.kwonlyargs] if kinds else []


def acts(hint: ast.AST) -> bool:
    """Whether running a hint may do something: a call or a name given, but for what `Annotated` is told."""
    if isinstance(hint, ast.Subscript) and ast.unparse(hint.value).rpartition(".")[2] == "Annotated":
        return any(isinstance(n, ast.NamedExpr) for n in ast.walk(hint))
    return isinstance(hint, ast.Call | ast.NamedExpr | ast.Await) or any(map(acts, ast.iter_child_nodes(hint)))
