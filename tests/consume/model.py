"""Design §4 told a second time, naively: keeps every delivery and works everything out from the whole history.

It imports nothing of Licet and shares no code with it. Slow on purpose; ``test_model`` holds the real projector to it.
"""

import dataclasses
import datetime as dt
import json
import re
import zoneinfo
from typing import Any

Json = dict[str, Any]
# status, start, end, quantity
State = tuple[str, dt.datetime | None, dt.datetime | None, int | None]


@dataclasses.dataclass(frozen=True)
class Sku:
    flag: str
    start: str | None = None
    until: str | None = None
    quantity: str | None = None


@dataclasses.dataclass(frozen=True)
class Mapping:
    """What the model must know of a catalog."""

    skus: dict[str, Sku]
    terms: str | None
    texts: frozenset[str]
    zone: str = "UTC"
    alias: tuple[str, str] | None = None
    excluded: tuple[str, str] | None = None

    @property
    def flags(self) -> set[str]:
        return {"IsDeleted", *(sku.flag for sku in self.skus.values())} | ({self.terms} if self.terms else set())

    @property
    def clearable(self) -> set[str]:
        """Mapped fields in which an explicit null says "none"."""
        dated = {field for sku in self.skus.values() for field in (sku.start, sku.until, sku.quantity) if field}
        return dated | self.texts


@dataclasses.dataclass(frozen=True)
class Sent:
    """One delivery. ``payload`` None: bytes that nobody can read. ``replay_of``: an earlier delivery's index, or -1."""

    customer: int
    event_id: str
    source: str
    received: dt.datetime
    payload: Json | None
    raw: int = 0
    replay_of: int | None = None

    @property
    def time(self) -> dt.datetime | None:
        text = (self.payload or {}).get("SystemModstamp")
        return dt.datetime.fromisoformat(text) if text else None


@dataclasses.dataclass(frozen=True)
class Write:
    """A write of a field that was let through. ``place``: the delivery that said it first."""

    value: Any
    place: int
    time: dt.datetime | None


@dataclasses.dataclass(frozen=True)
class Row:
    """A state of a license. ``generation`` counts the licenses of a customer and SKU."""

    status: str
    starts: dt.datetime | None
    ends: dt.datetime | None
    quantity: int | None
    since: dt.datetime
    opened_by: int
    generation: int

    @property
    def state(self) -> State:
        return (self.status, self.starts, self.ends, self.quantity)


@dataclasses.dataclass
class Customer:
    writes: dict[str, list[Write]] = dataclasses.field(default_factory=dict)
    rows: dict[str, list[Row]] = dataclasses.field(default_factory=dict)

    def value(self, field: str | None) -> Any:
        return self.writes[field][-1].value if field in self.writes else None

    @property
    def deleted(self) -> bool:
        return self.value("IsDeleted") is True


def same(left: object, right: object) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


