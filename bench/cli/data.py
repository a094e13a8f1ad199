"""Look at a set before training on it: counts, warnings, duplicates, statistics, pictures.

    bench data                                            the sets, with size, classes, licence and paper
    bench data mnist5k augment=shift                      one of them, and what this augmentation makes of it
    bench data mnist5k corrupt=classic                    a test image under every corruption
    bench data dataset=folder dataset.root=photos         your own images
    bench data mnist5k --labels                           also labels that are probably wrong
    bench data dataset=folder dataset.root=photos --features   also images that look alike to a trained network

Pictures and lists go to inspect/NAME/ (of an own set: its name and six signs of its path): labels.png, preview.png,
augment.png, corrupt.png, duplicates.csv, skipped.txt, split.npz.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.disk import write_atomically, write_table
from bench.schema.errors import RequestError, unknown_name
from bench.schema.secrets import redact

if TYPE_CHECKING:
    from bench.data import ImageData
    from bench.data.inspection import Inspection
    from bench.data.near import Pair

SUMMARY = "label statistics, integrity, duplicates, preview"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("words", nargs="*", metavar="NAME | OVERRIDE", help="a dataset's name, or Hydra overrides")
    parser.add_argument("--out", type=Path, help="folder for pictures and lists (default: inspect/NAME)")
    parser.add_argument(
        "--near", type=int, default=10_000, help="images compared for near duplicates (default: 10000; 0: none)"
    )
    parser.add_argument(
        "--features",
        action="store_true",
        help="also pairs that look alike to a frozen backbone (a pass over the images)",
    )
    parser.add_argument("--labels", action="store_true", help="look for labels that are probably wrong (labels.csv)")


def main(args: argparse.Namespace) -> int:
    """Print what there is to know of a set, or the list of sets."""
    if not args.words:
        return listing(args.json)
    from bench import data as images
    from bench.compose import compose, groups
    from bench.data import inspection, preview, splits
    from bench.schema.experiment import experiment

    names = [w for w in args.words if "=" not in w]
    if len(names) > 1:
        raise RequestError(f"Expected one dataset, got {', '.join(names)}.")
    if names and names[0] not in groups()["dataset"]:
        if (hint := own(Path(names[0]))) is not None:
            raise RequestError(f"'{names[0]}' is no dataset's name. For your own images: bench data {hint}")
        raise unknown_name("dataset", names[0], groups()["dataset"])
    exp = experiment(compose([f"dataset={n}" for n in names] + [w for w in args.words if "=" in w]))
    data = images.load(exp.dataset, exp.split)
    found = inspection.inspect(data, args.near)
    out = args.out or Path("inspect") / folder_of(exp.dataset)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"--out: the folder {out} cannot be made ({error.strerror}). Name another.") from error
    preview.labels(data, found.counts, out / "labels.png")
    preview.grid(data, out / "preview.png")
    files = ["labels.png", "preview.png", "duplicates.csv", "split.npz"]
    if preview.augmentations(exp.augment, data, out / "augment.png"):
        files.append("augment.png")
    if preview.corruptions(exp.corrupt, data, out / "corrupt.png"):
        files.append("corrupt.png")
    similar = similar_pairs_of(args, data) if args.features else None
    duplicates(found, similar or [], data, out / "duplicates.csv")
    splits.save(data, out / "split.npz")
    if data.skipped:
        write_atomically(out / "skipped.txt", ("\n".join(data.skipped) + "\n").encode(errors="surrogateescape"))
        files.append("skipped.txt")
    doubtful = None
    if args.labels:
        from bench.data import label_errors

        doubtful = label_errors.label_errors(data)
        label_errors.save(doubtful, data, out / "labels.csv")
        files.append("labels.csv")
    facts = {
        "dataset": exp.dataset.name if exp.dataset.source == "own" else exp.dataset.source,
        "images": len(data.labels),
        "shape": list(data.shape),
        "classes": list(data.classes),
        "fingerprint": data.fingerprint,
        "skipped": len(data.skipped),
        "remarks": list(data.remarks),
        **({} if doubtful is None else {"doubtful_labels": len(doubtful)}),
        **({} if similar is None else {"similar": len(similar), "similar_across_splits": across(similar)}),
        **found.row(),
        "files": [str(out / f) for f in files],
    }
    print(json.dumps(facts) if args.json else text(facts, data, found))
    return 0


def folder_of(dataset: Any) -> str:
    """The name of a set's folder: its own for each folder, list or set of the hub."""
    place = getattr(dataset, "root", None) or getattr(dataset, "file", None) or getattr(dataset, "name", None)
    if dataset.source == "own":  # a function's name is one already
        return str(place)
    if dataset.source not in ("folder", "csv", "huggingface") or not place:
        return str(dataset.source)
    whole = str(Path(os.path.expanduser(place)).resolve()) if "://" not in place else place
    words = re.sub(r"[^\w.-]+", "-", Path(redact(place)).stem).strip("-.")[:40]
    return f"{dataset.source}-{words or 'set'}-{hashlib.sha256(whole.encode(errors='surrogateescape')).hexdigest()[:6]}"


def own(path: Path) -> str | None:
    """The overrides for a folder or CSV file of the user's, who has put its path where a name is expected."""
    if path.is_dir():
        return f"dataset=folder dataset.root={path}"
    return f"dataset=csv dataset.file={path}" if path.is_file() else None


