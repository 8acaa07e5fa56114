"""A wire between a client and a server that a test can hold still, slow down or cut, as a network does."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import psycopg
from psycopg.conninfo import make_conninfo

_SSL_REQUEST = bytes((0, 0, 0, 8, 4, 210, 22, 47))


class Proxy:
    """Forwards TCP to a server. ``hold`` lets bytes wait without a word; ``cut`` ends all connections.

    ``delay`` seconds pass before each piece is sent on.
    With ``tls`` it speaks TLS to PostgreSQL's clients and refuses those that do not ask for it: the embedded server's
    build cannot.
    """

    def __init__(self, target: str | tuple[str, int], tls: ssl.SSLContext | None = None, *, port: int = 0) -> None:
        self._target = target
        self._tls = tls
        self.delay = 0.0
        self._flows = threading.Event()
        self._flows.set()
        self._wires: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def hold(self) -> None:
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        while self._wires:
            with contextlib.suppress(OSError):
                self._wires.pop().shutdown(socket.SHUT_RDWR)

    def outgoing_ports(self) -> list[int]:
        """The ports from which it is connected to the server now, as the server sees them."""
        found = []
        for wire in self._wires[1::2]:
            with contextlib.suppress(OSError):  # closed
                found.append(wire.getsockname()[1])
        return found

    def close(self) -> None:
        self.release()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            if self._tls is not None:
                try:
                    if client.recv(8, socket.MSG_WAITALL) != _SSL_REQUEST:
                        client.close()
                        continue
                    client.sendall(b"S")
                    client = self._tls.wrap_socket(client, server_side=True)
                except OSError:  # the client does not trust the certificate
                    continue
            try:
                server = self._connect()
            except OSError:  # the server is down
                client.close()
                continue
            self._wires += [client, server]
            for source, sink in ((client, server), (server, client)):
                thread = threading.Thread(target=self._forward, args=(source, sink), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, str):
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            return server
        return socket.create_connection(self._target)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError), source:
            while chunk := source.recv(65536):
                self._flows.wait()
                if self.delay:
                    time.sleep(self.delay)
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxied(url: str, tls: ssl.SSLContext | None = None) -> Iterator[tuple[Proxy, str]]:
    """Put a proxy in front of the server at ``url``; yields it and the address through it."""
    with psycopg.connect(url) as connection:
        host, port = connection.info.host, connection.info.port
    target = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
    proxy = Proxy(target, tls)
    try:
        yield proxy, make_conninfo(url, host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable")
    finally:
        proxy.close()
