"""The outbox's store side: what each revision touched, as it was believed at that revision, and how far others know it.

Nothing is written twice: the feed says whom a revision touched, the license rows' ``recorded`` says what was true then.
"""

from typing import Any

import msgspec
import psycopg

from licet.database import Connection, named_queries, writer_conninfo
from licet.domain.errors import Unavailable
from licet.store.feed import CHANNEL
from licet.store.records import Position
from licet.store.sessions import Kept
from licet.store.steps import Believed, Step, Touch

_LOCK = {"lock_class": 0x6C696371, "publisher": 10_002}  # beside the queue's (queue/leases.py, queue/drain.py)
_decode = msgspec.json.Decoder(list[Believed]).decode


class PostgresOutbox(Kept):
    """See ``publish.publisher.Outbox``. Its session holds the lock of the one publisher."""

    def __init__(self, url: str, topic: str) -> None:
        super().__init__(writer_conninfo(url, application="licet publisher"))
        self._topic = topic
        self._sql = named_queries("licet.store", "sql/outbox.sql")

    def lead(self) -> bool:
        """Become or stay the one publisher; False while another is."""
        with self._lent() as connection:
            row = connection.execute(self._sql["lead"], _LOCK).fetchone()
        return row is not None and row[0] is True

    def ahead(self, limit: int) -> Step:
        """Return the next step, about ``limit`` customers in whole revisions, without what is in it."""
        with self._lent() as connection:
            row = connection.execute(self._sql["ahead"], {"topic": self._topic, "limit": limit}).fetchone()
        assert row is not None  # noqa: S101 the singleton row of the schema
        return Step(*row)

    def read(self, step: Step, known_catalog: int) -> Step:
        """Return the step with what is in it, read in the session that leads: where that has ended, it fails."""
        span = {"after": step.after, "upto": step.upto, "sequence": step.sequence, "known": known_catalog}
        with self._lent() as connection, connection.transaction():
            rows = connection.execute(self._sql["read"], span, binary=True).fetchall()
            catalogs = connection.execute(self._sql["catalogs"], span).fetchall()
        last = rows[-1][6] if rows else step.sequence
        touches = [_touch(row) for row in rows]
        return msgspec.structs.replace(step, sequence=last, touches=touches, catalogs=catalogs)

    def told(self, step: Step) -> None:
        """Remember that the topic has a step. Raises ``Unavailable`` where another publisher went on meanwhile."""
        said = {"topic": self._topic} | {name: getattr(step, name) for name in ("epoch", "after", "upto", "sequence")}
        with self._lent() as connection:
            if not connection.execute(self._sql["move"], said).rowcount:
                raise Unavailable("another publisher went on from the same position")

    def wait(self, seconds: float) -> None:
        """Return once a writer has committed, or after the time."""
        with self._lent() as connection:
            for _ in connection.notifies(timeout=seconds, stop_after=1):
                pass

    def _prepare(self, connection: Connection) -> None:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute(self._sql["ready"])
        connection.execute(f"LISTEN {CHANNEL}".encode())


def _touch(row: tuple[Any, ...]) -> Touch:
    *position, at, customer_id, gone, _, cause, first, catalog, former, states = row
    before, after = _decode(states)
    cause = msgspec.Raw(cause.encode())
    return Touch(Position(*position), at, customer_id, gone, cause, first, catalog, former, before, after)
