"""The change feed's reading side: all of it at one moment, then what changed after a position."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import psycopg

from licet.database import Connection, cut, named_queries, reader_conninfo
from licet.domain.errors import Unavailable
from licet.store.records import CustomerRecord, Delta, Load, NameRecord, Position, Records
from licet.store.sessions import Kept, moment
from licet.store.values import CatalogText

CHANNEL = "licet_revision"
TRACES = "licet_trace"
# Beyond this many customers, users and domains a reload is the cheaper way to catch up.
MOST = 10_000
# A chunk is taken in within some 0.4 ms. To ask for the next one lets other threads run: without that, one that
# computes keeps the event loop from its core for 4 ms at times, a tick of the kernel.
CHUNK = 250
_LOAD_TIMEOUT_MS = 120_000
# All look-ups of a delta are by key: a plan made while a table was small must not scan it when it has grown.
_BY_KEY = dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off")
# A load follows the indexes, which have all in order: rows flow at once, where a sort of a million customers' licenses
# came first and took the longer half.
_IN_ORDER = dict.fromkeys(("enable_sort", "enable_bitmapscan", "enable_hashjoin", "enable_hashagg", "jit"), "off")


class PostgresFeed(Kept):
    """Reads the feed; see ``answer.ports.Feed``. Blocking, for one thread at a time; only ``cut`` is for any thread.

    ``since`` and ``wait`` share a connection, made when it is needed and made anew when it broke; each load has one of
    its own. ``traces`` hears in ``wait`` of the traces that a commit belongs to, a ``traceparent`` each.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, traces: Callable[[str], None] | None = None) -> None:
        patience = int(timeout * 1000)
        super().__init__(reader_conninfo(url, application="licet web follow", timeout_ms=patience, **_BY_KEY))
        self._url = url
        self._traces = traces
        self._loads: set[Connection] = set()
        self._sql = named_queries("licet.store", "sql/feed.sql")

    @contextlib.contextmanager
    def load(self) -> Iterator[Load]:
        """Lend all that a decision reads, at one moment. Raises ``Unavailable``."""
        with moment(self._url, "licet web load", _LOAD_TIMEOUT_MS, **_IN_ORDER) as connection:
            self._loads.add(connection)
            try:
                row = connection.execute(self._sql["head"]).fetchone()
                if row is None:
                    raise Unavailable("the store has no catalog: run `licet migrate`")
                yield Load(Position(*row[:3]), row[3], CatalogText(*row[4:]), self._chunks(connection))
            finally:
                self._loads.discard(connection)

    def since(self, position: Position, limit: int = MOST) -> Delta | None:
        """Return what changed after a position up to now; None where only a new load helps.

        That is where the store does not know the position (a restored backup, a pruned log), or where more than
        ``limit`` customers, users and domains changed. Raises ``Unavailable``.
        """
        said = {"epoch": position.epoch, "revision": position.revision, "tag": position.tag, "limit": limit}
        with self._lent() as connection, connection.transaction():
            row = connection.execute(self._sql["news"], said, binary=True).fetchone()
            if row is None or not row[4] or row[5] > limit:
                return None
            ask = partial(self._named, connection)
            document = connection.execute(self._sql["catalog"]).fetchone() if row[6] else None
            return Delta(
                Position(*row[:3]),
                row[3],
                CatalogText(*document) if document is not None else None,
                Records(
                    ask("customers", row[7], CustomerRecord),
                    ask("users", row[8], NameRecord),
                    ask("domains", row[9], NameRecord),
                ),
            )

    def wait(self, seconds: float) -> None:
        """Return once a writer has committed, or after the time. Raises ``Unavailable``."""
        with self._lent() as connection:
            for told in connection.notifies(timeout=seconds, stop_after=1):
                if self._traces is not None and told.channel == TRACES:
                    for traceparent in told.payload.split(" "):
                        self._traces(traceparent)

    def cut(self) -> None:
        """End all connections: what waits for a server that hangs without a word fails at once."""
        for connection in [*self._loads, self._connection]:
            if connection is not None:
                cut(connection)

    def _prepare(self, connection: Connection) -> None:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute(f"LISTEN {CHANNEL}".encode())
        if self._traces is not None:
            connection.execute(f"LISTEN {TRACES}".encode())

    def _named(
        self, connection: Connection, query: str, names: Sequence[str], kind: Callable[..., Any]
    ) -> Sequence[Any]:
        if not names:
            return ()
        rows = connection.execute(self._sql[query], {"names": names}, binary=True)
        return [kind(*row) for row in rows]

    def _chunks(self, connection: Connection) -> Iterator[Records]:
        kinds: dict[str, Any] = {"customers": CustomerRecord, "users": NameRecord, "domains": NameRecord}
        for place, kind in kinds.items():
            with connection.cursor(f"licet_{place}") as cursor:
                cursor.execute(self._sql[f"all_{place}"], binary=True)
                while rows := cursor.fetchmany(CHUNK):
                    yield Records(**{place: [kind(*row) for row in rows]})
