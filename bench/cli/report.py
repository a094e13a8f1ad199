"""Write the site: results/index.html, a page for each sweep in results/, and results/README.md.

    bench report
    bench report --results somewhere/results

It needs what 'bench table NAME' wrote there (records.csv and manifest.json) and nothing else: no store, no torch,
no network.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the results (default: results)"
    )


def main(args: argparse.Namespace) -> int:
    """Write the pages; 0 when every sweep could be shown, 1 when a folder could not be read."""
    from bench.report import site

    made = site.build(args.results)
    if args.json:
        print(json.dumps({"files": [str(p) for p in made.files], "broken": made.broken}))
        return 1 if made.broken else 0
    for path in made.files:
        print(f"{path}  ({path.stat().st_size / 1000:,.0f} kB)")
    for message in made.broken:
        print(f"bench: not shown: {message}", file=sys.stderr)
    print(f"\nOpen {(args.results / 'index.html').absolute().as_uri()}")
    return 1 if made.broken else 0
