"""What only the PostgreSQL log does."""

import asyncio
import random
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator

import psycopg
import pytest

from licet.queue import postgres_reader
from licet.queue.message import Position
from licet.queue.partitioner import partition_of
from licet.queue.ports import AppendFailed, LogGap, LogUnavailable
from licet.queue.postgres import PostgresLog, log_name
from support.logs import PostgresWire, append, message, placed, poll_until, read

ALL_PARTITIONS = frozenset(range(12))
PARTITION = partition_of(b"one")


@pytest.fixture
def wire(database: str) -> PostgresWire:
    return PostgresWire(database)


@pytest.fixture
def by_hand(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def test_a_bad_row_fails_alone_and_order_holds(wire: PostgresWire, by_hand: psycopg.Connection) -> None:
    by_hand.execute("ALTER TABLE queue_record ADD CHECK (value <> 'poison')")

    async def run() -> list[Position | AppendFailed]:
        log = wire.log()
        placed(await log.append([message("one", 0)]))
        values = [b"poison" if number in (3, 17) else b"%d" % number for number in range(40)]
        calls = [log.append([message("one", number, value)]) for number, value in enumerate(values)]
        results = [result for [result] in await asyncio.gather(*calls)]
        await log.close()
        return results

    results = asyncio.run(run())
    failed = [number for number, result in enumerate(results) if isinstance(result, AppendFailed)]
    assert failed == [3, 17]
    assert all(isinstance(result, Position) or result.permanent for result in results)
    assert [position.offset for position in results if isinstance(position, Position)] == list(range(1, 39))


def test_offsets_rise_in_commit_order_whoever_appends(wire: PostgresWire) -> None:
    keys = [f"customer-{number}" for number in range(30)]
    written: list[Position] = []

    async def post(seed: int) -> None:
        dice, log = random.Random(seed), wire.log()

        async def task() -> None:
            for _ in range(15):
                some = [message(dice.choice(keys)) for _ in range(dice.randint(1, 8))]
                written.extend(placed(await log.append(some)))
                await asyncio.sleep(dice.random() / 200)

        await asyncio.gather(*(task() for _ in range(6)))
        await log.close()

    appenders = [threading.Thread(target=asyncio.run, args=(post(seed),)) for seed in range(4)]
    reader, seen = wire.reader(), defaultdict(list)
    for appender in appenders:
        appender.start()
    while any(appender.is_alive() for appender in appenders):
        for record in reader.poll(20, 0.05):
            seen[record.partition].append(record.offset)
    for appender in appenders:
        appender.join()
    for record in read(reader, len(written) - sum(map(len, seen.values()))):
        seen[record.partition].append(record.offset)
    # Read while it was written, and yet each offset was seen once and in its turn: none came late.
    assert all(offsets == list(range(len(offsets))) for offsets in seen.values())
    assert sum(map(len, seen.values())) == len(written) == len(set(written))
    reader.close()


def test_what_is_applied_is_trimmed_and_what_is_not_stays(
    wire: PostgresWire, by_hand: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_reader, "TRIM_ROWS", 40)
    placed(append(wire, [message("one", number) for number in range(100)]))
    reader = wire.reader()
    read(reader, 100)

    def kept() -> list[int]:
        return [offset for (offset,) in by_hand.execute('SELECT "offset" FROM queue_record ORDER BY 1')]

    reader.commit({PARTITION: 5})  # the first look after the start may trim at once
    assert kept()[-95:] == list(range(5, 100))
    reader.commit({PARTITION: 90})
    assert len(kept()) in (55, 60), "one look deletes at most the bound"
    reader.commit({PARTITION: 90})
    reader.commit({PARTITION: 90})
    assert kept() in (list(range(offset, 100)) for offset in range(80, 91))
    reader.close()

    later = wire.reader(lambda _log, _partitions: {PARTITION: 90})
    assert [record.offset for record in read(later, 10)] == list(range(90, 100))
    later.close()
    too_early = wire.reader(lambda _log, _partitions: {PARTITION: 2})
    with pytest.raises(LogGap, match="next offset is 2"):
        too_early.poll(10, 0)
    too_early.close()


def test_a_record_gone_from_the_middle_is_a_gap_once_what_stands_before_it_is_read(
    wire: PostgresWire, by_hand: psycopg.Connection
) -> None:
    placed(append(wire, [message("one", number) for number in range(10)]))
    by_hand.execute('DELETE FROM queue_record WHERE "offset" = 4')
    reader = wire.reader()
    assert [record.offset for record in reader.poll(10, 0)] == [0, 1, 2, 3]
    for _ in range(2):
        with pytest.raises(LogGap, match="next offset is 4, the log has 5 to 10") as gap:
            reader.poll(10, 0)
        assert gap.value.below
    reader.close()


def test_a_queue_made_anew_is_another_log(wire: PostgresWire, by_hand: psycopg.Connection) -> None:
    assert log_name(wire.url) == wire.name
    by_hand.execute("UPDATE queue_log SET log_id = gen_random_uuid()")
    asked: list[str] = []

    def stored(log: str, _partitions: Collection[int]) -> dict[int, int | None]:
        asked.append(log)
        return {}

    reader = wire.reader(stored)
    reader.poll(10, 0)
    assert asked == [log_name(wire.url)] != [wire.name]
    reader.close()


def test_a_rogue_row_is_read_as_it_is(wire: PostgresWire, by_hand: psycopg.Connection) -> None:
    by_hand.execute(
        """INSERT INTO queue_record VALUES (3, 0, NULL, NULL, '\\x', now()), (3, 1, '', '\\xff00', '\\xc1', now()),
           (3, 2, 'k', 'v', '\\x90', 'infinity'), (3, 3, 'k', 'v', '\\x9191a163', '-infinity')"""
    )
    by_hand.execute("UPDATE queue_partition SET next_offset = 4 WHERE partition = 3")
    reader = wire.reader()
    bare, odd, plain, cut = read(reader, 4)
    assert (bare.key, bare.value, list(bare.headers)) == (None, None, [("licet-unreadable-headers", b"")])
    assert (odd.key, odd.value, list(odd.headers)) == (b"", b"\xff\x00", [("licet-unreadable-headers", b"\xc1")])
    assert (list(plain.headers), plain.appended_at, cut.appended_at) == ([], None, None)
    reader.close()


def test_a_reader_takes_over_within_seconds_when_anothers_connection_dies(
    wire: PostgresWire, by_hand: psycopg.Connection
) -> None:
    one, two = wire.reader(), wire.reader()
    one.poll(1, 0)
    poll_until(lambda: len(one.assigned) == len(two.assigned) == 6, one, two)
    holder = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
    by_hand.execute(f"SELECT pg_terminate_backend(pid) FROM ({holder}) h", [min(one.assigned)])
    began = time.monotonic()
    poll_until(lambda: two.assigned == ALL_PARTITIONS, two)
    assert time.monotonic() - began < 2
    with pytest.raises(LogUnavailable):
        one.poll(1, 0)
    assert one.assigned == frozenset()
    poll_until(lambda: len(one.assigned) == len(two.assigned) == 6, one, two)
    one.close()
    two.close()


def test_a_reader_that_hangs_loses_its_partitions_after_ten_seconds(wire: PostgresWire) -> None:
    hung, other = wire.reader(), wire.reader()
    hung.poll(1, 0)
    assert hung.assigned == ALL_PARTITIONS
    began = time.monotonic()
    poll_until(lambda: other.assigned == ALL_PARTITIONS, other)
    assert time.monotonic() - began < 13
    with pytest.raises(LogUnavailable):
        hung.poll(1, 0)
    hung.close()
    other.close()


@pytest.mark.parametrize("timeout", [0.5, 4.0])
def test_a_log_held_up_by_a_lock_answers_in_time_and_goes_on_after(
    wire: PostgresWire, by_hand: psycopg.Connection, timeout: float
) -> None:
    async def run() -> None:
        log = wire.log(timeout)
        placed(await log.append([message("one")]))
        with by_hand.transaction():
            by_hand.execute("SELECT 1 FROM queue_partition FOR UPDATE")
            began = time.monotonic()
            [result] = await log.append([message("one", 1)])
            assert isinstance(result, AppendFailed)
            assert not result.permanent
            assert time.monotonic() - began < min(timeout, 3) + 0.7
        [position] = placed(await log.append([message("one", 2)]))
        assert position.offset == 1, "what was reported as failed for a lock was not written"
        await log.close()

    asyncio.run(run())


def test_a_confirmed_change_is_on_disk_even_where_the_server_would_not_wait(
    wire: PostgresWire, by_hand: psycopg.Connection
) -> None:
    by_hand.execute(f'ALTER DATABASE "{by_hand.info.dbname}" SET synchronous_commit = off')

    async def run() -> str:
        log = PostgresLog(wire.url, wire.name)
        placed(await log.append([message("one")]))
        assert log._connection is not None
        row = await (await log._connection.execute("SHOW synchronous_commit")).fetchone()
        await log.close()
        return str(row and row[0])

    assert asyncio.run(run()) == "on"
