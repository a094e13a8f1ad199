"""Pictures of what a run learned and where it fails: PNG, SVG and one page, in explain/RUN/ and in the store.

    bench explain last                                   everything that this run has to show
    bench explain 1f3a9c mistakes saliency               some kinds
    bench explain 1f3a9c saliency --image photo.jpg      about an image of one's own
    bench explain --list                                 the kinds

Images are those of val, so that looking at mistakes does not use test up; --split test looks there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.once import once
from bench.schema.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.trained import Trained

SUMMARY = "pictures of what a run learned and where it fails"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="run id, its first characters, or last")
    parser.add_argument("words", nargs="*", metavar="KIND | OVERRIDE", help="kinds of picture (default: all)")
    parser.add_argument("--list", action="store_true", help="the kinds there are")
    parser.add_argument("--split", choices=["val", "test", "train"], default="val", help="whose images (default: val)")
    parser.add_argument("--image", help="explain this image instead of examples from the split")
    parser.add_argument("--precision", type=float, default=0.95, help="wanted precision for thresholds (default: 0.95)")
    parser.add_argument("--out", type=Path, help="folder (default: explain/RUN)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    parser.add_argument("--no-store", action="store_true", help="do not add the pictures to the run's artifacts")


@once
def main(args: argparse.Namespace) -> int:
    """Draw the pictures."""
    from bench.explain.drawing import KINDS, draw

    if args.list or args.run is None:
        if args.run is None and not args.list:
            raise RequestError("Which run? Expected a run's id, its first characters, or 'last'.")
        print(json.dumps(KINDS) if args.json else "\n".join(f"{kind:<18} {what}" for kind, what in KINDS.items()))
        return 0
    from bench.cli.announce import store_may_refuse
    from bench.cli.predict import is_override, open_model
    from bench.explain.subject import Subject
    from bench.track.store import Store

    if not 0 < args.precision <= 1:
        raise RequestError(f"--precision: expected a fraction such as 0.95, got {args.precision:g}.")
    overrides = [w for w in args.words if is_override(w)]
    trained = open_model(args.run, overrides, args.device)
    uri = next((w.partition("=")[2] for w in overrides if w.startswith("tracking.uri=")), None)
    store = Store(uri)
    subject = Subject(trained, store, args.split, own_image(args.image, trained), args.precision)
    out = args.out or Path("explain") / trained.record.run_id[:12]

    def say(kind: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{kind} ...", end="", file=sys.stderr, flush=True)

    drawn = draw(subject, [w for w in args.words if w not in overrides], out, say)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if not args.no_store:
        with store_may_refuse(f"The pictures are in {out} alone"):
            store.add_files(trained.record.run_id, drawn.files, "explain")
    if args.json:
        shown = [{"name": p.name, "title": p.title, "caption": p.caption} for p in drawn.pictures]
        files = [str(f) for f in drawn.files]
        print(
            json.dumps({"run_id": trained.record.run_id, "pictures": shown, "left_out": drawn.left_out, "files": files})
        )
        return 0
    count = len(drawn.pictures)
    print(f"{trained.title}: {count} picture{'s' if count != 1 else ''}")
    for picture in drawn.pictures:
        print(f"  {picture.name:<20} {picture.title}")
    for kind, why in drawn.left_out.items():
        print(f"  no {kind}: {why}")
    print(f"{drawn.files[0]}   (open it in a browser)")
    return 0


def own_image(place: str | None, trained: Trained) -> NDArray[np.uint8] | None:
    """The user's image as the run's set would have stored it."""
    if place is None:
        return None
    from bench.serve.classifier import OfRun
    from bench.serve.pictures import BadImage, read

    try:
        return OfRun(trained).decode_image(read(place))[0]
    except BadImage as error:
        raise RequestError(f"--image {place} {error}.") from None
