"""Which models there are: parameters, FLOPs, smallest input, source paper.

Without PATTERN: all that have a config of their own (model=NAME). Any other model of timm runs
as `model=timm model.name=NAME`; --timm lists those.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import sys
from typing import Any

from bench.schema.errors import RequestError, unknown_name

SUMMARY = "parameters, FLOPs, smallest input, source paper"


def options(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("pattern", nargs="?", help="a name, a part of one, or a pattern with * and ?")
    parser.add_argument("--input", metavar="CxHxW", help="count for this image (default: that of the model's paper)")
    parser.add_argument("--classes", type=int, help="count for so many classes (default: those of the model's paper)")
    parser.add_argument("--stages", action="store_true", help="the stages that transfer.trainable_from names")
    parser.add_argument("--timm", action="store_true", help="timm's models by their names there")


def main(args: argparse.Namespace) -> int:
    """Print the models as a table, or as a JSON list of objects."""
    shape = parse_input(args.input) if args.input else None
    if args.classes is not None and args.classes < 2:
        raise RequestError(f"--classes: expected at least 2, got {args.classes}.")
    rows = timm_rows(args, shape) if args.timm or only_in_timm(args.pattern) else named_rows(args, shape)
    if args.json:
        print(json.dumps(rows))
    else:
        print("\n".join(table(rows, args.stages)))
    return 0


def only_in_timm(pattern: str | None) -> bool:
    """Whether timm has a model of exactly this name, and nothing here contains it; said on standard error."""
    from bench.models.registry import REGISTRY
    from bench.parts.listing import names

    if pattern is None or any(pattern in name for name in (*REGISTRY, *names("model"), *names("timm"))):
        return False
    # Else no name of timm's, and its import is slow.
    if not re.fullmatch(r"[a-z0-9_]*_[a-z0-9_]*|[a-z]+[0-9][a-z0-9]*", pattern):
        return False
    from bench.models.zoo import timm_names

    if pattern not in timm_names():
        return False
    print(f"'{pattern}' has no config of its own; timm has it: model=timm model.name={pattern}.", file=sys.stderr)
    return True


def parse_input(text: str) -> tuple[int, int, int]:
    """(C, H, W) of '3x32x32'; '32' is three channels of 32x32."""
    numbers = [int(n) for n in text.lower().split("x")] if re.fullmatch(r"\d+(x\d+){0,2}", text.lower()) else []
    if len(numbers) == 1:
        numbers = [3, numbers[0], numbers[0]]
    if len(numbers) != 3 or 0 in numbers:
        raise RequestError(f"--input: expected CxHxW as in 3x224x224, or one number for a square, got '{text}'.")
    return numbers[0], numbers[1], numbers[2]


def matching(names: list[str], pattern: str | None, kind: str, remedy: str) -> list[str]:
    """The names that the pattern means: the name itself, else all that match it, else all that contain it."""
    if pattern is None:
        return names
    if pattern in names:
        return [pattern]
    found = fnmatch.filter(names, pattern if set(pattern) & set("*?[") else f"*{pattern}*")
    if not found:
        raise unknown_name(kind, pattern, names, remedy)
    return found


def named_rows(args: argparse.Namespace, shape: tuple[int, int, int] | None) -> list[dict[str, Any]]:
    """One object for each named model."""
    import yaml

    from bench.compose import shipped_folder
    from bench.models.registry import REGISTRY
    from bench.parts.listing import names
    from bench.schema.model import Model
    from bench.schema.part import build

    mine = [name for name in (*names("model"), *names("timm")) if name not in REGISTRY]
    remedy = f"'bench models' lists all {len(REGISTRY) + len(mine)}; 'bench models PATTERN --timm' searches timm's."
    rows = []
    for name in progress(matching([*REGISTRY, *mine], args.pattern, "model", remedy)):
        if name in mine:
            rows.append(own_row(name, args, shape))
            continue
        entry = REGISTRY[name]
        model: Any = build(Model, yaml.safe_load((shipped_folder("conf") / "model" / f"{name}.yaml").read_text()))
        at, classes = shape or entry.input, args.classes or entry.classes
        row = {"name": name, "paper": entry.paper, "year": entry.year}
        rows.append(row | counts(model, at, classes, args.stages, shape is not None, entry.min_size, entry.pretrained))
    return rows


def own_row(name: str, args: argparse.Namespace, shape: tuple[int, int, int] | None) -> dict[str, Any]:
    """The object for a network of a file of parts, or registered with timm by one; with the reason where it is none."""
    from bench.compose import compose
    from bench.models.overview import least_own
    from bench.parts.listing import find
    from bench.schema.experiment import experiment

    part, words = find("model", name), [f"model={name}"]
    if part is None:
        part, words = find("timm", name), ["model=timm", f"model.name={name}"]
    row = {"name": name, "paper": part.summary if part else None, "year": None}
    try:
        model: Any = experiment(compose(words)).model
        row["paper"] = model.own.says("paper") or row["paper"]
        at = shape or (3, 32, 32)
        return row | counts(model, at, args.classes or 10, args.stages, True, least_own(model, at[0]), False)
    except RequestError as error:
        return row | blank_row(shape or (3, 32, 32), args.classes or 10, None, False) | {"error": str(error)}


def timm_rows(args: argparse.Namespace, shape: tuple[int, int, int] | None) -> list[dict[str, Any]]:
    """One object for each of timm's models that match; with nothing counted where they are many."""
    from bench.models.zoo import timm_names

    names = timm_names()
    found = matching(names, args.pattern, "timm model", f"timm has {len(names)}.")
    if len(found) > 40:
        raise RequestError(
            f"{len(found)} of timm's {len(names)} models match; a pattern for at most 40 is needed, "
            f"as in 'bench models \"{found[0][:4]}*\" --timm'. They begin: {', '.join(found[:12])}, ..."
        )
    return [timm_row(name, args, shape) for name in progress(found)]


