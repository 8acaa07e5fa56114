"""A small real HTTP server that keeps what it was sent and answers as it is told."""

import contextlib
import dataclasses
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclasses.dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    connection: int

    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


@dataclasses.dataclass
class FakeWeb:
    """``rule`` gives the status of each request; None breaks the connection without an answer.

    ``hangs_up``: it closes the connection after each answer without having announced it, as an idle time-out does.
    """

    url: str
    requests: list[Request] = dataclasses.field(default_factory=list)
    rule: Callable[[Request], int | None] = lambda _: 202
    hangs_up: bool = False

    def posts(self) -> list[Request]:
        return [request for request in self.requests if request.path == "/salesforce/webhook"]

    def puts(self) -> list[Request]:
        return [request for request in self.requests if request.method == "PUT"]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"still not so after {seconds} s; the web got {len(self.requests)} requests"
            time.sleep(0.005)


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.web = FakeWeb(f"http://127.0.0.1:{self.server_address[1]}")
        self._open: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.append(connection)
        return connection, address

    def hang_up(self) -> None:
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        names = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, names, body, time.monotonic(), self.client_address[1])
        self.server.web.requests.append(request)
        status = 200 if self.path == "/readyz" else self.server.web.rule(request)
        if status is None:
            self.close_connection = True
            return
        said = json.dumps({"title": "as told"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        self.close_connection = self.server.web.hangs_up and self.command == "POST"  # the first post follows at once

    do_GET = do_POST = do_PUT = answer  # noqa: N815 the names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 http.server's own name
        """Keep the test's output to the test."""


@contextlib.contextmanager
def fake_web(port: int = 0) -> Iterator[FakeWeb]:
    server = _Server(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.web
    finally:
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join()
