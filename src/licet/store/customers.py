"""The store's reading side for people and applications: customers, license history, the ledger."""

import msgspec

from licet.database import AsyncConnection, named_queries
from licet.domain.errors import NotFound
from licet.domain.ids import CustomerRef, completed
from licet.store.pools import Reader, connection_of
from licet.store.values import ChangeRow, CustomerBrief, CustomerFound, CustomerRow, LicenseRow, Name, Page, Sender

_customer = msgspec.json.Decoder(CustomerRow)
_briefs = msgspec.json.Decoder(list[CustomerBrief])
_found = msgspec.json.Decoder(list[CustomerFound])
_licenses = msgspec.json.Decoder(list[LicenseRow])
_names = msgspec.json.Decoder(list[Name])
_senders = msgspec.json.Decoder(list[Sender])
_change = msgspec.json.Decoder(ChangeRow)


class PostgresCustomers(Reader):
    """Reads customers; see ``answer.ports``."""

    files = ("customers", "search")

    async def get(self, ref: CustomerRef) -> CustomerRow:
        """Return a customer with all that belongs to it. Raises ``NotFound``."""
        text = await self._one("find_customer", **msgspec.structs.asdict(ref))
        if text is None:
            raise _unknown(ref)
        return _customer.decode(text)

    async def search(self, name: str | None, after: tuple[str | None, str] | None, limit: int) -> Page:
        """Return customers whose name holds the text, by name, from beyond the (key, id) given."""
        key, customer_id = after if after is not None else (None, None)
        text = await self._one("list_customers", name=name, after_key=key, after_id=customer_id, limit=limit + 1)
        return Page.of(_briefs.decode(text), limit)

    async def find(self, text: str, limit: int) -> Page:
        """Return customers that a text leads to: the beginning of an id, alias, user, domain or word of the name.

        An e-mail address leads to its domain's customers too; an alias may lack its system.
        """
        named = text or None  # without a text all names begin with it, and nothing else is looked for
        said = {
            "text": text,
            "alias": named,
            "id": named and completed(text),
            "user": named and (text.lower() if "@" in text else text),
            "domain": text.lower().rpartition("@")[2] or None,
        }
        return Page.of(_found.decode(await self._one("search_customers", **said, limit=limit + 1)), limit)

    async def licenses(self, ref: CustomerRef, before: int | None, limit: int) -> Page:
        """Return a customer's license rows, the one written last first, from below the row given.

        Raises ``NotFound``.
        """
        customer_id = await self._id(ref)
        text = await self._one("list_licenses", customer_id=customer_id, before=before, limit=limit + 1)
        return Page.of(_licenses.decode(text), limit)

    async def users(self, ref: CustomerRef, after: str | None, limit: int) -> Page:
        """Return a customer's users, by id, from beyond the one given. Raises ``NotFound``."""
        customer_id = await self._id(ref)
        text = await self._one("list_users", customer_id=customer_id, after=after, limit=limit + 1)
        return Page.of(_names.decode(text), limit)

    async def change(self, event_id: str, customer: CustomerRef | None) -> ChangeRow:
        """Return an event's deliveries, of one customer where it is named; none where Licet knows of none.

        A customer id that Licet does not know is taken as it stands: a dead delivery may name one. Raises
        ``NotFound`` for an unknown alias.
        """
        customer_id = None
        if customer is not None:
            customer_id = customer.customer_id or await self._id(customer)
        text = await self._one("find_change", event_id=event_id, customer_id=customer_id)
        return _change.decode(text)

    async def senders(self) -> list[Sender]:
        """Return what the doors saw of senders, by name; whoever could not be told is the last."""
        return _senders.decode(await self._one("list_senders"))

    async def _id(self, ref: CustomerRef) -> str:
        async with connection_of(self._pool) as connection:
            return await id_of(connection, ref)


async def id_of(connection: AsyncConnection, ref: CustomerRef) -> str:
    """Return the id of the customer that a caller names. Raises ``NotFound``."""
    query = named_queries("licet.store", "sql/customers.sql")["find_customer_id"]
    row = await (await connection.execute(query, msgspec.structs.asdict(ref))).fetchone()
    if row is None:
        raise _unknown(ref)
    return str(row[0])


def _unknown(ref: CustomerRef) -> NotFound:
    return NotFound(f"no customer has the {f'alias {ref.alias}' if ref.alias else f'id {ref.customer_id}'}")
