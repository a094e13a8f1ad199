"""Export a run's model with its preprocessing inside, checked on val against the run itself.

    bench export last                            ONNX, in exported/RUN/
    bench export 1f3a9c --format onnx torch --int8
    bench export 1f3a9c --calibrate --dockerfile

`bench predict FOLDER IMAGE...` and `bench serve FOLDER` then work without the store, the images and, for ONNX, torch.
A probability that differs by more than 1e-4 on val is a failure: status 1, and the file is removed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.cli.once import once
from bench.schema.errors import RequestError

SUMMARY = "a run's model as ONNX or torch.export, checked against the run"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    from bench.cli.predict import model_options

    parser.add_argument("run", metavar="RUN", help="run id, its first characters, or last")
    parser.add_argument("words", nargs="*", metavar="OVERRIDE", help="dataset.root=DIR if the images moved")
    parser.add_argument("--format", nargs="+", choices=["onnx", "torch"], default=["onnx"], help="default: onnx")
    parser.add_argument("--int8", action="store_true", help="an int8 form too, with what it costs on val (ONNX)")
    parser.add_argument("--dockerfile", action="store_true", help="a Dockerfile that serves it (ONNX)")
    parser.add_argument("--out", type=Path, help="folder (default: exported/RUN)")
    parser.add_argument("--no-timing", action="store_true", help="do not measure latency and memory")
    model_options(parser)


@once
def main(args: argparse.Namespace) -> int:
    """Write the forms, check and measure each."""
    from bench.cli.predict import is_override, open_model
    from bench.serve.classifier import OfRun

    wrong = [w for w in args.words if not is_override(w)]
    if wrong:
        raise RequestError(
            f"'{wrong[0]}' is no override: expected dataset.root=DIR, dataset.file=FILE, tracking.uri=URI."
        )
    if (args.int8 or args.dockerfile) and "onnx" not in args.format:
        raise RequestError("--int8 and --dockerfile are for --format onnx.")
    trained = open_model(args.run, args.words, "cpu")
    model = OfRun(trained.in_32_bits(), args.calibrate)
    folder = args.out or Path("exported") / trained.record.run_id[:12]
    rows, failed = forms(args, model, folder)
    files = [r["file"] for r in rows]
    if args.dockerfile and not failed:
        from bench.serve.docker import dockerfile

        files += [str(path) for path in dockerfile(folder)]
    if args.json:
        print(json.dumps({"run_id": trained.record.run_id, "forms": rows, "files": files}))
        return 1 if failed else 0
    print("\n".join(table(rows)))
    if trained.exp.trainer.precision.endswith("mixed"):
        print("The run scored in 16 bits; what is exported, and what it is compared with, computes in 32.")
    if trained.exp.augment.test_time:
        print("Views of augment.test_time are not exported: one image goes in as it is, and is compared as it is.")
    if not failed:
        print(f"\nbench predict {folder} IMAGE...      bench serve {folder}")
        if args.dockerfile:
            print(f"docker build -t NAME {folder} && docker run -p 8000:8000 NAME")
    return 1 if failed else 0


def forms(args: argparse.Namespace, model: Any, folder: Path) -> tuple[list[dict[str, Any]], bool]:
    """A row for the run itself and each form; and whether one of them failed its check."""
    from bench.serve.export import ALLOWED, check, export
    from bench.serve.quantize import quantize

    failed = False
    rows: list[dict[str, Any]] = [{"form": "run", "file": "", **timing(args, model, None)}]
    for form in args.format:
        path = export(model, form, folder)
        found = check(model, path)
        rows[0]["accuracy"] = found.original
        row = {"form": form, "file": str(path), "difference": found.difference, "accuracy": found.accuracy}
        rows.append(row)
        if not found.difference <= ALLOWED:  # nan too
            failed = True
            path.unlink()
            row["file"] = ""
            print(
                f"bench: {form}: a probability differs by {found.difference:.2g} on val, more than {ALLOWED:g}: "
                "not to be used, removed.",
                file=sys.stderr,
            )
            continue
        row |= timing(args, model, path)
        if form == "onnx" and args.int8:
            try:
                small = quantize(model, path)
            except RequestError as error:  # the other forms stand
                failed = True
                print(f"bench: int8: {error}", file=sys.stderr)
                continue
            cost = check(model, small)
            rows.append(
                {"form": "onnx int8", "file": str(small), "difference": cost.difference, "accuracy": cost.accuracy}
                | timing(args, model, small)
            )
    return rows, failed


def timing(args: argparse.Namespace, model: Any, path: Path | None) -> dict[str, float]:
    """Size of a form, and its latency and memory where they are asked for."""
    from bench.serve.measure import measure_model

    trained = model.trained
    size: dict[str, float] = {}
    if path is not None:
        beside = [
            p for p in path.parent.glob(f"{path.name}*") if p.is_file()
        ]  # large weights lie in a file of their own
        size = {"megabytes": sum(p.stat().st_size for p in beside) / 2**20}
    if args.no_timing:
        return size
    uri = next((w.partition("=")[2] for w in args.words if w.startswith("tracking.uri=")), None)
    of = {"file": str(path)} if path else {"run": trained.record.run_id, "uri": uri, "where": dict(trained.where)}
    return size | measure_model({**of, "shape": list(trained.shape)})


def table(rows: list[dict[str, Any]]) -> list[str]:
    """For people."""
    head = ("form", "largest diff", "val acc", "MB", "ms/image", "images/s", "peak MB")
    lines = ["{:<10} {:>12} {:>8} {:>7} {:>9} {:>9} {:>8}  file".format(*head)]
    for row in rows:
        cells = (
            f"{row['difference']:.1e}" if "difference" in row else "",
            f"{row['accuracy']:.2%}" if "accuracy" in row else "",
            *(f"{row[k]:{f}}" if k in row else "" for k, f in
              (("megabytes", ".2f"), ("latency_ms", ".2f"), ("images_per_second", ",.0f"), ("peak_memory_mb", ",.0f"))),
        )  # fmt: skip
        lines.append(f"{row['form']:<10} {cells[0]:>12} {cells[1]:>8} {cells[2]:>7} {cells[3]:>9} {cells[4]:>9} "
                     f"{cells[5]:>8}  {row['file']}")  # fmt: skip
    return lines
