"""The link to the service as a state machine without I/O: what to ask next, what came, how long to wait.

A client loops: ``request()``, send it, ``opened(status)``, ``feed(chunk)`` until it says why not, ``closed()``, wait.
"""

import random
from collections.abc import Callable
from http import HTTPStatus

from licet_sdk.core import Core, log
from licet_sdk.table import Table
from licet_sdk.wire import Events, Head, Lines, read_alive, read_changes, read_head, read_record

SILENCE = 10.0  # s without an event, of which the service sends one a second
WAITS = (0.2, 15.0)  # s: the first wait, doubled with each failure up to the last; half of it by chance
LOADED = "loaded"


class Snapshot:
    """Builds a table of a snapshot's lines. Raises ``ValueError`` for nonsense; trust it only once it is ``whole``."""

    def __init__(self) -> None:
        self.whole: tuple[Head, Table] | None = None
        self._lines = Lines()
        self._begun: tuple[Head, Table] | None = None
        self._counts = [0, 0, 0]

    def feed(self, chunk: bytes) -> None:
        """Take in a chunk."""
        for line in self._lines.feed(chunk):
            self.line(line)

    def line(self, line: bytes) -> None:
        """Take in a line."""
        if self._begun is None:
            head = read_head(line)
            if (head.licet, head.format) != ("snapshot", 1):
                raise ValueError(f"expected a snapshot of format 1, found {line[:80]!r}")
            self._begun = head, Table(head)
            return
        record = read_record(line)
        if record.end:
            told = [record.customers, record.users, record.domains]
            if told != self._counts:
                raise ValueError(f"the snapshot says it has {told} customers, users, domains; it had {self._counts}")
            self.whole = self._begun
        else:
            self._counts[0 if isinstance(record.c, str) else 1 if record.u is not None else 2] += 1
            self._begun[1].put(record)


class Link:
    """The link of one core."""

    def __init__(self, core: Core, chance: Callable[[], float] = random.random) -> None:
        self._core, self._chance = core, chance
        self._body: Snapshot | Events = Events()
        self._resync = self._lost = False
        self._failures = 0
        self._heard_at = 0.0

    def request(self) -> tuple[str, dict[str, str]]:
        """Return path and query of what to ask for now: a snapshot, or the stream from where the table stands."""
        table = self._core.table
        self._heard_at = self._core.monotonic()
        if table is None or self._resync or table.turn is None:  # None: forked in the middle of a change
            self._body = Snapshot()
            return "/v1/snapshot", {}
        self._body = Events()
        return "/v1/stream", {"after": table.position}

    def opened(self, status: int) -> str:
        """Judge the answer's status; returns why not to read on, or nothing."""
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            self._core.refused(f"HTTP {status}")
        elif status in (HTTPStatus.GONE, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST):
            self._resync = True  # the service no longer has our position, or cannot read it
        return "" if status == HTTPStatus.OK else f"HTTP {status}"

    def feed(self, chunk: bytes) -> str:
        """Take in a chunk; returns why not to read on, or nothing. Raises ``ValueError`` for nonsense."""
        if isinstance(self._body, Snapshot):
            self._body.feed(chunk)
            if self._body.whole is None:
                return ""
            head, table = self._body.whole
            loading_ms = (self._core.monotonic() - self._heard_at) * 1000
            self._core.replace(table, head.age_ms + loading_ms, head.lag_ms)
            self._resync = False
            return LOADED
        for name, data, position in self._body.feed(chunk):
            self._heard_at = self._core.monotonic()
            if name == b"changes":
                self._resync = True  # unless all of it can be read: what cannot be read cannot be skipped
                self._core.apply(read_changes(data), position)
                self._resync = False
            elif name == b"alive":
                self._core.heard(read_alive(data), position)
                if self._lost:
                    log.info("the licensing service is back; %s", self._core.stand())
                self._failures, self._lost = 0, False
            elif name in (b"cut_off", b"resync"):
                self._resync = name == b"resync"
                return f"{name.decode()}: {data.decode(errors='replace')}"
        return "nothing was heard" if self._core.monotonic() - self._heard_at > SILENCE else ""

    def closed(self, why: str, retry_after: str = "") -> float:
        """Take note of the end; returns how long to wait before the next request, in seconds."""
        if why == LOADED:
            return 0.0
        if not self._lost:
            log.warning("lost the licensing service (%s); %s", why or "it hung up", self._core.stand())
        self._lost = True
        wait = min(WAITS[1], WAITS[0] * 2.0 ** min(self._failures, 30)) * (0.5 + self._chance() / 2)
        self._failures += 1
        return max(wait, float(retry_after) if retry_after.isdecimal() else 0.0)
