"""The current catalog in memory, shared by the door and the check."""

import asyncio

from licet.answer.ports import CatalogReader
from licet.domain.catalog import Catalog, read_catalog
from licet.domain.errors import InvalidInput, Unavailable

REFRESH_S = 1.0
# A version named by an answer is at most a few behind the current one; who asks for an older one reads it again.
_KEPT = 8


class Catalogs:
    """Holds catalog versions, which never change once written, and knows the current one.

    ``load`` first, then run ``follow`` as a task. While the store is away the last known version stays current.
    """

    def __init__(self, reader: CatalogReader) -> None:
        self._reader = reader
        self._known: dict[int, Catalog] = {}
        self._current: Catalog | None = None
        self._failure: str | None = None

    def current(self) -> Catalog:
        """Return the current catalog; after another process applied a new one, at most ``REFRESH_S`` late."""
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

    async def follow(self) -> None:
        """Read the current version every second until cancelled; ``ready`` tells where that fails."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.load()
            except (Unavailable, InvalidInput, LookupError) as error:
                self._failure = str(error)
            else:
                self._failure = None

    async def ready(self) -> str | None:
        """Return None where the current catalog is at hand, else what is missing, in words."""
        if self._current is None:
            return "the catalog has not been read yet"
        return f"the catalog cannot be read again: {self._failure}" if self._failure else None

    async def _read(self, version: int | None) -> Catalog:
        text = await self._reader.catalog(version)
        known = self._known.get(text.version)
        if known is None:
            known = read_catalog(text.document, text.version)
            self._known[known.version] = known
            while len(self._known) > _KEPT:
                del self._known[min(self._known)]
        return known
