"""Slow clients, over real sockets: each is ended in its time, and no one waits for them."""

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
import uvicorn

from licet.edge import connections
from licet.edge.asgi import AsgiScope, Handler, Receive, Send
from licet.edge.body import Bodies
from licet.edge.connections import Connection, raise_file_limit
from support.door import doorway

POST = b"POST /salesforce/webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n"
GOOD = POST + b'\r\n{"Id":"a"}'
SLOW = 40


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A door behind the connections, with short limits."""
    monkeypatch.setattr(connections, "HEAD_LIMIT_S", 0.4)
    monkeypatch.setattr(connections, "BODY_LIMIT_S", 1.5)
    with served(doorway(bodies=Bodies(1000, 1000, limit_s=0.4)).app) as at:
        yield at


@contextlib.contextmanager
def served(app: Handler, connection: type[Connection] = Connection) -> Iterator[int]:
    """Serve an application; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http=connection, lifespan="off", log_config=None, timeout_keep_alive=30)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


def opened(port: int, sent: bytes) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), timeout=5)
    line.sendall(sent)
    return line


def rest(line: socket.socket) -> tuple[bytes, float]:
    """Read to the end; returns what came, and how long it took."""
    began = time.monotonic()
    said = b""
    with contextlib.suppress(ConnectionError):  # it may end with a reset
        while chunk := line.recv(65536):
            said += chunk
    line.close()
    return said, time.monotonic() - began


@pytest.mark.parametrize("sent", [b"", b"POST /sales", POST], ids=["nothing", "half a line", "half a head"])
def test_a_head_that_does_not_come_ends_the_connection(port: int, sent: bytes) -> None:
    said, seconds = rest(opened(port, sent))
    assert said == b""
    assert 0.2 < seconds < 3


def test_a_head_that_drips_has_no_more_time(port: int) -> None:
    began = time.monotonic()
    with opened(port, POST) as line, contextlib.suppress(ConnectionError):
        while time.monotonic() - began < 3:
            line.sendall(b"X-Drip: 1\r\n")
            time.sleep(0.05)
    assert time.monotonic() - began < 3


def test_the_second_head_of_a_connection_has_the_same_time(port: int) -> None:
    line = opened(port, GOOD)
    assert line.recv(65536).startswith(b"HTTP/1.1 202")
    time.sleep(0.6)  # idle between requests is no slowness
    line.sendall(GOOD)
    assert line.recv(65536).startswith(b"HTTP/1.1 202")
    line.sendall(POST)
    said, seconds = rest(line)
    assert said == b""
    assert seconds < 3


def test_a_body_that_does_not_come_is_told_so(port: int) -> None:
    said, seconds = rest(opened(port, POST + b'\r\n{"Id"'))
    assert said.startswith(b"HTTP/1.1 408")
    assert seconds < 3


def test_a_body_that_no_one_reads_ends_the_connection(port: int) -> None:
    said, seconds = rest(opened(port, b"DELETE /salesforce/webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{"))
    assert said.startswith(b"HTTP/1.1 405")
    assert seconds < 4


def test_slow_connections_hold_no_one_up(port: int) -> None:
    """A slow client that blocks the door: here many do, half a head or half a body each."""
    with contextlib.ExitStack() as stack:
        for number in range(SLOW):
            stack.enter_context(opened(port, POST if number % 2 else POST + b'\r\n{"Id"'))
        line = stack.enter_context(opened(port, GOOD))
        for _ in range(20):
            assert line.recv(65536).startswith(b"HTTP/1.1 202")
            line.sendall(GOOD)


def test_the_process_may_open_as_many_files_as_the_system_allows() -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        raise_file_limit()
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised == min(hard if hard != resource.RLIM_INFINITY else connections.MOST_FILES, connections.MOST_FILES)


async def _in_pieces(scope: AsgiScope, receive: Receive, send: Send) -> None:
    """Answer with a head, then pieces of the sizes that the path names, after a pause where it says so."""
    sizes = [int(one) for one in scope["path"].strip("/").split("/") if one != "pause"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % sum(sizes))]})
    if "pause" in scope["path"]:
        await asyncio.sleep(0.3)
    for index, size in enumerate(sizes):
        await send({"type": "http.response.body", "body": b"x" * size, "more_body": index < len(sizes) - 1})


@pytest.mark.parametrize("path", ["/0", "/1", "/1/0", "/100/20000/3", "/20000/1", "/300000/5/300000", "/pause/7"])
def test_an_answer_is_whole_whatever_its_pieces(path: str) -> None:
    size = sum(int(one) for one in path.strip("/").split("/") if one != "pause")
    with served(_in_pieces) as port, contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as line:
        for _ in range(2):
            line.request("GET", path)
            assert line.getresponse().read() == b"x" * size


class _Heard:
    """A transport that keeps what is written to it, and writes it."""

    def __init__(self, transport: asyncio.Transport, written: list[bytes]) -> None:
        self._transport, self._written = transport, written

    def write(self, data: bytes) -> None:
        self._written.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def test_head_and_body_leave_in_one_write() -> None:
    written: list[bytes] = []

    class Listening(Connection):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(cast("asyncio.Transport", _Heard(transport, written)))

    with served(_in_pieces, Listening) as port, opened(port, b"") as line:
        for _ in range(5):
            line.sendall(b"GET /5 HTTP/1.1\r\nHost: a\r\n\r\n")
            assert line.recv(65536).endswith(b"\r\n\r\nxxxxx")
    assert [one[-5:] for one in written] == [b"xxxxx"] * 5


def test_a_head_does_not_wait_for_a_body_that_is_long_in_coming() -> None:
    with served(_in_pieces) as port, opened(port, b"GET /pause/5 HTTP/1.1\r\nHost: a\r\n\r\n") as line:
        assert line.recv(65536).endswith(b"\r\n\r\n")
        assert line.recv(65536) == b"xxxxx"


def test_what_a_full_buffer_does_not_take_is_not_written() -> None:
    """A connection whose peer reads nothing refuses before its buffer grows beyond uvicorn's own limit."""

    async def app(scope: AsgiScope, receive: Receive, send: Send) -> None:
        chunk, sent = b"a\r\n" + b"x" * 10 + b"\r\n", 0
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while scope["licet.connection"].write(chunk):
            sent += 1
            if not sent % 1000:
                await asyncio.sleep(0)
        taken.append(sent)
        await send({"type": "http.response.body", "body": b""})

    taken: list[int] = []
    with served(app) as port, opened(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") as line:
        deadline = time.monotonic() + 10
        while not taken and time.monotonic() < deadline:
            time.sleep(0.01)
        said, _ = rest(line)
    assert taken
    assert said.count(b"x" * 10) == taken[0]
    assert said.endswith(b"0\r\n\r\n")
