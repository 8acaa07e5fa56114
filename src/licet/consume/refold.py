"""A new catalog version reaches the customers that are there already, some at a time."""

import uuid
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from licet.consume.fold import Customer
from licet.consume.names import Names, moved_names
from licet.domain.catalog import Catalog
from licet.domain.license import Cause, Moment
from licet.store.ports import CatalogTransaction, Folded, NameWrite

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
            written, touched = [], []
            aliases: list[NameWrite] = []
            domains: list[NameWrite] = []
            for customer_id, state in transaction.states(customer_ids).items():
                customer = Customer(customer_id, state)
                moved = customer.relicense(catalog, moment, uuid.uuid4)
                held, wanted = customer.held, customer.names_under(catalog)
                moves = moved_under(customer, wanted, catalog)
                aliases += moves[0]
                domains += moves[1]
                if moved or held != wanted:
                    touched.append(customer_id)
                written.append(customer)
            transaction.write(
                Folded(
                    customers=[customer.write(catalog) for customer in written],
                    closes=[row for customer in written for row in customer.closes],
                    licenses=[row for customer in written for row in customer.licenses()],
                    aliases=aliases,
                    domains=domains,
                    touched=touched,
                    retired=[(customer.customer_id, sku) for customer in written for sku in sorted(customer.retired)],
                )
            )
            transaction.mark_refolded(catalog.version, customer_ids[-1] if customer_ids else DONE)
        if not customer_ids:
            return
        yield len(customer_ids)
        if store.current_catalog().version != catalog.version:
            return


def moved_under(customer: Customer, wanted: Names, catalog: Catalog) -> tuple[list[NameWrite], list[NameWrite]]:
    """Return the aliases and the domains that a customer loses and gains without a change of its own."""
    held, customer_id = customer.held, customer.customer_id
    aliases = [_said(name, customer, catalog) for name in moved_names(customer_id, held.aliases, wanted.aliases)]
    return aliases, moved_names(customer_id, held.domains, wanted.domains)


def _said(name: NameWrite, customer: Customer, catalog: Catalog) -> NameWrite:
    """Add the field that gives an alias: a name is whose it was last said to be, whatever the catalog."""
    if not name.held:
        return name
    field = catalog.source.aliases[name.name.partition(":")[0]]
    return msgspec.structs.replace(name, field=(field, customer.fields[field].place))
