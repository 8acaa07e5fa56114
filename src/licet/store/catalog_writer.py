"""The catalog's writing side, for the operator: synchronous, one connection per call."""

import psycopg

from licet.database import writer_conninfo
from licet.domain.catalog import read_catalog
from licet.domain.errors import Conflict
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.catalogs import begin, find_version, insert_version
from licet.store.sessions import session
from licet.store.values import Act, Action, CatalogVersion


class PostgresCatalogs:
    """Keeps catalog versions; see ``manage.ports``. Every method raises ``Unavailable``."""

    def __init__(self, url: str) -> None:
        self._conninfo = writer_conninfo(url, application="licet catalog")

    def current(self) -> CatalogVersion:
        """Return the current version. Raises ``LookupError`` where the store has none."""
        with session(self._conninfo) as connection:
            return find_version(connection)

    def replace(self, document: str, by: Actor, base: int | None = None) -> CatalogVersion | None:
        """Make the document the next version; None where it is the current one already.

        Raises ``InvalidInput`` for a document that is no catalog, ``Conflict`` where ``base`` is
        another than the current version.
        """
        with session(self._conninfo) as connection:
            with connection.transaction():
                began = begin(connection)  # the write lock first: two operators at once follow each other
                before = find_version(connection)
                if base is not None and base != before.version:
                    raise Conflict(f"version {before.version} is the current catalog by now, not {base}: plan again")
                if before.document == document:
                    raise psycopg.Rollback
                insert_version(connection, read_catalog(document, before.version + 1), by.name, *began)
                versions = ({"version": before.version}, {"version": before.version + 1})
                act = Act(action=Action.CATALOG_APPLY, subject="catalog", by=by, before=versions[0], after=versions[1])
                audit(connection, act)
            after = find_version(connection)
            return after if after.version != before.version else None
