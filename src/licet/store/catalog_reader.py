"""Catalog versions for the web process."""

from licet.database import named_queries
from licet.store.pools import Pool, connection_of
from licet.store.values import CatalogText, CatalogVersion, Page


class PostgresCatalogReader:
    """Reads catalog versions; see ``answer.ports``."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = named_queries("licet.store", "sql/catalogs.sql")

    async def catalog(self, version: int | None = None) -> CatalogText:
        """Return a version, or the current one. Raises ``Unavailable``, and ``LookupError`` where there is none."""
        async with connection_of(self._pool) as connection:
            row = await (await connection.execute(self._sql["document"], {"version": version})).fetchone()
        if row is None:
            raise LookupError("the store has no catalog: run `licet migrate`" if version is None else str(version))
        return CatalogText(*row)

    async def versions(self, before: int | None, limit: int) -> Page:
        """Return versions below the one given, the current one first. Raises ``Unavailable``."""
        asked = {"before": before, "limit": limit + 1}
        async with connection_of(self._pool) as connection:
            rows = await (await connection.execute(self._sql["versions"], asked)).fetchall()
        return Page([CatalogVersion(*row) for row in rows[:limit]], more=len(rows) > limit)
