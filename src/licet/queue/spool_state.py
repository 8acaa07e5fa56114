"""Whether the deployment spools: one row of PostgreSQL, as this process knows it.

It is read at least every 200 ms and whenever the row changes. Who asks judges the reading's age at that moment and,
where it is too old, waits for the next one. So a door that takes a change later than ``TRUST_S`` after an opening knows
of it; the first change that is spooled is confirmed only after ``SETTLE_S``, when every door does.
"""

import asyncio
import time

import psycopg

from licet.database import AsyncConnection, cut, named_queries, reader_conninfo, writer_conninfo
from licet.observe.log import Event, log
from licet.observe.metrics import Metrics

PERIOD_S = 0.2
# The pause between readings. On a loop at its limit a reading takes as long again; without this reserve half of all
# posts found it too old and took the long way, at a quarter of the door's rate.
PAUSE_S = PERIOD_S / 2
TRUST_S = 1.5 * PERIOD_S  # half a period more than the time between readings, and half less than what must pass
SETTLE_S = 2 * PERIOD_S
# A reading that takes longer counts as none: then this door is cut off from PostgreSQL.
READ_LIMIT_S = 0.5


class SpoolState:
    """The row ``spool_state``. Belongs to one event loop; ``follow`` runs as a task."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        self.open = False
        self.opening = 0
        self.depth = 0
        self.since: object = None
        self.away: str | None = None
        self._url = url
        self._metrics = metrics
        self._queries = named_queries("licet.queue", "spool.sql")
        self._connection: AsyncConnection | None = None
        # When the last reading that ended had begun, by the process's own clock: whether it got an answer, and if so.
        self._asked = self._seen = float("-inf")
        self._settled = 0.0
        self._next: asyncio.Future[None] | None = None
        self._opener: asyncio.Task[None] | None = None

    @property
    def fresh(self) -> bool:
        """Tell whether the reading can be trusted now."""
        return time.monotonic() - self._asked <= TRUST_S

    async def read(self, max_age: float) -> None:
        """Wait for a reading that began at most ``max_age`` s ago; it may have got no answer (``away``)."""
        since, end = time.monotonic() - max_age, time.monotonic() + PERIOD_S + READ_LIMIT_S
        while self._asked < since and (left := end - time.monotonic()) > 0:
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._next}, timeout=left)

    async def settled(self) -> None:
        """Wait until every door knows that the spool is open."""
        await asyncio.sleep(max(0.0, self._settled - time.monotonic()))

    async def begin(self, limit: float) -> bool:
        """Open the spool for all doors; tells whether it is open. All that ask at once share one attempt."""
        if self._opener is None or self._opener.done():
            self._opener = asyncio.create_task(self._open(leftover=False))
        await asyncio.wait({self._opener}, timeout=limit)
        return self._opener.done() and self.open

    async def follow(self) -> None:
        """Read the state until cancelled. What an earlier deployment left in the queue's tables opens the spool."""
        try:
            await self._open(leftover=True)
            while True:
                await self._attempt()
                await self._pause()
        finally:
            if self._opener is not None:
                self._opener.cancel()
            await self._drop()

    async def _attempt(self) -> None:
        began, known = time.monotonic(), self._connection is not None
        work = asyncio.create_task(self._read())
        try:
            await asyncio.wait({work}, timeout=READ_LIMIT_S)
        finally:
            if not work.done():
                # A session that hangs is cut: a query that is cancelled would wait for the server.
                work.cancel() if self._connection is None else cut(self._connection)
                await asyncio.wait({work})
            error = None if work.cancelled() else work.exception()
        if work.cancelled() or error is not None:
            await self._drop()
            if known and not work.cancelled() and time.monotonic() - began < PERIOD_S:
                await self._attempt()  # a session that ended says nothing of the server
                return
            self._miss(str(error).partition("\n")[0] if error else f"no answer within {READ_LIMIT_S:g} s", error)
        else:
            self._know(work.result(), began)
            if self.away is not None:
                log(Event.SPOOL_READABLE)
            self.away = None
        self._asked = max(self._asked, began)
        if self._next is not None:
            self._next.set_result(None)
            self._next = None

    def _miss(self, said: str, error: BaseException | None) -> None:
        if self.away is None:
            expected = error is None or isinstance(error, (psycopg.Error, OSError))
            log(Event.SPOOL_UNREADABLE, reason=said, error=None if expected else error)
        self.away = f"PostgreSQL: {said}"

    async def _read(self) -> tuple[bool, int, object, int]:
        if self._connection is None:
            conninfo = reader_conninfo(self._url, application="licet spool state")
            self._connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
            await self._connection.execute(self._queries["listen"])
        return await _state(self._connection, self._queries["read"])

    async def _pause(self) -> None:
        """Wait until it is time to read again, or for the row to change."""
        if self._connection is None:
            await asyncio.sleep(PAUSE_S)
            return
        try:
            async for _ in self._connection.notifies(timeout=PAUSE_S, stop_after=1):
                pass
        except (psycopg.Error, OSError):
            await self._drop()

    async def _open(self, *, leftover: bool) -> None:
        conninfo = writer_conninfo(self._url, application="licet spool")
        try:
            async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
                await connection.execute(self._queries["open"], {"leftover": leftover})
                began = time.monotonic()  # after the commit: a reading that began before it is older
                self._know(await _state(connection, self._queries["read"]), began)
        except (psycopg.Error, OSError) as error:
            log(Event.SPOOL_UNREADABLE, reason=str(error).partition("\n")[0])

    def _know(self, row: tuple[bool, int, object, int], began: float) -> None:
        """Take a reading, unless a later one is known."""
        if began < self._seen:
            return
        opened = row[0] and (not self.open or row[1] != self.opening)
        if opened or (self.open and not row[0]):
            log(Event.SPOOL_OPENED if opened else Event.SPOOL_CLOSED, opening=row[1])
        if opened:
            self._settled = time.monotonic() + SETTLE_S
        self.open, self.opening, self.since, self.depth = row
        self._seen = self._asked = began
        self._metrics.spool_open.set(self.open)
        self._metrics.spool_records.set(self.depth)

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        self._connection = None


async def _state(connection: AsyncConnection, query: bytes) -> tuple[bool, int, object, int]:
    row = await (await connection.execute(query)).fetchone()
    if row is None:
        raise psycopg.DataError("the table spool_state is empty: the migration was not completed")
    open_, opening, since, depth = row
    return open_, opening, since, depth
