"""``licet verify``: does the store say what its ledger says, and does the ledger have all that the log has?

Three questions. Has each retained record below a committed offset exactly one outcome? Do license rows name deliveries
that exist? Does the ledger, folded again from nothing under the catalogs of its time, end where the store stands: the
same outcomes, and per customer the same hash of fields and license history?

Aliases and e-mail domains depend on other customers and on people, so what is asked of them is this: each that a field
gave is still said by its customer's fields, and each that the fields say is held, or was, unless somebody else has it.
A deleted customer that the safety brake held may keep its names. What people gave (memberships, names, overrides) is
what the audit says that they gave last.

It streams: of the store it holds one customer at a time.
"""

import hashlib
import heapq
import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

import msgspec

from licet.consume.fold import Customer, Fold, World
from licet.consume.read import Readable
from licet.domain.catalog import Catalog, read_catalog
from licet.domain.change import Identity, read_change
from licet.domain.errors import InvalidInput
from licet.domain.fields import NEVER, Field, Fields, microseconds
from licet.domain.filter import ERASED, RESTORED, Earlier, Outcome
from licet.domain.license import Cause, License, Moment
from licet.domain.payload import read_object
from licet.queue.message import Envelope, Record
from licet.queue.ports import Extent, LogSurvey, LogUnavailable
from licet.store.ports import Account, Called, CustomerState, Entry, EventKey, Place, StoredCustomer, StoredName

_NOBODY = uuid.UUID(int=0)
_ACTS: Mapping[str | None, Outcome] = {outcome.reason: outcome for outcome in (RESTORED, ERASED)}
SHOWN = 100  # findings kept in words; all are counted
_decode_fields = msgspec.json.Decoder(dict[str, Field]).decode


class Books(Protocol):
    """The store's side: one moment of it. See ``store/verification.py`` for what each returns."""

    def accounts(self) -> Sequence[Account]: ...  # noqa: D102
    def ranges(self, kind: str, account: Account) -> Sequence[tuple[int, int]]: ...  # noqa: D102
    def strays(self) -> Iterable[tuple[int, str, str]]: ...  # noqa: D102
    def unheard(self) -> Iterable[tuple[str, str, str, str | None, str | None]]: ...  # noqa: D102
    def catalogs(self) -> Sequence[tuple[int, str, int, str | None]]: ...  # noqa: D102
    def entries(self) -> Iterator[tuple[str, Entry]]: ...  # noqa: D102
    def customers(self) -> Iterator[tuple[str, StoredCustomer]]: ...  # noqa: D102
    def licenses(self) -> Iterator[tuple[str, License]]: ...  # noqa: D102
    def names(self) -> Iterator[tuple[str, StoredName]]: ...  # noqa: D102
    def alias_held(self, alias: str) -> bool: ...  # noqa: D102


class Report:
    """What a verification found. ``unchecked`` says what could not be looked at, and how often."""

    def __init__(self) -> None:
        self.partitions = self.deliveries = self.customers = self.fault_count = 0
        self.faults: list[str] = []
        self.unchecked: dict[str, int] = {}

    def fault(self, text: str) -> None:
        """Count a fault, and keep the first in words."""
        self.fault_count += 1
        if len(self.faults) < SHOWN:
            self.faults.append(text)

    def left_out(self, what: str) -> None:
        """Count what could not be looked at."""
        self.unchecked[what] = self.unchecked.get(what, 0) + 1


def verify(books: Books, survey: LogSurvey, told: Callable[[int], None]) -> Report:
    """Answer the three questions; ``told`` hears how many deliveries each step folded."""
    report = Report()
    _check_ledger(books, survey, report)
    for row, customer_id, sku in books.strays():
        report.fault(f"license row {row} ({customer_id}, {sku}) names a delivery or a catalog that is not there")
    _check_acts(books, report)
    refold = _Refold(books.catalogs())
    for customer_id, entries, stored, licenses, names in _by_customer(books):
        report.customers += 1
        report.deliveries += len(entries)
        said = refold.compare(customer_id, entries, stored, licenses, report)
        if said is not None and not (stored is not None and stored.named):
            _check_names(books, customer_id, said, names, report)
        told(len(entries))
    return report


