"""The spool's tables in memory, behind the sessions that ``SpoolState`` and ``Drainer`` open: their code runs as it is.

A session knows the queries of ``queue/spool.sql`` by name. One row says whether the spool is open; appends share its
lock, the drainer that closes holds it alone.
"""

import asyncio
import contextlib
import types
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

import psycopg

from licet.database import named_queries
from licet.queue.drain import GIVE_UP_S, Drainer
from licet.queue.message import Message, Position, pack_headers
from licet.queue.partitioner import partition_of
from licet.queue.pending import PendingAppend, PendingAppends
from licet.queue.ports import AppendFailed
from licet.queue.spool import KAFKA_SHARE, SPOOL_SHARE, SpoolLog
from licet.queue.spool_state import PERIOD_S, SpoolState
from sim.processes import METRICS, TIMEOUT_S, DoorLink
from sim.topic import MemoryLog, Result

if TYPE_CHECKING:
    from sim.world import World

LOCK_TIMEOUT_S = 2.0
Row = tuple[int, bytes, bytes, bytes]  # offset, key, value, headers
_NAMES = {query: name for name, query in named_queries("licet.queue", "spool.sql").items()}


class Tables:
    """``spool_state`` and ``queue_record``, and who holds which lock."""

    def __init__(self) -> None:
        self.open = False
        self.opening = 0
        self.records: dict[int, list[Row]] = {}
        self.next: dict[int, int] = {}
        self.appends = 0
        self.alone: Session | None = None
        self.leader: Session | None = None
        self.changed = asyncio.Event()

    @property
    def depth(self) -> int:
        return sum(map(len, self.records.values()))

    def insert(self, message: Message) -> Position:
        key = message.key.encode()
        partition = partition_of(key)
        offset = self.next.get(partition, 0)
        self.next[partition] = offset + 1
        row = (offset, key, message.value, pack_headers(message.headers()))
        self.records.setdefault(partition, []).append(row)
        return Position(partition, offset)

    def notify(self) -> None:
        """Wake who listens."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, free: Callable[[], bool]) -> None:
        """Wait for a lock. Raises as PostgreSQL does once its patience ends."""
        loop = asyncio.get_running_loop()
        end = loop.time() + LOCK_TIMEOUT_S
        while not free():
            if loop.time() > end:
                raise psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")
            await asyncio.sleep(0.005)


class Cursor:
    """The rows of an answer."""

    def __init__(self, rows: Sequence[Any] = ()) -> None:
        self._rows = rows

    async def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    async def fetchall(self) -> Sequence[Any]:
        return self._rows


class Session:
    """A session of one door with the database. In a transaction, nothing is kept before its end."""

    def __init__(self, world: "World", link: DoorLink) -> None:
        self._world, self._link, self._tables = world, link, world.tables
        self._forgotten: dict[int, int] | None = None
        self._closes = False
        self.closed = False

    async def execute(self, query: bytes, parameters: Mapping[str, Any] | None = None, **_: Any) -> Cursor:
        await self._world.reach_database(self._link)
        if self.closed:
            raise psycopg.OperationalError("the connection is closed")
        cursor = await getattr(self, f"_{_NAMES[query]}")(parameters or {})
        await self._world.reach_database(self._link)  # done, and perhaps nobody says so
        assert isinstance(cursor, Cursor)
        return cursor

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self._forgotten, self._closes = {}, False
        try:
            yield
            await self._world.reach_database(self._link)
            self._keep(self._forgotten)
            if self._closes:
                self._tables.open = False
                self._world.say("the spool is closed")
                self._tables.notify()
        finally:
            self._forgotten = None
            self._let_go()
        await self._world.reach_database(self._link)

    async def notifies(self, **limits: float) -> AsyncIterator[object]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._tables.changed.wait(), limits["timeout"])
            yield object()
        await self._world.reach_database(self._link)

    async def close(self) -> None:
        self.closed = True
        self._let_go()
        if self._tables.leader is self:
            self._tables.leader = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _let_go(self) -> None:
        if self._tables.alone is self:
            self._tables.alone = None

    async def _read(self, _: Mapping[str, Any]) -> Cursor:
        return Cursor([(self._tables.open, self._tables.opening, None, self._tables.depth)])

    async def _listen(self, _: Mapping[str, Any]) -> Cursor:
        return Cursor()

    async def _open(self, said: Mapping[str, Any]) -> Cursor:
        tables = self._tables  # an UPDATE passes by a row that is open, whoever has locked it
        if not tables.open and (tables.depth or not said["leftover"]):
            tables.open, tables.opening = True, tables.opening + 1
            self._world.say(f"the spool is opened, opening {tables.opening}")
            tables.notify()
        return Cursor()

    async def _lead(self, _: Mapping[str, Any]) -> Cursor:
        leader = self._tables.leader
        if leader is None or leader is self or leader.closed:
            self._tables.leader = self
        return Cursor([(self._tables.leader is self,)])

    async def _spooled(self, said: Mapping[str, Any]) -> Cursor:
        gone = self._forgotten or {}
        rows = [
            (partition, *row)
            for partition in sorted(self._tables.records)
            for row in [one for one in self._tables.records[partition] if one[0] >= gone.get(partition, 0)][
                : said["limit"]
            ]
        ]
        return Cursor(rows)

    async def _forget(self, said: Mapping[str, Any]) -> Cursor:
        stops = dict(zip(said["partitions"], said["stops"], strict=True))
        if self._forgotten is None:
            self._keep(stops)
        else:
            self._forgotten |= stops
        return Cursor()

    async def _hold(self, _: Mapping[str, Any]) -> Cursor:
        tables = self._tables
        await tables.until(lambda: tables.alone is None and not tables.appends)
        tables.alone = self
        return Cursor()

    async def _close(self, said: Mapping[str, Any]) -> Cursor:
        left = await self._spooled({"limit": 1, **said})
        self._closes = self._tables.open and not await left.fetchall()
        return Cursor()

    def _keep(self, stops: Mapping[int, int]) -> None:
        if stops:
            self._world.say(f"the spool lets go of {stops}")
        for partition, stop in stops.items():
            self._tables.records[partition] = [row for row in self._tables.records[partition] if row[0] >= stop]


class MemorySpool:
    """``ChangeLog`` of the spool, as ``PostgresLog`` with an opening is: refused unless it is open in that opening."""

    name = "spool"

    def __init__(self, world: "World", link: DoorLink, opening: Callable[[], int]) -> None:
        self._world, self._link, self._opening = world, link, opening
        self._turn = asyncio.Lock()
        self._pending = PendingAppends(TIMEOUT_S * SPOOL_SHARE)
        self._writes: set[asyncio.Task[None]] = set()

    async def append(self, messages: Sequence[Message]) -> Sequence[Result]:
        loop = asyncio.get_running_loop()
        call = PendingAppend(len(messages), loop)
        write = asyncio.create_task(self._write(messages, call))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        return await self._pending.wait(call, loop.time() + TIMEOUT_S * SPOOL_SHARE)

    async def ready(self) -> str | None:
        return "PostgreSQL is away" if self._world.store_down else None

    async def close(self) -> None:
        """There is nothing to close."""

    async def _write(self, messages: Sequence[Message], call: PendingAppend) -> None:
        """One transaction: pass the gate, insert, commit; a commit that is not heard of counts as failed."""
        tables = self._world.tables
        try:
            async with self._turn:
                if call.over:
                    return
                await self._world.reach_database(self._link)
                await tables.until(lambda: tables.alone is None)
                if not tables.open or tables.opening != self._opening():
                    raise psycopg.errors.RaiseException("the spool is closed")
                tables.appends += 1
                try:
                    await self._world.reach_database(self._link)
                    positions = [tables.insert(message) for message in messages]
                    self._world.say(f"spooled: {[message.event_id for message in messages]}")
                finally:
                    tables.appends -= 1
                await self._world.reach_database(self._link)
        except psycopg.Error as error:
            positions_or_not: list[Result] = [AppendFailed(f"PostgreSQL: {error}")] * len(messages)
        else:
            positions_or_not = list(positions)
        for index, result in enumerate(positions_or_not):
            call.settle(index, result)


def spool_log(world: "World", link: DoorLink, state: type[SpoolState] = SpoolState) -> SpoolLog:
    """Build what ``bootstrap`` builds for a door of a deployment with Kafka, and start it."""
    url = f"host=door{world.sessions(link)}"
    known = state(url, METRICS)
    patient = DoorLink(world, GIVE_UP_S)
    link.others.append(patient)
    log = SpoolLog(
        MemoryLog(world.topic, link, timeout=TIMEOUT_S * KAFKA_SHARE),
        MemorySpool(world, link, lambda: known.opening),
        known,
        Drainer(url, MemoryLog(world.topic, patient, timeout=GIVE_UP_S), known, METRICS),
        METRICS,
        timeout=TIMEOUT_S,
    )
    log.start()
    return log


@contextlib.contextmanager
def in_virtual_time(world: "World") -> Iterator[None]:
    """Give the spool's code the simulation's clock, dice and database for as long as the block runs."""

    async def connect(conninfo: str, **_: Any) -> Session:
        link = world.link_of(conninfo)
        await world.reach_database(link)
        return Session(world, link)

    clock = types.SimpleNamespace(monotonic=world.loop.time)
    with (
        mock.patch("licet.queue.spool_state.time", clock),
        # As rarely as the promise allows: what is late is found the sooner.
        mock.patch("licet.queue.spool_state.PAUSE_S", PERIOD_S),
        mock.patch("licet.consume.worker.time", clock),
        mock.patch("licet.queue.drain.random", world.dice),
        mock.patch("psycopg.AsyncConnection.connect", connect),
        mock.patch("licet.queue.spool_state.cut", lambda session: setattr(session, "closed", True)),
    ):
        yield
