"""Catalog versions for the web process."""

from licet.store.pools import Reader
from licet.store.values import CatalogText, CatalogVersion, Page


class PostgresCatalogReader(Reader):
    """Reads catalog versions; see ``answer.ports``."""

    files = ("catalogs",)

    async def catalog(self, version: int | None = None) -> CatalogText:
        """Return a version, or the current one. Raises ``Unavailable``, and ``LookupError`` where there is none."""
        for row in await self._rows("document", version=version):
            return CatalogText(*row)
        raise LookupError("the store has no catalog: run `licet migrate`" if version is None else str(version))

    async def versions(self, before: int | None, limit: int) -> Page:
        """Return versions below the one given, the current one first. Raises ``Unavailable``."""
        rows = await self._rows("versions", before=before, limit=limit + 1)
        return Page.of([CatalogVersion(*row) for row in rows], limit)
