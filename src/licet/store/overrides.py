"""Overrides in the store: read, and written in one transaction each, under the one write lock."""

import datetime as dt
import functools
import uuid
from collections.abc import Callable
from typing import Literal

import msgspec
from psycopg.sql import SQL

from licet.database import AsyncConnection, filled, named_queries
from licet.domain.errors import Conflict, Fault, InvalidInput, NotFound
from licet.domain.ids import CustomerRef
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.customers import id_of
from licet.store.pools import Reader, connection_of, write_feed, writing
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


@functools.cache
def ending(of: str) -> bytes:
    """Return the query that ends overrides: an id's, a customer's or the safety brake's, as its ``rows_of_…`` says."""
    sql = named_queries("licet.store", "sql/overrides.sql")
    return filled(sql["end"], which=SQL(sql[f"rows_of_{of}"].decode()))


class PostgresOverrides(Reader):
    """Reads and writes overrides."""

    files = ("overrides",)

    async def get(self, override_id: uuid.UUID) -> Stored:
        """Return an override as it is, or as it was ended. Raises ``NotFound``."""
        async with connection_of(self._pool) as connection:
            return await self._get(connection, override_id)

    async def search(self, ref: CustomerRef | None, after: uuid.UUID | None, limit: int) -> Page:
        """Return current overrides, of one customer where it is named, by id. Raises ``NotFound`` (customer)."""
        customer = None
        if ref is not None:
            async with connection_of(self._pool) as connection:
                customer = await id_of(connection, ref)
        text = await self._one("list_overrides", customer_id=customer, after=after, limit=limit + 1)
        return Page.of(_page.decode(text), limit)

    async def put(
        self, override_id: uuid.UUID, ref: CustomerRef, wanted: Wanted, by: Actor, match: int | None, may: May
    ) -> tuple[Stored, int]:
        """Make the override, or put this in the place of its version ``match``; returns it, and the revision.

        Raises ``NotFound`` (customer), ``Conflict`` (another version, or one that was ended), ``InvalidInput`` where
        it is there already and no version is named, and what ``may`` raises for the present one.
        """
        async with writing(self._pool) as (connection, revision):
            customer = await id_of(connection, ref)
            before = _matched(await self._find(connection, override_id), override_id, match)
            if before is not None:
                may(before)
            said = msgspec.structs.asdict(wanted) | {"override_id": override_id, "revision": revision}
            said |= {"customer_id": customer, "author": by.name, "ended_by": None, "end_reason": None}
            await connection.execute(ending("id"), said)
            await connection.execute(self._sql["open_override"], said)
            after = await self._get(connection, override_id)
            for touched in sorted({customer, before.customer if before is not None else customer}):
                await write_feed(connection, revision, "customer", touched)
            await audit(connection, _act(Action.OVERRIDE_PUT, after, by, wanted.reason, before, after))
        return after, revision

    async def end(self, override_id: uuid.UUID, by: Actor, reason: str, match: int, may: May) -> tuple[Stored, int]:
        """End the override's version ``match`` before its time; returns it as it was ended, and the revision.

        Raises ``NotFound``, ``Conflict`` (another version, or it was ended before), and what ``may`` raises.
        """
        async with writing(self._pool) as (connection, revision):
            before = await self._get(connection, override_id)
            may(before)
            _matched(before, override_id, match)
            said = {"override_id": override_id, "revision": revision, "ended_by": by.name, "end_reason": reason}
            await connection.execute(ending("id"), said)
            await write_feed(connection, revision, "customer", before.customer)
            await audit(connection, _act(Action.OVERRIDE_END, before, by, reason, before, None))
            return await self._get(connection, override_id), revision

    async def _find(self, connection: AsyncConnection, override_id: uuid.UUID) -> Stored | None:
        query = self._sql["find_override"]
        row = await (await connection.execute(query, {"override_id": override_id})).fetchone()
        return _stored.decode(row[0]) if row is not None else None

    async def _get(self, connection: AsyncConnection, override_id: uuid.UUID) -> Stored:
        found = await self._find(connection, override_id)
        if found is None:
            raise NotFound(f"there is no override {override_id}")
        return found


def _act(action: Action, of: Stored, by: Actor, reason: str, before: Stored | None, after: Stored | None) -> Act:
    override_id, customer = str(of.override_id), of.customer
    return Act(
        action=action, subject=override_id, by=by, customer_id=customer, before=before, after=after, reason=reason
    )


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
