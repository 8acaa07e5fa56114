"""The stores that the projector's suite runs on, and how a test looks into each."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
from psycopg.types.range import Range

from licet.store.catalog_writer import PostgresCatalogs
from licet.store.ports import Projection
from licet.store.projection import PostgresProjection
from sim.store import Kept, MemoryProjection, MemoryStore
from support.world import TESTER, Reader, reader

Row = dict[str, Any]


class Look(Protocol):
    """What a store holds, row by row, as PostgreSQL would show it."""

    def ledger(self, log: str) -> list[Row]: ...
    def licenses(self, prefix: str) -> list[Row]: ...
    def customers(self, prefix: str) -> list[Row]: ...
    def aliases(self, prefix: str) -> dict[str, str]: ...
    def dead(self, first: int, last: int) -> dict[int, Row]: ...
    def feed(self, first: int, last: int) -> set[tuple[int, str]]: ...
    def offsets(self, log: str) -> dict[int, int]: ...
    def head(self) -> tuple[int, int]: ...


class PostgresLook:
    """Looks with plain SQL."""

    def __init__(self, connection: Reader) -> None:
        self._connection = connection

    def ledger(self, log: str) -> list[Row]:
        return self._ask("SELECT * FROM delivery WHERE log = %(log)s ORDER BY sequence", log=log)

    def licenses(self, prefix: str) -> list[Row]:
        query = "SELECT * FROM license WHERE starts_with(customer_id, %(prefix)s) ORDER BY sku, valid"
        return self._ask(query, prefix=prefix)

    def customers(self, prefix: str) -> list[Row]:
        return self._ask("SELECT * FROM customer WHERE starts_with(customer_id, %(prefix)s)", prefix=prefix)

    def aliases(self, prefix: str) -> dict[str, str]:
        query = (
            "SELECT alias, customer_id FROM customer_alias WHERE starts_with(customer_id, %(prefix)s)"
            " AND upper_inf(valid) AND upper_inf(recorded)"
        )
        return {row["alias"]: row["customer_id"] for row in self._ask(query, prefix=prefix)}

    def dead(self, first: int, last: int) -> dict[int, Row]:
        query = "SELECT * FROM dead_letter WHERE sequence BETWEEN %(first)s AND %(last)s"
        return {row["sequence"]: row for row in self._ask(query, first=first, last=last)}

    def feed(self, first: int, last: int) -> set[tuple[int, str]]:
        query = "SELECT revision, subject FROM change_feed WHERE revision BETWEEN %(first)s AND %(last)s"
        return {(row["revision"], row["subject"]) for row in self._ask(query, first=first, last=last)}

    def offsets(self, log: str) -> dict[int, int]:
        found = self._ask("SELECT * FROM consumer_offset WHERE log = %(log)s", log=log)
        return {row["partition"]: row["next_offset"] for row in found}

    def head(self) -> tuple[int, int]:
        (row,) = self._ask("SELECT revision, sequence FROM revision")
        return row["revision"], row["sequence"]

    def _ask(self, query: str, **parameters: Any) -> list[Row]:
        return self._connection.execute(query.encode(), parameters).fetchall()


class MemoryLook:
    """Looks into the simulation's store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def ledger(self, log: str) -> list[Row]:
        mine = [kept for place, kept in self._store.ledger.items() if place[0] == log]
        return [_delivery_row(kept) for kept in sorted(mine, key=lambda kept: kept.delivery.sequence)]

    def licenses(self, prefix: str) -> list[Row]:
        mine = [row for row in self._store.licenses.values() if row.customer_id.startswith(prefix)]
        return [
            {
                "customer_id": row.customer_id,
                "sku": row.sku,
                "license_id": row.license_id,
                "status": row.terms.status.value,
                "starts_at": row.terms.starts_at,
                "ends_at": row.terms.ends_at,
                "quantity": row.terms.quantity,
                "valid": Range(row.valid_from, row.valid_to),
                "recorded": Range(row.recorded_from, row.recorded_to),
                "opened_delivery": row.opened_by.delivery,
                "closed_delivery": row.closed_by.delivery if row.closed_by else None,
            }
            for row in sorted(mine, key=lambda row: (row.sku, row.valid_from))
        ]

    def customers(self, prefix: str) -> list[Row]:
        return [
            {
                "customer_id": customer_id,
                "name": write.name,
                "deleted": write.deleted,
                "fields": msgspec.json.decode(fields),
            }
            for customer_id, (write, fields) in self._store.customers.items()
            if customer_id.startswith(prefix)
        ]

    def aliases(self, prefix: str) -> dict[str, str]:
        return {alias: held for alias, held in self._store.aliases.items() if held.startswith(prefix)}

    def dead(self, first: int, last: int) -> dict[int, Row]:
        return {
            sequence: {"key": letter.key, "value": letter.value, "reason": letter.reason}
            for sequence, letter in self._store.dead.items()
            if first <= sequence <= last
        }

    def feed(self, first: int, last: int) -> set[tuple[int, str]]:
        return {(revision, subject) for revision, subject in self._store.feed if first <= revision <= last}

    def offsets(self, log: str) -> dict[int, int]:
        return {partition: at for (name, partition), at in self._store.offsets.items() if name == log}

    def head(self) -> tuple[int, int]:
        return self._store.revision, self._store.sequence


def _delivery_row(kept: Kept) -> Row:
    one = kept.delivery
    return {
        "partition": one.partition,
        "offset": one.offset,
        "sequence": one.sequence,
        "revision": kept.revision,
        "source": one.source,
        "event_id": one.event_id,
        "customer_id": one.customer_id,
        "outcome": one.outcome.kind.value,
        "reason": one.outcome.reason,
        "payload": one.payload,
        "replay_of": one.replay_of,
    }


class Store:
    """One store under test: projections on it, a look into it, and its catalog."""

    def __init__(self, open_: Callable[[], Projection], look: Look, catalog: Callable[[str], object]) -> None:
        self.open = open_
        self.look = look
        self.apply_catalog = catalog
        self.projection = open_()


@contextlib.contextmanager
def postgres_store(url: str) -> Iterator[Store]:
    """The store that is run, on a database that is migrated."""
    with reader(url) as connection:
        opened: list[Projection] = []

        def open_() -> Projection:
            opened.append(PostgresProjection(url))
            return opened[-1]

        yield Store(open_, PostgresLook(connection), lambda text: PostgresCatalogs(url).replace(text, TESTER))
        for projection in opened:
            projection.close()


def memory_store(catalog: str) -> Store:
    """The simulation's."""
    store = MemoryStore(catalog)
    return Store(lambda: MemoryProjection(store), MemoryLook(store), store.apply_catalog)
