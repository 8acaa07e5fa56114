"""How the readers of the PostgreSQL log share its partitions: advisory locks of their sessions.

A session that ends gives its locks back, whatever ended it; the others take over at their next look.
"""

from collections.abc import Mapping

from licet.database import Connection
from licet.queue.message import PARTITIONS

_LOCKS = {
    "lock_class": 0x6C696371,  # "licq"; the object is the partition, or
    "members": 10_000,  # the lock that every reader shares, so that the readers can be counted
}


class Leases:
    """The partitions that one session holds."""

    def __init__(self, queries: Mapping[str, bytes]) -> None:
        self._queries = queries
        self.held: set[int] = set()

    def join(self, connection: Connection) -> None:
        """Become one of the readers, with nothing held yet."""
        self.held.clear()
        connection.execute(self._queries["join"], _LOCKS)

    def share(self, connection: Connection) -> list[int]:
        """Lease up to the fair share, ceil(12 / readers), or return what is beyond it, to be given ``back``."""
        row = connection.execute(self._queries["count_members"], _LOCKS).fetchone()
        members = max(1, row[0]) if row is not None else 1
        surplus = len(self.held) - -(-PARTITIONS // members)
        if surplus < 0:
            wanted = sorted(set(range(PARTITIONS)) - self.held)
            lease = {**_LOCKS, "partitions": wanted, "count": -surplus}
            self.held.update(partition for (partition,) in connection.execute(self._queries["lease"], lease))
        return sorted(self.held)[-surplus:] if surplus > 0 else []

    def back(self, connection: Connection, partitions: list[int]) -> None:
        """Give partitions back; the caller has stopped reading them."""
        self.held.difference_update(partitions)
        connection.execute(self._queries["release"], {**_LOCKS, "partitions": partitions})
