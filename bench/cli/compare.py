"""Compare two results: settings as a diff, metrics paired, curves over each other.

    bench compare RUN RUN                       two runs of the store, by run id or its first characters
    bench compare batchnorm batchnorm-smoke     two sweeps in results/, or two results folders
    bench compare batchnorm@v1.0 batchnorm      the results of two commits
    bench compare old.db#batchnorm mlflow.db#batchnorm    two stores, each with the name of its MLflow experiment

Differences are b - a over pairs of the same seed, with a 95% t-interval. The figure goes to compare.svg (--out).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.analysis.artifacts import Curves, Reader
    from bench.report.compare import Side

    Found = tuple[Side, Reader]

SUMMARY = "two runs, sweeps, stores or commits side by side"

MOST_CURVES = 12  # of each side; more lines over each other show nothing


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("a", help="run id, sweep in results/, folder, records.csv, NAME@COMMIT, or STORE#EXPERIMENT")
    parser.add_argument("b", help="the other one")
    parser.add_argument("--metric", nargs="+", default=[], help="what to pair (default: accuracies, NLL, costs)")
    parser.add_argument("--out", type=Path, default=Path("compare.svg"), help="the figure (default: compare.svg)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results")


def main(args: argparse.Namespace) -> int:
    """Print the comparison and write the figure; 0 whatever it says."""
    from bench.disk import write_atomically
    from bench.report.compare import compare
    from bench.report.compared import data, text
    from bench.report.figures import png, svg
    from bench.report.figures.beside import beside
    from bench.report.figures.paper import draw_together
    from bench.schema.errors import RequestError

    if args.out.suffix not in (".svg", ".png"):
        raise RequestError(f"--out {args.out}: expected a name that ends in .svg or .png.")
    (a, read_a), (b, read_b) = (side(word, args.results) for word in (args.a, args.b))
    found = compare(a, b, args.metric)
    drawing = draw_together(beside(found, (curves(a, read_a), curves(b, read_b))))
    write_atomically(args.out, svg(drawing) if args.out.suffix == ".svg" else png(drawing))
    if args.json:
        print(json.dumps({**data(found), "figure": str(args.out)}))
    else:
        print(text(found))
        print(f"figure: {args.out}")
    return 0


def side(word: str, results: Path) -> Found:
    """The records that a word on the command line stands for, and how to read their runs' files.

    Raises:
        RequestError: for a word that names nothing.
    """
    from bench.analysis import artifacts
    from bench.report import evidence, seal
    from bench.report.compare import Side
    from bench.track.record import read_csv

    path = Path(word)
    if path.suffix == ".csv":
        if (path.parent / seal.FILE).is_file():
            tell_edits(path.parent)
        return Side(word, read_csv(path)), artifacts.read_kept(path.parent)
    if "#" in word or "://" in word or path.suffix == ".db":
        return of_store(word)
    if "@" in word:
        return of_commit(word, results)
    folder = next((p for p in (results / word, path) if (p / "records.csv").exists()), None)
    if folder is not None:
        found = evidence.read(folder)
        tell_edits(folder)
        return Side(word, found.records), artifacts.read_kept(folder)
    return of_run(word, results)


def tell_edits(folder: Path) -> None:
    """Say what of a results folder is not as a run left it."""
    from bench.report import seal

    for when, changes in (("after", seal.faults(folder)), ("before", seal.edited_before(folder))):
        for change in changes[:3]:
            print(f"warning: {folder} was changed {when} it was written: {change}", file=sys.stderr)


def of_run(word: str, results: Path) -> Found:
    """One run of the store that $MLFLOW_TRACKING_URI names, else of that in this folder, by how its id begins."""
    from bench.analysis import artifacts
    from bench.report import evidence
    from bench.report.compare import Side
    from bench.schema.errors import RequestError
    from bench.track.store import default_uri, existing, redact

    like_an_id = len(word) >= 6 and all(c in "0123456789abcdef" for c in word)
    if like_an_id and (store := existing(None)) is not None:
        every = [r for name in store.experiments() for r in store.records(name)]
        match = [r for r in every if r.run_id.startswith(word)]
        if len(match) > 1:
            raise RequestError(f"'{word}' is the start of {len(match)} run ids in {store.shown}. Give more of it.")
        if match:
            axes = " · ".join(str(v) for v in match[0].axes.values())
            label = f"{match[0].run_id[:12]} {axes} · seed {match[0].seed}"
            return Side(label, match), artifacts.read_stored(store)
    known = [p.name for p in evidence.find_folders(results)] if results.is_dir() else []
    raise RequestError(
        f"'{word}' is neither a run in {redact(default_uri())} (at least 6 characters of its id) nor a sweep in "
        f"{results} ({', '.join(known) or 'there is none'}), nor a folder with a records.csv."
    )


def of_store(word: str) -> Found:
    """All runs of one MLflow experiment of a store: `old.db#batchnorm`, `http://host:5000#batchnorm`."""
    from bench.analysis import artifacts
    from bench.report.compare import Side
    from bench.schema.errors import RequestError, unknown_name
    from bench.track.store import Store

    uri, _, name = word.partition("#")
    if "://" not in uri:
        if not Path(uri).is_file():
            raise RequestError(f"There is no store {uri}. Expected a SQLite file or an address such as sqlite:///FILE.")
        uri = f"sqlite:///{Path(uri).absolute()}"
    store = Store(uri)
    ours = [n for n in store.experiments() if store.records(n)]
    if not ours:
        raise RequestError(f"{store.shown} holds no run that imagebench made.")
    if not name and len(ours) > 1:
        raise RequestError(f"{store.shown} holds {len(ours)} sweeps: {', '.join(ours)}. Say which: {uri}#{ours[0]}.")
    if name and name not in ours:
        raise unknown_name(f"sweep in {store.shown}:", name, ours)
    name = name or ours[0]
    return Side(f"{store.shown}#{name}", store.records(name)), artifacts.read_stored(store)


def of_commit(word: str, results: Path) -> Found:
    """The results of a sweep as a commit of this repository has them: `batchnorm@v1.0`."""
    from bench.analysis import artifacts
    from bench.report.compare import Side
    from bench.schema.errors import RequestError
    from bench.track.record import read_csv

    name, _, revision = word.partition("@")
    if revision.startswith("-"):
        raise RequestError(f"{word}: '{revision}' is no commit.")
    with tempfile.TemporaryDirectory() as scratch:
        for file in ("records.csv", artifacts.KEPT):
            asked = f"{revision}:./{(results / name / file).as_posix()}"
            got = subprocess.run(["git", "show", asked], capture_output=True, check=False)
            if got.returncode == 0:
                (Path(scratch) / file).write_bytes(got.stdout)
            elif file == "records.csv":
                reason = got.stderr.decode(errors="replace").strip().splitlines()
                raise RequestError(f"{word}: git has no {asked} ({reason[0] if reason else 'no reason given'}).")
        kept = artifacts.read_kept(Path(scratch))
        return Side(word, read_csv(Path(scratch) / "records.csv")), kept


def curves(one: Side, reader: Reader) -> list[Curves]:
    """The learning curves of a side's finished runs, where there are few enough to be seen."""
    from bench.analysis import artifacts
    from bench.analysis.selection import only_judged

    finished = [r for r in only_judged(one.records) if r.status == "finished"]
    if len(finished) > MOST_CURVES:
        print(f"{one.label}: {len(finished)} runs; curves are drawn for up to {MOST_CURVES}.", file=sys.stderr)
        return []
    texts = [(r, reader(r, artifacts.FILE["curves"])) for r in finished]
    return [artifacts.curves(text, f"curves of run {r.run_id}") for r, text in texts if text]
