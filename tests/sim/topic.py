"""The log in memory: a topic, the group that reads it, and both sides of ``queue/ports.py``.

It passes the ports' conformance suite (tests/queue). What a network does to it is the matter of its ``Link``.
"""

import asyncio
import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from licet.queue.message import PARTITIONS, Message, Position, Record
from licet.queue.partitioner import partition_of
from licet.queue.pending import PendingAppend, PendingAppends
from licet.queue.ports import AppendFailed, Extent, LogGap, LogUnavailable, Positions

MAX_BYTES = 1_000_000
Result = Position | AppendFailed


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Topic:
    """What the brokers hold. ``down``: they answer nobody. ``members`` share the partitions, in order of joining."""

    def __init__(self, name: str = "memory", clock: Callable[[], dt.datetime] = now, *, waits: bool = True) -> None:
        self.name = name
        self.clock = clock
        self.waits = waits
        self.down = False
        self.records: list[list[Record]] = [[] for _ in range(PARTITIONS)]
        self.members: list[object] = []
        self.generation = 0
        self.changed = threading.Condition()

    def write(self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> Position:
        """Append any bytes at all and say where they stand."""
        with self.changed:
            partition = partition_of(key or b"")
            offset = len(self.records[partition])
            self.records[partition].append(
                Record(
                    log=self.name,
                    partition=partition,
                    offset=offset,
                    key=key,
                    value=value,
                    headers=list(headers),
                    appended_at=self.clock(),
                )
            )
            self.changed.notify_all()
        return Position(partition, offset)

    def join(self, member: object) -> None:
        """Let a reader into the group; everyone's partitions are dealt anew."""
        self.members.append(member)
        self.generation += 1

    def leave(self, member: object) -> None:
        """Let a reader go, or throw it out."""
        if member in self.members:
            self.members.remove(member)
            self.generation += 1

    def share_of(self, member: object) -> list[int]:
        """Return a member's partitions: as even as can be, in one range."""
        count, rank = len(self.members), self.members.index(member)
        return list(range(PARTITIONS * rank // count, PARTITIONS * (rank + 1) // count))


class Link(Protocol):
    """What lies between a door and the brokers."""

    def carry(self, key: str, write: Callable[[], Position], settle: Callable[[Result], None], /) -> None:
        """Have a message of this key written, now, later or never; say what the door hears of it, or nothing."""
        ...


class PerfectLink:
    """Writes at once and says so."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    def carry(self, _key: str, write: Callable[[], Position], settle: Callable[[Result], None]) -> None:
        result = AppendFailed("the brokers are down") if self._topic.down else write()
        asyncio.get_running_loop().call_soon(settle, result)


class MemoryLog:
    """``ChangeLog`` on a topic in memory."""

    def __init__(self, topic: Topic, link: Link | None = None, *, timeout: float = 4.0) -> None:
        self._topic = topic
        self._link = link or PerfectLink(topic)
        self._timeout = timeout
        self._pending = PendingAppends(timeout)
        self._open = True

    @property
    def name(self) -> str:
        return self._topic.name

    async def append(self, messages: Sequence[Message]) -> Sequence[Result]:
        if not self._open:
            return [AppendFailed("the log is closed")] * len(messages)
        if not messages:
            return []
        loop = asyncio.get_running_loop()
        call = PendingAppend(len(messages), loop)
        for index, message in enumerate(messages):
            refused = _refuses(message)
            if refused is not None:
                call.settle(index, refused)
            else:
                self._link.carry(message.key, partial(self._write, message), partial(call.settle, index))
        return await self._pending.wait(call, loop.time() + self._timeout)

    async def ready(self) -> str | None:
        if not self._open:
            return "the log is closed"
        return "the brokers are down" if self._topic.down else None

    async def close(self) -> None:
        self._open = False

    def _write(self, message: Message) -> Position:
        return self._topic.write(message.key.encode(), message.value, message.headers())


def _refuses(message: Message) -> AppendFailed | None:
    try:
        size = len(message.key.encode()) + len(message.value) + sum(len(n) + len(v) for n, v in message.headers())
    except UnicodeEncodeError as error:
        return AppendFailed(f"not written: {error}", permanent=True)
    return AppendFailed(f"{size} bytes, more than {MAX_BYTES}", permanent=True) if size > MAX_BYTES else None


class MemoryReader:
    """``LogReader`` on a topic in memory, by Kafka's eager protocol: who is dealt anew gives up all first.

    ``order`` puts the partitions held in the order in which a poll looks at them.
    """

    def __init__(
        self, topic: Topic, positions: Positions, order: Callable[[list[int]], list[int]] = lambda held: held
    ) -> None:
        self._topic = topic
        self._positions = positions
        self._order = order
        self._held: frozenset[int] = frozenset()
        self._next: dict[int, int] = {}
        self._granted: list[int] | None = None
        self._generation = -1

    @property
    def name(self) -> str:
        return self._topic.name

    @property
    def assigned(self) -> frozenset[int]:
        return self._held

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        deadline = time.monotonic() + timeout
        with self._topic.changed:
            while True:
                if self._topic.down:
                    raise LogUnavailable("the brokers are down")
                self._follow()
                records = self._read(limit)
                wait = deadline - time.monotonic() if self._topic.waits else 0.0
                if records or wait <= 0:
                    return records
                self._topic.changed.wait(wait)

    def refresh(self) -> None:
        self._granted = self._granted or sorted(self._held)

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Nobody looks."""

    def lag(self) -> Mapping[int, int]:
        return {partition: max(0, len(self._topic.records[partition]) - at) for partition, at in self._next.items()}

    def close(self) -> None:
        self._topic.leave(self)

    def _follow(self) -> None:
        """Take the partitions that the group deals, and start them where the store stands."""
        if self not in self._topic.members:
            self._topic.join(self)
        if self._generation != self._topic.generation:
            self._held, self._next = frozenset(), {}
            self._granted = self._topic.share_of(self)
            self._generation = self._topic.generation
        if self._granted is not None:
            known = self._positions(self.name, self._granted)
            starts = {partition: known.get(partition, 0) for partition in self._granted}
            self._next = {partition: at for partition, at in starts.items() if at is not None}
            for partition, at in self._next.items():
                end = len(self._topic.records[partition])
                if at > end:
                    self._next = {}
                    raise LogGap(partition, at, 0, end)
            self._held, self._granted = frozenset(self._granted), None

    def _read(self, limit: int) -> list[Record]:
        records: list[Record] = []
        for partition in self._order(list(self._next)):
            at = self._next[partition]
            some = self._topic.records[partition][at : at + limit - len(records)]
            records += some
            self._next[partition] = at + len(some)
        return records


class MemorySurvey:
    """``LogSurvey`` of a topic in memory."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    def extents(self) -> tuple[str, Mapping[int, Extent]]:
        return self._topic.name, {number: Extent(0, len(held)) for number, held in enumerate(self._topic.records)}

    def count(self, partition: int, start: int, stop: int) -> int:
        return len(self._topic.records[partition][start:stop])
