"""The verbs of the command, and the arguments of each; a verb's module is imported when it is asked for."""

from __future__ import annotations

import argparse
import importlib
from types import ModuleType

from bench.schema.errors import RequestError

VERBS = {
    "run": "one experiment",
    "sweep": "plan a sweep, skip what is done, run the rest",
    "table": "table, figure and verdicts from the store",
    "report": "the site in results/: an index and a page for each sweep",
    "reproduce": "run cells of committed results again and compare",
    "compare": "two runs, sweeps, stores or commits side by side",
    "options": "every setting, claim and figure kind, from the schema itself",
    "models": "parameters, FLOPs, smallest input, source paper",
    "lr": "the largest stable lr, by a short training in which it rises",
    "check": "protocol lint, before compute is spent",
    "explain": "pictures of what a run learned and where it fails",
    "predict": "class probabilities of images, by a run's model",
    "export": "a run's model as ONNX or torch.export, checked against the run",
    "serve": "a page and an endpoint that classify images",
    "auto": "the best classifier for a folder of images",
    "data": "label statistics, integrity, duplicates, preview",
    "new": "a file of your own that works as it stands: model, dataset, metric, sweep, ...",
    "sync": "deliver what waits for the store, bring runs of another one",
    "cite": "BibTeX for the tool, the data sets, models and papers of a sweep",
    "merge": "results of several people, of one sweep, as one table",
    "publish": "the results as a static site, in a folder or on the hub",
    "wandb": "copy runs of the store into Weights & Biases",
    "ui": "MLflow's user interface on the store",
    "doctor": "what works on this machine, and what to do about what does not",
}


def parser_of(verb: str) -> tuple[Parser, ModuleType]:
    """A verb's arguments, and its module."""
    module = importlib.import_module(f"bench.cli.{verb}")
    parser = Parser(
        prog=f"bench {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
        allow_abbrev=False,
    )
    module.options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--debug", action="store_true", help="tracebacks instead of messages")
    parser.add_argument("--parts", metavar="DIR", help="a folder of own parts, besides parts/ here")
    return parser, module


class Parser(argparse.ArgumentParser):
    """argparse, with its errors as RequestErrors."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise what argparse would print."""
        raise RequestError(f"{message}\n'{self.prog} --help' shows what it takes.")
