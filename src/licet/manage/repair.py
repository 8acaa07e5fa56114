"""Repairs: what brings the store to an export, published as changes like any other.

A repair says what is off and no more, at the export's own time, and carries the place at which it was compared: what
was written after either stays. All are planned, in a file on disk, before the first is published.
"""

import datetime as dt
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import IO, Any

import msgspec

from licet.domain.drift import Drift, DriftKind, Layout, Pair, Repair
from licet.domain.errors import Fault, InvalidInput
from licet.domain.fields import microseconds, moment_of
from licet.domain.filter import CLOCK_TOLERANCE
from licet.domain.principal import Actor
from licet.manage.ports import Bar, DriftStore
from licet.queue.message import Message
from licet.store.values import Act, Action

SOURCE = "reconcile"
_CHUNK = 500
_encode = msgspec.json.Encoder().encode
_planned = msgspec.json.Decoder(tuple[Drift, msgspec.Raw]).decode
Seen = Callable[[list[Drift]], object]


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What may be repaired, and with what.

    ``append`` returns once the queue has the messages, and raises ``Unavailable`` where it did not take all.
    ``exported_at``: when the export was begun; ``delete_missing`` needs it. ``max_share``: how many per cent of the
    store's living customers may be missing then.
    """

    append: Callable[[Sequence[Message]], None]
    clock: Callable[[], dt.datetime]
    organization: str | None = None
    exported_at: dt.datetime | None = None
    delete_missing: bool = False
    max_share: float = 5.0

    def check_time(self, column: str, time: int | None) -> None:
        """Raise ``InvalidInput`` where a row has no time, or one at which the door would bury a change."""
        if time is None and self.exported_at is None:
            raise InvalidInput.of(Fault(column, "nothing", "the row's time, or --exported-at for all of them"))
        if time is not None and time > microseconds(self.clock() + CLOCK_TOLERANCE):
            raise InvalidInput.of(Fault(column, moment_of(time).isoformat(), "a time gone by"))


class Repairs:
    """The repairs of one comparison; ``plan`` is an empty file."""

    def __init__(self, orders: Orders, layout: Layout, store: DriftStore, plan: IO[bytes]) -> None:
        self._orders, self._store, self._plan = orders, store, plan
        self._layout, self._source = layout, layout.catalog.source
        self._counts: Counter[Repair] = Counter()
        self._living = self._in_both = self._whole = self.published = self.held_back = 0
        begun = orders.exported_at
        self._begun = microseconds(begun) if begun is not None else None
        self._last = store.sequence_at(begun) if begun is not None else 0

    def take(self, found: list[Drift], pair: Pair) -> list[Drift]:
        """Plan what repairs a customer; returns what is off, each with what is done about it."""
        if pair.deleted is False:
            self._living += 1
            self._in_both += pair.said is not None and not pair.said.deleted
        if not found:
            return found
        done = self._decide(pair) if found[-1].kind is not DriftKind.UNKNOWN_SKU else Repair.UNKNOWN_SKU
        self._counts[done] += 1
        if done in {Repair.PLANNED, Repair.DELETION}:
            self._whole += 1
            self._plan.write(_encode((found[-1], self._payload(pair))) + b"\n")
        else:
            self.held_back += 1
        told = {DriftKind.UNKNOWN_SKU: Repair.UNKNOWN_SKU}
        return [msgspec.structs.replace(drift, repair=told.get(drift.kind, done)) for drift in found]

    def publish(self, by: Actor, file: str, seen: Seen, bar: Bar) -> None:
        """Publish what is planned; ``seen`` hears of customers that changed meanwhile.

        The audit has the plan before the first is published, and then what came of it. Raises ``InvalidInput``, before
        anything is published, where so many customers are missing in the file that it must have been cut off.
        """
        share, least = self._orders.max_share, self._living * (100 - self._orders.max_share) / 100
        if self._orders.delete_missing and self._in_both < least:
            found = f"{self._in_both} of the store's {self._living} living customers"
            raise InvalidInput.of(Fault("the file", found, f"at least {least:g}, or --max-share above {share:g}"))
        if not self._whole:
            return
        plan = {"revision": self._store.compared_at[0], "customers": self._counts}
        self._store.audit(Act(action=Action.RECONCILE_REPAIR, subject=file, by=by, after=plan))
        bar.begins("repairs", self._whole)
        self._plan.seek(0)
        try:
            while lines := list(itertools.islice(self._plan, _CHUNK)):
                self._send([_planned(line) for line in lines], seen)
                bar.told(len(lines))
        finally:
            came = {"published": self.published, "held back": self.held_back}
            self._store.audit(Act(action=Action.RECONCILE_REPAIR, subject=file, by=by, before=plan, after=came))

    def _decide(self, pair: Pair) -> Repair:
        if pair.said is None and not self._orders.delete_missing:
            return Repair.NOT_ASKED
        gone, time = pair.fields.get(self._source.deleted), self._time(pair)
        if pair.deleted and gone is not None and not gone.timed and len(pair.fields) == 1:
            return Repair.ERASED  # which leaves nothing but the tombstone
        untimed = max((field.place for field in pair.fields.values() if not field.timed), default=0)
        if untimed and self._begun is None:
            return Repair.UNTIMED
        newest = max((field.time for field in pair.fields.values() if field.time is not None), default=time)
        tied = pair.deleted and gone is not None and gone.time == time  # only what is newer lifts a tombstone
        if newest > time or untimed > self._last or tied:
            return Repair.CHANGED_SINCE
        return Repair.DELETION if pair.said is None else Repair.PLANNED

    def _time(self, pair: Pair) -> int:
        time = pair.said.time if pair.said is not None and pair.said.time is not None else self._begun
        assert time is not None  # noqa: S101 the file was refused otherwise
        return time

    def _payload(self, pair: Pair) -> dict[str, Any]:
        payload: dict[str, Any] = {self._source.id: pair.customer, self._source.modified: moment_of(self._time(pair))}
        if self._orders.organization is not None:
            payload[self._source.organization] = self._orders.organization
        if pair.said is None or pair.said.deleted:
            return {**payload, self._source.deleted: True}
        if pair.deleted:
            payload[self._source.deleted] = False
        return payload | {name: said for name, _, said in self._layout.differences(pair.fields, pair.said.fields)}

    def _send(self, planned: Sequence[tuple[Drift, msgspec.Raw]], seen: Seen) -> None:
        """Publish some, without those whose customers were written since the comparison; the worker looks once more."""
        changed = self._store.changed_since([drift.customer for drift, _ in planned])
        messages = []
        for drift, payload in planned:
            if drift.customer in changed:
                self.held_back += 1
                seen([msgspec.structs.replace(drift, repair=Repair.CHANGED_SINCE)])
            else:
                messages.append(self._message(drift.customer, bytes(payload)))
        if messages:
            self._orders.append(messages)
            self.published += len(messages)

    def _message(self, customer: str, payload: bytes) -> Message:
        named = _encode((customer, self._store.compared_at, self._orders.exported_at, payload))
        return Message(
            key=customer,
            value=payload,
            event_id=f"repair-{hashlib.blake2b(named, digest_size=16).hexdigest()}",
            source=SOURCE,
            received_at=self._orders.clock(),
            compared_at="/".join(map(str, self._store.compared_at)),
        )
