"""The stream: hands what changes to its readers, in steps; an event is encoded once for all who want the same."""

import asyncio
import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from licet.answer import wire
from licet.answer.follow import LIMIT_S, FeedThread
from licet.answer.ports import Feed
from licet.answer.snapshot import Latest, Snapshot
from licet.domain.catalog import Catalog, read_catalog
from licet.domain.errors import NotFound, Resync, Unavailable
from licet.domain.ids import CustomerRef
from licet.store.records import Delta, NameRecord, Position, Records

WINDOW_S = 0.05
# Telling one reader takes some 13 µs of the loop, 9 of them in the kernel: beyond 250 readers the steps grow (500: 100
# ms), so that telling takes no more than a fifteenth of it (docs/decisions/0020).
READER_S = 0.0002
ALIVE_S = 1.0
# What may wait for one reader; beyond it, it is cut off.
MOST_BYTES = 4 * 1024 * 1024
# Customers, users and domains by name.
Named = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
NOTHING: Named = ({}, {}, {})


class Part(msgspec.Struct, frozen=True):
    """What of all a reader wants; nothing named: everything. ``skus`` and ``aliases`` are as when it connected."""

    features: tuple[str, ...] = ()
    skus: frozenset[str] | None = None
    customers: frozenset[str] | None = None
    aliases: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot, features: Sequence[str], customers: Sequence[str]) -> "Part":
        """Read what a reader wants. Raises ``InvalidInput``, and ``NotFound`` for an alias that nobody has."""
        skus = wire.skus_of(snapshot.catalog, wire.known_features(snapshot.catalog, features))
        refs = [CustomerRef.parse(one) for one in customers]
        aliases = {ref.alias: snapshot.aliases.get(ref.alias, "") for ref in refs if ref.alias is not None}
        if "" in aliases.values():
            raise NotFound(
                "no customer has the alias " + next(one for one, customer in aliases.items() if not customer)
            )
        named = {ref.customer_id for ref in refs if ref.customer_id is not None} | set(aliases.values())
        return cls(tuple(features), skus, frozenset(named) if refs else None, tuple(aliases.items()))

    def moved(self, snapshot: Snapshot) -> str:
        """Say in words why what the reader was told so far is no longer what it wants; nothing where it is."""
        if wire.skus_of(snapshot.catalog, self.features) != self.skus:
            return "the catalog grants the features by other SKUs"
        gone = [alias for alias, customer in self.aliases if snapshot.aliases.get(alias) != customer]
        return f"{gone[0]} is no longer the same customer" if gone else ""

    def event(self, position: Position, catalog: Catalog | None, after: Named, before: Named) -> bytes:
        """Make an event of all of ``after`` that, to the reader, is not as it was ``before``; none of nothing."""
        encoders: tuple[Callable[[Any], str], ...] = (partial(wire.customer, skus=self.skus), wire.user, wire.domain)
        told = [
            [text for name in new if (text := encode(new[name])) != (encode(old[name]) if name in old else "")]
            for encode, new, old in zip(encoders, self._narrow(after), self._narrow(before), strict=True)
        ]
        if catalog is None and not any(told):
            return b""
        return wire.changes(position, wire.catalog_text(catalog, self.features) if catalog else None, *told)

    def _narrow(self, of: Named) -> Named:
        named = self.customers
        if named is None:
            return of
        users, domains = ({name: one.narrowed(named) for name, one in kind.items()} for kind in of[1:])
        return {name: of[0][name] for name in named if name in of[0]}, users, domains


