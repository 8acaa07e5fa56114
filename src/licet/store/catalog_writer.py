"""The catalog's writing side, for the operator: synchronous, one connection per call."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from licet.database import Connection, named_queries, writer_conninfo
from licet.domain.catalog import read_catalog
from licet.domain.errors import Unavailable
from licet.store.catalogs import insert_version
from licet.store.values import CatalogVersion


class PostgresCatalogs:
    """Keeps catalog versions; see ``manage.ports``. Every method raises ``Unavailable``."""

    def __init__(self, url: str) -> None:
        self._conninfo = writer_conninfo(url, application="licet catalog")
        self._sql = named_queries("licet.store", "sql/catalogs.sql")

    def current(self) -> CatalogVersion:
        """Return the current version. Raises ``LookupError`` where the store has none."""
        with self._connection() as connection:
            return self._current(connection)

    def replace(self, document: str, author: str) -> CatalogVersion | None:
        """Make the document the next version; None where it is the current one already.

        Raises ``InvalidInput`` for a document that is no catalog.
        """
        with self._connection() as connection:
            connection.execute(self._sql["lock"])
            before = self._current(connection)
            if before.document == document:
                return None
            with connection.transaction():
                insert_version(connection, read_catalog(document, before.version + 1), author)
            return self._current(connection)

    def _current(self, connection: Connection) -> CatalogVersion:
        row = connection.execute(self._sql["current_version"]).fetchone()
        if row is None:
            raise LookupError("the store has no catalog: run `licet migrate`")
        return CatalogVersion(*row)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with psycopg.connect(self._conninfo, autocommit=True) as connection:
                yield connection
        except psycopg.OperationalError as error:
            raise Unavailable(f"the store does not answer: {error}") from error
