"""The log in PostgreSQL: the embedded default, in three tables of the store's own database.

Who appends locks the partition's row until the commit, so offsets rise in commit order without gaps, and all below
``queue_partition.next_offset`` is committed. A reader leases partitions with advisory locks of its session. Both
sides need a session of their own: not through a pooler that shares sessions between transactions.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
import psycopg

from licet.database import AsyncConnection, Connection, cut, named_queries, reader_conninfo, writer_conninfo
from licet.queue.leases import Leases
from licet.queue.message import Message, Position, Record, pack_headers, unpack_headers
from licet.queue.partitioner import partition_of
from licet.queue.pending import PendingAppend
from licet.queue.ports import AppendFailed, LogGap, LogUnavailable, Positions

MAX_BYTES = 1_000_000  # of key, value and headers; Kafka's own default limit, so that both logs take the same
GROUP_ROWS = 1000
GROUP_BYTES = 4_000_000
SURVEY_S = 0.5  # how often a reader looks who else reads: the time in which it takes over from a dead one
TRIM_S = 5.0
TRIM_ROWS = 5000
_log = logging.getLogger(__name__)


def log_name(url: str) -> str:
    """Read the log's name in the ledger, ``postgres:`` and the id that its migration gave it."""
    queries = named_queries("licet.queue", "queries.sql")
    with psycopg.connect(reader_conninfo(url, application="licet"), autocommit=True) as connection:
        return _name(connection.execute(queries["log_id"]).fetchone())


class _Row(msgspec.Struct, frozen=True):
    """A message on its way into the table."""

    call: PendingAppend
    index: int
    partition: int
    key: bytes
    value: bytes
    headers: bytes

    @property
    def size(self) -> int:
        return len(self.key) + len(self.value) + len(self.headers)


