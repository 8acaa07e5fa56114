"""A new catalog version reaches the customers that are there already, some at a time."""

import uuid
from collections.abc import Callable, Generator
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from licet.consume.fold import Customer, folded
from licet.consume.names import moved_names
from licet.domain.catalog import Catalog
from licet.domain.license import Cause, Moment
from licet.store.ports import Called, CatalogTransaction, NameWrite

CHUNK = 500
DONE = "~"  # sorts after every customer id


class Refolding(Protocol):
    """The store as a person's act needs it."""

    def transaction(self, deliveries: int) -> AbstractContextManager[CatalogTransaction]:
        """Open a transaction."""
        ...

    def current_catalog(self) -> Catalog:
        """Return the current catalog."""
        ...


def refold(store: Refolding, moment_of: Callable[[int, Cause], Moment]) -> Generator[int]:
    """Bring every customer under the current catalog; yields how many each step reached.

    Each step is a transaction of at most ``CHUNK`` customers. Interrupted, it goes on where it stood; stops where a
    newer version takes over.
    """
    catalog = store.current_catalog()
    while True:
        with store.transaction(0) as transaction:
            customer_ids = transaction.unfolded(catalog.version, CHUNK)
            moment = moment_of(transaction.revision, Cause(catalog=catalog.version))
            written, names, touched = [], list[NameWrite](), []
            for customer_id, state in transaction.states(customer_ids).items():
                customer = Customer(customer_id, state)
                moved = customer.relicense(catalog, moment, uuid.uuid4)
                wanted = customer.names_under(catalog)
                names += moved_under(customer, wanted, catalog)
                if moved or customer.held != wanted:
                    touched.append(customer_id)
                written.append(customer)
            transaction.write(folded(written, catalog, names=names, touched=touched))
            transaction.mark_refolded(catalog.version, customer_ids[-1] if customer_ids else DONE)
        if not customer_ids:
            return
        yield len(customer_ids)
        if store.current_catalog().version != catalog.version:
            return


def moved_under(customer: Customer, wanted: AbstractSet[Called], catalog: Catalog) -> list[NameWrite]:
    """Return the names that a customer loses and gains without a change of its own.

    An alias that it gains says which field gives it: a name is whose it was last said to be, whatever the catalog.
    """
    moved = moved_names(customer.customer_id, customer.held, wanted)
    return [_said(name, customer, catalog) if name.held and name.kind == "alias" else name for name in moved]


def _said(name: NameWrite, customer: Customer, catalog: Catalog) -> NameWrite:
    field = catalog.source.aliases[name.name.partition(":")[0]]
    return msgspec.structs.replace(name, field=(field, customer.fields[field].place))
