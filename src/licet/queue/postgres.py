"""The log in PostgreSQL: the embedded default, in three tables of the store's own database.

Who appends locks the partition's row until the commit, so offsets rise in commit order without gaps, and all below
``queue_partition.next_offset`` is committed. A reader leases partitions with advisory locks of its session. Both
sides need a session of their own: not through a pooler that shares sessions between transactions.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psycopg

from licet.database import AsyncConnection, cut, named_queries, reader_conninfo, writer_conninfo
from licet.queue.message import Message, Position, pack_headers
from licet.queue.partitioner import partition_of
from licet.queue.pending import PendingAppend, PendingAppends
from licet.queue.ports import AppendFailed, LogUnavailable

MAX_BYTES = 1_000_000  # of key, value and headers; Kafka's own default limit, so that both logs take the same
GROUP_ROWS = 1000
GROUP_BYTES = 4_000_000
_log = logging.getLogger(__name__)


def log_name(url: str) -> str:
    """Read the log's name in the ledger, ``postgres@`` and the id that its migration gave it."""
    queries = named_queries("licet.queue", "queries.sql")
    with psycopg.connect(reader_conninfo(url, application="licet"), autocommit=True) as connection:
        return name_of(connection.execute(queries["log_id"]).fetchone())


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
        self.name = name
        self._timeout = timeout
        self._pending = PendingAppends(timeout)
        self._opening = opening
        self._queries = named_queries("licet.queue", "queries.sql")
        self._rows: deque[_Row] = deque()
        self._probes: list[asyncio.Future[str | None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._connection: AsyncConnection | None = None
        self._open = True

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        """Append; the position is returned after the commit that holds it."""
        if not self._open:
            return [AppendFailed("the log is closed")] * len(messages)
        loop = asyncio.get_running_loop()
        call = PendingAppend(len(messages), loop)
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
        return await self._pending.wait(call, loop.time() + self._timeout)

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
            if not done and self._connection is not None:
                cut(self._connection)
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
            failure = f"PostgreSQL: {said(error)}"
            for row in group:
                row.call.settle(row.index, AppendFailed(f"{failure}; the message may be written all the same"))
            return failure
        return None

    async def _commit_parts(self, group: list[_Row], error: psycopg.Error) -> str | None:
        """Halve a group until the bad message stands alone; order within a partition is kept."""
        if len(group) == 1:
            group[0].call.settle(group[0].index, AppendFailed(f"not written: {said(error)}", permanent=True))
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

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        self._connection = None


def _judges_data(error: psycopg.Error) -> bool:
    """Tell whether PostgreSQL refused what a message holds (classes 22 and 23, or a trigger's own P0001)."""
    return (error.sqlstate or "").startswith(("22", "23", "P0"))


def name_of(row: tuple[Any, ...] | None) -> str:
    """Return the log's name in the ledger, by the row that ``log_id`` found."""
    if row is None:
        raise LogUnavailable("the queue's tables are empty: the migration was not completed")
    return f"postgres@{row[0]}"


def said(error: psycopg.Error) -> str:
    """Return the first line of an error."""
    return (error.diag.message_primary or str(error) or type(error).__name__).splitlines()[0]
