"""The store's writing side for overrides. Each write is one transaction under the one write lock."""

import datetime as dt
import uuid
from typing import Any, Literal

import msgspec

from licet.database import AsyncConnection, named_queries
from licet.domain.errors import NotFound
from licet.domain.ids import CustomerRef
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.customers import unknown
from licet.store.pools import Pool, connection_of
from licet.store.values import Act, Action


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An override as a person asks for it: of a SKU or of a feature, in ``[starts_at, ends_at)``."""

    sku: str | None = None
    feature: str | None = None
    effect: Literal["grant", "block"]
    kind: Literal["override", "trial", "brake"] = "override"
    value: float | None = None
    starts_at: dt.datetime
    ends_at: dt.datetime
    reason: str


class Stored(Wanted, frozen=True, kw_only=True):
    """The current row of an override; ``row_id`` is another one after each change."""

    override_id: uuid.UUID
    customer_id: str
    author: str
    row_id: int


class PostgresOverrides:
    """Writes overrides. Every method raises ``Unavailable`` where the store does not answer."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        begin, names = named_queries("licet.store", "sql/projection.sql"), ("begin", "log_revision")
        self._sql = {
            **named_queries("licet.store", "sql/overrides.sql"),
            **{name: begin[name] for name in names},
            "write_feed": named_queries("licet.store", "sql/directory.sql")["write_feed"],
            "find_customer_id": named_queries("licet.store", "sql/customers.sql")["find_customer_id"],
        }

    async def put(self, override_id: uuid.UUID, ref: CustomerRef, wanted: Wanted, by: Actor) -> int:
        """Create the override, or close its current row and open this one. Returns the revision.

        Raises ``NotFound`` for a customer that Licet does not know.
        """
        async with connection_of(self._pool) as connection, connection.transaction():
            revision = await self._begin(connection)
            customer = await self._row(connection, "find_customer_id", customer_id=ref.customer_id, alias=ref.alias)
            if customer is None:
                raise NotFound(unknown(ref))
            before = await self._find(connection, override_id)
            said = {"override_id": override_id, "revision": revision}
            await connection.execute(self._sql["close_override"], {**said, "ended_by": None, "end_reason": None})
            fields = msgspec.structs.asdict(wanted)
            await connection.execute(
                self._sql["open_override"], {**said, **fields, "customer_id": customer[0], "author": by.name}
            )
            touched = {customer[0], *([before.customer_id] if before is not None else [])}
            await self._tell(connection, revision, touched)
            act = Act(
                action=Action.OVERRIDE_PUT,
                subject=str(override_id),
                by=by,
                customer_id=customer[0],
                before=before,
                after=wanted,
                reason=wanted.reason,
            )
            await audit(connection, act)
        return revision

    async def end(self, override_id: uuid.UUID, by: Actor, reason: str) -> int:
        """End the override before its time. Returns the revision. Raises ``NotFound`` where none is current."""
        async with connection_of(self._pool) as connection, connection.transaction():
            revision = await self._begin(connection)
            before = await self._find(connection, override_id)
            if before is None:
                raise NotFound(f"no override {override_id} is current")
            said = {"override_id": override_id, "revision": revision, "ended_by": by.name, "end_reason": reason}
            await connection.execute(self._sql["close_override"], said)
            await self._tell(connection, revision, {before.customer_id})
            act = Act(
                action=Action.OVERRIDE_END,
                subject=str(override_id),
                by=by,
                customer_id=before.customer_id,
                before=before,
                reason=reason,
            )
            await audit(connection, act)
        return revision

    async def _begin(self, connection: AsyncConnection) -> int:
        row = await self._row(connection, "begin", deliveries=0)
        assert row is not None  # noqa: S101 the singleton row of the schema
        await connection.execute(self._sql["log_revision"])
        return int(row[0])

    async def _find(self, connection: AsyncConnection, override_id: uuid.UUID) -> Stored | None:
        row = await self._row(connection, "find_override", override_id=override_id)
        names = (*_COLUMNS, "row_id")
        return Stored(override_id=override_id, **dict(zip(names, row, strict=True))) if row is not None else None

    async def _tell(self, connection: AsyncConnection, revision: int, customers: set[str]) -> None:
        for customer_id in sorted(customers):
            said = {"revision": revision, "kind": "customer", "subject": customer_id}
            await connection.execute(self._sql["write_feed"], said)

    async def _row(self, connection: AsyncConnection, query: str, **parameters: Any) -> tuple[Any, ...] | None:
        return await (await connection.execute(self._sql[query], parameters)).fetchone()


_COLUMNS = ("customer_id", "sku", "feature", "effect", "kind", "value", "starts_at", "ends_at", "reason", "author")
