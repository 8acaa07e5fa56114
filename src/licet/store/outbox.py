"""The outbox's store side: what each revision touched, as it was believed at that revision, and how far others know it.

Nothing is written twice: the feed says whom a revision touched, the license rows' ``recorded`` says what was true then.
"""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg

from licet.database import Connection, named_queries, writer_conninfo
from licet.domain.decision import Held
from licet.domain.errors import Unavailable
from licet.domain.license import Status
from licet.store.feed import CHANNEL
from licet.store.records import Position
from licet.store.steps import AliasThen, Applied, LicenseThen, Passed, Step, Touch

_LOCK = {"lock_class": 0x6C696371, "publisher": 10_002}  # beside the queue's (queue/leases.py, queue/drain.py)


class PostgresOutbox:
    """See ``publish.publisher.Outbox``. One connection, whose session holds the lock of the one publisher."""

    def __init__(self, url: str, topic: str) -> None:
        self._conninfo = writer_conninfo(url, application="licet publisher")
        self._topic = topic
        self._connection: Connection | None = None
        self._sql = named_queries("licet.store", "sql/outbox.sql")

    def lead(self) -> bool:
        """Become or stay the one publisher; False while another is."""
        with self._lent() as connection:
            row = connection.execute(self._sql["lead"], _LOCK).fetchone()
        return row is not None and row[0] is True

    def step(self, limit: int, known_catalog: int) -> Step:
        """Read what to tell next: about ``limit`` customers, whole revisions."""
        with self._lent() as connection, connection.transaction():
            ask = {"topic": self._topic, "limit": limit}
            row = connection.execute(self._sql["ahead"], ask, prepare=True).fetchone()
            assert row is not None  # noqa: S101 the singleton row of the schema
            epoch, head, after, sequence, upto, behind_s = row
            step = Step(epoch=epoch, head=head, after=after, upto=upto, behind_s=behind_s)
            return self._filled(connection, step, sequence, known_catalog) if upto > after else step

    def told(self, step: Step) -> None:
        """Remember that the topic has a step. Raises ``Unavailable`` where another publisher went on meanwhile."""
        said = {"topic": self._topic, "epoch": step.epoch, "after": step.after, "upto": step.upto}
        with self._lent() as connection:
            if not connection.execute(self._sql["move"], said | {"last": step.last_sequence}).rowcount:
                raise Unavailable("another publisher went on from the same position")

    def wait(self, seconds: float) -> None:
        """Return once a writer has committed, or after the time."""
        with self._lent() as connection:
            for _ in connection.notifies(timeout=seconds, stop_after=1):
                pass

    def close(self) -> None:
        """Let go of the connection, and with it of the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _filled(self, connection: Connection, step: Step, sequence: int, known_catalog: int) -> Step:
        span: dict[str, Any] = {"after": step.after, "upto": step.upto, "sequence": sequence, "known": known_catalog}

        def rows(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(self._sql[query], span, binary=True).fetchall()

        touches = [
            Touch(Position(step.epoch, revision, tag), customer_id, at, gone)
            for revision, customer_id, tag, at, gone in rows("touched")
        ]
        span["customer_ids"] = sorted({touch.customer_id for touch in touches})
        span["last"] = last = rows("last_sequence")[0][0]
        filled: Step = msgspec.structs.replace(
            step,
            touches=touches,
            last_sequence=last,
            licenses=[_license(*row) for row in rows("licenses")],
            aliases=[AliasThen(*row) for row in rows("aliases")],
            applied=[Applied(*row) for row in rows("deliveries")],
            passed=[Passed(*row) for row in rows("moments")],
            catalogs=[(version, document, first) for version, document, first in rows("catalogs")],
        )
        return filled

    @contextlib.contextmanager
    def _lent(self) -> Iterator[Connection]:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._conninfo, autocommit=True)
                self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                self._connection.execute(self._sql["ready"])
                self._connection.execute(f"LISTEN {CHANNEL}".encode())
            yield self._connection
        except psycopg.OperationalError as error:
            self.close()
            raise Unavailable(f"the store does not answer: {error}") from error


def _license(
    customer_id: str, first: int, to: int | None, sku: str, license_id: uuid.UUID, status: str, *rest: Any
) -> LicenseThen:
    return LicenseThen(customer_id, first, to, Held(sku, license_id, Status(status), *rest[:-1]), rest[-1])
