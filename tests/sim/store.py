"""The store in memory: ``Projection`` on dicts and lists, with one write lock and nothing kept before the commit.

It passes the port's conformance suite (tests/consume) beside PostgreSQL. ``at`` is called wherever a process could
die, stand still or lose its connection; what it raises comes out of the adapter.
"""

import dataclasses
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from licet.domain.brake import Brake, Room
from licet.domain.catalog import Catalog, read_catalog
from licet.domain.fields import Field
from licet.domain.filter import Earlier, Kind
from licet.domain.license import License, Status
from licet.store.ports import (
    CustomerState,
    CustomerWrite,
    DeadLetter,
    DeadLimit,
    Delivery,
    EventKey,
    Folded,
    Inapplicable,
    Loaded,
    NameWrite,
    Place,
    Standing,
    StoreUnavailable,
    Wanted,
)

# PostgreSQL's index takes no entry above a third of a page; a name of random letters does not compress.
MAX_NAME = 2600
_decode_fields = msgspec.json.Decoder(dict[str, Field]).decode
_encode = msgspec.json.encode


@dataclasses.dataclass(frozen=True)
class Kept:
    """A delivery in the ledger, and the revision that wrote it."""

    revision: int
    delivery: Delivery


class MemoryStore:
    """The tables, and who holds the write lock.

    ``contended`` is asked when a writer meets another that stands still inside its transaction; it returns once that
    one may be thrown out, as PostgreSQL does after two seconds, or raises ``StoreUnavailable``.
    """

    def __init__(self, catalog: str, contended: Callable[[], None] = lambda: None) -> None:
        self.catalog = read_catalog(catalog, 1)
        self.contended = contended
        self.revision = 1
        self.sequence = 0
        self.offsets: dict[tuple[str, int], int] = {}
        self.stops: dict[tuple[str, int], str] = {}
        self.decided: dict[tuple[str, int], int] = {}
        self.ledger: dict[Place, Kept] = {}
        self.by_event: dict[str, list[Delivery]] = defaultdict(list)
        self.dead: dict[int, DeadLetter] = {}
        self.customers: dict[str, tuple[CustomerWrite, bytes]] = {}
        self.licenses: dict[int, License] = {}
        self.open: dict[str, dict[str, License]] = defaultdict(dict)
        self.aliases: dict[str, str] = {}
        self.domains: set[tuple[str, str]] = set()
        self.feed: set[tuple[int, str]] = set()
        self.progress: dict[tuple[str, int], float] = {}
        self.ends = 0  # all within one window: a simulated day is no longer
        self.holds: dict[tuple[str, str], License] = {}
        self.holder: MemoryTransaction | None = None

    def take_lock(self, transaction: "MemoryTransaction") -> None:
        """Become the only writer."""
        if self.holder is not None:
            self.contended()
        if self.holder is not None:
            self.holder.thrown_out = True
        self.holder = transaction

    def release(self, transaction: "MemoryTransaction") -> None:
        """Let the next writer in."""
        if self.holder is transaction:
            self.holder = None

    def apply_catalog(self, text: str) -> None:
        """Make a catalog the next version."""
        self.catalog = read_catalog(text, self.catalog.version + 1)
        self.revision += 1

    def state(self, customer_id: str) -> CustomerState:
        """Return what is stored of a customer."""
        write, fields = self.customers[customer_id]
        return CustomerState(
            customer_id=customer_id,
            deleted=write.deleted,
            fields=_decode_fields(fields),
            licenses=dict(self.open.get(customer_id, {})),
            names=frozenset(
                [("alias", alias) for alias, holder in self.aliases.items() if holder == customer_id]
                + [("domain", domain) for domain, holder in self.domains if holder == customer_id]
            ),
            held=frozenset(sku for held, sku in self.holds if held == customer_id),
        )

    def standing(self, log: str, partition: int) -> Standing:
        """Return where a partition stands; one of a log made anew is stopped first."""
        offset = self.offsets.get((log, partition))
        name = log.rpartition("@")[0] or log
        if offset is None and any(o != log and (o.rpartition("@")[0] or o) == name for o, _ in self.offsets):
            self.stops.setdefault((log, partition), "recreated: the log was made anew")
        return Standing(partition, offset, self.stops.get((log, partition)))

    def resume(self) -> None:
        """Let every stopped partition go on from where it stands, as a person does."""
        for place in self.stops:
            self.decided[place] = self.offsets.get(place, 0)
        self.stops.clear()

    def commit(self, revision: int, sequence: int, moves: Mapping[tuple[str, int], int], folded: Folded) -> None:
        """Keep all that a transaction did. Raises ``Inapplicable`` before it kept anything."""
        self._judge(folded)
        self.revision, self.sequence = revision, sequence
        self.offsets.update(moves)
        for delivery in folded.deliveries:
            self.keep_delivery(revision, delivery)
        self.dead.update({letter.sequence: letter for letter in folded.dead_letters})
        losers = self._move_names(folded.names)
        for write in folded.customers:
            self.customers[write.customer_id] = (write, _encode(write.fields))
        for row in folded.closes:
            assert row.row is not None
            self.licenses[row.row] = msgspec.structs.replace(self.licenses[row.row], recorded_to=revision)
            self.open[row.customer_id].pop(row.sku)
        for row in folded.licenses:
            kept = msgspec.structs.replace(row, row=len(self.licenses) + 1)
            self.licenses[len(self.licenses) + 1] = kept
            if kept.valid_to is None:
                self.open[row.customer_id][row.sku] = kept
        for pair in folded.retired:
            del self.holds[pair]
        self.holds.update({(one.customer_id, one.sku): one for one in folded.holds})
        self.feed |= {(revision, subject) for subject in losers.union(folded.touched)}

    def keep_delivery(self, revision: int, delivery: Delivery) -> None:
        """Write one row of the ledger."""
        self.ledger[delivery.log, delivery.partition, delivery.offset] = Kept(revision, delivery)
        if delivery.event_id is not None:
            self.by_event[delivery.event_id].append(delivery)

    def _judge(self, folded: Folded) -> None:
        """Refuse what PostgreSQL's keys, indexes and triggers refuse."""
        for delivery in folded.deliveries:
            if (delivery.log, delivery.partition, delivery.offset) in self.ledger:
                raise Inapplicable("UniqueViolation: this delivery is in the ledger")
        for write in folded.customers:
            if len((write.name or "").encode()) > MAX_NAME:
                raise Inapplicable("ProgramLimitExceeded: a name too long for its index")
        closed = {row.row for row in folded.closes}
        for row in folded.licenses:
            held = self.open.get(row.customer_id, {}).get(row.sku)
            if row.valid_to is None and held is not None and held.row not in closed:
                raise Inapplicable("ExclusionViolation: two open rows of one customer and SKU")

    def _move_names(self, names: Collection[NameWrite]) -> set[str]:
        losers = set()
        for name in names:
            if name.kind == "domain":
                (self.domains.add if name.held else self.domains.discard)((name.name, name.customer_id))
                continue
            holder = self.aliases.get(name.name)
            if holder is not None and (name.held or holder == name.customer_id):
                del self.aliases[name.name]
                losers |= {holder} - {name.customer_id}
            if name.held:
                self.aliases[name.name] = name.customer_id
        return losers


