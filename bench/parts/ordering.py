"""Where code may depend on how texts are hashed (`bench.hashing`): `hash()`, and going through a set."""

from __future__ import annotations

import ast
from collections.abc import Iterable

MAKING = {"set", "frozenset"}
COMBINING = {"union", "intersection", "difference", "symmetric_difference", "copy"}
# What goes through what it is given in its order.
IN_ORDER = {"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reduce", "sum", "join", "chain", "fromkeys",
            "OrderedDict", "deque", "array", "asarray", "tensor", "as_tensor", "cycle", "islice", "dict"}  # fmt: skip


def unordered(statements: Iterable[ast.stmt]) -> int:
    """The first line that depends on it, as far as the syntax tells; 0 for none. Sets of numbers have one order."""
    nodes = [node for statement in statements for node in ast.walk(statement)]
    names: set[str] = set()
    for _ in range(2):  # a name may be given the value of another
        for node in nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _is_set(node.value, names):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {_name(t) for t in targets}
    lines = [node.lineno for node in nodes for one in _gone_through(node) if _is_set(one, names)]  # type: ignore[attr-defined]
    lines += [n.lineno for n in nodes if isinstance(n, ast.Call) and _name(n.func) == "hash" and n.args]
    return min(lines, default=0)


def _gone_through(node: ast.AST) -> list[ast.expr]:
    """What a node takes the elements of, one after the other."""
    match node:
        case ast.For(iter=one) | ast.Starred(value=one) | ast.YieldFrom(value=one):
            return [one]
        case ast.ListComp(generators=generators) | ast.DictComp(generators=generators):
            return [g.iter for g in generators]
        case ast.Call(func=ast.Attribute(attr="pop", value=one), args=[]):
            return [one]
        case ast.Call(func=func, args=args) if _name(func) in IN_ORDER:
            inner = [g.iter for a in args if isinstance(a, ast.GeneratorExp) for g in a.generators]
            return [*args, *inner]
        case ast.Assign(targets=[ast.Tuple() | ast.List()], value=one):
            return [one]
    return []


def _is_set(node: ast.expr, names: set[str]) -> bool:
    match node:
        case ast.Set(elts=elements):
            return not all(isinstance(e, ast.Constant) and isinstance(e.value, int | float) for e in elements)
        case ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=name), args=[one]) if name in MAKING:
            return not (isinstance(one, ast.Call) and _name(one.func) == "range")
        case ast.Call(func=ast.Attribute(attr=name, value=one)) if name in COMBINING:
            return _is_set(one, names)
        case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.BitXor() | ast.Sub(), left=left, right=right):
            return any(_is_set(s, names) or _is_keys(s) for s in (left, right))
        case ast.Name() | ast.Attribute():
            return _name(node) in names
    return False


def _is_keys(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "keys"


def _name(node: ast.AST) -> str:
    """Of a name, an attribute or a method: its last word."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
