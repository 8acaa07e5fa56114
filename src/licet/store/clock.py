"""What time changes, written as any other writer writes: under the one lock, with a revision and the feed."""

from psycopg.sql import SQL, Identifier, Literal

from licet.database import Connection, filled, named_queries, writer_conninfo
from licet.store.catalogs import begin
from licet.store.sessions import Kept

# Each kind has its query in sql/clock.sql, of which ``next_…`` and ``due_…`` are made for each of its boundaries.
HANDS = (("license", "start"), ("license", "end"), ("override", "start"), ("override", "end"), ("grace", "end"))
CHUNK = 500
# All look-ups follow the indexes of boundaries: a plan made while the table was small must not scan it later.
_BY_INDEX = dict.fromkeys(("enable_seqscan", "enable_sort", "enable_bitmapscan"), "off")


class PostgresClock(Kept):
    """See ``consume.clock.Boundaries``."""

    def __init__(self, url: str) -> None:
        super().__init__(writer_conninfo(url, application="licet clock", **_BY_INDEX))
        self._sql = dict(named_queries("licet.store", "sql/clock.sql"))
        for kind, boundary in HANDS:
            at, which = Identifier(f"{boundary}s_at"), Literal(boundary)
            for name, until, limit in (("next", "'infinity'::timestamptz", 1), ("due", "clock_timestamp()", CHUNK)):
                made = filled(self._sql[kind], at=at, boundary=which, until=SQL(until), limit=Literal(limit))
                self._sql[f"{name}_{kind}_{boundary}"] = made

    def next_s(self) -> float | None:
        """Return in how many seconds the next boundary passes, below zero where it has; None where none is known."""
        with self._lent() as connection:
            found = [self._next_s(connection, *hand) for hand in HANDS]
        return min((one for one in found if one is not None), default=None)

    def strike(self) -> int:
        """Write up to ``CHUNK`` boundaries of each kind that passed; returns how many time made. The rest stays due."""
        with self._lent() as connection:
            # A look costs less than a turn at the write lock for what is not due.
            due = [hand for hand in HANDS if (self._next_s(connection, *hand) or 0) < 0]
            return sum(self._move(connection, *hand) for hand in due)

    def _next_s(self, connection: Connection, kind: str, boundary: str) -> float | None:
        row = connection.execute(self._sql[f"next_{kind}_{boundary}"]).fetchone()
        return row[0] if row is not None else None

    def _move(self, connection: Connection, kind: str, boundary: str) -> int:
        """Write one kind in one transaction: what stands under the lock is looked at, whatever was seen before."""
        hand = {"kind": kind, "boundary": boundary}
        with connection.transaction():
            connection.execute(self._sql["hold"])
            due = connection.execute(self._sql[f"due_{kind}_{boundary}"]).fetchall()
            made = [row for row in due if row[5]]
            if made:
                _, ats, _, ids, customers, _ = map(list, zip(*made, strict=True))
                written = {"revision": begin(connection)[0], "ids": ids, "ats": ats, "customers": customers}
                connection.execute(self._sql["write"], hand | written)
            if due:
                connection.execute(self._sql["move"], hand | {"at": due[-1][1], "row_id": due[-1][2]})
        return len(made)
