"""The 202 at 100 changes/s while the broker is killed or hangs for 30 s, and how soon the spool is drained after.

And while PostgreSQL is killed: how soon the worker goes on after, and whether all is applied.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

import psycopg
from tests.support import kafka

from benches.machine import LICET, Machine, environment, eventually, licet_web, postgres, process
from benches.slow import PER_SECOND, steady
from benches.table import Row, Skipped, below, percentile
from chaos.database import running_database

AWAY_S = 30
BAR_S = 10
RESUMED_S = 5


def run(machine: Machine) -> list[Row]:
    """Measure both ways of Kafka's being away, then PostgreSQL's."""
    lacking = kafka.lacking()
    if lacking is not None:
        raise Skipped(lacking)
    with (
        kafka.running_broker(machine.folder / "kafka") as broker,
        postgres(machine) as (url, _),
        licet_web(machine, url, kafka_brokers=broker.bootstrap) as (port, _),
    ):
        rows = [
            _measure("killed", url, port, broker.kill, broker.start),
            _measure("paused", url, port, broker.pause, broker.resume),
        ]
    with kafka.running_broker(machine.folder / "kafka-2") as broker:
        return [*rows, _without_the_store(machine, broker.bootstrap)]


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


def _without_the_store(machine: Machine, brokers: str) -> Row:
    """Kill PostgreSQL under web and worker; returns the row of how soon the worker applies again after its return."""
    with running_database() as database, licet_web(machine, database.url, kafka_brokers=brokers) as (port, _):
        env = environment(database_url=database.url, kafka_brokers=brokers, metrics_port="0", log_level="error")
        resumed: list[float] = []

        async def drive() -> list[float]:
            posting = asyncio.create_task(steady(port, AWAY_S + 6))
            await asyncio.sleep(3)
            database.kill()
            await asyncio.sleep(AWAY_S)
            await asyncio.to_thread(database.start)
            resumed.append(await asyncio.to_thread(_applying, database.url))
            return await posting

        with process((*LICET, "worker"), machine.folder / "worker.log", cores=machine.others, env=env):
            taken = asyncio.run(drive())
            with _rows(database.url) as ask:
                eventually(lambda: ask(f"SELECT count(*) = {len(taken)} FROM delivery"), "all applied, each once")
    note = (
        f"{len(taken)} posts at {PER_SECOND}/s, all 202 and each applied once: p50 {percentile(taken, 0.5):.0f}, "
        f"p99 {percentile(taken, 0.99):.0f}, most {max(taken):.0f} ms"
    )
    what = f"worker goes on after PostgreSQL was killed for {AWAY_S} s"
    return below(Row(what=what, measured=resumed[0], unit="s", note=note), RESUMED_S)


def _applying(url: str) -> float:
    """Wait until the worker has written; returns the seconds since PostgreSQL answers."""
    began = time.monotonic()
    with _rows(url) as ask:
        eventually(lambda: ask("SELECT max(received_at) > now() - interval '20 s' FROM delivery"), "applied again")
    return time.monotonic() - began


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
