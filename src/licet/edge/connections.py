"""Connections that send too slowly are ended: whoever opens a thousand of them holds up no one."""

import asyncio
import random
import resource
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT_S = 5.0
# After the body's own limit (2 s) and the handler's (5 s): for a body that no handler waits for.
BODY_LIMIT_S = 10.0
MOST_FILES = 65536


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
        super().connection_made(transport)
        self._awaited = (time.monotonic(), HEAD_LIMIT_S)
        # Connections that were opened together need not end together, with all others waiting.
        self._look = self.loop.call_later(HEAD_LIMIT_S * random.uniform(1, 1.2), self._check)  # noqa: S311 no secret

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

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
        self.transport.write(chunk)
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
