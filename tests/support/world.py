"""Deliveries for tests: build the records of a log, apply them for real, and read back what the store then says."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from licet.consume.apply import Applied, Applier
from licet.domain.brake import Brake
from licet.domain.principal import Actor
from licet.queue.message import Message, Record
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.ports import DeadLimit, Projection
from licet.store.projection import PostgresProjection

TESTER = Actor("a test")
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def at(hours: float) -> dt.datetime:
    """A moment, in hours from the first of March 2026, noon UTC."""
    return NOON + dt.timedelta(hours=hours)


def fresh(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


class Log:
    """A log of one test: gives each record its place."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or fresh("log")
        self._next: dict[int, int] = {}

    def place(self, record: Record) -> Record:
        """Give a record its place at the end of its partition."""
        offset = self._next.get(record.partition, 0)
        self._next[record.partition] = offset + 1
        return msgspec.structs.replace(record, log=self.name, offset=offset)

    def change(
        self,
        payload: dict[str, Any] | bytes,
        *,
        event_id: str | None = None,
        source: str = "salesforce",
        received: dt.datetime = NOON,
        replay_of: str | None = None,
        key: str | None = None,
        partition: int = 0,
    ) -> Record:
        """Append a change as the door does; ``key`` is the payload's ``Id`` unless another is given."""
        value = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        said = key if key is not None else payload["Id"] if isinstance(payload, dict) else "somebody"
        message = Message(
            key=said,
            value=value,
            event_id=event_id or fresh("event"),
            source=source,
            received_at=received,
            replay_of=replay_of,
        )
        return self.raw(said.encode(), value, message.headers(), partition)

    def raw(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]], partition: int = 0
    ) -> Record:
        """Append any bytes at all, as a stranger with write access to the log could."""
        return self.place(
            Record(log="", partition=partition, offset=0, key=key, value=value, headers=headers, appended_at=NOON)
        )


def brake(most: int | None = None, share: float = 0, floor: int = 0) -> Brake:
    """A safety brake that counts an hour and holds for three days."""
    return Brake(window=dt.timedelta(hours=1), most=most, share=share, floor=floor, hold=dt.timedelta(hours=72))


class Applying:
    """The real applier on any store."""

    def __init__(
        self,
        projection: Projection,
        log: str,
        organization: str | None = None,
        limit: DeadLimit = DeadLimit(),  # noqa: B008 frozen
        brake: Brake | None = None,
    ) -> None:
        self.batches: list[Applied] = []
        self.applier = Applier(projection, self.batches.append, organization, limit, brake=brake)
        self.applier._log_name = log  # as if assigned, without a question: the store may be away

    def apply(self, *records: Record) -> list[str]:
        """Apply one batch; returns how its deliveries ended, in order."""
        before = len(self.batches)
        self.applier.apply(records)
        return [str(one.outcome) for batch in self.batches[before:] for one in batch.deliveries]


class Road(Applying):
    """The real applier on the real store."""

    def __init__(
        self,
        url: str,
        log: str,
        *,
        organization: str | None = None,
        limit: DeadLimit = DeadLimit(),  # noqa: B008 frozen
        brake: Brake | None = None,
    ) -> None:
        self.projection = PostgresProjection(url)
        super().__init__(self.projection, log, organization, limit, brake)

    def close(self) -> None:
        self.projection.close()


def apply_catalog(url: str, document: str) -> None:
    """Make a catalog the next version, as ``licet catalog apply`` does before it reaches the customers."""
    assert PostgresCatalogs(url).replace(document, TESTER) is not None


Reader = psycopg.Connection[dict[str, Any]]


def reader(url: str) -> Reader:
    """Connect as a person with psql does."""
    return psycopg.connect(url, autocommit=True, options="-c timezone=UTC", row_factory=dict_row)


def rows(url: str, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """Ask the store one thing with plain SQL."""
    with reader(url) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def states(url: str, customer_id: str) -> dict[str, str]:
    """The state of each license of a customer, as ``license_current`` shows it."""
    found = rows(url, "SELECT sku, state FROM license_current WHERE customer_id = %(id)s", id=customer_id)
    return {row["sku"]: row["state"] for row in found}


def history(url: str, customer_id: str, sku: str) -> list[dict[str, Any]]:
    """The rows of a license that Licet believes now, first to last."""
    return rows(
        url,
        "SELECT *, lower(valid) AS since, upper(valid) AS till FROM license"
        " WHERE customer_id = %(id)s AND sku = %(sku)s AND upper_inf(recorded) ORDER BY valid",
        id=customer_id,
        sku=sku,
    )
