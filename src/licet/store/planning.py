"""The store as a plan of a catalog reads it: one moment of it, customer by customer, beside the writers."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from licet.database import Connection, named_queries
from licet.domain.catalog import Catalog
from licet.store.catalogs import find_current
from licet.store.ports import CustomerState, Exceptions
from licet.store.projection import read_states
from licet.store.sessions import moment
from licet.store.values import OverrideRow

_overrides = msgspec.json.Decoder(list[OverrideRow])


class PostgresPlanning:
    """See ``consume.plan.PlanStore``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = named_queries("licet.store", "sql/catalogs.sql")

    def catalog(self) -> Catalog:
        """Return the current catalog."""
        return find_current(self._connection, None)

    def count(self, after: str) -> int:
        """Count the customers beyond an id."""
        row = self._connection.execute(self._sql["count_customers"], {"after": after}).fetchone()
        return row[0] if row is not None else 0

    def states(self, after: str, limit: int) -> Mapping[str, CustomerState]:
        """Return the next customers beyond an id, in the order of their ids."""
        found = self._connection.execute(self._sql["next_customers"], {"after": after, "limit": limit}).fetchall()
        ids = [customer_id for (customer_id,) in found]
        states = read_states(self._connection, ids)
        return {customer_id: states[customer_id] for customer_id in ids}

    def exceptions(self, ids: Collection[str]) -> Mapping[str, Exceptions]:
        """Return what a decision reads of these customers beside their licenses."""
        found = self._connection.execute(self._sql["exceptions"], {"ids": list(ids)})
        return {
            customer_id: Exceptions(frozenset(void), [one.stands() for one in _overrides.decode(overrides)])
            for customer_id, void, overrides in found
        }


@contextmanager
def open_planning(url: str) -> Iterator[PostgresPlanning]:
    """Open one moment of the store. Raises ``Unavailable``."""
    with moment(url, "licet catalog plan") as connection:
        yield PostgresPlanning(connection)