def timm_row(name: str, args: argparse.Namespace, shape: tuple[int, int, int] | None) -> dict[str, Any]:
    """The object for one of timm's models; with the reason in place of counts for one that is no classifier."""
    import timm

    from bench.models.overview import smallest_useful_input
    from bench.schema.model import Timm

    config = timm.models.get_pretrained_cfg(name)
    at = shape or (config.input_size if config else (3, 224, 224))
    model = Timm(family="timm", name=name)
    row = {"name": name, "paper": (config and config.paper_ids) or None, "year": None}
    has_weights = timm.models.is_model_pretrained(name)
    try:
        side = smallest_useful_input(model)
    except RequestError as error:
        return row | blank_row(at, args.classes or 1000, None, has_weights) | {"error": str(error)}
    # Some networks of the many are more than counting without memory can take: the others are listed all the same.
    return row | counts(model, at, args.classes or 1000, args.stages, True, side, has_weights)


def counts(
    model: Any,
    shape: tuple[int, int, int],
    classes: int,
    with_stages: bool,
    chosen: bool,
    min_size: int | None,
    pretrained: bool,
) -> dict[str, Any]:
    """The measured half of a row.

    Args:
        chosen: somebody chose the shape, or nobody vouches for the model: one that does not take it is listed
            without numbers.
    """
    from bench.models.overview import count

    row = blank_row(shape, classes, min_size, pretrained)
    try:
        found = count(model, shape, classes)
    except RequestError as error:
        if not chosen:
            raise
        return row | {"error": str(error)}
    row |= {
        "parameters": found.parameters,
        "flops": found.flops,
        "norm_layers": list(found.norm_layers),
        "norms": found.norms,
        "heads": list(found.heads),
    }
    if with_stages:
        row["stages"] = [{"name": name, "parameters": n} for name, n in found.stages]
    return row


def blank_row(shape: tuple[int, int, int], classes: int, min_size: int | None, pretrained: bool) -> dict[str, Any]:
    """The second half of a row before anything is counted."""
    row: dict[str, Any] = {"parameters": None, "flops": None, "min_size": min_size, "pretrained": pretrained}
    return row | {"norm_layers": [], "norms": {}, "heads": [], "input": list(shape), "classes": classes}


def table(rows: list[dict[str, Any]], with_stages: bool) -> list[str]:
    """Lines for people."""
    # A stage stands two columns in, and two columns lie between.
    staged = [len(s["name"]) for r in rows if with_stages for s in r.get("stages", [])]
    width = max([len(r["name"]) for r in rows] + [n + 2 for n in staged])
    counted = {r["name"]: " ".join(f"{kind} {n}" for kind, n in r["norms"].items()) or "-" for r in rows}
    norms = max([5] + [len(text) for text in counted.values()])
    head = ("model", "parameters", "FLOPs", "input", "min", "weights", "norms", "norm_layer", "paper")
    line = f"{{:<{width}}}  {{:>11}}  {{:>6}}  {{:<9}}  {{:>3}}  {{:<7}}  {{:<{norms}}}  {{:<16}}  {{}}"
    lines = [line.format(*head)]
    for r in rows:
        if "error" in r:
            lines.append(f"{r['name']:<{width}}  {r['error']}")
            continue
        paper = " ".join(str(p) for p in (r["paper"], r["year"]) if p is not None)
        numbers = (f"{r['parameters']:,}", _shorten(r["flops"]), "x".join(map(str, r["input"])), r["min_size"] or "-")
        weights = "yes" if r["pretrained"] else "no"
        lines.append(line.format(r["name"], *numbers, weights, counted[r["name"]], _norms(r["norm_layers"]), paper))
        if len(r["heads"]) > 1:
            lines.append(f"  its logits are the mean of {len(r['heads'])} heads: {', '.join(r['heads'])}")
        if with_stages:
            lines += [f"  {s['name']:<{width - 2}}  {s['parameters']:>11,}" for s in r["stages"]]
    return lines


def _norms(names: list[str]) -> str:
    """The norm_layers besides native, shortly."""
    from bench.schema.model import ALL_NORMS

    missing = [n for n in ALL_NORMS if n not in names]
    if len(missing) > 1:
        return " ".join(n for n in names if n != "native")
    return f"all but {missing[0]}" if missing else "all"


def _shorten(flops: int | None) -> str:
    """1,234,567 as 1.23M."""
    if flops is None:
        return "-"
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if flops >= unit:
            return f"{flops / unit:.3g}{letter}"
    return str(flops)


def progress(names: list[str]) -> Any:
    """The names, with a bar on a terminal's standard error while they are worked on."""
    if not sys.stderr.isatty() or len(names) < 4:
        return names
    from rich.console import Console
    from rich.progress import track

    return track(names, "counting", console=Console(stderr=True), transient=True)
