"""The worker's store: a batch becomes one PostgreSQL transaction."""

import contextlib
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from msgspec.structs import astuple

from licet.database import WRITER_TIMEOUT_MS, Connection, named_queries, writer_conninfo
from licet.domain.catalog import Catalog
from licet.domain.errors import Unavailable
from licet.domain.fields import Field
from licet.domain.filter import Earlier
from licet.domain.ids import is_salesforce_id
from licet.domain.license import Cause, License, Status, Terms
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.brake import BrakeWriter, rows_text
from licet.store.catalogs import find_current
from licet.store.directory import name_queries
from licet.store.overrides import ending
from licet.store.ports import (
    Called,
    CustomerState,
    DeadLetter,
    DeadLimit,
    Delivery,
    EventKey,
    Folded,
    Inapplicable,
    Loaded,
    NameWrite,
    Standing,
    StoreUnavailable,
    Wanted,
)
from licet.store.senders import headers_text, storable
from licet.store.values import Act, NameKind

_decode_fields = msgspec.json.Decoder(dict[str, Field]).decode
_MOST_TRACES = 100  # a notification holds 8,000 bytes
# Trying again cannot help. A text too long for an index is an OperationalError to the driver.
_REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)


class PostgresProjection:
    """Applies batches over one connection, made when it is needed and made anew when it broke."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._catalog: Catalog | None = None
        self._sql = named_queries("licet.store", "sql/projection.sql")

    @contextmanager
    def transaction(self, deliveries: int) -> Iterator["PostgresTransaction"]:
        """Open a transaction; see ``store.ports.Projection``."""
        with self._lent() as connection:
            try:
                with connection.transaction():
                    transaction = PostgresTransaction(connection, self._sql, self._catalog, deliveries)
                    yield transaction
            except _REFUSED as error:
                raise Inapplicable(f"{type(error).__name__}: {error}") from error
            except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
                self._evict()
                raise
        self._catalog = transaction.catalog or self._catalog

    def positions(self, log: str, partitions: Collection[int]) -> Sequence[Standing]:
        """Return where each partition stands that has an offset or is stopped; stops those of a log made anew."""
        asked = {"log": log, "partitions": list(partitions)}
        with self._lent() as connection:
            found = connection.execute(self._sql["positions"], asked).fetchall()
            if len(found) < len(partitions):
                with connection.transaction():
                    connection.execute(self._sql["hold_stops"])
                    connection.execute(self._sql["stop_recreated"], asked)
                found = connection.execute(self._sql["positions"], asked).fetchall()
        return [Standing(*row) for row in found]

    def stop(self, log: str, partition: int, at: int | None, reason: str, detail: str) -> None:
        """Stop a partition that stands at this offset until a person has decided."""
        detail = detail.replace("\x00", "\ufffd")  # PostgreSQL keeps no U+0000
        said = {"log": log, "partition": partition, "at": at, "reason": reason, "detail": detail}
        with self._lent() as connection:
            connection.execute(self._sql["stop"], said)

    def tell_progress(self, log: str, seconds_ago: Mapping[int, float]) -> None:
        """Say up to when each partition is applied."""
        partitions = ({"partition": partition, "ago": ago} for partition, ago in seconds_ago.items())
        with self._lent() as connection:
            connection.execute(self._sql["tell_progress"], {"log": log, "partitions": rows_text(partitions)})

    def current_catalog(self) -> Catalog:
        """Return the current catalog."""
        with self._lent() as connection:
            self._catalog = find_current(connection, self._catalog)
        return self._catalog

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _evict(self) -> None:
        """After a wait for the lock in vain: throw out the writer that holds it and stands still."""
        with contextlib.suppress(psycopg.Error):  # the next wait in vain tries it again
            self._connect().execute(self._sql["evict"], {"idle_ms": WRITER_TIMEOUT_MS // 2})

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        """Lend the connection; what breaks it closes it."""
        try:
            yield self._connect()
        except psycopg.Error as error:
            self.close()
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.closed:
            conninfo = writer_conninfo(self._url, application="licet worker")
            self._connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=1)
        return self._connection


@contextmanager
def open_projection(url: str) -> Iterator[PostgresProjection]:
    """Lend the store for what a person does. Raises ``Unavailable``."""
    try:
        with contextlib.closing(PostgresProjection(url)) as projection:
            yield projection
    except StoreUnavailable as error:
        raise Unavailable(f"the store does not answer: {error}") from error


class PostgresTransaction(BrakeWriter):
    """One transaction; see ``store.ports.Transaction``.

    No method ends with a pipeline: the Flush with which psycopg leaves one switches off the server's
    ``idle_in_transaction_session_timeout``. A writer paused right there is thrown out by who waits for it (``evict``).
    """

    def __init__(
        self, connection: Connection, sql: Mapping[str, bytes], catalog: Catalog | None, deliveries: int
    ) -> None:
        self._connection = connection
        self._sql = sql
        self.catalog = catalog
        row = connection.execute(sql["begin"], {"deliveries": deliveries}).fetchone()
        connection.execute(sql["log_revision"])
        assert row is not None  # noqa: S101 the singleton row of the schema
        self.revision: int = row[0]
        self.first_sequence: int = row[1] - deliveries + 1

    def load(self, wanted: Wanted) -> Loaded:
        """Move the offsets and read what the batch needs, in one round trip."""
        moves = wanted.moves
        rows = [{"partition": each, "before": before, "after": after} for each, (before, after) in moves.items()]
        places = [dict(zip(("log", "partition", "offset"), place, strict=True)) for place in wanted.originals]
        with self._connection.pipeline():
            moved = self._run("advance", log=wanted.log, moves=rows_text(rows))
            earlier = self._run("earlier", event_ids=rows_text({key.event_id for key in wanted.events}))
            originals = self._run("originals", places=rows_text(places)) if places else None
            states = _ask_states(self._connection, wanted.customers)
        self.catalog = find_current(self._connection, self.catalog)
        return Loaded(
            fenced=frozenset(moves) - {row[0] for row in moved.fetchall()},
            catalog=self.catalog,
            earlier=_earlier(rows=earlier.fetchall()),
            originals={(log, part, at): number for log, part, at, number in originals.fetchall()} if originals else {},
            customers=_customers(*(cursor.fetchall() for cursor in states)),
        )

    def write(self, folded: Folded) -> None:
        """Write a fold."""
        self._copy("copy_deliveries", [_delivery_row(one, self.revision) for one in folded.deliveries])
        self._copy("copy_dead_letters", [_dead_row(one) for one in folded.dead_letters])
        losers = self._write_names(folded.names) if folded.names else set()
        if folded.customers:
            self._run("write_customers", revision=self.revision, customers=rows_text(folded.customers))
        if folded.closes:
            self._run("close_licenses", revision=self.revision, rows=_array(row.row for row in folded.closes))
        self._copy("copy_licenses", [_license_row(row) for row in folded.licenses])
        self.write_ends(folded)
        traces = [one.traceparent for one in folded.deliveries if one.traceparent is not None]
        if traces:
            self._run("tell_traces", traces=" ".join(traces[:_MOST_TRACES]))
        touched = sorted(losers.union(folded.touched))
        self._copy("copy_feed", [(self.revision, "customer", subject) for subject in touched])

    def stop_dying(self, log: str, partitions: Collection[int], limit: DeadLimit) -> Mapping[int, str]:
        """Stop the partitions that are over the limit; returns them, each with why."""
        asked = {"count": limit.count, "share": limit.share, "window": limit.window}
        return dict(self._run("stop_dying", log=log, partitions=list(partitions), **asked).fetchall())

    def states(self, customer_ids: Sequence[str]) -> Mapping[str, CustomerState]:
        """Return the state of each customer that is stored."""
        return read_states(self._connection, customer_ids)

    def unfolded(self, version: int, limit: int) -> list[str]:
        """Return up to ``limit`` customers that the catalog version has not reached yet, by id."""
        return [row[0] for row in self._run("unfolded", version=version, limit=limit)]

    def mark_refolded(self, version: int, customer_id: str) -> None:
        """Remember that the catalog version has reached all customers up to this id."""
        self._run("mark_refolded", version=version, customer_id=customer_id)

    def erase(self, customer_id: str, by: Actor) -> list[uuid.UUID]:
        """Empty all that is kept of a customer beside its row and its licenses; returns the overrides that end by it.

        It belongs to the transaction that wrote the tombstone: followers and the outbox know the erasure by that.
        """
        names = {customer_id, customer_id[:15]} if is_salesforce_id(customer_id) else {customer_id}
        said = {
            "customer_id": customer_id,
            "key": customer_id.encode(),
            "named": [f'"{name}"'.encode() for name in names],
            "author": by.name,
            "ended_by": by.name,
            "end_reason": "the customer was erased",
            "revision": self.revision,
        }
        for query in named_queries("licet.store", "sql/erase.sql").values():
            self._connection.execute(query, said)
        return [row[0] for row in self._connection.execute(ending("customer"), said)]

    def audit(self, act: Act) -> None:
        """Keep who did it."""
        audit(self._connection, act)

    def _run(self, query: str, **parameters: Any) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(self._sql[query], parameters, binary=True)

    def _write_names(self, names: Sequence[NameWrite]) -> set[str]:
        """Move aliases and domains; returns the other customers that lost one."""
        losers: set[str] = set()
        with self._connection.pipeline():
            for name in names:
                kind = NameKind(name.kind)
                said = {"name": name.name, "customer_id": name.customer_id, "revision": self.revision}
                if name.field is not None:
                    keeper = self._run("keeps_alias", **said, field=name.field[0], place=name.field[1])
                    if keeper.fetchone() is not None:
                        continue
                if kind is NameKind.ALIAS or not name.held:
                    taken = self._connection.execute(name_queries(kind)["take"], said | {"any": name.held}, binary=True)
                    losers |= {row[0] for row in taken}
                if name.held:
                    self._connection.execute(name_queries(kind)["give"], said)
        return losers

    def _copy(self, query: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        with self._connection.cursor() as cursor, cursor.copy(self._sql[query]) as copy:
            for row in rows:
                copy.write_row(row)


def read_states(connection: Connection, customer_ids: Collection[str]) -> Mapping[str, CustomerState]:
    """Return the state of each customer that is stored."""
    return _customers(*(cursor.fetchall() for cursor in _ask_states(connection, customer_ids)))


def _ask_states(connection: Connection, customer_ids: Collection[str]) -> tuple[psycopg.Cursor[tuple[Any, ...]], ...]:
    sql, asked = named_queries("licet.store", "sql/projection.sql"), {"customer_ids": _array(customer_ids)}
    return tuple(connection.execute(sql[name], asked, binary=True) for name in ("customers", "licenses", "names"))


def _array(items: Iterable[object]) -> str:
    """Write an array of numbers or of customer ids, whose characters need no escape."""
    return '{"' + '","'.join(map(str, items)) + '"}' if (items := list(items)) else "{}"


def _earlier(rows: Sequence[tuple[Any, ...]]) -> Mapping[EventKey, Sequence[Earlier]]:
    found: dict[EventKey, list[Earlier]] = {}
    for source, event_id, customer_id, payload_hash, dead in rows:
        found.setdefault(EventKey(source, event_id, customer_id), []).append(Earlier(payload_hash, dead))
    return found


def _customers(
    customers: Sequence[tuple[Any, ...]], licenses: Sequence[tuple[Any, ...]], names: Sequence[tuple[Any, ...]]
) -> Mapping[str, CustomerState]:
    held: dict[str, dict[str, License]] = {}
    for row in licenses:
        license_ = license_of(row)
        held.setdefault(license_.customer_id, {})[license_.sku] = license_
    called: defaultdict[str, set[Called]] = defaultdict(set)
    braked: defaultdict[str, set[str]] = defaultdict(set)
    for customer_id, kind, name in names:
        if kind is None:
            braked[customer_id].add(name)
        else:
            called[customer_id].add((kind, name))
    return {
        customer_id: CustomerState(
            customer_id=customer_id,
            deleted=deleted,
            fields=_decode_fields(fields),
            licenses=held.get(customer_id, {}),
            names=frozenset(called.get(customer_id, ())),
            held=frozenset(braked.get(customer_id, ())),
        )
        for customer_id, deleted, fields in customers
    }


def license_of(row: Sequence[Any]) -> License:
    """Make a license of what a query says of the one row; its end is for the caller to add."""
    number, license_id, customer_id, sku, status, starts, ends, quantity, valid, recorded, delivery, catalog = row
    return License(
        row=number,
        license_id=license_id,
        customer_id=customer_id,
        sku=sku,
        terms=Terms(Status(status), starts, ends, quantity),
        valid_from=valid,
        recorded_from=recorded,
        opened_by=Cause(delivery, catalog),
    )


def _license_row(row: License) -> tuple[Any, ...]:
    valid_to = row.valid_to.isoformat() if row.valid_to else ""
    valid, recorded = f"[{row.valid_from.isoformat()},{valid_to})", f"[{row.recorded_from},)"
    causes = (*astuple(row.opened_by), *astuple(row.closed_by or Cause()))
    return (row.license_id.hex, row.customer_id, row.sku, *astuple(row.terms), valid, recorded, *causes)


def _delivery_row(one: Delivery, revision: int) -> tuple[Any, ...]:
    *place, outcome, replay_of, payload, replay_letter, compared_at, _ = astuple(one)
    return (*place, *astuple(outcome), replay_of, payload, replay_letter, compared_at, revision)


def _dead_row(one: DeadLetter) -> tuple[Any, ...]:
    return (one.sequence, one.reason, storable(one.faults), one.key, one.value, headers_text(one.headers))