class Reader:
    """One connection's end of the stream. ``told``: the revision that its first events reach up to.

    ``write`` may be set to what writes an event to the connection at once; False: its buffer is full, nothing written.
    """

    def __init__(self, part: Part, told: int, first: bytes) -> None:
        self.part = part
        self.told = told
        self.write: Callable[[bytes], bool] | None = None
        self._events = [first]
        self._size = 0
        self._over = False
        self._news = asyncio.Event()
        self._news.set()

    def tell(self, event: bytes) -> None:
        """Write an event at once, which wakes no task; hand it over where something waits before it."""
        if self.write is None or self._news.is_set() or not self.write(event):
            self.offer(event)

    def offer(self, event: bytes) -> None:
        """Hand over an event; a reader for which too much waits is cut off."""
        self._size += len(event)
        if self._size > MOST_BYTES and self._events:
            self.end(wire.last("cut_off", f"the reader is slow: more than {MOST_BYTES} bytes wait for it"))
        elif not self._over:
            self._events.append(event)
            self._news.set()

    def end(self, last: bytes = b"") -> None:
        """End with these last words; what still waits is not sent, as the reader can resume."""
        if not self._over:
            self._over = True
            self._events = [last]
            self._news.set()

    async def next(self) -> bytes:
        """Wait for the next events; nothing: it is over."""
        while not self._events and not self._over:
            self._news.clear()
            await self._news.wait()
        events, self._events, self._size = self._events, [], 0
        return b"".join(events)


class _Pending:
    """What changed since the readers were told last, and how it was before where someone wants only a part."""

    def __init__(self, start: Position, *, narrowed: bool) -> None:
        self.start = self.position = start
        self._narrowed = narrowed
        self.catalog = False
        self.after, self.before = _by_name(Records()), _by_name(Records())

    def take(self, delta: Delta, snapshot: Snapshot) -> None:
        """Add a delta; the snapshot is as it was before."""
        self.position = delta.position
        self.catalog = self.catalog or delta.catalog is not None
        news = _by_name(delta.records)
        if self._narrowed:
            customers, users, domains = (new.keys() - old.keys() for new, old in zip(news, self.after, strict=True))
            kept = snapshot.customers
            self.before[0].update({name: snapshot.record(name, kept[name]) for name in customers if name in kept})
            self.before[1].update({name: NameRecord(name, snapshot.users.get(name)) for name in users})
            self.before[2].update({name: NameRecord(name, snapshot.domains.get(name)) for name in domains})
        for old, new in zip(self.after, news, strict=True):
            old.update(new)


