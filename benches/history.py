"""Ten million license rows: what a check of another moment costs, from the store, through the history's own code.

The rows are made by SQL straight in the store (``_FILL``): 480,000 customers with 21 rows each (three SKUs, four
states of each, told a minute late) and a revision each minute. Who asks draws a customer and two times.
"""

import asyncio
import datetime as dt
import os
import random
import time

import psycopg

from benches.machine import Machine, postgres
from benches.table import Row, below, percentile
from licet.answer.catalogs import Catalogs
from licet.answer.history import History
from licet.database import named_queries
from licet.domain.decision import Asked
from licet.store.catalog_reader import PostgresCatalogReader
from licet.store.customers import PostgresCustomers
from licet.store.history import PostgresHistory
from licet.store.migrate import migrate
from licet.store.past import When
from licet.store.pools import reader_pool

CUSTOMERS = int(os.environ.get("BENCH_HISTORY_CUSTOMERS", "480000"))
STATES = 12  # of each customer: all as they were believed open, and but for the last of each SKU their cut copies
CHECKS = 5000
BAR_MS = 10
_BEGIN = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
_MINUTES = 600_000
_FILL = (
    "ALTER TABLE license DISABLE TRIGGER USER",
    "ALTER TABLE license SET UNLOGGED",
    "DROP INDEX license_believed, license_customer",
    "ALTER TABLE license DROP CONSTRAINT license_pkey",
    """INSERT INTO revision_log SELECT 10 + i, epoch, i, '2025-01-01Z'::timestamptz + i * interval '1 minute'
       FROM revision, generate_series(1, %(minutes)s) i""",
    "UPDATE revision_log SET recorded_at = '2025-01-01Z' WHERE revision <= 10",
    "UPDATE revision SET revision = 10 + %(minutes)s, sequence = 1",
    "UPDATE catalog_version SET valid = tstzrange('2024-01-01Z', NULL)",
    """INSERT INTO delivery (log, partition, "offset", sequence, revision, customer_id, payload_hash, outcome, rule)
       VALUES ('bench', 0, 0, 1, 1, 'nobody', '', 'applied', 'applied')""",
    """INSERT INTO customer
       SELECT '0015g' || lpad(i::text, 13, '0'), 'customer ' || i, NULL, NULL, false, '{}', 1, 1, 2, now(), now()
       FROM generate_series(0, %(count)s - 1) i""",
    # State k of a customer is true from minute k * step + i % step on and recorded a minute after; its row is believed
    # open until the next state of the SKU is recorded, its cut copy from then on. Written in the order of time, as a
    # store fills: the rows of one customer lie far apart.
    """INSERT INTO license (license_id, customer_id, sku, status, starts_at, ends_at, valid, recorded, opened_delivery)
       SELECT gen_random_uuid(), '0015g' || lpad(i::text, 13, '0'), 'SKU' || 1 + k %% 3,
              (ARRAY['active', 'ended'])[1 + (k / 3) %% 2], NULL, NULL,
              tstzrange(at.since, CASE WHEN copy THEN at.till END),
              CASE WHEN copy THEN int8range(at.told + 1, NULL)
                   ELSE int8range(at.known, CASE WHEN at.told < 10 + %(minutes)s THEN at.told + 1 END) END, 1
       FROM generate_series(0, %(count)s - 1) i, generate_series(0, %(states)s - 1) k,
            (VALUES (false), (true)) c (copy),
            LATERAL (SELECT %(minutes)s / %(states)s AS step) s,
            LATERAL (SELECT '2025-01-01Z'::timestamptz + (k * step + i %% step) * interval '1 minute' AS since,
                            '2025-01-01Z'::timestamptz + ((k + 3) * step + i %% step) * interval '1 minute' AS till,
                            11::bigint + k * step + i %% step AS known,
                            10::bigint + (k + 3) * step + i %% step AS told) at
       WHERE NOT copy OR k + 3 < %(states)s
       ORDER BY CASE WHEN copy THEN at.told + 1 ELSE at.known END""",
    "CREATE INDEX license_customer ON license (customer_id, sku)",
    "ALTER TABLE license ENABLE TRIGGER USER",
    "VACUUM ANALYZE",
)


def run(machine: Machine) -> list[Row]:
    """Load, then ask."""
    with postgres(machine) as (url, _):
        migrate(url)
        began = time.perf_counter()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute("SET maintenance_work_mem = '512MB'; SET work_mem = '512MB'")
            said = {"count": CUSTOMERS, "states": STATES, "minutes": _MINUTES}
            for statement in _FILL:
                connection.execute(statement.encode(), said if "%(" in statement else None)
            count = connection.execute("SELECT count(*) FROM license").fetchone()
            _explain(connection)
        loaded = time.perf_counter() - began
        took = asyncio.run(_ask(url))
    note = f"{count[0] if count else 0:,} rows, loaded in {loaded:.0f} s; p50 {percentile(took, 0.5):.2f} ms"
    return [below(Row(what="as_of x known_at, p99", measured=percentile(took, 0.99), unit="ms", note=note), BAR_MS)]


async def _ask(url: str) -> list[float]:
    """Return the milliseconds of each check, one after the other."""
    dice = random.Random(7)
    took = []
    async with reader_pool(url, 1) as pool:
        history = History(
            PostgresHistory(pool), PostgresCustomers(pool), Catalogs(PostgresCatalogReader(pool)), clock=_now
        )
        for number in range(CHECKS + 100):
            as_of, known_at = (_BEGIN + dt.timedelta(minutes=dice.randrange(_MINUTES)) for _ in range(2))
            asked = Asked("inbound-email-security", None, f"0015g{dice.randrange(CUSTOMERS):013d}")
            began = time.perf_counter()
            await history.check(asked, When(as_of, known_at))
            if number >= 100:
                took.append((time.perf_counter() - began) * 1000)
    return took


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _explain(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Print the plan of one check, for docs/performance.md."""
    moment = _BEGIN + dt.timedelta(minutes=_MINUTES // 2)
    asked = dict.fromkeys(("alias", "user", "domain", "revision")) | {
        "customer_id": f"0015g{CUSTOMERS // 2:013d}",
        "as_of": moment - dt.timedelta(days=30),
        "known_at": moment,
        "now": moment,
    }
    query = named_queries("licet.store", "sql/history.sql")["held"]
    for (line,) in psycopg.ClientCursor(connection).execute(b"EXPLAIN (ANALYZE, BUFFERS) " + query, asked):
        print(line)
