"""Serve a model: a page to drop, paste, photograph or draw an image, and a JSON endpoint. On this machine only.

    bench serve last                              http://127.0.0.1:8000
    bench serve exported/1f3a9c                   a model that bench export wrote; needs no store
    curl --data-binary @photo.jpg http://127.0.0.1:8000/predict

Nothing of a request is written to disk. --host 0.0.0.0 lets other machines in; there is no password.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
from typing import Any

from bench.schema.errors import RequestError

SUMMARY = "a page and an endpoint that classify images"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    from bench.cli.predict import model_options

    parser.add_argument("run", metavar="RUN", help="run id, its first characters, last, several with commas, or folder")
    parser.add_argument("words", nargs="*", metavar="OVERRIDE", help="dataset.root=DIR if the images moved")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free one")
    parser.add_argument("--max-mb", type=float, default=10, help="largest upload in MB (default: 10)")
    parser.add_argument("--max-megapixels", type=float, default=25, help="largest image (default: 25)")
    parser.add_argument("--rate", type=float, default=20, help="requests a second of one address (default: 20; 0: any)")
    parser.add_argument("--waiting", type=int, default=64, help="requests that may wait (default: 64)")
    parser.add_argument("--neighbours", type=int, default=1000, help="training images compared with (default: 1000)")
    model_options(parser)


def main(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    uvicorn = library()
    from bench.serve.app import LOOPBACK, make
    from bench.serve.limits import Limits

    if args.json:
        raise RequestError("bench serve answers in JSON at /predict; it prints none.")
    if min(args.max_mb, args.max_megapixels, args.waiting) <= 0 or args.rate < 0:
        raise RequestError("--max-mb, --max-megapixels and --waiting: expected more than 0; --rate: 0 or more.")
    listening = bind(args.host, args.port)  # before the model is loaded, which takes longer
    model, insight, dark = load_classifier(args)
    limits = Limits(int(args.max_mb * 2**20), int(args.max_megapixels * 1e6), args.rate, args.waiting)
    app = make(model, args.host, limits, insight, dark)
    host = f"[{args.host}]" if ":" in args.host else args.host
    if insight is not None:
        insight.warm()
    print(f"{model.title}\nhttp://{host}:{listening.getsockname()[1]}   (Ctrl-C ends it)", flush=True)
    if args.host not in LOOPBACK:
        print("bench: everybody who reaches this machine may use it: there is no password.", file=sys.stderr)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=5, server_header=False)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
    return 0


def library() -> Any:
    """uvicorn.

    Raises:
        RequestError: it is not installed.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError:
        raise RequestError("bench serve needs starlette and uvicorn: pip install 'imagebench[deploy]'.") from None
    return uvicorn


def bind(host: str, port: int) -> socket.socket:
    """A socket on the address.

    Raises:
        RequestError: the port is in use, or the address is not this machine's.
    """
    if not 0 <= port < 65536:
        raise RequestError(f"--port {port}: expected a port from 0 to 65535; 0 takes any that is free.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)  # without, two servers that both set SO_REUSEADDR could share the port
    except OSError as error:
        listening.close()
        reason = (error.strerror or str(error)).rstrip(".")
        raise RequestError(f"Cannot listen on {host} port {port}: {reason}. Say --port N with another one.") from None
    return listening


def load_classifier(args: argparse.Namespace) -> tuple[Any, Any, bool]:
    """The Classifier, its Insight where it is a single run, and whether its images are light on dark."""
    from bench.cli.predict import classifier

    model = classifier(args, args.words)
    trained = getattr(model, "trained", None)
    if trained is None:
        shape = getattr(model, "shape", (3,))
        return model, None, shape[0] == 1
    import numpy as np

    from bench.serve.insight import Insight

    try:
        borders = np.asarray(trained.data.images[trained.data.train[:100]])[:, :, :1]
        return model, Insight(trained, args.neighbours), bool(borders.mean() < 128)
    except RequestError as error:  # a network works without its images
        print(f"bench: without saliency and neighbours: {error}", file=sys.stderr)
        return model, None, trained.shape[0] == 1
