"""The store as `licet verify` reads it: one moment of it, streamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec.structs import replace

from licet.database import Connection, named_queries
from licet.domain.fields import Field
from licet.domain.license import Cause, License
from licet.store.ports import Account, Entry, StoredCustomer, StoredName
from licet.store.projection import license_of
from licet.store.sessions import moment

_CHUNK = 2000
_decode_fields = msgspec.json.Decoder(dict[str, Field]).decode


class PostgresVerification:
    """See ``consume.verify.Books``. All of it is one moment of the store, while workers go on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = named_queries("licet.store", "sql/verify.sql")

    def accounts(self) -> list[Account]:
        """Return what each partition's books say."""
        return [Account(*row) for row in self._connection.execute(self._sql["accounts"])]

    def ranges(self, kind: str, account: Account) -> list[tuple[int, int]]:
        """Return the ``holes`` of a partition's ledger, or what people ``skipped``."""
        place = {"log": account.log, "partition": account.partition}
        return [(start, stop) for start, stop in self._connection.execute(self._sql[kind], place)]

    def strays(self) -> Iterator[tuple[int, str, str]]:
        """Return (row, customer, SKU) of licenses that name a delivery or a catalog that is not there."""
        return self._stream("strays")

    def unheard(self) -> Iterator[tuple[str, str, str, str | None, str | None]]:
        """Return (customer, kind, name, what people said last, what is held), where these are not the same.

        Names are ``user``, ``domain`` and ``alias`` and say nothing more; an ``override`` says its terms.
        """
        return self._stream("unheard")

    def catalogs(self) -> list[tuple[int, str, int, str | None]]:
        """Return (version, document, first revision, the last customer reached) of every catalog."""
        return list(self._connection.execute(self._sql["catalogs"]))

    def count_entries(self) -> int:
        """Count the entries."""
        row = self._connection.execute(self._sql["count_entries"]).fetchone()
        return row[0] if row is not None else 0

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Return the deliveries that did not end dead, customer by customer, in the order of the ledger."""
        for customer_id, *row in self._stream("entries"):
            yield customer_id, Entry(*row)

    def customers(self) -> Iterator[tuple[str, StoredCustomer]]:
        """Return the customers by id."""
        for customer_id, name, manager, engineer, deleted, fields, revision, named in self._stream("customers"):
            texts = (name, manager, engineer)
            yield customer_id, StoredCustomer(texts, deleted, _decode_fields(fields), revision, named)

    def licenses(self) -> Iterator[tuple[str, License]]:
        """Return every license row that was ever believed, customer by customer."""
        for *row, valid_to, recorded_to, delivery, catalog in self._stream("licenses"):
            closed_by = Cause(delivery, catalog) if delivery or catalog else None
            one = replace(license_of(row), valid_to=valid_to, recorded_to=recorded_to, closed_by=closed_by)
            yield one.customer_id, one

    def names(self) -> Iterator[tuple[str, StoredName]]:
        """Return every alias and e-mail domain that a customer has or had, customer by customer."""
        for customer_id, *row in self._stream("names"):
            yield customer_id, StoredName(*row)

    def alias_held(self, alias: str) -> bool:
        """Tell whether any customer has the alias."""
        row = self._connection.execute(self._sql["alias_held"], {"alias": alias}).fetchone()
        return row is not None and bool(row[0])

    def _stream(self, query: str) -> Iterator[Any]:
        with self._connection.cursor(f"verify_{query}") as cursor:
            cursor.itersize = _CHUNK
            yield from cursor.execute(self._sql[query])


@contextmanager
def open_books(url: str) -> Iterator[PostgresVerification]:
    """Open one moment of the store. Raises ``Unavailable``."""
    with moment(url, "licet verify") as connection:
        yield PostgresVerification(connection)
