"""bench serve: the real server on loopback, with clients that behave and some that do not."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image

from bench.cli.serve import bind
from bench.reopen import open_run
from bench.serve.app import make
from bench.serve.classifier import OfRun
from bench.serve.insight import Insight
from bench.serve.limits import Buckets, Limits
from bench.track.store import Store

CLIENTS = 32
ANY_RATE = Limits(rate=0)


class Server:
    """uvicorn in a thread, on a free port."""

    def __init__(self, app: Any) -> None:
        self.socket = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def post(self, raw: bytes, query: str = "", headers: dict[str, str] | None = None) -> tuple[int, Any]:
        asked = urllib.request.Request(f"{self.url}/predict{query}", raw, headers or {})
        try:
            with urllib.request.urlopen(asked, timeout=300) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture
def start(ids: dict[str, str]) -> Iterator[Any]:
    """Start a server for a run, as the verb does."""
    servers = []

    def begin(name: str, limits: Limits = ANY_RATE, explains: bool = True) -> Server:
        trained = open_run(Store(), ids[name], device="cpu")
        app = make(OfRun(trained), "127.0.0.1", limits, Insight(trained, 50) if explains else None)
        servers.append(Server(app))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


@pytest.mark.parametrize("name", ["cnn", "knn"])
def test_the_endpoint_says_what_predict_says(
    start: Any, name: str, ids: dict[str, str], digit: Path, bench_json: Any
) -> None:
    server = start(name)
    wanted = bench_json("predict", ids[name], str(digit))["predictions"][0]
    status, found = server.post(digit.read_bytes(), "?explain=1")
    assert status == 200
    assert found["class"] == wanted["class"]
    assert found["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-6)
    assert list(found["probabilities"].values()) == sorted(found["probabilities"].values(), reverse=True)
    assert found["saliency"]["method"] in (("Grad-CAM", "integrated gradients") if name == "cnn" else ("occlusion",))
    assert len(found["nearest"]) == 6
    distances = [n["distance"] for n in found["nearest"]]
    assert distances == sorted(distances)
    assert "saliency" not in server.post(digit.read_bytes())[1]


def test_limits_and_bad_uploads(start: Any, digit: Path, tmp_path: Path) -> None:
    server = start("cnn", Limits(upload_bytes=50_000, pixels=1_000_000, rate=0), explains=False)

    def png(width: int, height: int) -> bytes:
        file = io.BytesIO()
        Image.new("L", (width, height)).save(file, "PNG")
        return file.getvalue()

    before = sorted(tmp_path.rglob("*"))
    for size in (60_000, 20_000_000):  # the second one fills what lies between the two: its client hears of it too
        assert server.post(b"x" * size)[0] == 413
    assert server.post(b"") == (422, '{"error": "The image is empty (0 bytes)."}')
    status, said = server.post(b"no image at all")
    assert status == 422
    assert "not an image" in said
    bomb = png(9000, 4000)  # 36 million pixels in 35 kB
    assert len(bomb) < 50_000
    status, said = server.post(bomb)
    assert status == 422
    assert "more than 1,000,000" in said
    assert server.post(png(300, 200))[0] == 200
    assert sorted(tmp_path.rglob("*")) == before  # nothing of it was written
    # A page elsewhere that points its own name at this machine is refused.
    assert server.post(digit.read_bytes(), headers={"Host": "evil.example"})[0] == 400
    # A body without a length, sent in pieces.
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.sendall(b"EA60\r\n" + b"x" * 60_000 + b"\r\n0\r\n\r\n")
        assert b" 413 " in client.recv(200)
    assert server.post(digit.read_bytes())[0] == 200


def test_a_load_of_32_clients(start: Any, digit: Path) -> None:
    """Every request is answered, and alike; more than may wait are told so at once."""
    server = start("cnn", Limits(rate=0, waiting=CLIENTS), explains=False)
    raw = digit.read_bytes()
    wanted = server.post(raw)
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(lambda _: server.post(raw), range(8 * CLIENTS)))
    assert [f[0] for f in found] == [200] * len(found)
    assert all(f[1]["probabilities"] == pytest.approx(wanted[1]["probabilities"], abs=1e-6) for f in found)

    narrow = start("cnn", Limits(rate=0, waiting=1), explains=True)
    with ThreadPoolExecutor(CLIENTS) as pool:
        codes = [f[0] for f in pool.map(lambda _: narrow.post(raw, "?explain=1"), range(2 * CLIENTS))]
    assert set(codes) == {200, 503}
    assert narrow.post(raw)[0] == 200


def test_rates_by_address(start: Any, digit: Path) -> None:
    clock = [0.0]
    buckets = Buckets(2.0, lambda: clock[0])
    assert [buckets.wait("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert buckets.wait("b") == 0
    clock[0] = 1.0
    assert [buckets.wait("a") > 0 for _ in range(3)] == [False, False, True]
    clock[0] = 100.0
    assert [buckets.wait("a") > 0 for _ in range(5)] == [False] * 4 + [True]
    server = start("cnn", Limits(rate=1.0), explains=False)
    codes = [server.post(digit.read_bytes())[0] for _ in range(6)]
    assert codes[:2] == [200, 200]
    assert 429 in codes


def test_a_port_in_use_and_other_requests(ids: dict[str, str], bench: Any) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        status, _, err = bench("serve", ids["cnn"], "--port", port)
        assert status == 2
        assert f"port {port}" in err
        assert "--port N" in err
    assert "Cannot listen on 192.0.2.1" in bench("serve", ids["cnn"], "--host", "192.0.2.1")[2]
    assert "--port 99999: expected a port" in bench("serve", ids["cnn"], "--port", "99999")[2]
    assert "no run" in bench("serve", "nothing-there", "--port", "0")[2]