class MemoryTransaction:
    """One transaction; see ``store.ports.Transaction``."""

    def __init__(self, store: MemoryStore, deliveries: int, at: Callable[[str], None]) -> None:
        self._store = store
        self._at = at
        self._moves: dict[tuple[str, int], int] = {}
        self._folded = Folded()
        self._stops: dict[tuple[str, int], str] = {}
        self.thrown_out = False
        self._ends = 0
        store.take_lock(self)
        self.revision = store.revision + 1
        self.first_sequence = store.sequence + 1
        self._last_sequence = store.sequence + deliveries

    def load(self, wanted: Wanted) -> Loaded:
        self._still_in()
        store = self._store
        fenced = set()
        for partition, (before, after) in wanted.moves.items():
            if store.offsets.get((wanted.log, partition)) == before:
                self._moves[wanted.log, partition] = after
            else:
                fenced.add(partition)
        loaded = Loaded(
            fenced=frozenset(fenced),
            catalog=store.catalog,
            earlier={key: self._earlier(key) for key in wanted.events},
            originals={p: store.ledger[p].delivery.sequence for p in wanted.originals if p in store.ledger},
            customers={one: store.state(one) for one in wanted.customers if one in store.customers},
        )
        self._at("loaded")
        return loaded

    def write(self, folded: Folded) -> None:
        self._still_in()
        self._store._judge(folded)
        self._folded = folded
        self._at("written")

    def count_ends(self, ends: int, brake: Brake) -> Room:
        self._still_in()
        active = sum(row.terms.status is Status.ACTIVE for held in self._store.open.values() for row in held.values())
        self._ends, before = ends, self._store.ends
        return brake.room(before, before + active if before + ends > brake.floor else None, ends)

    def stop_dying(self, log: str, partitions: Collection[int], limit: DeadLimit) -> Mapping[int, str]:
        self._still_in()
        for partition in partitions:
            dead, total = self._last(log, partition, limit.window)
            over = dead >= limit.count and dead * 100 >= total * limit.share
            if over and (log, partition) not in self._store.stops:
                self._stops[log, partition] = f"dead_limit: {dead} of the last {total} deliveries are dead letters"
        return {partition: why for (_, partition), why in self._stops.items()}

    def commit(self) -> None:
        self._still_in()
        self._store.commit(self.revision, self._last_sequence, self._moves, self._folded)
        self._store.stops |= self._stops
        self._store.ends += self._ends

    def _last(self, log: str, partition: int, window: int) -> tuple[int, int]:
        """Count the dead letters, and all, of a partition's last deliveries since a person let it go on."""
        kept = [one.delivery for place, one in self._store.ledger.items() if place[:2] == (log, partition)]
        written = [one for one in self._folded.deliveries if (one.log, one.partition) == (log, partition)]
        since = self._store.decided.get((log, partition), 0)
        last = sorted((one for one in (*kept, *written) if one.offset >= since), key=lambda one: -one.offset)[:window]
        return sum(one.outcome.kind is Kind.DEAD and one.replay_of is None for one in last), len(last)

    def _earlier(self, key: EventKey) -> list[Earlier]:
        return [
            Earlier(one.payload_hash, one.outcome.kind is Kind.DEAD)
            for one in self._store.by_event.get(key.event_id, ())
            if (one.source, one.customer_id) == (key.source, key.customer_id)
        ]

    def _still_in(self) -> None:
        if self.thrown_out:
            raise StoreUnavailable("idle in transaction for too long")