class PostgresLog:
    """``ChangeLog`` in PostgreSQL, with group commit: what comes while a commit is under way shares the next one.

    Used from one event loop. ``name`` is what ``log_name`` returned. ``opening`` makes it the spool of an outage
    (``queue/spool.py``): an append fails unless the spool stands open in the opening that it returns.
    """

    def __init__(self, url: str, name: str, *, timeout: float = 4.0, opening: Callable[[], int] | None = None) -> None:
        self._conninfo = writer_conninfo(url, application="licet queue")
        self._name = name
        self._timeout = timeout
        self._opening = opening
        self._queries = named_queries("licet.queue", "queries.sql")
        self._rows: deque[_Row] = deque()
        self._probes: list[asyncio.Future[str | None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._connection: AsyncConnection | None = None
        self._open = True

    @property
    def name(self) -> str:
        """``postgres:`` and the log's id."""
        return self._name

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        """Append; the position is returned after the commit that holds it."""
        if not self._open:
            return [AppendFailed("the log is closed")] * len(messages)
        call = PendingAppend(len(messages))
        for index, message in enumerate(messages):
            try:
                key = message.key.encode()
                row = _Row(call, index, partition_of(key), key, message.value, pack_headers(message.headers()))
            except UnicodeEncodeError as error:
                call.settle(index, AppendFailed(f"not written: {error}", permanent=True))
                continue
            if row.size > MAX_BYTES:
                call.settle(index, AppendFailed(f"{row.size} bytes, more than {MAX_BYTES}", permanent=True))
            else:
                self._rows.append(row)
        self._wake()
        return await call.wait(self._timeout)

    async def ready(self) -> str | None:
        """Ask the database through the appending connection, behind the groups that wait there."""
        if not self._open:
            return "the log is closed"
        probe: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._probes.append(probe)
        self._wake()
        done, _ = await asyncio.wait({probe}, timeout=self._timeout)
        return probe.result() if done else f"PostgreSQL does not answer within {self._timeout:g} s"

    async def close(self) -> None:
        """Commit what waits, then close the connection."""
        self._open = False
        if self._writer is not None:
            await self._writer
        await self._drop()

    def _wake(self) -> None:
        if (self._rows or self._probes) and (self._writer is None or self._writer.done()):
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._rows or self._probes:
            probes, self._probes = self._probes, []
            work = asyncio.create_task(self._commit(self._next_group()))
            done, _ = await asyncio.wait({work}, timeout=self._timeout)
            if not done:
                self._cut()
            failure = await work
            for probe in probes:
                if not probe.done():
                    probe.set_result(failure)

    def _next_group(self) -> list[_Row]:
        group: list[_Row] = []
        size = 0
        while self._rows and len(group) < GROUP_ROWS and size < GROUP_BYTES:
            group.append(self._rows.popleft())
            size += group[-1].size
        return group

    async def _commit(self, group: list[_Row]) -> str | None:
        """Write a group and settle each of its messages; return what PostgreSQL lacks, or None."""
        group = [row for row in group if not row.call.over]  # the others were reported as failed, and come again
        try:
            for row, position in zip(group, await self._insert(group), strict=True):
                row.call.settle(row.index, position)
        except psycopg.Error as error:
            if _judges_data(error):
                return await self._commit_parts(group, error)
            await self._drop()
            said = f"PostgreSQL: {_said(error)}"
            for row in group:
                row.call.settle(row.index, AppendFailed(f"{said}; the message may be written all the same"))
            return said
        return None

    async def _commit_parts(self, group: list[_Row], error: psycopg.Error) -> str | None:
        """Halve a group until the bad message stands alone; order within a partition is kept."""
        if len(group) == 1:
            group[0].call.settle(group[0].index, AppendFailed(f"not written: {_said(error)}", permanent=True))
            return None
        middle = len(group) // 2
        first, second = await self._commit(group[:middle]), await self._commit(group[middle:])
        return first or second

    async def _insert(self, group: list[_Row]) -> list[Position]:
        connection = await self._connected()
        if not group:
            await connection.execute(self._queries["log_id"])
            return []
        counts: Counter[int] = Counter()
        ranks = []
        for row in group:
            ranks.append(counts[row.partition])
            counts[row.partition] += 1
        rows: dict[str, list[Any]] = {
            "partitions": [row.partition for row in group],
            "ranks": ranks,
            "keys": [row.key for row in group],
            "values": [row.value for row in group],
            "headers": [row.headers for row in group],
        }
        partitions = {"partitions": list(counts), "counts": list(counts.values())}
        async with connection.pipeline(), connection.transaction():
            if self._opening is not None:
                await connection.execute(self._queries["pass_gate"], {"opening": self._opening()})
            locked = await connection.execute(self._queries["lock_partitions"], partitions)
            await connection.execute(self._queries["insert_records"], rows)
            await connection.execute(self._queries["move_partitions"], partitions)
        first: dict[int, int] = dict(await locked.fetchall())
        return [Position(row.partition, first[row.partition] + rank) for row, rank in zip(group, ranks, strict=True)]

    async def _connected(self) -> AsyncConnection:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
            await self._connection.execute(self._queries["durable"])
        return self._connection

    def _cut(self) -> None:
        if self._connection is not None:
            cut(self._connection)

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        self._connection = None


class PostgresReader:
    """``LogReader`` in PostgreSQL. The readers share the partitions: each leases at most ceil(12 / readers).

    ``name`` is what ``log_name`` returned. A lease is an advisory lock of the reader's session and ends with it.
    """

    def __init__(self, url: str, name: str, positions: Positions) -> None:
        self._conninfo = reader_conninfo(url, application="licet queue reader")
        self._name = name
        self._positions = positions
        self._queries = named_queries("licet.queue", "queries.sql")
        self._connection: Connection | None = None
        self._leases = Leases(self._queries)
        self._next: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._start: dict[int, int] = {}  # the first record kept, as far as this reader knows
        self._committed: dict[int, int] = {}
        self._survey_at = self._trim_at = 0.0

    @property
    def name(self) -> str:
        """``postgres:`` and the log's id."""
        return self._name

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that this reader holds now."""
        return frozenset(self._next)

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Return what is there, up to ``limit``; an append wakes a waiting poll within milliseconds."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                connection = self._connected()
                if time.monotonic() >= self._survey_at:
                    self._survey(connection)
                self._place(connection)
                records = self._read(connection, limit)
                now = time.monotonic()
                if records or now >= deadline:
                    return records
                wait = max(0, min(deadline, self._survey_at) - now)
                list(connection.notifies(timeout=wait, stop_after=1))
        except psycopg.Error as error:
            self._drop()
            raise LogUnavailable(f"PostgreSQL: {_said(error)}") from error

    def seek(self, partition: int, offset: int) -> None:
        """Read the partition from ``offset`` on."""
        self._next[partition] = offset

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Note what is applied, and delete it now and then; a failure to delete is logged and made up for later."""
        self._committed.update({partition: offset for partition, offset in offsets.items() if partition in self._next})
        done = sum(offset - self._start[partition] for partition, offset in self._committed.items())
        if self._connection is None or (done < TRIM_ROWS and time.monotonic() < self._trim_at):
            return
        self._trim_at = time.monotonic() + TRIM_S
        try:
            self._trim(self._connection)
        except psycopg.Error as error:
            _log.warning("the queue was not trimmed: %s", _said(error))

    def lag(self) -> Mapping[int, int]:
        """Count by the ends that the last poll saw."""
        return {partition: max(0, self._ends[partition] - at) for partition, at in self._next.items()}

    def close(self) -> None:
        """End the session, and with it the leases."""
        self._drop()

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            self._connection = connection
            name = _name(connection.execute(self._queries["log_id"]).fetchone())
            if name != self._name:
                self._drop()
                raise LogGap(f"the database holds the log {name}, no longer {self._name}")
            connection.execute(self._queries["limit_silence"])
            connection.execute(self._queries["listen"])
            self._leases.join(connection)
            self._survey_at = 0.0
        return self._connection

    def _survey(self, connection: Connection) -> None:
        list(connection.notifies(timeout=0))  # a reader that is never idle would heap them up
        surplus = self._leases.share(connection)
        if surplus:
            self._forget(surplus)
            self._leases.back(connection, surplus)
        self._survey_at = time.monotonic() + SURVEY_S

    def _place(self, connection: Connection) -> None:
        """Start the partitions newly leased where the store stands. The lease comes first, then the question."""
        new = sorted(self._leases.held - self._next.keys())
        if not new:
            return
        known = self._positions(new)
        for partition, first, end in connection.execute(self._queries["extents"], {"partitions": new}).fetchall():
            at = known.get(partition, first)
            if not first <= at <= end:
                raise LogGap(f"{self._name}, partition {partition}: the next offset is {at}, the log has {first}-{end}")
            self._next[partition], self._start[partition], self._ends[partition] = at, first, end

    def _read(self, connection: Connection, limit: int) -> list[Record]:
        """Read the ends, then exactly the ranges below them that fit the limit."""
        held = {"partitions": list(self._next)}
        self._ends.update(connection.execute(self._queries["ends"], held).fetchall())
        ranges = _ranges(self._next, self._ends, limit)
        if not ranges:
            return []
        rows = connection.execute(self._queries["read"], _arrays(ranges), binary=True).fetchall()
        if len(rows) != sum(stop - start for start, stop in ranges.values()):
            raise LogGap(f"{self._name}: of the ranges {ranges} only {len(rows)} records are there")
        for partition, (_, stop) in ranges.items():
            self._next[partition] = stop
        return [_record(self._name, row) for row in rows]

    def _trim(self, connection: Connection) -> None:
        left = TRIM_ROWS
        stops = {}
        for partition, offset in self._committed.items():
            stop = min(offset, self._start[partition] + left)
            left -= max(0, stop - self._start[partition])
            if stop > self._start[partition]:
                stops[partition] = stop
        connection.execute(self._queries["trim"], _arrays({p: (self._start[p], stop) for p, stop in stops.items()}))
        self._start.update(stops)

    def _forget(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            for held in (self._next, self._ends, self._start, self._committed):
                held.pop(partition, None)

    def _drop(self) -> None:
        self._forget(list(self._next))
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _ranges(starts: Mapping[int, int], ends: Mapping[int, int], limit: int) -> dict[int, tuple[int, int]]:
    """Share a limit among the partitions that have records: the short ones whole, the long ones alike."""
    waiting = sorted((ends[partition] - at, partition) for partition, at in starts.items() if ends[partition] > at)
    ranges = {}
    for index, (count, partition) in enumerate(waiting):
        take = min(count, -(-limit // (len(waiting) - index)))
        limit -= take
        if take:
            ranges[partition] = (starts[partition], starts[partition] + take)
    return ranges


def _arrays(ranges: Mapping[int, tuple[int, int]]) -> dict[str, list[int]]:
    starts, stops = zip(*ranges.values(), strict=True) if ranges else ((), ())
    return {"partitions": list(ranges), "starts": list(starts), "stops": list(stops)}


def _record(log: str, row: tuple[Any, ...]) -> Record:
    partition, offset, key, value, headers, appended_at = row
    return Record(
        log=log,
        partition=partition,
        offset=offset,
        key=key,
        value=value,
        headers=unpack_headers(headers),
        appended_at=appended_at,
    )


def _judges_data(error: psycopg.Error) -> bool:
    """Tell whether PostgreSQL refused what a message holds (classes 22 and 23, or a trigger's own P0001)."""
    return (error.sqlstate or "").startswith(("22", "23", "P0"))


def _name(row: tuple[Any, ...] | None) -> str:
    return f"postgres:{_one(row)}"


def _one(row: tuple[Any, ...] | None) -> Any:
    if row is None:
        raise LogUnavailable("the queue's tables are empty: the migration was not completed")
    return row[0]


def _said(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error) or type(error).__name__).splitlines()[0]
