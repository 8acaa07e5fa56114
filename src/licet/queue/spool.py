"""The log of a deployment with Kafka: changes go to Kafka, and while Kafka is away or slow into PostgreSQL.

The spool is the PostgreSQL log itself (``queue/postgres.py``); ``queue/drain.py`` brings it to Kafka. What is promised:
a change that arrives after another one's confirmation follows it, at whichever door. So the spool is open for all doors
or for none (``queue/spool_state.py``), and all that come while it is open wait in it, in order.

A door that is cut off from PostgreSQL goes by what it last knew, and produces. Then the promise does not hold towards
a door that is cut off from Kafka at the same time.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from licet.observe.metrics import Metrics
from licet.queue.drain import Drainer
from licet.queue.message import Message, Position, Spooled
from licet.queue.ports import AppendFailed, ChangeLog
from licet.queue.spool_state import TRUST_S, SpoolState

# Shares of the time-out. Kafka's is the first wait: when it is over, the change must still be spooled in time.
KAFKA_SHARE = 0.375
OPEN_SHARE = SPOOL_SHARE = 0.2
Results = list[Position | AppendFailed]


class SpoolLog:
    """``ChangeLog`` over Kafka and the spool. What the spool holds is a ``Spooled``.

    ``kafka`` and ``spool`` end their own waits within their shares of ``timeout`` (s).
    """

    def __init__(
        self,
        kafka: ChangeLog,
        spool: ChangeLog,
        state: SpoolState,
        drainer: Drainer,
        metrics: Metrics,
        *,
        timeout: float = 4.0,
    ) -> None:
        self.name = kafka.name  # the spool's records end there
        self._kafka = kafka
        self._spool = spool
        self._state = state
        self._drainer = drainer
        self._timeout = timeout
        self._spooled = metrics.changes_spooled
        self._tasks: list[asyncio.Task[None]] = []
        self._open = True

    def start(self) -> None:
        """Begin to follow the state and to drain, in the running event loop."""
        self._tasks = [asyncio.create_task(self._state.follow()), asyncio.create_task(self._drainer.run())]

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        """Append to Kafka, or to the spool while that is open; what Kafka does not confirm in time opens it.

        A change that is spooled after it was sent may reach Kafka twice, under one event id.
        """
        direct = self._state.fresh and not self._state.open and self._open
        if direct:
            results = await self._kafka.append(messages)
            if not _unconfirmed(results):
                return results
            held = list(results)
        else:
            held = [AppendFailed("neither Kafka nor PostgreSQL took it in time" if self._open else "the log is closed")]
            held *= len(messages)
        if self._open:
            with contextlib.suppress(TimeoutError):  # what is not confirmed by then has failed
                async with asyncio.timeout(self._timeout * (1 - KAFKA_SHARE if direct else 1)):
                    await self._hold(messages, held, tried=direct)
            if any(isinstance(result, Spooled) for result in held):
                await self._state.settled()
        return held

    async def ready(self) -> str | None:
        """Ready where either takes messages: PostgreSQL, or Kafka while the spool is closed as far as is known."""
        if not self._open:
            return "the log is closed"
        await self._state.read(TRUST_S)
        if self._state.away is None:
            return await self._spool.ready()
        kafka = await self._kafka.ready()
        return self._state.away if self._state.open or kafka is not None else None

    async def standing(self) -> str | None:
        """Say where changes go, for ``/readyz``; this is never a reason to wait."""
        state = self._state
        if state.open:
            return f"ok: open since {state.since}, {state.depth} changes wait for Kafka"
        return f"ok: closed as last known; {state.away}" if state.away else "ok: closed"

    async def close(self) -> None:
        """End the tasks, then close the logs."""
        self._open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # they log what ails them, and end by this alone
        await asyncio.gather(self._kafka.close(), self._spool.close(), self._drainer.close())

    async def _hold(self, messages: Sequence[Message], held: Results, *, tried: bool) -> None:
        """Get every message confirmed that is not: each turn by the way that the state names."""
        state = self._state
        await state.read(TRUST_S)
        for _ in range(4):
            if not state.open and not tried:
                tried = True
                await self._send(self._kafka, messages, held)
            elif state.open or await state.begin(self._timeout * OPEN_SHARE):
                tried = False
                await self._send(self._spool, messages, held)
                if _unconfirmed(held):
                    # Refused: the spool was closed, or closed and opened again, since this door looked.
                    await state.read(0)
            else:
                return
            if not _unconfirmed(held) or (state.open and state.away is not None):
                return

    async def _send(self, log: ChangeLog, messages: Sequence[Message], held: Results) -> None:
        todo = [index for index, result in enumerate(held) if _failed(result)]
        results = await log.append([messages[index] for index in todo])
        for index, result in zip(todo, results, strict=True):
            if log is self._spool and isinstance(result, Position):
                self._spooled.inc()
                held[index] = Spooled(result.partition, result.offset)
            else:
                held[index] = result


def _failed(result: Position | AppendFailed) -> bool:
    return type(result) is AppendFailed and not result.permanent


def _unconfirmed(results: Sequence[Position | AppendFailed]) -> bool:
    return any(map(_failed, results)) if len(results) > 1 else bool(results) and _failed(results[0])
