"""The store's reading side for people and applications: customers, license history, the ledger."""

from typing import Any

import msgspec

from licet.database import named_queries
from licet.domain.errors import NotFound
from licet.domain.ids import CustomerRef, completed
from licet.store.pools import Pool, connection_of
from licet.store.values import ChangeRow, CustomerBrief, CustomerFound, CustomerRow, LicenseRow, Name, Page, Sender

_customer = msgspec.json.Decoder(CustomerRow)
_briefs = msgspec.json.Decoder(list[CustomerBrief])
_found = msgspec.json.Decoder(list[CustomerFound])
_licenses = msgspec.json.Decoder(list[LicenseRow])
_names = msgspec.json.Decoder(list[Name])
_senders = msgspec.json.Decoder(list[Sender])
_change = msgspec.json.Decoder(ChangeRow)


class PostgresCustomers:
    """Reads customers; see ``answer.ports``. Every method raises ``Unavailable`` where the store does not answer."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = named_queries("licet.store", "sql/customers.sql") | named_queries("licet.store", "sql/search.sql")

    async def get(self, ref: CustomerRef) -> CustomerRow:
        """Return a customer with all that belongs to it. Raises ``NotFound``."""
        text = await self._text("find_customer", **_named(ref))
        if text is None:
            raise NotFound(unknown(ref))
        return _customer.decode(text)

    async def search(self, name: str | None, after: tuple[str | None, str] | None, limit: int) -> Page:
        """Return customers whose name holds the text, by name, from beyond the (key, id) given."""
        key, customer_id = after if after is not None else (None, None)
        text = await self._text("list_customers", name=name, after_key=key, after_id=customer_id, limit=limit + 1)
        return _page(_briefs.decode(text or "[]"), limit)

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
        return _page(_found.decode(await self._text("search_customers", **said, limit=limit + 1) or "[]"), limit)

    async def licenses(self, ref: CustomerRef, before: int | None, limit: int) -> Page:
        """Return a customer's license rows, the one written last first, from below the row given.

        Raises ``NotFound``.
        """
        customer_id = await self._id(ref)
        text = await self._text("list_licenses", customer_id=customer_id, before=before, limit=limit + 1)
        return _page(_licenses.decode(text or "[]"), limit)

    async def users(self, ref: CustomerRef, after: str | None, limit: int) -> Page:
        """Return a customer's users, by id, from beyond the one given. Raises ``NotFound``."""
        customer_id = await self._id(ref)
        text = await self._text("list_users", customer_id=customer_id, after=after, limit=limit + 1)
        return _page(_names.decode(text or "[]"), limit)

    async def change(self, event_id: str, customer: CustomerRef | None) -> ChangeRow:
        """Return an event's deliveries, of one customer where it is named; none where Licet knows of none.

        A customer id that Licet does not know is taken as it stands: a dead delivery may name one. Raises
        ``NotFound`` for an unknown alias.
        """
        customer_id = None
        if customer is not None:
            customer_id = customer.customer_id or await self._id(customer)
        text = await self._text("find_change", event_id=event_id, customer_id=customer_id)
        return _change.decode(text or "")

    async def senders(self) -> list[Sender]:
        """Return what the doors saw of senders, by name; whoever could not be told is the last."""
        return _senders.decode(await self._text("list_senders") or "[]")

    async def _id(self, ref: CustomerRef) -> str:
        found = await self._text("find_customer_id", **_named(ref))
        if found is None:
            raise NotFound(unknown(ref))
        return found

    async def _text(self, query: str, **parameters: Any) -> str | None:
        async with connection_of(self._pool) as connection:
            row = await (await connection.execute(self._sql[query], parameters)).fetchone()
        return row[0] if row is not None else None


def unknown(ref: CustomerRef) -> str:
    """Say that no customer has this name."""
    return f"no customer has the alias {ref.alias}" if ref.alias else f"no customer has the id {ref.customer_id}"


def _named(ref: CustomerRef) -> dict[str, str | None]:
    return {"customer_id": ref.customer_id, "alias": ref.alias}


def _page(rows: list[Any], limit: int) -> Page:
    return Page(rows[:limit], more=len(rows) > limit)
