"""The store as exports and comparisons with Salesforce read it."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg

from licet.database import Connection, named_queries, reader_conninfo
from licet.domain.catalog import Catalog
from licet.domain.drift import Pair, Said
from licet.domain.fields import Field, Fields
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.catalogs import find_current
from licet.store.pools import Reader
from licet.store.sessions import session
from licet.store.values import Act, Page, Reconciliation

_CHUNK = 2000
_fields = msgspec.json.Decoder(dict[str, Field]).decode
_said = msgspec.json.Decoder(Said).decode
_encode = msgspec.json.Encoder().encode


class PostgresDrift:
    """See ``manage.drift.DriftStore``. A file's rows go to a temporary table, so that the database does the joining."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = named_queries("licet.store", "sql/drift.sql")
        self.compared_at = (0, 0)

    def catalog(self) -> Catalog:
        """Return the current catalog."""
        return find_current(self._connection, None)

    def count(self) -> int:
        """Count the customers."""
        return int(self._one("count_customers"))

    def customers(self) -> Iterator[tuple[str, bool, Fields]]:
        """Return every customer, by id, as of one moment."""
        for customer, deleted, fields in self._stream("export"):
            yield customer, deleted, _fields(fields)

    def load(self, rows: Iterable[tuple[int, str, Said]]) -> None:
        """Take a file's rows."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(self._sql["create_file"])
            with cursor.copy(self._sql["copy_file"]) as copy:
                for line, customer, said in rows:
                    copy.write_row((line, customer, _encode(said).decode()))
            cursor.execute(self._sql["analyze_file"])

    def twice(self) -> list[tuple[str, list[int]]]:
        """Return customers that stand in the file more than once."""
        return list(self._connection.execute(self._sql["twice"]))

    def pairs(self) -> Iterator[Pair]:
        """Return each customer beside its row, as of one moment."""
        for customer, line, said, deleted, fields in self._stream("pairs"):
            row, known = _said(said) if said is not None else None, _fields(fields) if fields is not None else {}
            yield Pair(customer, line, row, deleted, known)

    def sequence_at(self, moment: dt.datetime) -> int:
        """Return the number of the last delivery that was recorded by then; 0 for none."""
        return int(self._one("sequence_at", moment=moment))

    def changed_since(self, customers: Sequence[str]) -> set[str]:
        """Return those of the customers that were written since the comparison."""
        asked = {"customers": list(customers), "revision": self.compared_at[0]}
        return {row[0] for row in self._connection.execute(self._sql["changed_since"], asked)}

    def audit(self, act: Act) -> None:
        """Keep who did it, at once."""
        audit(self._connection, act)

    def keep(self, by: Actor, file: str, counts: dict[str, int]) -> Reconciliation:
        """Keep what a comparison came to."""
        kept = {"actor": str(by), "file": file, "revision": self.compared_at[0], **counts}
        row = self._connection.execute(self._sql["keep"], kept).fetchone()
        assert row is not None  # noqa: S101 an INSERT returns its row
        return Reconciliation(*row)

    def _stream(self, query: str) -> Iterator[Any]:
        with self._connection.transaction(), self._connection.cursor(f"drift_{query}") as cursor:
            [self.compared_at] = self._connection.execute(self._sql["present_moment"])
            cursor.itersize = _CHUNK
            yield from cursor.execute(self._sql[query])

    def _one(self, query: str, **asked: Any) -> Any:
        row = self._connection.execute(self._sql[query], asked).fetchone()
        return row[0] if row is not None else 0


class PostgresReconciliations(Reader):
    """Reads what reconciliations came to."""

    files = ("drift",)

    async def search(self, before: int | None, limit: int) -> Page:
        """Return reconciliations, the last first, from below the one given. Raises ``Unavailable``."""
        rows = await self._rows("list_reconciliations", before=before, limit=limit + 1)
        return Page.of([Reconciliation(*row) for row in rows], limit)


@contextmanager
def open_drift(url: str) -> Iterator[PostgresDrift]:
    """Lend a session; each stream of it is one moment of the store. Raises ``Unavailable``."""
    conninfo = reader_conninfo(url, application="licet reconcile", timeout_ms=0)
    with session(conninfo) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield PostgresDrift(connection)
