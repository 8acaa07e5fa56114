"""The 202 at 100 changes/s while the broker is killed or hangs for 30 s, and how soon the spool is drained after."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

import psycopg
from tests.support import kafka

from benches.machine import Machine, eventually, licet_web, postgres
from benches.slow import PER_SECOND, steady
from benches.table import Row, Skipped, below, percentile

AWAY_S = 30
BAR_S = 10


def run(machine: Machine) -> list[Row]:
    """Measure both ways of being away."""
    lacking = kafka.lacking()
    if lacking is not None:
        raise Skipped(lacking)
    with (
        kafka.running_broker(machine.folder / "kafka") as broker,
        postgres(machine) as (url, _),
        licet_web(machine, url, kafka_brokers=broker.bootstrap) as (port, _),
    ):
        return [
            _measure("killed", url, port, broker.kill, broker.start),
            _measure("paused", url, port, broker.pause, broker.resume),
        ]


def _measure(what: str, url: str, port: int, break_: Callable[[], None], mend: Callable[[], None]) -> Row:
    async def drive() -> list[float]:
        posting = asyncio.create_task(steady(port, AWAY_S + 6))
        await asyncio.sleep(3)
        await asyncio.to_thread(break_)
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(mend)
        drained.append(await asyncio.to_thread(_drained, url))
        return await posting

    drained: list[float] = []
    taken = asyncio.run(drive())
    note = (
        f"{len(taken)} posts at {PER_SECOND}/s, all 202: p50 {percentile(taken, 0.5):.0f}, "
        f"p99 {percentile(taken, 0.99):.0f}, most {max(taken):.0f} ms"
    )
    return below(Row(what=f"spool drained after {AWAY_S} s {what}", measured=drained[0], unit="s", note=note), BAR_S)


def _drained(url: str) -> float:
    """Wait until the spool is closed; returns the seconds."""
    began = time.monotonic()
    with _rows(url) as ask:
        eventually(lambda: ask("SELECT NOT open AND NOT EXISTS (SELECT FROM queue_record) FROM spool_state"), "drained")
    return time.monotonic() - began


@contextlib.contextmanager
def _rows(url: str) -> Iterator[Callable[[str], bool]]:
    with psycopg.connect(url, autocommit=True) as connection:

        def ask(query: str) -> bool:
            row = connection.execute(query.encode()).fetchone()
            return row is not None and bool(row[0])

        yield ask
