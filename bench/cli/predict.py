"""Classify images with a run's model: files, folders, patterns, addresses, or - for a list on standard input.

    bench predict last photo.jpg                     the newest finished run
    bench predict 1f3a9c photos/ 'more/*.png'        a run by the first characters of its id
    bench predict 1f3a9c,77b01d photo.jpg            several runs: the mean of their probabilities
    bench predict exported/ photo.jpg                a model that bench export wrote; needs no store
    find . -name '*.jpg' | bench predict last - --csv > predictions.csv

What cannot be read is told on standard error, the other images are classified all the same, and the status is 1.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.disk import show_cell
from bench.schema.errors import RequestError

if TYPE_CHECKING:
    from bench.serve.classifier import OfRun
    from bench.serve.ensemble import Classifier
    from bench.serve.exported import Exported

SUMMARY = "class probabilities of images, by a run's model"

AT_ONCE = 64  # images


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("run", metavar="RUN", help="run id, its first characters, last, several with commas, or folder")
    parser.add_argument("images", nargs="+", metavar="IMAGE | OVERRIDE", help="images; dataset.root=DIR if they moved")
    parser.add_argument("--top", type=int, default=3, help="classes shown an image (default: 3; 0: all)")
    parser.add_argument("--csv", action="store_true", help="a row an image, a column a class")
    model_options(parser)
    parser.add_argument("--views", type=int, default=0, help="average over so many augmented views of each image too")
    parser.add_argument("--augment", help="what makes the views, as in augment=NAME (default: the run's own)")


def model_options(parser: argparse.ArgumentParser) -> None:
    """The flags that predict, serve, export and explain share."""
    parser.add_argument("--calibrate", action="store_true", help="honest confidences: a temperature fitted on val")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")


def main(args: argparse.Namespace) -> int:
    """Print the classes of every image; 1 where some could not be read."""
    from bench.serve.pictures import places

    # A file whose name holds a = is still a file.
    overrides = [w for w in args.images if is_override(w)]
    words = [w for w in args.images if w not in overrides]
    if not words:
        raise RequestError("No image was named: files, folders, patterns, addresses, or - for a list.")
    if args.views < 0 or args.top < 0:
        raise RequestError("--views and --top: expected 0 or more.")
    if args.csv and args.json:
        raise RequestError("--csv and --json: say one of them.")
    model = classifier(args, overrides)
    failed = 0
    rows: list[dict[str, Any]] = []
    writer = csv.writer(sys.stdout, lineterminator="\n")  # a CR is no text for a terminal
    if args.csv:
        writer.writerow(["image", "class", "probability", *map(show_cell, model.classes)])
    for place, row, problem in classify_all(model, places(words, sys.stdin)):
        if problem:
            failed += 1
            print(f"bench: {plain(place)} {problem}", file=sys.stderr)
            rows.append({"image": place, "error": problem})
            continue
        best = max(range(len(row)), key=lambda k: row[k])
        if args.csv:
            writer.writerow(
                [*map(show_cell, (place, model.classes[best])), f"{row[best]:.6f}", *(f"{p:.6f}" for p in row)]
            )
        elif args.json:
            named = dict(zip(model.classes, row, strict=True))
            rows.append({"image": place, "class": model.classes[best], "probabilities": named})
        else:
            print(f"{plain(place)}: {line(model.classes, row, args.top)}")
    if args.json:
        print(json.dumps({"model": model.title, "classes": model.classes, "predictions": rows}))
    return 1 if failed else 0


def plain(place: str) -> str:
    """A place on one line: a file's name may hold what ends a line, or moves a terminal's cursor."""
    return "".join(repr(c)[1:-1] if unicodedata.category(c) in ("Cc", "Cs") else c for c in place)


def is_override(word: str) -> bool:
    """Whether a word says where the run's images or the store are, and is no file."""
    name = word.partition("=")[0]
    return "=" in word and name in ("dataset.root", "dataset.file", "tracking.uri") and not Path(word).exists()


