"""A way to a server on which answers get lost: what was asked has been done, and nobody hears of it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def lossy(port: int, path: str, every: int) -> Iterator[tuple[str, list[str]]]:
    """An address that leads to the port on this machine, and the requests whose answers were lost.

    Args:
        path: in whose requests every so-manieth answer gets lost.
    """
    lost: list[str] = []
    asked = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            nonlocal asked
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
            server.request(self.command, self.path, body, dict(self.headers) | {"Host": f"127.0.0.1:{port}"})
            answer = server.getresponse()
            content = answer.read()
            server.close()
            asked += path in self.path
            if path in self.path and asked % every == 0:
                lost.append(self.path)
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            try:
                self.pass_on()
            except (OSError, http.client.HTTPException):  # the server is away, and so is this
                self.close_connection = True

        do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_port}", lost
        proxy.shutdown()
