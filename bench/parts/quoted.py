"""Which files code names: texts, patterns, folders that are listed; not what is only written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

# Decorators that leave nothing behind outside of what they decorate, by the module that they are imported from.
# What lists a folder reads all of it; in the part's folder, and in folders that are named.
LISTING = {"iterdir": "*", "listdir": "*", "scandir": "*", "walk": "**"}
FILLED = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]|\{[^{}]*\}")  # "%03d.txt", "{}.txt"
WRITING = {mode + kind for mode in "wax" for kind in ("", "b", "t")}  # of open, without what reads too
SAVING = {"save", "savez", "savez_compressed", "savetxt", "savefig", "save_file", "to_csv"}
ANYWHERE = "**/**/"  # before a pattern that begins with what is computed; as no one writes it


def quoted_names(node: ast.AST) -> list[str]:
    """The names in annotations that are written as texts: `kernel: "Kernel"`."""
    given = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    texts = [n.value for a in given if a is not None for n in ast.walk(a)
             if isinstance(n, ast.Constant) and isinstance(n.value, str)]  # fmt: skip
    found: list[str] = []
    for text in texts:
        try:
            found += [n.id for n in ast.walk(ast.parse(text, mode="eval")) if isinstance(n, ast.Name)]
        except SyntaxError:
            continue  # of a Literal: any text
    return found


def file_names(node: ast.AST) -> list[str]:
    """What a node may say of the names of files: a text as it is, and a pattern where a part of it is computed."""
    match node:
        case ast.JoinedStr(values=values):
            text = "".join(str(v.value) if isinstance(v, ast.Constant) else "*" for v in values)
            return [*_pattern(text), *_below(text)]
        case ast.Constant(value=str(text)):
            suffix = text.startswith(".") and text[1:].replace(".", "").isalnum()
            filled = FILLED.sub("*", text)
            made = [*_pattern(filled), *_below(filled)] if filled != text else _below(f"*{text}")
            return [*([] if text.startswith("/*") else [text]), *([f"{ANYWHERE}*{text}"] if suffix else []), *made]
        case ast.Attribute(attr=name) if name in LISTING:
            return [LISTING[name]]
        case ast.Name(id="listdir" | "scandir"):
            return ["*"]
    return []


def written_names(tree: ast.AST) -> set[int]:
    """Ids of the nodes by which files are named that are only written: in the call itself, or as a constant for it."""
    targets = [n for call in ast.walk(tree) if isinstance(call, ast.Call) for t in _written(call) for n in _spelt(t)]
    found = {id(node) for node in targets}
    loads = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    names = {n.id for n in targets if isinstance(n, ast.Name)} - {n.id for n in loads if id(n) not in found}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) and t.id in names for t in node.targets):
            found |= {id(inner) for inner in _spelt(node.value)}
    return found


def _written(call: ast.Call) -> list[ast.expr]:
    """The arguments of a call that name a file which it writes."""
    method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    of = [call.func.value] if isinstance(call.func, ast.Attribute) else []
    keywords = {k.arg: k.value for k in call.keywords if k.arg}
    named = [keywords[k] for k in ("file", "filename", "f", "fname", "path") if k in keywords]
    modes = [*call.args[not method : 2], *([keywords["mode"]] if "mode" in keywords else [])]
    if name == "open":  # open(name, "w"), Path(name).open("w")
        writes = any(isinstance(m, ast.Constant) and str(m.value) in WRITING for m in modes)
        return [*of, *call.args[:1], *named] if writes else []
    if name in ("write_text", "write_bytes"):
        return of
    if name == "basicConfig":
        return named if getattr(keywords.get("filemode"), "value", "a") in WRITING else []
    if name.endswith("FileHandler"):
        return [*call.args[:1], *named]
    return [*call.args[:2], *named] if name in SAVING else []


def _spelt(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a file's name, without those of calls that may read another file for it."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in ("Path", "PurePath", "join", "str", "format", "joinpath", "with_suffix", "with_name"):
            return
    yield node
    for inner in ast.iter_child_nodes(node):
        yield from _spelt(inner)


def _pattern(text: str) -> list[str]:
    """`*.txt` for `**.txt`, two values side by side; none where no letter is fixed, as in most messages.

    One that begins with what is computed is looked for in the part's folder, and in folders that are named, only.
    """
    made = re.sub(r"\*+", "*", text)
    return [f"{ANYWHERE}{made}" if made.startswith("*") else made] if any(map(str.isalnum, text)) else []


def _below(text: str) -> list[str]:
    """What stands below a computed folder: `w.bin` of `f"{HERE}/w.bin"`, `HERE + "/w.bin"`, `"%s/w.bin" % HERE`."""
    rest = text.removeprefix("*/")
    if rest == text:
        return []
    return _pattern(rest) if rest.startswith("*") and any(map(str.isalnum, rest)) else [rest]
