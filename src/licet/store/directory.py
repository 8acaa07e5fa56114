"""The store's writing side for what people say: who is a member, which domain and which alias is whose."""

import functools
from collections.abc import Callable

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

# Where names are kept, and what a name is called there.
_TABLES = {
    NameKind.MEMBER: ("user_membership", "user_id"),
    NameKind.DOMAIN: ("customer_domain", "domain"),
    NameKind.ALIAS: ("customer_alias", "alias"),
}
# The kind under which followers find it in the change feed; an alias is read with its customer.
_FEED = {NameKind.MEMBER: "user", NameKind.DOMAIN: "domain", NameKind.ALIAS: "customer"}
# Of a name's kind, the name, the customer, who holds it and where it came from (None: nobody does): the steps to take.
_Judge = Callable[[NameKind, str, str, str | None, str | None], tuple[str, ...]]


@functools.cache
def name_queries(kind: NameKind) -> dict[str, bytes]:
    """Return the queries that write names of a kind."""
    table, column = map(Identifier, _TABLES[kind])
    queries = named_queries("licet.store", "sql/directory.sql")
    return {name: filled(query, table=table, column=column) for name, query in queries.items()}


class PostgresDirectory:
    """Writes the directory; see ``manage.ports``. Each write is one transaction under the one write lock."""

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

    async def _write(self, kind: NameKind, ref: CustomerRef, name: str, by: Actor, judge: _Judge) -> Written:
        queries, alone = name_queries(kind), kind is NameKind.ALIAS
        async with writing(self._pool) as (connection, revision):
            customer_id = await id_of(connection, ref)
            said = {"name": name, "customer_id": customer_id, "author": by.name, "revision": revision, "alone": alone}
            found = await (await connection.execute(queries["find"], said)).fetchone()
            steps = judge(kind, name, customer_id, *(found or (None, None)))
            # Under the lock the revision before this one is committed, and says the same as the present state.
            written = Written(customer_id, revision if steps else revision - 1, changed=bool(steps))
            if not steps:
                raise psycopg.Rollback
            for step in steps:
                await connection.execute(queries[step], said)
            await write_feed(connection, revision, _FEED[kind], customer_id if alone else name)
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


def _to_put(kind: NameKind, name: str, customer_id: str, holder: str | None, origin: str | None) -> tuple[str, ...]:
    if holder not in (None, customer_id):
        raise Conflict(f"the {kind.value} {name} is the customer {holder}'s; take it from there first")
    match origin:
        case "person":
            return ()
        case None:
            return ("open",)
        case _:
            return ("close", "open")


def _to_delete(kind: NameKind, name: str, customer_id: str, holder: str | None, origin: str | None) -> tuple[str, ...]:
    if holder != customer_id:
        return ()
    if origin == "source":
        raise Conflict(f"a Salesforce field gives the {kind.value} {name} to this customer; change it there")
    return ("close",)
