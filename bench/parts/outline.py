"""A part's signature without its code: what planning needs of a part that comes along, read without importing it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any

from bench.schema.offered import KINDS, Listed, tree

LIGHT = ("__future__", "collections", "dataclasses", "enum", "math", "pydantic", "typing")
LIGHT_OF_OURS = ("bench.parts", "bench.schema")
GIVEN = ("norm",)  # parameters by name that are no settings


@functools.lru_cache(maxsize=256)
def outline(part: Listed) -> Callable[..., Any]:
    """A function (or class) of the part's name, decorator, settings and docstring, that does nothing.

    The annotations of its settings mean what they mean in the file, as far as they come from light modules.

    Raises:
        NameError: where the signature uses what a light module does not have; ours have tests for that.
    """
    body = tree(part.file, 0)
    node = next(n for n in body.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == part.name)
    space: dict[str, Any] = {"__name__": f"bench.shipped.{part.file.stem}"}
    for statement in body.body:
        if isinstance(statement, ast.Import | ast.ImportFrom) and _light(statement):
            _run(statement, space)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            try:
                _run(statement, space)  # a name for a type: Positive = Annotated[int, Field(gt=0)]
            except (NameError, AttributeError):
                continue  # of the code
    _run(_strip_body(node, part), space)
    made: Callable[..., Any] = space[part.name]
    return made


def _light(statement: ast.Import | ast.ImportFrom) -> bool:
    names = [statement.module or ""] if isinstance(statement, ast.ImportFrom) else [a.name for a in statement.names]
    return all(n.partition(".")[0] in LIGHT or n.startswith(LIGHT_OF_OURS) for n in names)


def _run(statement: ast.stmt, space: dict[str, Any]) -> None:
    future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    module = ast.fix_missing_locations(ast.Module([future, statement], []))
    exec(compile(module, "<outline>", "exec"), space)


def _strip_body(node: ast.FunctionDef | ast.ClassDef, part: Listed) -> ast.stmt:
    """The definition without what it does, and without annotations that are not of settings."""
    said = [ast.Expr(ast.Constant(ast.get_docstring(node) or ""))]
    if isinstance(node, ast.ClassDef):
        starts = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        return ast.ClassDef(node.name, [], [], [*said, *(_strip_body(n, part) for n in starts)], node.decorator_list)
    takes = (*KINDS[part.kind].takes, *GIVEN)

    def bare(argument: ast.arg) -> ast.arg:
        return ast.arg(argument.arg, None if argument.arg in takes else argument.annotation)

    old = node.args
    arguments = ast.arguments(
        [bare(a) for a in old.posonlyargs], [bare(a) for a in old.args], None, [bare(a) for a in old.kwonlyargs],
        old.kw_defaults, None, old.defaults,
    )  # fmt: skip
    return ast.FunctionDef(node.name, arguments, [*said, ast.Pass()], node.decorator_list)
