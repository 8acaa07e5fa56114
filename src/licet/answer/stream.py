"""The stream: hands what changes to its readers. An event is encoded once for all readers that want the same.

Readers are told in steps of ``WINDOW_S``, the first change after a quiet time at once. A reader that joins is entered
before the store is asked what it missed, so that nothing falls between; what it was told twice is dropped.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
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
# Telling one reader takes 20 µs of the loop, half of them in the kernel: beyond 150 readers the steps grow (500: 160
# ms), so that telling takes no more than a sixteenth of it (docs/decisions/0020).
READER_S = 0.00032
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

    def moved(self, snapshot: Snapshot) -> str:
        """Say in words why what the reader was told so far is no longer what it wants; nothing where it is."""
        if wire.skus_of(snapshot.catalog, self.features) != self.skus:
            return "the catalog grants the features by other SKUs"
        gone = [alias for alias, customer in self.aliases if snapshot.aliases.get(alias) != customer]
        return f"{gone[0]} is no longer the same customer" if gone else ""

    def tell(self, after: Named, before: Named) -> list[list[str]]:
        """Encode what of each kind matters: all of ``after`` but what, to this reader, is as it was ``before``."""
        encoders: tuple[Callable[[Any], str], ...] = (wire.Writer(self.skus).customer, wire.user, wire.domain)
        return [
            [
                text
                for name, text in zip(records, map(encode, records.values()), strict=True)
                if name not in earlier or encode(earlier[name]) != text
            ]
            for encode, records, earlier in zip(encoders, self._narrow(after), self._narrow(before), strict=True)
        ]

    def _narrow(self, of: Named) -> Named:
        named = self.customers
        if named is None:
            return of
        users, domains = ({name: one.narrowed(named) for name, one in kind.items()} for kind in of[1:])
        return {name: of[0][name] for name in named if name in of[0]}, users, domains


def part_of(snapshot: Snapshot, features: Sequence[str], customers: Sequence[str]) -> Part:
    """Read what a reader wants. Raises ``InvalidInput``, and ``NotFound`` for an alias that nobody has."""
    named, aliases = set(), []
    for ref in map(CustomerRef.parse, customers):
        customer = ref.customer_id if ref.alias is None else snapshot.aliases.get(ref.alias)
        if customer is None:
            raise NotFound(f"no customer has the alias {ref.alias}")
        named.add(customer)
        aliases += [(ref.alias, customer)] if ref.alias is not None else []
    return Part(
        tuple(sorted(features)),
        wire.skus_of(snapshot.catalog, wire.known_features(snapshot.catalog, features)),
        frozenset(named) if customers else None,
        tuple(sorted(aliases)),
    )


class Reader:
    """One connection's end of the stream. ``told``: the revision that it joined at; None: it is joining."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.told: int | None = None
        self._events: list[tuple[int | None, bytes]] = []
        self._size = 0
        self._over = False
        self._news = asyncio.Event()

    def join(self, revision: int) -> None:
        """Say that the reader was told everything up to a revision by other means."""
        self.told = revision
        if not self._over:
            self._events = [one for one in self._events if one[0] is None or one[0] > revision]

    def offer(self, revision: int | None, event: bytes) -> None:
        """Hand over an event, one with a revision unless it was told; a reader that takes too long is cut off."""
        if self._over or (revision is not None and self.told is not None and self.told >= revision):
            return
        if self._events and self._size + len(event) > MOST_BYTES:
            self.end(wire.last("cut_off", f"the reader is slow: more than {MOST_BYTES} bytes wait for it"))
            return
        self._events.append((revision, event))
        self._size += len(event)
        self._news.set()

    def end(self, last: bytes = b"") -> None:
        """End the stream with these last words; what still waited is not sent, as the reader can resume."""
        if not self._over:
            self._over = True
            self._events = [(None, last)]
            self._news.set()

    async def next(self) -> bytes:
        """Wait for the next events; nothing: it is over."""
        while not self._events and not self._over:
            self._news.clear()
            await self._news.wait()
        events, self._events, self._size = self._events, [], 0
        return b"".join([event for _, event in events])


class _Pending:
    """What changed since the readers were told last. ``before``: how it was, where someone wants only a part."""

    def __init__(self, start: Position) -> None:
        self.start = self.position = start
        self.catalog = False
        self.after, self.before = _by_name(Records()), _by_name(Records())

    def take(self, delta: Delta, snapshot: Snapshot | None) -> None:
        """Add a delta; ``snapshot`` is as it was before."""
        self.position = delta.position
        self.catalog = self.catalog or delta.catalog is not None
        customers, users, domains = (
            {name: one for name, one in records.items() if name not in known}
            for records, known in zip(_by_name(delta.records), self.after, strict=True)
        )
        if snapshot is not None:
            kept = snapshot.customers
            self.before[0].update({name: snapshot.record(name, kept[name]) for name in customers if name in kept})
            self.before[1].update({name: NameRecord(name, snapshot.users.get(name)) for name in users})
            self.before[2].update({name: NameRecord(name, snapshot.domains.get(name)) for name in domains})
        for known, records in zip(self.after, _by_name(delta.records), strict=True):
            known.update(records)


