"""The server: a page that classifies what is dropped, pasted, photographed or drawn, and a JSON endpoint.

    curl --data-binary @photo.jpg http://127.0.0.1:8000/predict

Uploads stay in memory; nothing of a request is written anywhere. One request is computed at a time, as the model uses
all cores; the others wait their turn, and where too many wait, the next are told to come again.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import anyio
import numpy as np
from anyio import to_thread
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.serve.limits import Buckets, Limits
from bench.serve.pictures import BadImage

# Bytes beyond the limit that are read and forgotten: many clients listen only when they have sent everything, and would
# hear of a broken connection instead of the reason.
READ_ON = 64 * 2**20
LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
KINDS = {"page.html": "text/html", "page.js": "text/javascript", "page.css": "text/css"}


class TooLarge(Exception):
    """An upload over the limit."""


def make(model: Any, host: str, limits: Limits, insight: Any = None, dark: bool = True) -> Starlette:
    """The application.

    Args:
        model: a Classifier (`bench.serve.classifier`).
        host: the address that it listens on. On loopback other names in a request's Host are refused: a page from
            elsewhere could otherwise reach this server through the user's browser.
        insight: saliency and neighbours (`bench.serve.insight`), where the model is a single run.
        dark: whether one draws light on dark, as the run's own images are.
    """
    buckets, one_at_a_time = Buckets(limits.rate), anyio.CapacityLimiter(1)
    waiting = 0

    async def predict(request: Request) -> Response:
        nonlocal waiting
        pause = buckets.wait(request.client.host if request.client else "")
        if pause:
            return refusal_response(429, f"At most {limits.rate:g} requests a second.", pause)
        if waiting >= limits.waiting:
            return refusal_response(503, f"{waiting} requests wait already.", 1.0)
        waiting += 1
        try:
            raw = await body(request, limits.upload_bytes)
            explain = request.query_params.get("explain") == "1" and insight is not None
            work = functools.partial(answer, model, raw, limits.pixels, insight if explain else None)
            return JSONResponse(await to_thread.run_sync(work, limiter=one_at_a_time), headers=HEADERS)
        except TooLarge:
            return refusal_response(413, f"An image may have at most {limits.upload_bytes / 2**20:g} MB.")
        except BadImage as error:
            return refusal_response(422, f"The image {error}.")
        except ClientDisconnect:
            return Response(status_code=499)
        finally:
            waiting -= 1

    def page(name: str) -> Any:
        async def send(request: Request) -> Response:
            return Response(static(name), media_type=KINDS[name], headers=HEADERS)

        return send

    async def about(request: Request) -> Response:
        said = {"model": model.title, "classes": list(model.classes), "explains": insight is not None, "dark": dark}
        return JSONResponse(said, headers=HEADERS)

    names = [*LOOPBACK, "[::1]", host] if host in LOOPBACK else ["*"]
    return Starlette(
        routes=[
            Route("/", page("page.html")),
            Route("/page.js", page("page.js")),
            Route("/page.css", page("page.css")),
            Route("/about", about),
            Route("/predict", predict, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=names)],
    )


def answer(model: Any, raw: bytes, most_pixels: int, insight: Any = None) -> dict[str, Any]:
    """What the endpoint says of one encoded image. Raises BadImage."""
    images = model.decode_image(raw, most_pixels)
    row: NDArray[np.float64] = model.probabilities([images])[0]
    order = np.argsort(-row, kind="stable")
    found: dict[str, Any] = {
        "class": model.classes[int(order[0])],
        "probability": float(row[order[0]]),
        "probabilities": {model.classes[int(k)]: float(row[k]) for k in order},
    }
    return found | insight.of(images[0], int(order[0])) if insight is not None else found


async def body(request: Request, most: int) -> bytes:
    """The request's body, of which no more than the limit is kept. Raises TooLarge."""
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > most + READ_ON:
        raise TooLarge
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most + READ_ON:
            raise TooLarge
        if size <= most:
            parts.append(part)
    if size > most:
        raise TooLarge
    return b"".join(parts)


def refusal_response(status: int, why: str, pause: float = 0.0) -> Response:
    """An error as JSON, with the seconds to wait where waiting helps."""
    headers: Mapping[str, str] = {**HEADERS, **({"Retry-After": str(math.ceil(pause))} if pause else {})}
    return Response(json.dumps({"error": why}), status, headers, "application/json")


@functools.cache
def static(name: str) -> bytes:
    """One of the page's files."""
    return (files("bench.serve") / "page" / name).read_bytes()
