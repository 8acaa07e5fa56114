"""The store's writing side for what people say: who is a member, which domain and which alias is whose."""

from collections.abc import Callable
from typing import Any

import msgspec
import psycopg

from licet.database import AsyncConnection, named_queries
from licet.domain.errors import Conflict, NotFound
from licet.domain.ids import CustomerRef
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.customers import unknown
from licet.store.pools import Pool, connection_of
from licet.store.values import Act, Action, NameKind, Written

# The kind under which followers find it in the change feed; an alias is read with its customer.
_FEED = {NameKind.MEMBER: "user", NameKind.DOMAIN: "domain", NameKind.ALIAS: "customer"}


class _Held(msgspec.Struct, frozen=True):
    """Who holds a name now; ``origin`` is None where nobody does."""

    kind: NameKind
    name: str
    customer_id: str
    holder: str | None
    origin: str | None


class PostgresDirectory:
    """Writes the directory; see ``manage.ports``. Each write is one transaction under the one write lock."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = {
            **named_queries("licet.store", "sql/directory.sql"),
            **_some("sql/projection.sql", "begin", "log_revision"),
            **_some("sql/customers.sql", "find_customer_id"),
        }

    async def put(self, kind: NameKind, ref: CustomerRef, name: str, by: Actor) -> Written:
        """Give the name to the customer. Nothing is written where a person gave it before.

        A name that a Salesforce field gave to the same customer becomes the person's, so that the field no longer
        takes it away. Raises ``NotFound``, ``Conflict`` (another customer has the alias), ``Unavailable``.
        """
        return await self._write(kind, ref, name, by, _to_put)

    async def delete(self, kind: NameKind, ref: CustomerRef, name: str, by: Actor) -> Written:
        """Take the name from the customer. Nothing is written where the customer does not have it.

        Raises ``NotFound``, ``Conflict`` (a Salesforce field gives it, and would give it again), ``Unavailable``.
        """
        return await self._write(kind, ref, name, by, _to_delete)

    async def _write(
        self, kind: NameKind, ref: CustomerRef, name: str, by: Actor, judge: Callable[[_Held], tuple[str, ...]]
    ) -> Written:
        async with connection_of(self._pool) as connection, connection.transaction() as transaction:
            revision = await self._begin(connection)
            customer = await self._row(connection, "find_customer_id", customer_id=ref.customer_id, alias=ref.alias)
            if customer is None:
                raise NotFound(unknown(ref))
            said = {"name": name, "customer_id": customer[0], "author": by.name, "revision": revision}
            found = await self._row(connection, f"find_{kind.name.lower()}", **said)
            steps = judge(_Held(kind, name, customer[0], *(found or (None, None))))
            # Under the lock the revision before this one is committed, and says the same as the present state.
            written = Written(customer[0], revision if steps else revision - 1, changed=bool(steps))
            if not steps:
                raise psycopg.Rollback(transaction)
            for step in steps:
                await connection.execute(self._sql[f"{step}_{kind.name.lower()}"], said)
            subject = customer[0] if kind is NameKind.ALIAS else name
            await connection.execute(
                self._sql["write_feed"], {"revision": revision, "kind": _FEED[kind], "subject": subject}
            )
            act = Act(
                action=Action(f"{kind.value}.{'put' if judge is _to_put else 'delete'}"),
                subject=name,
                by=by,
                customer_id=customer[0],
                before={"origin": found[1]} if found else None,
                after={"origin": "person"} if judge is _to_put else None,
            )
            await audit(connection, act)
        return written

    async def _begin(self, connection: AsyncConnection) -> int:
        row = await self._row(connection, "begin", deliveries=0)
        assert row is not None  # noqa: S101 the singleton row of the schema
        await connection.execute(self._sql["log_revision"])
        revision: int = row[0]
        return revision

    async def _row(self, connection: AsyncConnection, query: str, **parameters: Any) -> tuple[Any, ...] | None:
        return await (await connection.execute(self._sql[query], parameters)).fetchone()


def _to_put(held: _Held) -> tuple[str, ...]:
    if held.holder is not None and held.holder != held.customer_id:
        raise Conflict(f"the {held.kind.value} {held.name} is the customer {held.holder}'s; take it from there first")
    match held.origin:
        case "person":
            return ()
        case None:
            return ("open",)
        case _:
            return ("close", "open")


def _to_delete(held: _Held) -> tuple[str, ...]:
    if held.holder != held.customer_id:
        return ()
    if held.origin == "source":
        raise Conflict(f"a Salesforce field gives the {held.kind.value} {held.name} to this customer; change it there")
    return ("close",)


def _some(file: str, *names: str) -> dict[str, bytes]:
    queries = named_queries("licet.store", file)
    return {name: queries[name] for name in names}
