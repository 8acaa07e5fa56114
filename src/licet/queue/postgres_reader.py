"""The worker's side of the log in PostgreSQL; see ``queue/postgres.py``."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg

from licet.database import Connection, named_queries, reader_conninfo
from licet.queue.leases import Leases
from licet.queue.message import PARTITIONS, Record, unpack_headers
from licet.queue.ports import Extent, Held, LogGap, LogUnavailable, Positions
from licet.queue.postgres import name_of, said

SURVEY_S = 0.5  # how often a reader looks who else reads: the time in which it takes over from a dead one
TRIM_S = 5.0
TRIM_ROWS = 5000
_log = logging.getLogger(__name__)


class PostgresReader(Held):
    """``LogReader`` in PostgreSQL. The readers share the partitions: each leases at most ceil(12 / readers).

    A lease is an advisory lock of the reader's session and ends with it.
    """

    def __init__(self, url: str, positions: Positions) -> None:
        super().__init__("postgres", positions)
        self._conninfo = reader_conninfo(url, application="licet queue reader")
        self._queries = named_queries("licet.queue", "queries.sql")
        self._connection: Connection | None = None
        self._leases = Leases(self._queries)
        self._stale = False
        self._ends: dict[int, int] = {}
        self._start: dict[int, int] = {}  # the first record kept, as far as this reader knows
        self._committed: dict[int, int] = {}
        self._survey_at = self._trim_at = 0.0

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
            self.close()
            raise LogUnavailable(f"PostgreSQL: {said(error)}") from error

    def refresh(self) -> None:
        """Ask the store again where the partitions stand, before the next read."""
        self._stale = True

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
            _log.warning("the queue was not trimmed: %s", said(error))

    def lag(self) -> Mapping[int, int]:
        """Count by the ends that the last poll saw."""
        return {partition: max(0, self._ends[partition] - at) for partition, at in self._reading().items()}

    def close(self) -> None:
        """End the session, and with it the leases."""
        self._forget(list(self._next))
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            self._connection = connection
            self.name = name_of(connection.execute(self._queries["log_id"]).fetchone())
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
        new = sorted(self._leases.held if self._stale else self._leases.held - self._next.keys())
        if not new:
            return
        known = self._positions(self.name, new)
        for partition, first, end in connection.execute(self._queries["extents"], {"partitions": new}).fetchall():
            self._next[partition] = known.get(partition, first)
            self._start[partition], self._ends[partition] = first, end
        self._stale = False

    def _read(self, connection: Connection, limit: int) -> list[Record]:
        """Read the ends, then exactly the ranges below them that fit the limit, up to a record that is not there."""
        following = self._reading()
        self._ends.update(connection.execute(self._queries["ends"], {"partitions": list(following)}).fetchall())
        for partition, at in following.items():
            if not self._start[partition] <= at <= self._ends[partition]:
                raise LogGap(partition, at, self._start[partition], self._ends[partition])
        ranges = _ranges(following, self._ends, limit)
        if not ranges:
            return []
        rows = connection.execute(self._queries["read"], _arrays(ranges), binary=True).fetchall()
        records = []
        for partition, offset, key, value, headers, at in rows:
            if offset == following[partition]:
                following[partition] += 1
                records.append(Record(self.name, partition, offset, key, value, unpack_headers(headers), at))
        for partition, (start, stop) in ranges.items():
            if following[partition] == start:
                first = next((row[1] for row in rows if row[0] == partition), stop)
                raise LogGap(partition, start, first, self._ends[partition])
        self._next.update(following)
        return records

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


class PostgresSurvey:
    """``LogSurvey`` in PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._conninfo = reader_conninfo(url, application="licet queue survey", timeout_ms=60_000)
        self._queries = named_queries("licet.queue", "queries.sql")

    def extents(self) -> tuple[str, Mapping[int, Extent]]:
        """Return the log's name in the ledger and what each partition holds."""
        name = name_of(self._ask("log_id")[0])
        rows = self._ask("extents", partitions=list(range(PARTITIONS)))
        return name, {partition: Extent(first, end) for partition, first, end in rows}

    def count(self, partition: int, start: int, stop: int) -> int:
        """Count the records of a range."""
        found: int = self._ask("count", partition=partition, start=start, stop=stop)[0][0]
        return found

    def _ask(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        try:
            with psycopg.connect(self._conninfo, autocommit=True) as connection:
                return connection.execute(self._queries[query], parameters).fetchall()
        except psycopg.Error as error:
            raise LogUnavailable(f"PostgreSQL: {said(error)}") from error
