"""Connections that send too slowly are ended: whoever opens a thousand of them holds up no one."""

import asyncio
import random
import resource
import time
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT_S = 5.0
# After the body's own limit (2 s) and the handler's (5 s): for a body that no handler waits for.
BODY_LIMIT_S = 10.0
MOST_FILES = 65536
# A piece of an answer up to this long waits for the next one, within the same turn of the loop.
_JOINED = 16 * 1024


class _Joined:
    """A transport that sends an answer's head together with its body: one system call and one packet, not two.

    uvicorn writes them apart. What nothing follows goes out before the loop looks for input again.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self._send = transport.write
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write, or hold until the next piece."""
        held = self._held
        if len(data) > _JOINED:
            self._flush()
            self._send(data)
        elif held:
            self._held = b""
            self._send(held + data)
        elif data:
            self._held = data
            self._loop.call_soon(self._flush)

    def write_at_once(self, data: bytes) -> None:
        """Write, and wait for nothing."""
        self._flush()
        self._send(data)

    def close(self) -> None:
        """Close, once all is sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._send(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with limits on the time from a request's first byte to its head's end and its body's end.

    A new connection has the same time for its first head; an idle one between requests is uvicorn's to end. One timer
    per connection looks now and then, so that a request costs two assignments.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # When what is awaited began, and how long it may take; None while nothing is.
        self._awaited: tuple[float, float] | None = None
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first head."""
        self._joined = _Joined(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._joined))
        self._awaited = (time.monotonic(), HEAD_LIMIT_S)
        # Connections that were opened together need not end together, with all others waiting.
        self._look = self.loop.call_later(HEAD_LIMIT_S * random.uniform(1, 1.2), self._check)  # noqa: S311 no secret

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)
        # Without it the two hold each other, and each connection ever made waits for a garbage collection.
        if self.scope is not None:
            self.scope.pop("licet.connection", None)  # type: ignore[typeddict-item]

    def on_message_begin(self) -> None:
        """Wait for the head of another request."""
        self._awaited = (time.monotonic(), HEAD_LIMIT_S)
        super().on_message_begin()
        self.scope["licet.connection"] = self  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        """Wait for the body."""
        self._awaited = (time.monotonic(), BODY_LIMIT_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for nothing more."""
        self._awaited = None
        super().on_message_complete()

    def write(self, chunk: bytes) -> bool:
        """Write a part of the answer under way, in its frame; False, with nothing written, where the buffer is full."""
        if self.flow.write_paused:
            return False
        self._joined.write_at_once(chunk)
        return True

    def _check(self) -> None:
        """End the connection where the time is over, else look again when it may be."""
        wait = HEAD_LIMIT_S
        if self._awaited is not None:
            began, limit = self._awaited
            wait = began + limit - time.monotonic()
        if wait > 0:
            self._look = self.loop.call_later(wait, self._check)
        elif not self.transport.is_closing():
            self.transport.abort()


def raise_file_limit() -> None:
    """Let the process hold up to 65,536 files, as far as the system allows: many start with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
