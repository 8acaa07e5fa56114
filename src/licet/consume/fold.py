"""Step 3b of the road: a batch is folded over what the store knows. Pure: no I/O, no clock, no dice.

Deliveries are taken in order; each ends in exactly one outcome. A customer that appears twice in a batch is folded
twice in memory and written once.
"""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from licet.consume.names import moved_names, named
from licet.consume.read import Read, Readable, Unreadable
from licet.domain import fields as read
from licet.domain import ids
from licet.domain.brake import Room
from licet.domain.catalog import Catalog
from licet.domain.change import CustomerChange
from licet.domain.errors import Fault
from licet.domain.fields import Field, Fields, Written, microseconds, moment_of, write_fields, written_since
from licet.domain.filter import ERASED, INAPPLICABLE, PEOPLE, UNREADABLE, Earlier, Facts, Kind, Outcome, judge
from licet.domain.license import Cause, License, Moment, Terms, derive, transition
from licet.store.ports import (
    Called,
    CustomerState,
    CustomerWrite,
    DeadLetter,
    Delivery,
    EventKey,
    Folded,
    NameWrite,
    Place,
)


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What a fold stands on: the store's state under the write lock, and who makes new license ids.

    ``room``: how many licenses may end before the safety brake holds them; None where it looks away.
    """

    catalog: Catalog
    revision: int
    first_sequence: int
    customers: Mapping[str, CustomerState]
    earlier: Mapping[EventKey, Sequence[Earlier]] = {}
    originals: Mapping[Place, int] = {}
    organization: str | None = None
    new_id: Callable[[], uuid.UUID] = uuid.uuid4
    room: Room | None = None


class Customer:
    """A customer while a transaction changes it."""

    def __init__(self, customer_id: str, state: CustomerState | None) -> None:
        self.customer_id = customer_id
        self.new = state is None
        self.fields: Fields = state.fields if state else {}
        self.deleted = self.gone = state.deleted if state else False
        self.open: dict[str, License] = dict(state.licenses) if state else {}
        self.past: list[License] = []
        self.closes: list[License] = []
        self.delivery: int | None = None
        self.written = False
        self.held: AbstractSet[Called] = state.names if state else frozenset()
        self.braked = state.held if state else frozenset()
        self.retired: set[str] = set()

    def keep(self, fields: Fields, delivery: int) -> None:
        """Take over new fields."""
        self.fields = fields
        self.delivery = delivery
        self.written = True
        self.new = False

    def relicense(
        self, catalog: Catalog, moment: Moment, new_id: Callable[[], uuid.UUID]
    ) -> list[tuple[Terms | None, License]]:
        """Bring the licenses to what the fields say; returns those that moved, each with its terms before.

        A license that allows again needs no hold of the safety brake any more.
        """
        self.deleted = read.flag(self.fields, catalog.source.deleted) is True
        moved = []
        for sku, terms in derive(self.fields, catalog, deleted=self.deleted, before=self.open).items():
            before = self.open.get(sku)
            step = transition(before, self.customer_id, sku, terms, moment, new_id)
            if step is None:
                continue
            moved.append((before.terms if before is not None else None, step.opened))
            if sku in self.braked and terms.allows(moment.at):
                self.retired.add(sku)
            self.open[sku] = step.opened
            if step.past is not None:
                self.past.append(step.past)
            if step.closes is not None:
                self.closes.append(step.closes)
        return moved

    def licenses(self) -> list[License]:
        """Return the rows to insert."""
        return self.past + [row for row in self.open.values() if row.row is None]

    def write(self, catalog: Catalog) -> CustomerWrite:
        """Return the customer as it is to be stored."""
        source = catalog.source
        return CustomerWrite(
            customer_id=self.customer_id,
            name=read.text(self.fields, source.name),
            account_manager=read.text(self.fields, source.account_manager),
            sales_engineer=read.text(self.fields, source.sales_engineer),
            deleted=self.deleted,
            fields=self.fields,
            delivery=self.delivery,
        )

    def names(self, catalog: Catalog) -> AbstractSet[Called]:
        """Return the aliases and the e-mail domains that the fields give."""
        if self.deleted:
            return frozenset()
        names = named("domain", ids.verified_domain, read.text(self.fields, catalog.source.domain))
        for system, field in catalog.source.aliases.items():
            value = read.text(self.fields, field)
            names |= named("alias", ids.alias, f"{system}:{value}" if value else None)
        return names

    def names_under(self, catalog: Catalog) -> AbstractSet[Called]:
        """Return the same of a catalog that follows another; who was deleted before keeps what the brake left it."""
        return self.held if self.gone and self.deleted else self.names(catalog)


def folded(written: Collection[Customer], catalog: Catalog, **more: Any) -> Folded:
    """Return what is to be written of some customers, and ``more`` of the same transaction."""
    return Folded(
        customers=[customer.write(catalog) for customer in written],
        closes=[row for customer in written for row in customer.closes],
        licenses=[row for customer in written for row in customer.licenses()],
        retired=[(customer.customer_id, sku) for customer in written for sku in sorted(customer.retired)],
        **more,
    )


def fold(reads: Sequence[Read], world: World, *, inapplicable: str | None = None) -> Folded:
    """Fold a batch. ``inapplicable`` ends every delivery of it dead, for the reason given."""
    folding = Fold(world, inapplicable)
    for sequence, one in enumerate(reads, world.first_sequence):
        folding.take(one, sequence)
    return folding.folded()


class Fold:
    """A fold under way: deliveries are taken one by one, in the order of their sequence numbers."""

    def __init__(self, world: World, inapplicable: str | None) -> None:
        self.world = world
        self.inapplicable = inapplicable
        self.customers: dict[str, Customer] = {}
        self.earlier: dict[EventKey, list[Earlier]] = defaultdict(list)
        for key, known in world.earlier.items():
            self.earlier[key] = list(known)
        self.originals = dict(world.originals)
        self.deliveries: list[Delivery] = []
        self.dead: list[DeadLetter] = []
        self.names: list[NameWrite] = []
        self.touched: set[str] = set()
        self.ends = 0
        self.ended: dict[tuple[str, str], tuple[License, bool]] = {}  # those that stay so; whether each is held

    def take(self, one: Read, sequence: int) -> None:
        """Give a delivery its outcome, and let it change its customer."""
        # A log that is read again from its start may hold an original and its replay in one batch.
        self.originals[one.record.log, one.record.partition, one.record.offset] = sequence
        if isinstance(one, Unreadable):
            self._unreadable(one, sequence)
        else:
            self._readable(one, sequence)

    def act(self, customer_id: str, outcome: Outcome, at: dt.datetime, sequence: int, time: int | None) -> None:
        """Let a person restore or erase a customer. ``time``: the newest source time of its fields.

        A tombstone that is lifted gets a source time just above its own, so that the same deletion, sent once more,
        does not undo it; the tombstone of an erasure gets the newest, so that only a newer change brings life back.
        """
        customer, field = self._customer(customer_id), self.world.catalog.source.deleted
        erased = outcome is ERASED
        stored = customer.fields.get(field)
        if not erased and stored is not None:
            time = stored.time + 1 if stored.time is not None else None
        flag = Field(erased, sequence, time, timed=False)
        self._follow(customer, {field: flag} if erased else {**customer.fields, field: flag}, at, sequence)
        self.deliveries.append(
            Delivery(
                log=PEOPLE,
                partition=0,
                offset=sequence,
                sequence=sequence,
                source=PEOPLE,
                event_id=f"{outcome.rule}-{sequence}",
                customer_id=customer_id,
                payload_hash=b"",
                received_at=at,
                source_time=moment_of(time) if time is not None else None,
                outcome=outcome,
            )
        )

    def folded(self) -> Folded:
        """Return all that is to be written."""
        return folded(
            [customer for customer in self.customers.values() if customer.written],
            self.world.catalog,
            deliveries=self.deliveries,
            dead_letters=self.dead,
            names=self.names,
            touched=self.touched,
            ends=self.ends,
            passed=[row for row, held in self.ended.values() if not held],
            holds=[row for row, held in self.ended.values() if held],
            room=self.world.room,
        )

    def _unreadable(self, one: Unreadable, sequence: int) -> None:
        replay_of = one.envelope.replay_of if one.envelope is not None else None
        self._note(one, sequence, UNREADABLE, self.originals.get(replay_of) if replay_of else None)
        self._bury(one, sequence, UNREADABLE, one.faults)

    def _readable(self, one: Readable, sequence: int) -> None:
        change, replay_of = one.change, one.envelope.replay_of
        original = self.originals.get(replay_of) if replay_of else None
        key = EventKey(change.source, change.event_id, change.customer_id)
        outcome = INAPPLICABLE if self.inapplicable is not None else self._judge(one, key, sequence, original)
        self.earlier[key].append(Earlier(change.payload_hash, outcome.kind is Kind.DEAD))
        self._note(one, sequence, outcome, original)
        if outcome.kind is Kind.DEAD:
            self._bury(one, sequence, outcome, self._faults(one, outcome))

    def _note(self, one: Read, sequence: int, outcome: Outcome, original: int | None) -> None:
        """Write the delivery into the ledger, as far as it could be read."""
        record, envelope = one.record, one.envelope
        change = one.change if isinstance(one, Readable) else None
        compared_at = envelope.compared_at if envelope is not None and change is not None else None
        self.deliveries.append(
            Delivery(
                log=record.log,
                partition=record.partition,
                offset=record.offset,
                sequence=sequence,
                source=envelope.source if envelope else None,
                event_id=envelope.event_id if envelope else None,
                customer_id=change.customer_id if change else None,
                payload_hash=one.change.payload_hash if isinstance(one, Readable) else one.payload_hash,
                received_at=envelope.received_at if envelope else record.appended_at,
                source_time=change.source_time if change else None,
                outcome=outcome,
                replay_of=original,
                payload=record.value,
                replay_letter=envelope.replay_letter if envelope else None,
                compared_at=compared_at[1] if compared_at is not None else None,
                traceparent=envelope.sampled if envelope else None,
            )
        )

    def _judge(self, one: Readable, key: EventKey, sequence: int, original: int | None) -> Outcome:
        change, catalog = one.change, self.world.catalog
        customer = self._customer(change.customer_id)
        replay = one.envelope.replay_of is not None
        time = microseconds(change.source_time) if change.source_time is not None else None
        place, gone = original if original is not None else sequence, catalog.source.deleted
        kept: AbstractSet[str] = frozenset()
        if one.envelope.compared_at is not None:
            # Anybody may write the header: it can only bring the place down, and so keep more.
            place = min(place, one.envelope.compared_at[1])
            kept = written_since(customer.fields, place, gone)
            change = msgspec.structs.replace(change, is_deleted=None) if gone in kept else change
        written = write_fields(customer.fields, change.fields, time, place, catalog, replay=replay, kept=kept)
        tombstone = customer.fields.get(gone)
        outcome = judge(
            Facts(
                change=change,
                catalog=catalog,
                earlier=self.earlier[key],
                replay=replay,
                original_known=not replay or original is not None,
                deleted=customer.deleted,
                deleted_at=tombstone.time if tombstone is not None else None,
                written=written,
                new_customer=customer.new,
                organization=self.world.organization,
            )
        )
        self._apply(customer, change, outcome, written, Field(True, place, time, timed=True), sequence)
        return outcome

    def _apply(
        self,
        customer: Customer,
        change: CustomerChange,
        outcome: Outcome,
        written: Written,
        deletion: Field,
        sequence: int,
    ) -> None:
        if outcome.kind is Kind.APPLIED:
            at = min(change.source_time or change.received_at, change.received_at)
            self._follow(customer, written.fields, at, sequence)
        elif outcome.reason == "unchanged":
            customer.keep(written.fields, sequence)  # raises the stored times
        elif outcome.reason == "tombstoned" and change.is_deleted and deletion.time is not None:
            field = self.world.catalog.source.deleted
            stored = customer.fields.get(field)  # none where the catalog has renamed it since
            if (
                stored is None or stored.time is None or stored.time < deletion.time
            ):  # a later deletion: what lies between cannot undo it
                customer.keep({**customer.fields, field: deletion}, sequence)

    def _follow(self, customer: Customer, fields: Fields, at: dt.datetime, sequence: int) -> None:
        """Let a customer's licenses and names follow its new fields."""
        before = customer.names(self.world.catalog)
        customer.keep(fields, sequence)
        moment = Moment(at, self.world.revision, Cause(delivery=sequence))
        moved = customer.relicense(self.world.catalog, moment, self.world.new_id)
        held = self._brake(customer, moved, at)
        # A name is whose it was last said to be: what a change does not alter it does not take back.
        after = before if held and customer.deleted else customer.names(self.world.catalog)
        self.names += moved_names(customer.customer_id, before, after)
        self.touched.add(customer.customer_id)

    def _brake(self, customer: Customer, moved: Sequence[tuple[Terms | None, License]], at: dt.datetime) -> bool:
        """Count the licenses that end, and hold those for which no room is left; tells whether it holds any."""
        room, any_held = self.world.room, False
        for before, row in moved:
            key, allows = (customer.customer_id, row.sku), row.terms.allows(at)
            if allows:
                self.ended.pop(key, None)
            elif room is not None and before is not None and before.allows(at):
                self.ends += 1
                held = self.ends > room.left
                any_held |= held
                self.ended[key] = row, held
                if held and row.sku in customer.braked:
                    customer.retired.add(row.sku)  # the new hold lasts longer
        return any_held

    def _customer(self, customer_id: str) -> Customer:
        customer = self.customers.get(customer_id)
        if customer is None:
            customer = Customer(customer_id, self.world.customers.get(customer_id))
            self.customers[customer_id] = customer
        return customer

    def _faults(self, one: Readable, outcome: Outcome) -> Sequence[Fault]:
        change = one.change
        if outcome is INAPPLICABLE:
            return [Fault("change", self.inapplicable or "", "a change that the store can keep")]
        match outcome.reason:
            case "source_time_in_future":
                found = f"{change.source_time}, received {change.received_at}"
                return [Fault(self.world.catalog.source.modified, found, "at most one day after receipt")]
            case "event_id_reused":
                return [Fault("event id", ids.shown(change.event_id), "one payload per event id")]
            case "wrong_organization":
                found = ids.shown(change.organization_id)
                return [Fault(self.world.catalog.source.organization, found, f"{self.world.organization}")]
            case _:
                return [Fault("licet-replay-of", str(one.envelope.replay_of), "a delivery that the ledger knows")]

    def _bury(self, one: Read, sequence: int, outcome: Outcome, faults: Sequence[Fault]) -> None:
        record = one.record
        self.dead.append(
            DeadLetter(sequence, outcome.reason or outcome.rule, faults, record.key, record.value, record.headers)
        )
