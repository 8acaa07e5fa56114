"""Overrides in the store: read, and written in one transaction each, under the one write lock."""

import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import msgspec

from licet.database import AsyncConnection, named_queries
from licet.domain.errors import Conflict, Fault, InvalidInput, NotFound
from licet.domain.ids import CustomerRef
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.customers import unknown
from licet.store.pools import Pool, connection_of
from licet.store.values import Act, Action, Page


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
    """The row of an override written last; ``version`` is another one after each change.

    ``ended_by`` and ``end_reason`` are null unless it was ended early. ``since``: from when on it says this.
    """

    override_id: uuid.UUID
    customer: str
    author: str
    since: dt.datetime
    version: int
    ended_by: str | None = None
    end_reason: str | None = None


# Raises where the caller may not touch this override.
May = Callable[[Wanted], None]
_stored = msgspec.json.Decoder(Stored)
_page = msgspec.json.Decoder(list[Stored])


class PostgresOverrides:
    """Reads and writes overrides. Every method raises ``Unavailable`` where the store does not answer."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = named_queries("licet.store", "sql/overrides.sql") | {
            name: named_queries("licet.store", f"sql/{file}.sql")[name]
            for file, name in (
                ("projection", "begin"),
                ("projection", "log_revision"),
                ("directory", "write_feed"),
                ("customers", "find_customer_id"),
            )
        }

    async def get(self, override_id: uuid.UUID) -> Stored:
        """Return an override as it is, or as it was ended. Raises ``NotFound``."""
        async with connection_of(self._pool) as connection:
            found = await self._find(connection, override_id)
        if found is None:
            raise NotFound(f"there is no override {override_id}")
        return found

    async def search(self, ref: CustomerRef | None, after: uuid.UUID | None, limit: int) -> Page:
        """Return current overrides, of one customer where it is named, by id. Raises ``NotFound`` (customer)."""
        async with connection_of(self._pool) as connection:
            customer = await self._customer(connection, ref) if ref is not None else None
            said = {"customer_id": customer, "after": after, "limit": limit + 1}
            rows = _page.decode(await self._one(connection, "list_overrides", **said))
        return Page(rows[:limit], more=len(rows) > limit)

    async def put(
        self, override_id: uuid.UUID, ref: CustomerRef, wanted: Wanted, by: Actor, match: int | None, may: May
    ) -> tuple[Stored, int]:
        """Make the override, or put this in the place of its version ``match``; returns it, and the revision.

        Raises ``NotFound`` (customer), ``Conflict`` (another version, or one that was ended), ``InvalidInput`` where
        it is there already and no version is named, and what ``may`` raises for the present one.
        """
        async with self._writing() as (connection, revision):
            customer = await self._customer(connection, ref)
            before = _matched(await self._find(connection, override_id), override_id, match)
            if before is not None:
                may(before)
            said = {"override_id": override_id, "revision": revision, "ended_by": None, "end_reason": None}
            await connection.execute(self._sql["close_override"], said)
            said |= msgspec.structs.asdict(wanted) | {"customer_id": customer, "author": by.name}
            await connection.execute(self._sql["open_override"], said)
            after = await self._find(connection, override_id)
            assert after is not None  # noqa: S101 it was written above
            await self._tell(connection, revision, Action.OVERRIDE_PUT, by, before, after, wanted.reason)
        return after, revision

    async def end(self, override_id: uuid.UUID, by: Actor, reason: str, match: int, may: May) -> tuple[Stored, int]:
        """End the override's version ``match`` before its time; returns it as it was ended, and the revision.

        Raises ``NotFound``, ``Conflict`` (another version, or it was ended before), and what ``may`` raises.
        """
        async with self._writing() as (connection, revision):
            before = await self._find(connection, override_id)
            if before is None:
                raise NotFound(f"there is no override {override_id}")
            may(before)
            _matched(before, override_id, match)
            said = {"override_id": override_id, "revision": revision, "ended_by": by.name, "end_reason": reason}
            await connection.execute(self._sql["close_override"], said)
            await self._tell(connection, revision, Action.OVERRIDE_END, by, before, None, reason)
            after = await self._find(connection, override_id)
            assert after is not None  # noqa: S101 it was found above
        return after, revision

    @contextlib.asynccontextmanager
    async def _writing(self) -> AsyncIterator[tuple[AsyncConnection, int]]:
        async with connection_of(self._pool) as connection, connection.transaction():
            revision = await self._one(connection, "begin", deliveries=0)
            await connection.execute(self._sql["log_revision"])
            yield connection, int(revision)

    async def _tell(
        self,
        connection: AsyncConnection,
        revision: int,
        action: Action,
        by: Actor,
        before: Stored | None,
        after: Stored | None,
        reason: str,
    ) -> None:
        """Tell followers whom it touched, and the audit who did it."""
        touched = [one for one in (after, before) if one is not None]
        for customer_id in sorted({one.customer for one in touched}):
            said = {"revision": revision, "kind": "customer", "subject": customer_id}
            await connection.execute(self._sql["write_feed"], said)
        subject, customer = str(touched[0].override_id), touched[0].customer
        act = Act(
            action=action, subject=subject, by=by, customer_id=customer, before=before, after=after, reason=reason
        )
        await audit(connection, act)

    async def _customer(self, connection: AsyncConnection, ref: CustomerRef) -> str:
        found: str | None = await self._one(
            connection, "find_customer_id", customer_id=ref.customer_id, alias=ref.alias
        )
        if found is None:
            raise NotFound(unknown(ref))
        return found

    async def _find(self, connection: AsyncConnection, override_id: uuid.UUID) -> Stored | None:
        text = await self._one(connection, "find_override", override_id=override_id)
        return _stored.decode(text) if text is not None else None

    async def _one(self, connection: AsyncConnection, query: str, **parameters: Any) -> Any:
        row = await (await connection.execute(self._sql[query], parameters)).fetchone()
        return row[0] if row is not None else None


def _matched(last: Stored | None, override_id: uuid.UUID, match: int | None) -> Stored | None:
    """Return the current row where ``match`` is its version, None where neither is."""
    if last is None and match is not None:
        raise Conflict(f"there is no override {override_id} to replace")
    if last is not None and last.ended_by is not None:
        raise Conflict(f"the override {override_id} was ended; make another one, with an id of its own")
    if last is not None and match is None:
        raise InvalidInput.of(
            Fault("If-Match", "null", f'the override\'s version, "{last.version}": it is there already')
        )
    if last is not None and match != last.version:
        raise Conflict(f"the override {override_id} is at version {last.version} by now, not {match}: read it again")
    return last