class Model:
    """Takes deliveries one by one; ``outcomes`` has one word for each."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.sent: list[Sent] = []
        self.outcomes: list[str] = []
        self.customers: dict[int, Customer] = {}
        self.aliases: dict[str, int] = {}
        self.touched: list[set[int]] = []

    def deliver(self, sent: Sent) -> None:
        index = len(self.sent)
        self.touched.append(set())
        outcome = self._outcome(sent, index)
        self.sent.append(sent)
        self.outcomes.append(outcome)

    def _outcome(self, sent: Sent, index: int) -> str:
        if sent.payload is None:
            return "dead(unreadable)"
        if sent.replay_of == -1:
            return "dead(unknown_original)"
        if sent.time is not None and sent.time > sent.received + dt.timedelta(days=1):
            return "dead(source_time_in_future)"
        if sent.replay_of is None:
            before = [earlier.payload for earlier in self._same_event(sent)]
            if any(same(payload, sent.payload) for payload in before):
                return "ignored(duplicate)"
            if before:
                return "dead(event_id_reused)"
        excluded = self.mapping.excluded
        if excluded and sent.payload.get(excluded[0]) == excluded[1]:
            return "ignored(excluded)"
        return self._write(sent, index)

    def _same_event(self, sent: Sent) -> list[Sent]:
        """Earlier deliveries of the event that did not end dead."""
        name = (sent.source, sent.event_id, sent.customer)
        return [
            earlier
            for earlier, outcome in zip(self.sent, self.outcomes, strict=True)
            if (earlier.source, earlier.event_id, earlier.customer) == name and not outcome.startswith("dead")
        ]

    def _write(self, sent: Sent, index: int) -> str:
        place = index if sent.replay_of is None else sent.replay_of
        known = sent.customer in self.customers
        customer = self.customers.get(sent.customer, Customer())
        assert sent.payload is not None
        if customer.deleted:
            tombstone = max((w.time for w in customer.writes["IsDeleted"] if w.time), default=None)
            newer = sent.time is not None and (tombstone is None or sent.time > tombstone)
            if sent.payload.get("IsDeleted") is not False or not newer:
                if sent.payload.get("IsDeleted") is True and newer:
                    customer.writes["IsDeleted"].append(Write(True, place, sent.time))
                return "ignored(tombstoned)"
        carried = {field: value for field, value in sent.payload.items() if self._says(customer, field, value)}
        let = {field: value for field, value in carried.items() if self._newer(customer, field, sent, place)}
        if carried and not let:
            return "superseded"
        changed = {f for f, v in let.items() if f not in customer.writes or not same(customer.value(f), v)}
        was = self._alias(customer)
        for field, value in let.items():
            customer.writes.setdefault(field, []).append(Write(value, place, sent.time))
        if known and not changed:
            return "ignored(unchanged)"
        self.customers[sent.customer] = customer
        self.touched[index].add(sent.customer)
        self._relicense(customer, sent, index)
        self._rename(sent.customer, was, self._alias(customer), index)
        return "applied"

    def _says(self, customer: Customer, field: str, value: object) -> bool:
        if field in {"Id", "EventId", "SystemModstamp", "OrganizationId"}:
            return False
        if value is not None or field in self.mapping.clearable:
            return True
        if field in self.mapping.flags:
            return False
        return field in customer.writes and not isinstance(customer.value(field), bool)

    def _newer(self, customer: Customer, field: str, sent: Sent, place: int) -> bool:
        writes = customer.writes.get(field, [])
        if not writes:
            return True
        newest = max((write.time for write in writes if write.time), default=None)
        last = writes[-1]
        if sent.replay_of is not None and last.place > place:
            return last.time is not None and sent.time is not None and newest is not None and sent.time > newest
        return sent.time is None or newest is None or newest <= sent.time

    def _relicense(self, customer: Customer, sent: Sent, index: int) -> None:
        moment = min(sent.time or sent.received, sent.received)
        for name, sku in self.mapping.skus.items():
            rows = customer.rows.setdefault(name, [])
            state = self._state(customer, sku, rows)
            if state is None or (
                rows and state == (rows[-1].status, rows[-1].starts, rows[-1].ends, rows[-1].quantity)
            ):
                continue
            since, generation = moment, 1
            if rows:
                since = max(moment, rows[-1].since + dt.timedelta(microseconds=1))
                generation = rows[-1].generation + (rows[-1].status == "ended")
            rows.append(Row(*state, since=since, opened_by=index, generation=generation))

    def _state(self, customer: Customer, sku: Sku, rows: list[Row]) -> State | None:
        flag = customer.value(sku.flag)
        if customer.deleted or flag is False:
            return ("ended", rows[-1].starts, rows[-1].ends, rows[-1].quantity) if rows else None
        if flag is None:
            return None
        dates = (
            self._moment(customer.value(sku.start)),
            self._moment(customer.value(sku.until), days=1),
            customer.value(sku.quantity),
        )
        if self.mapping.terms is None or customer.value(self.mapping.terms) is True:
            return ("active", *dates)
        had_access = bool(rows) and rows[-1].status in {"active", "suspended"}
        return ("suspended" if had_access else "pending_terms", *dates)

    def _moment(self, text: str | None, days: int = 0) -> dt.datetime | None:
        """Read a date as local midnight, ``days`` later; a time as it is."""
        if not text:
            return None
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
        if text == "9999-12-31" and days:
            return None
        day = dt.date.fromisoformat(text) + dt.timedelta(days=days)
        return dt.datetime(day.year, day.month, day.day, tzinfo=zoneinfo.ZoneInfo(self.mapping.zone)).astimezone(dt.UTC)

    def _alias(self, customer: Customer) -> str | None:
        if self.mapping.alias is None or customer.deleted:
            return None
        system, field = self.mapping.alias
        value = customer.value(field)
        return f"{system}:{value}" if value and " " not in value else None

    def _rename(self, number: int, before: str | None, after: str | None, index: int) -> None:
        """An alias is whose it was last said to be; a change that says nothing new of it moves none."""
        if before == after:
            return
        if before and self.aliases.get(before) == number:
            del self.aliases[before]
        if after:
            self.touched[index].add(self.aliases.get(after, number))
            self.aliases[after] = number
