"""What the door saw, beside the road: senders, and the bad posts of known ones. In memory, until it is written."""

import datetime as dt
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from licet.domain.catalog import Catalog
from licet.domain.errors import Fault, LicetError, Unauthenticated, Unavailable
from licet.observe.log import Event, log
from licet.observe.metrics import Metrics
from licet.queue.message import Message
from licet.receive.uuid7 import uuid7
from licet.store.values import DoorLetter, Sender

UNREADABLE = "unreadable"
MOST_BYTES = 8 * 1024 * 1024  # of letters that wait for the store; beyond it they are dropped and counted
MOST_FIELDS = 200
MOST_SOURCES = 1000
_LONGEST = 100  # of a field's name


class SenderWriter(Protocol):
    """Where the register is written."""

    async def write(self, senders: Sequence[Sender], letters: Sequence[DoorLetter]) -> None:
        """Add what was seen, all or nothing."""


class Register:
    """Notes cheaply, and writes every few seconds through ``flush``. Nothing here fails a post."""

    def __init__(self, metrics: Metrics, clock: Callable[[], dt.datetime]) -> None:
        self._metrics = metrics
        self._clock = clock
        self._received: dict[str, dt.datetime] = {}
        self._refused: dict[str, tuple[dt.datetime, str]] = {}
        self._unmapped: dict[str, dict[str, dt.datetime]] = {}
        self._letters: deque[DoorLetter] = deque()
        self._bytes = 0
        self._catalog: Catalog | None = None
        self._mapped: frozenset[str] = frozenset()
        self._unwritten = False

    def received(self, source: str, payload: Mapping[str, Any], catalog: Catalog, now: dt.datetime) -> None:
        """Note a good change, and its fields that the catalog gives no meaning."""
        self._received[source] = now
        if catalog is not self._catalog:
            self._catalog, self._mapped = catalog, catalog.mapped
        if not payload.keys() <= self._mapped:
            seen = self._unmapped.setdefault(source, {})
            for field in payload.keys() - self._mapped:
                if field in seen or (len(seen) < MOST_FIELDS and len(field) <= _LONGEST and field.isprintable()):
                    seen[field] = now

    def refused(self, source: str, error: LicetError) -> None:
        """Note a post that got a 4xx. ``source`` is empty where it is not told."""
        cause = error.code
        if isinstance(error, Unauthenticated):
            cause = error.cause
            self._metrics.credentials_refused.labels(cause).inc()
        if not isinstance(error, Unavailable) and (source in self._refused or len(self._refused) < MOST_SOURCES):
            self._refused[source] = (self._clock(), cause)

    def keep(self, source: str, event_id: str | None, value: bytes, faults: Sequence[Fault]) -> None:
        """Keep a change of a known sender that cannot be taken, so that a person can see it and post it again."""
        if self._bytes + len(value) > MOST_BYTES:
            self._metrics.door_letters.labels("dropped").inc()
            return
        now = self._clock()
        named = event_id or uuid7(now, os.urandom)
        headers = Message(key="", value=value, event_id=named, source=source, received_at=now).headers()
        self._bytes += len(value)
        self._letters.append(DoorLetter(reason=UNREADABLE, faults=faults, value=value, headers=headers, at=now))

    async def flush(self, store: SenderWriter) -> None:
        """Write what was noted. Where the store does not answer, letters wait for the next time."""
        senders = []
        for source in self._received.keys() | self._refused.keys() | self._unmapped.keys():
            heard, unmapped = self._received.get(source), self._unmapped.get(source, {})
            at, cause = self._refused.get(source, (None, None))
            senders.append(
                Sender(source=source, received_at=heard, refused_at=at, refused_for=cause, unmapped=unmapped)
            )
        letters = list(self._letters)
        if not senders and not letters:
            return
        self._received, self._refused, self._unmapped = {}, {}, {}
        try:
            await store.write(senders, letters)
        except Exception as error:  # noqa: BLE001 whatever ails the store, the next flush tries again and the log says it
            if not self._unwritten:
                log(Event.LETTERS_UNKEPT, reason=f"{type(error).__name__}: {error}".partition("\n")[0])
            self._unwritten = True
            return
        self._unwritten = False
        for letter in letters:
            self._letters.popleft()
            self._bytes -= len(letter.value)
        self._metrics.door_letters.labels("kept").inc(len(letters))