def similar_pairs_of(args: argparse.Namespace, data: ImageData) -> list[Pair]:
    """Pairs that look alike to a frozen backbone: the run's own where it is told one, else the bundled one."""
    from bench.compose import compose
    from bench.data.near import membership, sample
    from bench.protocol.similar import BACKBONE, similar_pairs
    from bench.schema.experiment import experiment

    where = membership(data)
    chosen = sample(where, args.near or len(data.labels))
    said = [w for w in args.words if w.startswith(("model", "transfer"))]
    return similar_pairs(experiment(compose([*BACKBONE, *said])), data, where, chosen)


def across(pairs: list[Pair]) -> int:
    """How many lie in two splits."""
    return sum(p.splits[0] != p.splits[1] for p in pairs)


def duplicates(found: Inspection, similar: list[Pair], data: ImageData, path: Path) -> None:
    """A row for each pair: kind, the two numbers, their splits, labels and files."""
    columns = ["kind", "first", "second", "first_split", "second_split", "first_label", "second_label"]
    rows: list[list[object]] = [[*columns, "first_file", "second_file"]]
    for kind, pairs in (("exact", found.exact), ("near", found.near), ("similar", similar)):
        for p in pairs:
            labels = [data.classes[k] for k in p.labels]
            files = ["", ""] if data.paths is None else [data.paths[p.first], data.paths[p.second]]
            rows.append([kind, p.first, p.second, *p.splits, *labels, *files])
    write_table(path, rows)


def text(facts: dict[str, Any], data: ImageData, found: Inspection) -> str:
    """For people."""
    from rich.cells import cell_len  # 猫 is two columns wide

    from bench.data.catalog import CARDS
    from bench.data.finding import by_number
    from bench.data.leaks import telling

    c, h, w = data.shape
    lines = [f"{facts['dataset']}: {facts['images']:,} images, {h} x {w}, {'grey' if c == 1 else f'{c} channels'}"]
    card = CARDS.get(facts["dataset"])
    if card:
        lines.append(f"{card.title}. {card.paper}. Licence: {card.licence}.")
    width = max(5, *(cell_len(name) for name in data.classes))
    lines += ["", f"{'class':<{width}} {'train':>8} {'val':>8} {'test':>8} {'all':>8}"]
    rows = [(name, *found.counts[:, k]) for k, name in enumerate(data.classes)]
    if len(rows) > 40:
        rows = [*rows[:38], (f"({len(rows) - 38} more)", *found.counts[:, 38:].sum(1))]
    rows.append(("all", *found.counts.sum(1)))
    lines += [
        f"{name}{' ' * (width - cell_len(name))} {a:>8,} {b:>8,} {t:>8,} {a + b + t:>8,}" for name, a, b, t in rows
    ]
    lines += ["", f"mean {found.mean}, std {found.std} (train, in 0..1)"]
    if card and card.mean:
        lines.append(f"published: mean {list(card.mean)}, std {list(card.std or ())}")
    of = f"of {found.compared:,} images compared" if found.compared else "(not looked for)"
    if telling(data):
        lines.append(f"duplicates: {len(found.exact):,} exact; {len(found.near):,} near {of}")
    if "similar" in facts:
        lines.append(
            f"similar: {facts['similar']:,} {by_number(facts['similar'], 'pair looks', 'pairs look')} alike to a "
            f"trained network, {facts['similar_across_splits']:,} "
            "of them in two splits (duplicates.csv): look at them, and say what belongs together (split.group=)"
        )
    if data.skipped:
        lines.append(
            f"skipped: {len(data.skipped)} {by_number(len(data.skipped), 'file', 'files')}, listed in skipped.txt"
        )
    if "doubtful_labels" in facts:
        lines.append(
            f"labels: {facts['doubtful_labels']:,} {by_number(facts['doubtful_labels'], 'is', 'are')} probably wrong, "
            "the most doubtful first in labels.csv"
        )
    lines += list(data.remarks)
    for finding in found.findings:
        lines += ["", f"{finding.level}: {finding.name}", f"  {finding.reason}", f"  {finding.remedy}"]
    return "\n".join([*lines, "", *facts["files"]])


def listing(as_json: bool) -> int:
    """The sets there are."""
    from bench.data.catalog import CARDS, OWN, class_names
    from bench.parts.listing import all_parts

    offered = {p.name: p.summary if p.ours else f"{p.summary} ({p.where})" for p in all_parts() if p.kind == "dataset"}
    if as_json:
        published = {name: {**card._asdict(), "class_names": class_names()[name]} for name, card in CARDS.items()}
        print(json.dumps({"published": published, "own": {**OWN, **offered}}))
        return 0
    print(f"{'name':<15} {'train':>7} {'val':>6} {'test':>6}  {'pixels':<12} {'classes':>7}  licence; paper")
    for name, card in CARDS.items():
        channels, height, width = card.shape
        pixels = f"{height}x{width}" if height else "mixed"
        numbers = "".join(f" {n or '-':>{w}}" for n, w in zip(card.images, (7, 6, 6), strict=True))
        size = f"{pixels} {'grey' if channels == 1 else 'rgb'}"
        print(f"{name:<15}{numbers}  {size:<12} {card.classes:>7}  {card.licence}; {card.paper}")
        print(" " * 16 + textwrap.shorten(", ".join(class_names()[name]), 100, placeholder=" ..."))
    for name, what in {**OWN, **offered}.items():
        print(f"{name:<15} {what}")
    print("\n'bench data NAME' looks at one of them.")
    return 0