class Hub:
    """All readers, ``most`` at a time. The follower's listener; ``run`` as a task; ``stop`` first, ``close`` last."""

    def __init__(self, latest: Latest, feed: Feed, most: int) -> None:
        self._latest = latest
        self._feed = FeedThread(feed, "join")
        self._most = most
        self._readers: dict[Part, set[Reader]] = {}
        self._joining = 0
        self._pending: _Pending | None = None
        self._told_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    @property
    def readers(self) -> int:
        """How many there are."""
        return sum(map(len, self._readers.values())) + self._joining

    @contextlib.asynccontextmanager
    async def reader(self, part: Part, after: Position | None) -> AsyncIterator[Reader]:
        """Lend a reader that is told all after a position (None: from now on), and first a sign of life.

        Raises ``Resync`` where only a new snapshot helps; ``Unavailable`` where the store must be asked and is away,
        where too many read already, and where Licet stops.
        """
        if self._stopped or self.readers >= self._most:
            raise Unavailable("Licet is stopping" if self._stopped else f"{self._most} streams are open already", 5)
        self._joining += 1
        try:
            position, missed = await self._catch_up(part, after)
        finally:
            self._joining -= 1
            if not self._joining:  # while nobody asks, a connection would only pile up notifications
                self._feed.release()
        if self._stopped:
            raise Unavailable("Licet is stopping", 5)
        reader = Reader(part, position.revision, missed + wire.alive(position, self._latest.freshness()))
        alike = self._readers.setdefault(part, set())
        alike.add(reader)
        try:
            yield reader
        finally:
            alike.discard(reader)
            if not alike and self._readers.get(part) is alike:
                del self._readers[part]

    async def _catch_up(self, part: Part, position: Position | None) -> tuple[Position, bytes]:
        """Ask the store what changed after a position, until that is not before what the readers were told."""
        missed = b""
        while position is not None and position != self._position():
            found = await self._feed.call(partial(_since, part=part, after=position), LIMIT_S)
            if found is None:
                raise Resync("the position is unknown or too long ago: take a new snapshot")
            position, missed = found[0], missed + found[1]
            if position.revision >= self._position().revision:
                return position, missed
        return self._position(), missed

    def changed(self, delta: Delta, before: Snapshot) -> None:
        """Take what changes; tell it in a moment, or at the end of the step."""
        if self._pending is None:
            if not self._readers:
                return
            self._pending = _Pending(before.position, narrowed=any(part != Part() for part in self._readers))
            loop, step = asyncio.get_running_loop(), max(WINDOW_S, READER_S * self.readers)
            self._timer = loop.call_at(max(loop.time(), self._told_at + step), self._tell)
        self._pending.take(delta, before)

    def reloaded(self) -> None:
        """Cut all off: whoever comes back with its last position learns exactly what it missed."""
        self._end("the snapshot was loaded anew")

    def stop(self) -> None:
        """End all streams; let nobody in."""
        self._stopped = True
        self._end("Licet is stopping")

    async def run(self) -> None:
        """Send signs of life until cancelled."""
        while True:
            await asyncio.sleep(ALIVE_S)
            self.say_alive()

    def say_alive(self) -> None:
        """Send each reader a sign of life, together with what changed."""
        if self._readers:
            self._tell(wire.alive(self._latest.get().position, self._latest.freshness()))

    async def close(self) -> None:
        """Let go of the store."""
        await self._feed.close()

    def _position(self) -> Position:
        """Return up to where the readers were told."""
        return self._pending.start if self._pending is not None else self._latest.get().position

    def _end(self, reason: str) -> None:
        self._pending = None
        for reader in itertools.chain(*self._readers.values()):
            reader.end(wire.last("cut_off", reason))

    def _tell(self, alive: bytes = b"") -> None:
        """Tell all readers what changed; with the sign of life, where there is one, in the same write."""
        snapshot, pending = self._latest.get(), self._pending
        if self._timer is not None:  # left alone, it would cut the next step short, and that the one after it
            self._timer.cancel()
        if pending is not None:
            self._told_at = asyncio.get_running_loop().time()
        self._pending, pending = None, pending or _Pending(snapshot.position, narrowed=False)
        for part, readers in self._readers.items():
            if moved := part.moved(snapshot):
                for reader in readers:
                    reader.end(wire.last("resync", moved))
            else:
                self._tell_alike(part, readers, pending, alive)

    def _tell_alike(self, part: Part, readers: Iterable[Reader], pending: _Pending, alive: bytes) -> None:
        snapshot, start, end = self._latest.get(), pending.start.revision, pending.position.revision
        catalog = snapshot.catalog if pending.catalog else None

        @functools.cache
        def event(knows: bool) -> bytes:
            return part.event(pending.position, catalog, pending.after, pending.before if knows else NOTHING)

        for reader in readers:
            # Who joined later may have been told a change that was undone since: to it, nothing is as before.
            news = event(reader.told <= start) if reader.told < end else b""
            if alive and reader.told <= end:
                reader.offer(news + alive)
            elif news:
                reader.tell(news)


def _since(feed: Feed, part: Part, after: Position) -> tuple[Position, bytes] | None:
    """Return what changed up to now, as an event; None where only a new snapshot helps. In the feed's thread."""
    delta = feed.since(after)
    if delta is None or (delta.catalog is not None and part.features):  # other SKUs may grant the features now
        return None
    catalog = read_catalog(delta.catalog.document, delta.catalog.version) if delta.catalog is not None else None
    return delta.position, part.event(delta.position, catalog, _by_name(delta.records), NOTHING)


def _by_name(records: Records) -> Named:
    customers = {one.customer_id: one for one in records.customers}
    return customers, {one.name: one for one in records.users}, {one.name: one for one in records.domains}