def _check_ledger(books: Books, survey: LogSurvey, report: Report) -> None:
    name: str = ""
    extents: Mapping[int, Extent] = {}
    try:
        name, extents = survey.extents()
    except LogUnavailable as error:
        report.left_out(f"the log itself: {error}")
    for account in books.accounts():
        report.partitions += 1
        extent = extents.get(account.partition) if account.log == name else None
        where = f"{account.log}/{account.partition}"
        end = account.next_offset
        if end is None or (account.last is not None and account.last >= end):
            report.fault(f"{where}: the ledger has offset {account.last}, the committed offset is {end}")
            continue
        if extent is not None and end > extent.end:
            report.fault(f"{where}: the committed offset is {end}, the log ends at {extent.end}")
        head = end if account.first is None else account.first
        tail = end if account.last is None else account.last + 1
        skipped = books.ranges("skipped", account)
        for start, stop in _without([(0, head)], skipped):  # before the first delivery: only what the log still has
            if extent is not None:
                _check_hole(survey, account, (max(start, extent.first), min(stop, extent.end)), report)
        for start, stop in _without([*books.ranges("holes", account), (tail, end)], skipped):
            if extent is not None and start >= extent.first:
                _check_hole(survey, account, (start, stop), report)
            else:
                report.fault(f"{where}: no outcome for the offsets {start} to {stop - 1}, which the log no longer has")


def _check_hole(survey: LogSurvey, account: Account, hole: tuple[int, int], report: Report) -> None:
    start, stop = hole
    where = f"{account.log}/{account.partition}"
    if start >= stop:
        return
    try:
        lost = survey.count(account.partition, start, stop)
    except LogUnavailable as error:
        report.left_out(f"{where}, offsets {start} to {stop - 1}: {error}")
        return
    if lost:
        report.fault(f"{where}: {lost} records without an outcome, at the offsets {start} to {stop - 1}")


def _check_names(
    books: Books, customer_id: str, said: AbstractSet[Called], stored: Sequence[StoredName], report: Report
) -> None:
    """Hold the names that a customer's fields say against those that it has."""
    for one in stored:
        if one.open and one.origin == "source" and (one.kind, one.name) not in said:
            report.fault(f"customer {customer_id}: the {one.kind} {one.name} is held, and no field says it")
    for kind, name in sorted(said - {(one.kind, one.name) for one in stored}):
        if kind == "domain" or not books.alias_held(name):
            report.fault(f"customer {customer_id}: a field says the {kind} {name}, and nobody was given it")


def _check_acts(books: Books, report: Report) -> None:
    """Hold the names and overrides that people gave, by the audit, against those that there are."""
    for customer_id, kind, name, said, held in books.unheard():
        what = f"customer {customer_id}: the {kind} {name}"
        if held is None:
            report.fault(f"{what} was given by a person, and is not there")
        elif said is None:
            report.fault(f"{what} is there, and by the audit no person gave it, or a person took it")
        else:
            report.fault(f"{what} was given as {said}, and is there as {held}")


