"""A million customers with three licenses each: how long a load takes, what it takes up, what a check then costs.

The rows are made by SQL straight in the store (``FILL``), as no queue would carry them in the time of a bench: 3,288
sets of terms, a quarter of the licenses with an end, no aliases. The snapshot is loaded as the web process loads it;
and loaded anew, as after a restored backup, while something else waits for its turn of the event loop each millisecond.
"""

import asyncio
import datetime as dt
import gc
import os
import pathlib
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Sequence
from functools import partial

import psycopg

from benches.machine import Machine, postgres
from benches.table import Row, below, interleaved, percentile
from licet.answer.check import Checker, Patience
from licet.answer.follow import Follower
from licet.answer.snapshot import Latest
from licet.domain.decision import Asked
from licet.observe.metrics import Metrics
from licet.store.customers import PostgresCustomers
from licet.store.feed import PostgresFeed
from licet.store.migrate import migrate
from licet.store.pools import reader_pool

MILLION = 1_000_000
MANY = 100_000
THOUSAND = 1000
RELOADS = 5
HOLD_BAR_MS = 5
CHECKS = 20_000
ROUNDS = 9
LOAD_BAR_S = 15
BYTES_BAR = 300
RATIO_BAR = 1.3
_FEATURES = ("inbound-email-security", "account-takeover-protection", "abuse-mailbox-automation")
FILL = (
    "ALTER TABLE license DISABLE TRIGGER USER",
    "UPDATE revision SET revision = revision + 1",
    "INSERT INTO revision_log SELECT revision, epoch, 7, now() FROM revision",
    """
    INSERT INTO customer
    SELECT '0015g' || lpad(i::text, 13, '0'), 'customer ' || i, NULL, NULL, false, '{}', 1, 1, 2, now(), now()
    FROM generate_series(0, %(count)s - 1) i
    """,
    """
    INSERT INTO license (license_id, customer_id, sku, status, starts_at, ends_at, valid, recorded, opened_delivery)
    SELECT gen_random_uuid(), '0015g' || lpad(i::text, 13, '0'), 'SKU' || k,
           (ARRAY['active', 'active', 'active', 'pending_terms', 'suspended', 'ended'])[1 + (i + k) %% 6], NULL,
           CASE WHEN (i + k) %% 4 = 0 THEN '2030-01-01'::timestamptz + (i %% 365) * interval '1 day' END,
           tstzrange(now() - (i %% 1000) * interval '1 hour', NULL), int8range(2, NULL), 1
    FROM generate_series(0, %(count)s - 1) i, generate_series(1, 3) k
    """,
    "ALTER TABLE license ENABLE TRIGGER USER",
    "VACUUM ANALYZE",
)


def run(machine: Machine) -> list[Row]:
    """Measure a thousand, a hundred thousand, then a million."""
    checkers, holds = [], []
    for count in (THOUSAND, MANY, MILLION):
        with postgres(machine) as (url, _):
            migrate(url)
            with psycopg.connect(url, autocommit=True) as connection:
                for statement in FILL:
                    connection.execute(statement.encode(), {"count": count} if "%(count)s" in statement else None)
            gc.collect()
            os.sched_setaffinity(0, {machine.server})  # as the web process has it; PostgreSQL stays where it is
            before, began = _resident(), time.perf_counter()
            checkers.append(asyncio.run(_loaded(url)))
            seconds, taken = time.perf_counter() - began, (_resident() - before) / count
            if count == MANY:
                checkers.pop()
            if count != THOUSAND:
                holds.append(_held(count, *asyncio.run(_reloaded(url))))
            os.sched_setaffinity(0, machine.others)
    small, large = interleaved(
        ROUNDS, *(partial(_check, *one) for one in zip(checkers, (THOUSAND, MILLION), strict=True))
    )
    ratio = statistics.median(one / other for one, other in zip(large, small, strict=True))
    note = f"{statistics.median(large):.1f} µs at a million, {statistics.median(small):.1f} µs at a thousand"
    return [
        below(Row(what="a million customers, load", measured=seconds, unit="s"), LOAD_BAR_S),
        below(Row(what="a million customers, resident each", measured=taken, unit="bytes"), BYTES_BAR),
        below(Row(what="check in process, million : thousand", measured=ratio, unit="times", note=note), RATIO_BAR),
        below(holds[0], HOLD_BAR_MS),
        holds[1],
    ]


def _held(count: int, quiet: Sequence[float], reloads: Sequence[Sequence[float]]) -> Row:
    """Tell the longest wait for a turn of the loop in a reload, the median of some; the limit is a quiet loop's."""
    longest = statistics.median(max(one) for one in reloads)
    p99 = statistics.median(percentile(one, 0.99) for one in reloads)
    note = f"p99 {p99:.1f} ms; limit: the longest without a reload, p99 {percentile(quiet, 0.99):.1f} ms"
    what = f"reload of {count:,} customers, longest hold of the loop"
    return Row(what=what, measured=longest, unit="ms", limit=max(quiet), note=note)


async def _reloaded(url: str) -> tuple[list[float], list[list[float]]]:
    """Return the milliseconds that the loop was held before each turn, in quiet and in each of some reloads."""
    latest = Latest()
    follower = Follower(PostgresFeed(url), latest, lambda _: None)
    await follower.step()
    gc.collect()
    gc.freeze()  # as `licet web` has it, with both of these
    gc.set_threshold(50_000, 20, 50)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.001)
    quiet = await _waits(asyncio.sleep(3))
    reloads = []
    for _ in range(RELOADS):
        before = latest.get()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE revision_log SET tag = tag + 1")
        reloads.append(await _waits(follower.step()))
        assert latest.get() is not before
    await follower.close()
    sys.setswitchinterval(interval)
    gc.unfreeze()
    return quiet, reloads


async def _waits(during: Awaitable[object]) -> list[float]:
    waits: list[float] = []

    async def look() -> None:
        while True:
            began, used = time.perf_counter(), time.process_time()
            await asyncio.sleep(0.001)
            # What other processes took of the core in the meantime held nothing.
            waits.append(min(time.perf_counter() - began - 0.001, time.process_time() - used) * 1000)

    looking = asyncio.create_task(look())
    await during
    await asyncio.sleep(0.3)  # what was before is let go of
    looking.cancel()
    return waits


async def _loaded(url: str) -> Checker:
    """Load as the web process does."""
    latest = Latest()
    follower = Follower(PostgresFeed(url), latest, lambda _: None)
    await follower.step()
    await follower.close()
    patience = Patience(latest, follower, PostgresCustomers(reader_pool(url)))
    return Checker(
        latest, clock=lambda: dt.datetime.now(dt.UTC), metrics=Metrics(), patience=patience, stale_after_s=86400
    )


def _check(checker: Checker, count: int) -> float:
    """Return the microseconds of processor time that a check of a random customer takes, nothing kept."""
    dice = random.Random(7)
    asked: Sequence[Asked] = [
        Asked(dice.choice(_FEATURES), None, f"0015g{dice.randrange(count):013d}") for _ in range(CHECKS)
    ]
    began = time.process_time()
    for one in asked:
        checker.decide(one)
    return (time.process_time() - began) / CHECKS * 1e6


def _resident() -> int:
    """Return the bytes of memory that this process takes up."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
