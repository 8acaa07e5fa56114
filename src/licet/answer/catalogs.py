"""The catalog in memory, for the door and the read API; a check takes the one of its snapshot."""

from licet.answer.ports import CatalogReader
from licet.domain.catalog import Catalog, read_catalog
from licet.domain.errors import Unavailable

# A version named by an answer is at most a few behind the current one; who asks for an older one reads it again.
_KEPT = 8


class Catalogs:
    """Holds catalog versions, which never change once written, and knows the current one.

    ``load`` first; then who follows the store tells each version with ``learn``.
    """

    def __init__(self, reader: CatalogReader) -> None:
        self._reader = reader
        self._known: dict[int, Catalog] = {}
        self._current: Catalog | None = None

    def current(self) -> Catalog:
        """Return the current catalog, as late as the snapshot is."""
        if self._current is None:
            raise Unavailable("the catalog has not been read yet")
        return self._current

    async def at(self, version: int) -> Catalog:
        """Return a version of the catalog."""
        known = self._known.get(version)
        return known if known is not None else await self._read(version)

    async def load(self) -> None:
        """Read the current version. Raises ``Unavailable``, ``LookupError``, and ``InvalidInput`` (unreadable)."""
        self._current = await self._read(None)

    def learn(self, catalog: Catalog) -> None:
        """Make a version the current one."""
        self._current = self._keep(catalog)

    async def ready(self) -> str | None:
        """Return None where the current catalog is at hand, else what is missing, in words."""
        return "the catalog has not been read yet" if self._current is None else None

    async def _read(self, version: int | None) -> Catalog:
        text = await self._reader.catalog(version)
        known = self._known.get(text.version)
        return known if known is not None else self._keep(read_catalog(text.document, text.version))

    def _keep(self, catalog: Catalog) -> Catalog:
        self._known[catalog.version] = catalog
        while len(self._known) > _KEPT:
            del self._known[min(self._known)]
        return catalog