def _without(ranges: Iterable[tuple[int, int]], skipped: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Cut what people accepted to skip out of ranges."""
    for begin, stop in ranges:
        start = begin
        for first, last in skipped:
            if first < stop and last > start:
                if start < first:
                    yield start, first
                start = max(start, last)
        if start < stop:
            yield start, stop


def _by_customer(
    books: Books,
) -> Iterator[tuple[str, list[Entry], StoredCustomer | None, list[License], list[StoredName]]]:
    """Bring four streams together, each ordered by the customer's id."""
    streams: list[Iterator[tuple[str, Any]]] = [books.entries(), books.customers(), books.licenses(), books.names()]
    numbered = [zip(stream, itertools.repeat(number), strict=False) for number, stream in enumerate(streams)]
    for customer_id, some in itertools.groupby(heapq.merge(*numbered, key=_customer), key=_customer):
        its: tuple[list[Any], ...] = ([], [], [], [])
        for (_, one), number in some:
            its[number].append(one)
        entries, stored, licenses, names = its
        yield customer_id, entries, stored[0] if stored else None, licenses, names


def _customer(one: tuple[tuple[str, Any], int]) -> str:
    return one[0][0]


class _Memory:
    """One customer while its history is folded again; what the store would have kept of it."""

    def __init__(self, customer_id: str) -> None:
        self.customer_id = customer_id
        self.fields: Fields = {}
        self.deleted = False
        self.rows: list[License] = []
        self.earlier: dict[EventKey, list[Earlier]] = {}
        self.there = False

    def forget(self, entries: Sequence[Entry], licenses: Sequence[License]) -> Sequence[Entry]:
        """Return what is to be folded: all, or from an erasure on, over what stood then and cannot be folded again."""
        last = max((at for at, entry in enumerate(entries) if entry.reason == ERASED.reason), default=None)
        if last is None:
            return entries
        for one in entries[:last]:
            key = EventKey(one.source, one.event_id, self.customer_id)
            self.earlier.setdefault(key, []).append(Earlier(one.payload_hash, dead=False))
        revision = entries[last].revision
        for row in licenses:
            if row.recorded_from < revision:
                open_ = row.recorded_to is None or row.recorded_to >= revision
                kept = msgspec.structs.replace(row, row=len(self.rows), recorded_to=None if open_ else row.recorded_to)
                self.rows.append(kept)
        self.there = True
        return entries[last:]

    def state(self) -> CustomerState:
        open_ = {row.sku: row for row in self.rows if row.valid_to is None and row.recorded_to is None}
        return CustomerState(customer_id=self.customer_id, deleted=self.deleted, fields=self.fields, licenses=open_)

    def keep(self, customer: Customer, revision: int) -> None:
        self.there = True
        self.fields = _decode_fields(msgspec.json.encode(customer.fields))
        self.deleted = customer.deleted
        for row in customer.closes:
            assert row.row is not None  # noqa: S101 only rows that were kept are closed
            self.rows[row.row] = msgspec.structs.replace(row, recorded_to=revision)
        for row in customer.licenses():
            self.rows.append(msgspec.structs.replace(row, row=len(self.rows)))


class _Refold:
    def __init__(self, versions: Sequence[tuple[int, str, int, str | None]]) -> None:
        self._catalogs = {version: read_catalog(document, version) for version, document, _, _ in versions}
        self._since = [(revision, self._catalogs[version]) for version, _, revision, _ in versions]
        self._current, self._reached = self._since[-1][1], versions[-1][3] or ""

    def _at(self, revision: int) -> Catalog:
        return next(catalog for since, catalog in reversed(self._since) if since <= revision)

    def compare(
        self,
        customer_id: str,
        entries: Sequence[Entry],
        stored: StoredCustomer | None,
        licenses: Sequence[License],
        report: Report,
    ) -> AbstractSet[Called] | None:
        """Fold a customer again, and report where the store says something else.

        Returns the names that its fields say; None where they are not known, or the catalog has not reached it yet.
        """
        memory = _Memory(customer_id)
        entries = memory.forget(entries, licenses)
        if any(entry.payload is None and entry.reason not in _ACTS for entry in entries):
            report.left_out("customers of whom payloads were pruned")
            return None
        since = entries[0].revision if entries else 0
        steps = {at: step for at, step in _catalog_steps(licenses).items() if at > since}
        events = itertools.chain(
            ((revision, None) for revision in steps),
            ((revision, list(some)) for revision, some in itertools.groupby(entries, lambda entry: entry.revision)),
        )
        for revision, some in sorted(events, key=lambda event: event[0]):
            if some is None:
                version, moment = steps[revision]
                customer = Customer(customer_id, memory.state())
                customer.relicense(self._catalogs[version], moment, uuid.uuid4)
                memory.keep(customer, revision)
            else:
                self._fold(memory, revision, some, report)
        found = _hash(memory.fields, memory.deleted, self._texts(memory, stored), memory.rows) if memory.there else None
        held = _hash(stored.fields, stored.deleted, stored.texts, licenses) if stored is not None else None
        if found != held:
            report.fault(f"customer {customer_id}: the ledger folds to {found}, the store holds {held}")
        elif customer_id <= self._reached and Customer(customer_id, memory.state()).relicense(
            self._current, Moment(NEVER, 0, Cause(catalog=0)), uuid.uuid4
        ):
            report.fault(f"customer {customer_id}: the current catalog has not reached its licenses")
        reached = customer_id <= self._reached or len(self._catalogs) == 1
        return Customer(customer_id, memory.state()).names(self._current) if reached else None

    def _texts(self, memory: _Memory, stored: StoredCustomer | None) -> Sequence[str | None]:
        catalog = self._at(stored.revision) if stored is not None else self._current
        write = Customer(memory.customer_id, memory.state()).write(catalog)
        return (write.name, write.account_manager, write.sales_engineer)

    def _fold(self, memory: _Memory, revision: int, entries: Sequence[Entry], report: Report) -> None:
        catalog = self._at(revision)
        replays = {_place(entry.replay_of): entry.replay_of for entry in entries if entry.replay_of is not None}
        world = World(
            catalog=catalog,
            revision=revision,
            first_sequence=0,
            customers={memory.customer_id: memory.state()} if memory.there else {},
            earlier=memory.earlier,
            originals=replays,
        )
        folding = Fold(world, None)
        for entry in entries:
            if entry.reason in _ACTS:
                time = microseconds(entry.source_time) if entry.source_time is not None else None
                folding.act(memory.customer_id, _ACTS[entry.reason], entry.received_at, entry.sequence, time)
                continue
            try:
                folding.take(_readable(memory.customer_id, entry, catalog), entry.sequence)
            except InvalidInput as error:
                report.fault(f"delivery {entry.sequence} ended as {entry.outcome}, and cannot be read: {error}")
                continue
            ended = folding.deliveries[-1].outcome
            if (ended.kind, ended.reason) != (entry.outcome, entry.reason):
                said = f"{entry.outcome}({entry.reason})" if entry.reason else entry.outcome
                report.fault(f"delivery {entry.sequence} ended as {said}, folded again as {ended}")
        memory.earlier = folding.earlier
        customer = folding.customers.get(memory.customer_id)
        if customer is not None and customer.written:
            memory.keep(customer, revision)


def _place(sequence: int) -> Place:
    return "ledger", 0, sequence


def _readable(customer_id: str, entry: Entry, catalog: Catalog) -> Readable:
    log, partition, offset = _place(entry.sequence)
    record = Record(
        log=log,
        partition=partition,
        offset=offset,
        key=customer_id.encode(),
        value=entry.payload,
        headers=(),
        appended_at=None,
    )
    replay_of = _place(entry.replay_of) if entry.replay_of is not None else None
    compared_at = (0, entry.compared_at) if entry.compared_at is not None else None
    envelope = Envelope(entry.event_id, entry.source, entry.received_at, replay_of, None, compared_at)
    identity = Identity(entry.event_id, entry.source, entry.received_at)
    return Readable(record, envelope, read_change(read_object(entry.payload or b""), identity, catalog))


def _catalog_steps(licenses: Sequence[License]) -> Mapping[int, tuple[int, Moment]]:
    """Say when which catalog reached a customer, by the rows that it opened; one that opened none changed nothing."""
    steps: dict[int, tuple[int, Moment]] = {}
    for row in licenses:
        version = row.opened_by.catalog
        if version is not None and row.valid_to is None:  # those with an end are copies, made later
            known = steps.get(row.recorded_from)
            at = min(row.valid_from, known[1].at) if known else row.valid_from
            steps[row.recorded_from] = (version, Moment(at, row.recorded_from, Cause(catalog=version)))
    return steps


def _hash(fields: Fields, deleted: bool, texts: Sequence[str | None], rows: Sequence[License]) -> str:
    """Hash a customer; license ids are dice, so each is told by the row in which it stands first."""
    ordered = sorted(rows, key=lambda row: (row.sku, row.recorded_from, row.valid_from))
    numbers: dict[uuid.UUID, int] = {}
    plain = [
        msgspec.structs.replace(
            row, row=None, license_id=uuid.UUID(int=numbers.setdefault(row.license_id, len(numbers)))
        )
        for row in ordered
    ]
    said = msgspec.json.encode((fields, deleted, texts, plain), order="sorted")
    return hashlib.blake2b(said, digest_size=16).hexdigest()
