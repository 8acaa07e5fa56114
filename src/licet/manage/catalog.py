"""The catalog, as an operator handles it: shown, and applied as the next version."""

from licet.domain.catalog import read_catalog
from licet.domain.principal import Actor
from licet.manage.ports import CatalogStore
from licet.store.values import CatalogVersion


class CatalogDesk:
    """Shows and applies catalogs. Both raise ``Unavailable`` where the store does not answer."""

    def __init__(self, store: CatalogStore) -> None:
        self._store = store

    def show(self) -> CatalogVersion:
        """Return the current version."""
        return self._store.current()

    def apply(self, document: str, by: Actor, base: int | None = None) -> CatalogVersion | None:
        """Make the document the next version; None where it is the current one already.

        Raises ``InvalidInput`` with every fault, ``Conflict`` where ``base`` is named and not the current version.
        Existing customers come under the new version as a refold reaches them.
        """
        read_catalog(document)
        return self._store.replace(document, by, base)
