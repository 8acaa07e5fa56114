"""The catalog's writing side, for the operator: synchronous, one connection per call."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from licet.database import Connection, writer_conninfo
from licet.domain.catalog import read_catalog
from licet.domain.errors import Unavailable
from licet.store.catalogs import begin, find_version, insert_version
from licet.store.values import CatalogVersion


class PostgresCatalogs:
    """Keeps catalog versions; see ``manage.ports``. Every method raises ``Unavailable``."""

    def __init__(self, url: str) -> None:
        self._conninfo = writer_conninfo(url, application="licet catalog")

    def current(self) -> CatalogVersion:
        """Return the current version. Raises ``LookupError`` where the store has none."""
        with self._connection() as connection:
            return find_version(connection)

    def replace(self, document: str, author: str) -> CatalogVersion | None:
        """Make the document the next version; None where it is the current one already.

        Raises ``InvalidInput`` for a document that is no catalog.
        """
        with self._connection() as connection:
            with connection.transaction():
                began = begin(connection)  # the write lock first: two operators at once follow each other
                before = find_version(connection)
                if before.document == document:
                    raise psycopg.Rollback
                insert_version(connection, read_catalog(document, before.version + 1), author, *began)
            after = find_version(connection)
            return after if after.version != before.version else None

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with psycopg.connect(self._conninfo, autocommit=True) as connection:
                yield connection
        except psycopg.OperationalError as error:
            raise Unavailable(f"the store does not answer: {error}") from error
