"""Write the site: results/index.html, a page for each sweep in results/, options.html, and
results/README.md.

The list in sweeps/README.md beside it is written too, between its two marks.

    bench report
    bench report --results somewhere/results
    bench report --single-file      everything inside each page, to be passed on as one file
    bench report --link-store       runs lead to MLflow's pages of this machine's store ('bench ui' opens them)

It needs what 'bench table NAME' wrote there (records.csv and manifest.json) and nothing else: no store, no torch,
no network.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

SUMMARY = "the site in results/: an index and a page for each sweep"

STORE_PAGE = "http://127.0.0.1:5000"  # where 'bench ui' answers


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the results (default: results)"
    )
    parser.add_argument("--single-file", action="store_true", help="put everything inside each page")
    parser.add_argument("--link-store", action="store_true", help="link runs to the store; for pages that stay here")


def main(args: argparse.Namespace) -> int:
    """Write the pages; 0 when every sweep could be shown, 1 when a folder could not be read."""
    from bench.cli.reference import sections
    from bench.disk import write_atomically
    from bench.report.pages import readme, site
    from bench.sweep import file

    shipped = sections(own=False)  # pages are read elsewhere, where there is nothing of one's own
    made = site.build(args.results, args.single_file, STORE_PAGE if args.link_store else "", shipped)
    catalogue = args.results.parent / "sweeps" / "README.md"
    if catalogue.exists():
        sweeps = [file.read(str(path)) for path in sorted(catalogue.parent.glob("*.yaml"))]
        before = catalogue.read_text(encoding="utf-8")
        if (after := readme.gallery(before, sweeps, made.contents)) != before:
            write_atomically(catalogue, after)
            made.files.append(catalogue)
    if args.json:
        print(json.dumps({"files": [str(p) for p in made.files], "broken": made.broken}))
        return 1 if made.broken else 0
    for path in made.files:
        print(f"{path}  ({path.stat().st_size / 1000:,.0f} kB)")
    for message in made.broken:
        print(f"bench: not shown: {message}", file=sys.stderr)
    print(f"\nOpen {(args.results / 'index.html').absolute().as_uri()}")
    return 1 if made.broken else 0
