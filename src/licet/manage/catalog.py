"""The catalog, as an operator handles it: shown, and applied as the next version."""

from licet.domain.catalog import read_catalog
from licet.manage.ports import CatalogStore
from licet.store.values import CatalogVersion


class CatalogDesk:
    """Shows and applies catalogs. Both raise ``Unavailable`` where the store does not answer."""

    def __init__(self, store: CatalogStore) -> None:
        self._store = store

    def show(self) -> CatalogVersion:
        """Return the current version."""
        return self._store.current()

    def apply(self, document: str, author: str) -> CatalogVersion | None:
        """Make the document the next version; None where it is the current one already.

        Raises ``InvalidInput`` with every fault. Existing customers come under the new version once the worker has
        re-derived their licenses.
        """
        read_catalog(document)
        return self._store.replace(document, author)