def line(classes: tuple[str, ...], row: list[float], top: int) -> str:
    """`cat 82%, dog 15%`: the most probable classes first, and how many of them are equally so."""
    order = sorted(range(len(row)), key=lambda k: -row[k])
    tied = sum(p == row[order[0]] for p in row)
    note = f" ({tied} classes are tied)" if tied > 1 else ""
    return ", ".join(f"{classes[k]} {percent(row[k])}" for k in order[: top or None]) + note


def percent(p: float) -> str:
    """82%; what is nearly certain or nearly impossible keeps a digit that says so."""
    if p >= 0.995 or p < 0.01:
        return f"{100 * p:.1f}%"
    return f"{100 * p:.0f}%"


def classify_all(model: Classifier, found: Iterator[str]) -> Iterator[tuple[str, list[float], str]]:
    """(place, probabilities, "") of each image, or (place, [], what is wrong with it), in order."""
    from itertools import islice

    from bench.serve.pictures import BadImage, read

    while places := list(islice(found, AT_ONCE)):
        images, problems = [], {}
        for i, place in enumerate(places):
            try:
                images.append(model.decode_image(read(place)))
            except BadImage as error:
                problems[i] = str(error)
        rows = iter(model.probabilities(images).tolist() if images else [])
        for i, place in enumerate(places):
            yield (place, [], problems[i]) if i in problems else (place, next(rows), "")


def classifier(args: argparse.Namespace, overrides: list[str]) -> Classifier:
    """The model that the words ask for."""
    words = [word for word in args.run.split(",") if word]
    members = [one(word, args, overrides) for word in words]
    named = [_resolved(member) for member in members]
    if twice := next((word for word, what in zip(words, named, strict=True) if named.count(what) > 1), ""):
        raise RequestError(f"{args.run}: '{twice}' and another one are the same model. Name each once.")
    if not members:
        raise RequestError("No run was named: expected a run's id, its first characters, or 'last'.")
    if len(members) == 1:
        return members[0]
    from bench.serve.ensemble import Ensemble

    return Ensemble(members)


def _resolved(model: OfRun | Exported) -> str:
    """What a word named: the run's id, or the file of an exported model; the same title may stand for several."""
    from bench.serve.exported import Exported

    return str(model.file.resolve()) if isinstance(model, Exported) else model.trained.record.run_id


def one(word: str, args: argparse.Namespace, overrides: list[str]) -> OfRun | Exported:
    """A run, or the folder of an exported model."""
    from bench.serve.exported import Exported, is_exported

    views, augment = getattr(args, "views", 0), getattr(args, "augment", None)
    if augment and not views:
        raise RequestError(f"--augment {augment} says what makes views: say how many, as in --views 8.")
    if is_exported(word):
        if views or args.calibrate:
            raise RequestError(
                f"{word} is an exported model: it is calibrated when it is exported, and takes no views."
            )
        return Exported(Path(word))
    from bench.serve.classifier import OfRun

    augmented = None
    if augment:
        from bench.compose import compose
        from bench.schema.experiment import experiment

        augmented = experiment(compose([f"augment={augment}"]))
    return OfRun(open_model(word, overrides, args.device), args.calibrate, views, augmented)


def open_model(word: str, overrides: list[str], device: str = "auto") -> Any:
    """The Trained of a run of the store here, or of tracking.uri=."""
    import torch

    from bench.reopen import open_run
    from bench.schema.errors import unknown_name
    from bench.track.store import Store

    said = dict(w.split("=", 1) for w in overrides)
    uri = said.pop("tracking.uri", None)
    if uri is None and not Path("mlflow.db").exists():
        raise RequestError(
            f"There is no store in {Path.cwd()} (mlflow.db). Go where 'bench run' was called, or say tracking.uri=URI."
        )
    if device != "auto":
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError):
            raise unknown_name("device", device, ["auto", "cpu", "cuda"]) from None
    return open_run(Store(uri), word, said, device)
