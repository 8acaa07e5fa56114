"""Brings the spool to Kafka once it is back: in order, one drainer at a time, whichever process comes first."""

import asyncio
import contextlib
import random

import psycopg

from licet.database import AsyncConnection, named_queries, writer_conninfo
from licet.domain.errors import InvalidInput
from licet.observe.log import Event, log
from licet.observe.metrics import Metrics
from licet.queue.message import Message, Record, read_envelope, unpack_headers
from licet.queue.ports import AppendFailed, ChangeLog
from licet.queue.spool_state import PERIOD_S, SpoolState

LOCK = {"lock_class": 0x6C696371, "drainer": 10_001}  # beside the readers' leases (queue/leases.py)
GROUP = 40  # records of each partition at a time: at most 120 MB
# Doors wait while the last records are sent under the exclusive lock; then they get their turn again.
CLOSE_LIMIT_S = 1.0
# Kafka's client keeps the order of what it retries, not of what it gives up: so it gives up late.
GIVE_UP_S = 30.0


class Drainer:
    """Runs in every door's process. ``kafka`` is a log of its own, with the time-out ``GIVE_UP_S``.

    Records are deleted once Kafka has them. One that is sent and not deleted (a crash between the two) is sent again
    under the same event id, and never before one that stood ahead of it: the first to arrive of each keep their order.
    """

    def __init__(self, url: str, kafka: ChangeLog, state: SpoolState, metrics: Metrics) -> None:
        self._conninfo = writer_conninfo(url, application="licet drainer")
        self._kafka = kafka
        self._state = state
        self._drained = metrics.spool_drained
        self._queries = named_queries("licet.queue", "spool.sql")
        self._waits: str | None = None
        self._sent = 0

    async def run(self) -> None:
        """Drain whenever the spool is open, until cancelled."""
        while True:
            if not self._state.open:
                self._waits = None
                await asyncio.sleep(PERIOD_S)
                continue
            try:
                waits = await self._kafka.ready() or await self._lead()
            except Exception as error:  # noqa: BLE001 whatever ails it, the spool must be drained at last
                waits = f"{type(error).__name__}: {error}".partition("\n")[0]
            if waits is not None and self._waits is None:
                log(Event.DRAIN_WAITS, reason=waits)
            self._waits = waits
            await asyncio.sleep(random.uniform(0.5, 1.5) * PERIOD_S)  # noqa: S311 so that no door always leads

    async def close(self) -> None:
        """Let go of Kafka. What is in flight is in the spool as well."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._kafka.close(), 1.0)

    async def _lead(self) -> str | None:
        """Drain and close the spool, unless another process does; says what is in the way."""
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            led = await (await connection.execute(self._queries["lead"], LOCK)).fetchone()
            if not led or not led[0]:
                return None
            waits, self._sent = None, 0
            while waits is None and self._state.open:
                records = await self._spooled(connection)
                if len(records) < GROUP:
                    waits = await self._close(connection)
                else:
                    waits = await self._forward(connection, records)
            log(Event.DRAINED, changes=self._sent)
            return waits

    async def _close(self, connection: AsyncConnection) -> str | None:
        """Send the rest while no door can add to it, and close the spool."""
        async with asyncio.timeout(CLOSE_LIMIT_S), connection.transaction():
            await connection.execute(self._queries["hold"])
            while records := await self._spooled(connection):
                waits = await self._forward(connection, records)
                if waits is not None:
                    return waits
            await connection.execute(self._queries["close"])
        await self._state.read(0)
        return None

    async def _spooled(self, connection: AsyncConnection) -> list[Record]:
        rows = await (await connection.execute(self._queries["spooled"], {"limit": GROUP}, binary=True)).fetchall()
        return [
            Record("spool", partition, offset, key, value, unpack_headers(headers), appended_at=None)
            for partition, offset, key, value, headers in rows
        ]

    async def _forward(self, connection: AsyncConnection, records: list[Record]) -> str | None:
        """Send records and delete those acknowledged, in each partition up to the first that was not."""
        results = await self._kafka.append([_message(record) for record in records])
        stops: dict[int, int] = {}
        failed: dict[int, str] = {}
        for record, result in zip(records, results, strict=True):
            if isinstance(result, AppendFailed):
                failed.setdefault(record.partition, f"{record.place}: {result.reason}")
            elif record.partition not in failed:
                stops[record.partition] = record.offset + 1
                self._sent += 1
                self._drained.inc()
        sent = {"partitions": list(stops), "stops": list(stops.values())}
        await connection.execute(self._queries["forget"], sent)
        return next(iter(failed.values()), None)


def _message(record: Record) -> Message:
    """Make the message anew that the door appended. Raises ``InvalidInput`` for what no door wrote."""
    envelope = read_envelope(record)
    if record.key is None or record.value is None:
        raise InvalidInput(f"{record.place}: no change that a door spooled")
    return Message(
        key=record.key.decode(),
        value=record.value,
        event_id=envelope.event_id,
        source=envelope.source,
        received_at=envelope.received_at,
        traceparent=envelope.traceparent,
        replay_of="/".join(map(str, envelope.replay_of)) if envelope.replay_of else None,
        compared_at="/".join(map(str, envelope.compared_at)) if envelope.compared_at else None,
    )
