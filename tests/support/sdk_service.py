"""A false Licet that speaks the wire of snapshot, stream and check, and can misbehave. It knows no SDK."""

import contextlib
import json
import queue
import socket
import threading
import urllib.parse
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "a-key-of-the-tests"
EPOCH = "11111111-1111-1111-1111-111111111111"
CATALOG: dict[str, Any] = {
    "version": 1,
    "grace": {"SKU1": 2, "SKU3": 1},
    "features": {
        "mail": {"title": "Mail", "when_stale": "last_known", "grants": [["SKU1", True], ["SKU2", True]]},
        "boxes": {"title": "Boxes", "when_stale": "last_known", "grants": [["SKU1", 100], ["SKU2", 500]]},
        "strict": {"title": "Strict", "when_stale": "closed", "grants": [["SKU1", True]]},
        "lenient": {"title": "Lenient", "when_stale": "open", "grants": [["SKU3", True]]},
    },
}
_STOP = object()


def row(
    sku: str = "SKU1", status: str = "active", *, starts: int | None = None, ends: int | None = None, since: int = 1
) -> list[Any]:
    """Write a license as the wire does."""
    return [sku, status, starts, ends, None, str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{sku}{since}")), since]


def customer(name: str, *licenses: list[Any], aliases: tuple[str, ...] = ()) -> dict[str, Any]:
    """Write a customer as the wire does."""
    return {"c": name, "a": list(aliases), "l": list(licenses)}


class Service:
    """State and misbehaviour; ``start`` and ``stop`` keep the port."""

    def __init__(self) -> None:
        self.customers: dict[str, Any] = {}
        self.users: dict[str, Any] = {}
        self.domains: dict[str, Any] = {}
        self.catalog = CATALOG
        self.revision = 1
        self.forgotten = 0  # positions before this revision are answered with 410
        self.truncate: int | None = None  # lines of a snapshot after which the connection dies
        self.silent = False  # streams say nothing after they connected
        self.refuse = 0  # a status for everything
        self.requests: list[str] = []
        self.decision: dict[str, Any] = {}
        self._log: list[tuple[int, bytes]] = []
        self._streams: list[queue.Queue[Any]] = []
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> "Service":
        handler = type("Bound", (_Handler,), {"service": self})
        server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        server.daemon_threads = True
        self._server, self._port = server, server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Break all connections in the middle of whatever they are."""
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def change(self, *records: dict[str, Any], catalog: dict[str, Any] | None = None) -> int:
        """Commit records as one revision and tell the streams."""
        with self._lock:
            self.revision += 1
            said: dict[str, Any] = {"revision": self.revision, "customers": [], "users": [], "domains": []}
            for record in records:
                kind, name = (
                    ("users", "u") if "u" in record else ("domains", "d") if "d" in record else ("customers", "c")
                )
                said[kind].append(record)
                getattr(self, kind)[record[name]] = record
                if record.get("gone") or record["c"] == []:
                    del getattr(self, kind)[record[name]]
            if catalog is not None:
                said["catalog"] = self.catalog = catalog
            event = self._event("changes", said)
            self._log.append((self.revision, event))
            for stream in self._streams:
                stream.put(event)
            return self.revision

    def say(self, name: str, data: dict[str, Any]) -> None:
        """Send an event to all streams."""
        with self._lock:
            for stream in self._streams:
                stream.put(self._event(name, data))

    def connected(self) -> int:
        return len(self._streams)

    def position(self, revision: int) -> str:
        return f"{EPOCH}.{revision}.tag{revision}"

    def _event(self, name: str, data: dict[str, Any]) -> bytes:
        return f"event: {name}\nid: {self.position(self.revision)}\ndata: {json.dumps(data)}\n\n".encode()

    def alive(self) -> bytes:
        return self._event("alive", {"revision": self.revision, "age_ms": 3, "lag_ms": 7})

    def snapshot(self) -> list[bytes]:
        with self._lock:
            head = {"licet": "snapshot", "format": 1, "position": self.position(self.revision), "new": 1}
            head |= {"revision": self.revision, "catalog": self.catalog, "age_ms": 3, "lag_ms": 0}
            records = [*self.users.values(), *self.customers.values(), *self.domains.values()]
            counts = {kind: len(getattr(self, kind)) for kind in ("customers", "users", "domains")}
            return [json.dumps(line).encode() + b"\n" for line in (head, *records, {"end": True, **counts})]

    @contextlib.contextmanager
    def listening(self, after: str) -> Iterator["queue.Queue[Any] | None"]:
        """Join a stream: what was missed, then what comes; None where the position is gone."""
        epoch, revision, _ = after.split(".")
        mine: queue.Queue[Any] = queue.Queue()
        with self._lock:
            if epoch != EPOCH or int(revision) < self.forgotten:
                yield None
                return
            for at, event in self._log:
                if at > int(revision):
                    mine.put(event)
            mine.put(self.alive())
            self._streams.append(mine)
        try:
            yield mine
        finally:
            self._streams.remove(mine)


class _Handler(BaseHTTPRequestHandler):
    service: Service

    def setup(self) -> None:
        super().setup()
        self.service._sockets.add(self.connection)

    def finish(self) -> None:
        self.service._sockets.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        service, address = self.service, urllib.parse.urlsplit(self.path)
        service.requests.append(address.path)
        asked = dict(urllib.parse.parse_qsl(address.query))
        status = service.refuse or (200 if self.headers["Authorization"] == f"Bearer {KEY}" else 401)
        if status != 200:
            self._head(status, "application/problem+json")
            return
        with contextlib.suppress(OSError):  # the reader left
            match address.path:
                case "/v1/snapshot":
                    self._head(200, "application/x-ndjson")
                    for line in service.snapshot()[: service.truncate]:
                        self.wfile.write(line)
                case "/v1/stream":
                    self._stream(asked["after"])
                case "/v1/check":
                    self._head(200, "application/json")
                    self.wfile.write(json.dumps({**asked, **service.decision}).encode())

    def _stream(self, after: str) -> None:
        with self.service.listening(after) as events:
            if events is None:
                self._head(410, "application/problem+json")
                return
            self._head(200, "text/event-stream")
            while True:
                try:
                    self.wfile.write(events.get(timeout=0.1))
                except queue.Empty:
                    self.wfile.write(b": still here\n\n" if self.service.silent else self.service.alive())

    def _head(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
