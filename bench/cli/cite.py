"""BibTeX for the tool, the data sets, the models and the papers of a sweep.

    bench cite batchnorm             what the results in results/batchnorm used
    bench cite batchnorm > refs.bib  standard output is BibTeX, comments say what each entry is for

The entries of papers stand in bench/cli/papers.bib. A paper that is only named by its arXiv number gets an entry of
that number, which says that its title is to be filled in.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bench import __version__

if TYPE_CHECKING:
    from bench.report.evidence import Evidence

SUMMARY = "BibTeX for the tool, the data sets, models and papers of a sweep"

FILE = Path(__file__).with_name("papers.bib")
# How the registry and the catalog name papers that have no arXiv number or doi there.
NAMED = {
    "Cover & Hart": "cover1967nearest",
    "Mensink et al.": "mensink2013ncm",
    "Cox, J. R.": "cox1958regression",
    "Rumelhart et al.": "rumelhart1986backprop",
    "LeCun et al.": "lecun1998gradient",
    "Alpaydin & Kaynak": "alpaydin1998digits",
    "Krizhevsky 2009": "krizhevsky2009tiny",
    "Netzer et al.": "netzer2011svhn",
    "Coates et al.": "coates2011stl",
    "Howard 2019, github": "howard2019imagenette",
}


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("name", nargs="?", help="a sweep in results/, or its folder; without one: the tool only")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results")


def main(args: argparse.Namespace) -> int:
    """Print BibTeX."""
    from bench.report import evidence

    found = [("the tool", tool())]
    if args.name is not None:
        read = evidence.read(evidence.folder_named(args.name, args.results))
        for change in read.changed[:3]:
            print(f"warning: {read.folder} was changed after it was written: {change}", file=sys.stderr)
        found += of_sweep(read)
    merged: dict[str, list[str]] = {}
    for what, entry in found:
        merged.setdefault(entry, []).append(what)
    if args.json:
        print(json.dumps([{"for": what, "bibtex": entry} for entry, what in merged.items()]))
    else:
        print("\n\n".join(f"% {', '.join(dict.fromkeys(what))}\n{entry}" for entry, what in merged.items()))
    return 0


def tool() -> str:
    """The entry of imagebench itself."""
    return (
        f"@software{{imagebench, title = {{imagebench: ablation tables for image classification that carry their own "
        f"evidence}}, author = {{{{The imagebench developers}}}}, version = {{{__version__}}}}}"
    )


def of_sweep(read: Evidence) -> list[tuple[str, str]]:
    """(what for, entry) for the data sets, models and papers of a sweep."""
    from bench.data.catalog import CARDS
    from bench.models.registry import REGISTRY

    out = []
    configs = [record.config for record in read.records if record.config]
    for source in sorted({str(c.get("dataset.source")) for c in configs} & set(CARDS)):
        card = CARDS[source]
        out += [(f"data set {source}, licence: {card.licence}", e) for e in papers(card.paper)]
    models = {str(c.get("model.name") or c.get("model.family")) for c in configs}
    models |= {f"resnet{c['model.depth']}" for c in configs if "model.depth" in c}
    if any(str(c.get("transfer.weights")) == "bundled" and c.get("transfer.mode") != "scratch" for c in configs):
        models.add("efficientnet_lite0")
    # Published weights may have a tag, resnet18.a1_in1k.
    for name in sorted({m.partition(".")[0] for m in models} & set(REGISTRY)):
        out += [(f"model {name}", e) for e in papers(REGISTRY[name].paper)]
    out += [("what the sweep is after", e) for e in papers(read.sweep.source)]
    for one in read.sweep.published:
        out += [(f"published number {one.value:g}", e) for e in papers(one.source)]
    return out


def papers(text: str) -> list[str]:
    """The entries that a text names, by arXiv number, doi, or as the registry and the catalog say it."""
    known = entries()
    keys = [key for key, entry in known.items() if any(word in entry for word in _identifiers(text))]
    if not keys:
        keys = [key for words, key in NAMED.items() if words in text]
    found = [known[key] for key in keys]
    numbers = re.findall(r"arXiv:(\d{4}\.\d{4,5})", text)
    return found + [_unknown(text, n) for n in numbers if not any(f"{{{n}}}" in entry for entry in found)]


def entries(file: Path = FILE) -> dict[str, str]:
    """Key -> entry of a .bib file with an entry a line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return {line.partition("{")[2].partition(",")[0]: line for line in lines if line.startswith("@")}


def _identifiers(text: str) -> Iterable[str]:
    yield from (f"{{{number}}}" for number in re.findall(r"arXiv:(\d{4}\.\d{4,5})", text))
    yield from (f"{{{doi.rstrip(';,.')}}}" for doi in re.findall(r"doi:(\S+)", text))


def _unknown(text: str, number: str) -> str:
    """An entry for a paper that only its number is known of; the authors are as the text says."""
    said = re.search(rf"([^;(]*?),?\s*arXiv:{re.escape(number)}", text)
    authors, _, year = (said.group(1) if said else "").strip().rpartition(" ")
    made = authors.replace(" et al.", " and others").replace(" & ", " and ") if year.isdecimal() else ""
    fields = [f"author = {{{made}}}", f"year = {{{year}}}"] if made else []
    body = ", ".join([*fields, f"eprint = {{{number}}}", "archiveprefix = {arXiv}", "note = {title to be filled in}"])
    return f"@misc{{arxiv{number}, {body}}}"
