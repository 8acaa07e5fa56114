"""The store's writing side for what people say: who is a member, which domain and which alias is whose."""

import functools
from collections.abc import Callable

import msgspec
import psycopg
from psycopg.sql import Identifier

from licet.database import filled, named_queries
from licet.domain.errors import Conflict
from licet.domain.ids import CustomerRef
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.customers import id_of
from licet.store.pools import Pool, write_feed, writing
from licet.store.values import Act, Action, NameKind, Written


class _Kept(msgspec.Struct, frozen=True):
    """How names of a kind are kept: where, under which word followers find them (an alias: with its customer)."""

    table: str
    column: str
    feed: str
    alone: bool = False


_KEPT = {
    NameKind.MEMBER: _Kept("user_membership", "user_id", "user"),
    NameKind.DOMAIN: _Kept("customer_domain", "domain", "domain"),
    NameKind.ALIAS: _Kept("customer_alias", "alias", "customer", alone=True),
}


class _Held(msgspec.Struct, frozen=True):
    """Who holds a name now; ``origin`` is None where nobody does."""

    kind: NameKind
    name: str
    customer_id: str
    holder: str | None
    origin: str | None


@functools.cache
def name_queries(kind: NameKind) -> dict[str, bytes]:
    """Return the queries that write names of a kind."""
    kept, queries = _KEPT[kind], named_queries("licet.store", "sql/directory.sql")
    return {
        name: filled(query, table=Identifier(kept.table), column=Identifier(kept.column))
        for name, query in queries.items()
    }


class PostgresDirectory:
    """Writes the directory. Each write is one transaction under the one write lock."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

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
        kept, queries = _KEPT[kind], name_queries(kind)
        async with writing(self._pool) as (connection, revision):
            customer_id = await id_of(connection, ref)
            said = {"name": name, "customer_id": customer_id, "author": by.name, "revision": revision}
            said["alone"] = kept.alone
            found = await (await connection.execute(queries["find"], said)).fetchone()
            steps = judge(_Held(kind, name, customer_id, *(found or (None, None))))
            # Under the lock the revision before this one is committed, and says the same as the present state.
            written = Written(customer_id, revision if steps else revision - 1, changed=bool(steps))
            if not steps:
                raise psycopg.Rollback
            for step in steps:
                await connection.execute(queries[step], said)
            await write_feed(connection, revision, kept.feed, customer_id if kind is NameKind.ALIAS else name)
            act = Act(
                action=Action(f"{kind.value}.{'put' if judge is _to_put else 'delete'}"),
                subject=name,
                by=by,
                customer_id=customer_id,
                before={"origin": found[1]} if found else None,
                after={"origin": "person"} if judge is _to_put else None,
            )
            await audit(connection, act)
        return written


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