def _by_name(records: Records) -> Named:
    customers = {one.customer_id: one for one in records.customers}
    return customers, {one.name: one for one in records.users}, {one.name: one for one in records.domains}


class Hub:
    """All readers, ``most`` at a time. The follower's listener; ``run`` as a task; ``stop`` first, ``close`` last."""

    def __init__(self, latest: Latest, feed: Feed, most: int) -> None:
        self._latest = latest
        self._feed = FeedThread(feed, "join")
        self._most = most
        self._joining = self._narrowed = 0
        self._readers: set[Reader] = set()
        self._pending: _Pending | None = None
        self._told_at = float("-inf")
        self._stopped = False

    @property
    def readers(self) -> int:
        """How many readers there are."""
        return len(self._readers)

    @contextlib.contextmanager
    def admit(self, part: Part) -> Iterator[Reader]:
        """Enter a reader. Raises ``Unavailable`` where there are too many, or Licet stops."""
        if self._stopped or len(self._readers) >= self._most:
            raise Unavailable("Licet is stopping" if self._stopped else f"{self._most} streams are open already", 5)
        reader = Reader(part)
        self._readers.add(reader)
        self._narrowed += part != Part()
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            self._narrowed -= part != Part()

    async def join(self, reader: Reader, after: Position | None) -> bytes:
        """Return the reader's first events: what it missed after a position, and the sign of life.

        Raises ``Resync`` where only a new snapshot tells what it missed, and ``Unavailable`` where the store is away.
        """
        position, missed = self._position(), b""
        if after is not None and after != position:
            self._joining += 1
            try:
                found = await self._feed.call(lambda feed: _catch_up(feed, reader.part, after), LIMIT_S)
            finally:
                self._joining -= 1
                if not self._joining:  # while nobody asks, a connection would only pile up notifications
                    self._feed.release()
            if found is None:
                raise Resync("the position is unknown or too long ago: take a new snapshot")
            position, missed = found
        reader.join(position.revision)
        return missed + wire.alive(position, self._latest.freshness())

    def changed(self, delta: Delta, before: Snapshot) -> None:
        """Take what changes; tell it in a moment, or at the end of the step."""
        if not self._readers and self._pending is None:
            return
        if self._pending is None:
            self._pending = _Pending(before.position)
            step = max(WINDOW_S, READER_S * len(self._readers))
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._told_at + step), self._tell)
        self._pending.take(delta, before if self._narrowed else None)

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
        self._tell()
        if self._readers:
            position = self._position()
            event = wire.alive(position, self._latest.freshness())
            for reader in self._readers:
                if reader.told is not None and reader.told <= position.revision:
                    reader.offer(None, event)

    async def close(self) -> None:
        """Let go of the store."""
        await self._feed.close()

    def _position(self) -> Position:
        """Return up to where the readers were told."""
        return self._pending.start if self._pending is not None else self._latest.get().position

    def _end(self, reason: str) -> None:
        self._pending = None
        for reader in self._readers:
            reader.end(wire.last("cut_off", reason))

    def _tell(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        self._told_at = asyncio.get_running_loop().time()
        snapshot, start = self._latest.get(), pending.start.revision
        catalog = snapshot.catalog if pending.catalog else None
        alike: dict[tuple[Part, bool], list[Reader]] = defaultdict(list)
        for reader in self._readers:
            # Who joined later may have seen a change that was undone since: to it, nothing is as before.
            alike[reader.part, reader.told is not None and reader.told <= start].append(reader)
        for (part, knows), readers in alike.items():
            moved = part.moved(snapshot)
            told = part.tell(pending.after, pending.before if knows else NOTHING)
            event = _event(part, pending.position, catalog, told)
            for reader in readers:
                if moved:
                    reader.end(wire.last("resync", moved))
                elif event:
                    reader.offer(pending.position.revision, event)


def _event(part: Part, position: Position, catalog: Catalog | None, told: list[list[str]]) -> bytes:
    """Make an event; nothing where nothing in it matters."""
    if catalog is None and not any(told):
        return b""
    said = wire.catalog_text(catalog, part.features) if catalog is not None else None
    return wire.changes(position, said, *told)


def _catch_up(feed: Feed, part: Part, after: Position) -> tuple[Position, bytes] | None:
    """Return what changed up to now, as an event; None where only a new snapshot helps. In the feed's thread."""
    delta = feed.since(after)
    if delta is None or (delta.catalog is not None and part.features):  # other SKUs may grant the features now
        return None
    catalog = read_catalog(delta.catalog.document, delta.catalog.version) if delta.catalog is not None else None
    told = part.tell(_by_name(delta.records), NOTHING)
    return delta.position, _event(part, delta.position, catalog, told)
