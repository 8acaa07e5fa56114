"""The worker's own small HTTP server: ``/livez``, ``/readyz``, ``/metrics``. The web process has these in its API."""

import http.server
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from licet.observe.metrics import Metrics

WaitingFor = Callable[[], str | None]
Stopped = Callable[[], Mapping[int, str]]


@contextmanager
def serve_health(
    host: str, port: int, metrics: Metrics, waiting_for: WaitingFor, stopped: Stopped = dict
) -> Iterator[int]:
    """Serve until the block ends; yields the port. ``waiting_for`` says what the process waits for, None: it works.

    ``stopped`` are the partitions that wait for a person, told beside: a restart would not help them.
    """

    def answer(path: str) -> tuple[int, str, bytes]:
        match path:
            case "/livez":
                return 200, "text/plain", b"alive\n"
            case "/readyz":
                waits = waiting_for()
                body = msgspec.json.encode({"ready": waits is None, "waiting_for": waits, "stopped": stopped()})
                return 200 if waits is None else 503, "application/json", body
            case "/metrics":
                return 200, *metrics.render()
            case _:
                return 404, "text/plain", b"/livez, /readyz or /metrics\n"

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 5  # a client that says nothing holds a thread no longer than this

        def do_GET(self) -> None:
            status, kind, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a probe each second is no news."""

    server = http.server.ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