class MemoryProjection:
    """``Projection`` on a store in memory."""

    def __init__(self, store: MemoryStore, at: Callable[[str], None] = lambda _where: None) -> None:
        self._store = store
        self._at = at

    @contextmanager
    def transaction(self, deliveries: int) -> Iterator[MemoryTransaction]:
        self._at("begin")
        transaction = self._begin(deliveries)
        try:
            self._at("begun")
            yield transaction
            self._at("commit")
            transaction.commit()
        finally:
            self._store.release(transaction)
        self._at("committed")

    def _begin(self, deliveries: int) -> MemoryTransaction:
        return MemoryTransaction(self._store, deliveries, self._at)

    def current_catalog(self) -> Catalog:
        self._at("catalog")
        return self._store.catalog

    def positions(self, log: str, partitions: Collection[int]) -> Sequence[Standing]:
        self._at("positions")
        standings = [self._store.standing(log, partition) for partition in partitions]
        return [each for each in standings if each.next_offset is not None or each.stopped is not None]

    def stop(self, log: str, partition: int, at: int | None, reason: str, detail: str) -> None:
        self._at("stop")
        if self._store.offsets.get((log, partition)) == at:
            self._store.stops.setdefault((log, partition), f"{reason}: {detail}")

    def tell_progress(self, log: str, seconds_ago: Mapping[int, float]) -> None:
        self._at("progress")
        self._store.progress.update({(log, partition): ago for partition, ago in seconds_ago.items()})

    def close(self) -> None:
        """There is no connection."""


def new_ids(bits: Callable[[int], int]) -> Callable[[], uuid.UUID]:
    """Make license ids of given dice."""
    return lambda: uuid.UUID(int=bits(128), version=4)
