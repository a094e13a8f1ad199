"""Write a file of your own that works as it stands: a model, a dataset, a metric, ..., or a sweep.

bench new model convmixer        parts/convmixer.py, then: bench run model=convmixer
bench new sweep mine             sweeps/mine.yaml, then: bench sweep mine --scale smoke
bench new                        what there is
"""

from __future__ import annotations

import argparse
import json
import keyword
from pathlib import Path

from bench.disk import write_atomically
from bench.schema.errors import RequestError, unknown_name

SUMMARY = "a file of your own that works as it stands: model, dataset, metric, sweep, ..."

EXAMPLES = Path(__file__).resolve().parents[1] / "parts" / "examples"

# Kind -> what it is used by. Two examples of training: an average of the weights, and an earlier run as a teacher.
USES = {
    "model": "bench run model={name}",
    "dataset": "bench run dataset={name}",
    "metric": "bench run metrics.names=[{name}]",
    "augmentation": "bench run augment={name}",
    "loss": "bench run loss={name} model=dnn",
    "optimizer": "bench run optim={name} model=dnn",
    "training": "bench run training={name} model=dnn",
    "distillation": "bench run training={name} training.teacher=RUN model=dnn",
    "sweep": "bench sweep {name} --scale smoke",
}


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("kind", nargs="?", help=", ".join(USES))
    parser.add_argument("name", nargs="?", help="of the file, and how it is then called")


def main(args: argparse.Namespace) -> int:
    """Write the file; 0, or an error where there is one of that name."""
    if args.kind is None:
        width = max(map(len, USES))
        print(json.dumps(USES) if args.json else "\n".join(f"{k:<{width}}  {v}" for k, v in USES.items()))
        return 0
    path = write(args.kind, args.name or "mine")
    use = USES[args.kind].format(name=path.stem)
    print(json.dumps({"file": str(path), "use": use}) if args.json else f"{path}\nNext: {use}")
    return 0


def write(kind: str, name: str) -> Path:
    """Write the example of a kind under a name of one's own; gives its path.

    Raises:
        RequestError: for an unknown kind, a name that is none, or a file that is there already.
    """
    if kind not in USES:
        raise unknown_name("kind", kind, USES)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise RequestError(f"'{name}' is no name for a function. Expected letters, digits and _, as in my_{kind}.")
    source = EXAMPLES / ("sweep.yaml" if kind == "sweep" else f"{kind}.py")
    path = Path("sweeps") / f"{name}.yaml" if kind == "sweep" else Path("parts") / f"{name}.py"
    if path.exists():
        raise RequestError(f"{path} exists already. Choose another name, or remove it.")
    write_atomically(path, source.read_text(encoding="utf-8").replace("NAME", name))
    return path
