"""What only Kafka with the spool behind it does: nothing is lost, nothing overtakes, and the spool empties itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import psycopg
import pytest

from licet.queue.drain import Drainer
from licet.queue.message import Message, Position, Record, Spooled, read_envelope
from licet.queue.ports import AppendFailed, ChangeLog
from licet.queue.postgres import PostgresLog
from licet.queue.spool import SpoolLog
from licet.queue.spool_state import SETTLE_S, SpoolState
from support.logs import KafkaWire, PostgresWire, SpoolWire, message, placed, read
from support.mock_cluster import MockCluster
from support.proxy import proxied


@pytest.fixture
def wire(cluster: MockCluster, database: str) -> SpoolWire:
    return SpoolWire(KafkaWire.on_mock(cluster), PostgresWire(database))


def with_doors(wires: Sequence[SpoolWire], use: Callable[..., Awaitable[None]], timeout: float = 1.0) -> None:
    """Run something with a log of each wire."""

    async def run() -> None:
        logs = [wire.log(timeout) for wire in wires]
        try:
            await use(*logs)
        finally:
            await asyncio.gather(*(log.close() for log in logs))

    asyncio.run(run())


async def until(what: str, true: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


async def spooled(log: ChangeLog, *messages: Message) -> None:
    """Append, and hold that the spool took all of it."""
    results = placed(await log.append(messages))
    assert all(isinstance(result, Spooled) for result in results), results


def rows(wire: SpoolWire, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(wire.postgres.url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def is_open(wire: SpoolWire) -> bool:
    return rows(wire, "SELECT open FROM spool_state") == [(True,)]


def all_in_kafka(wire: SpoolWire, count: int) -> list[Record]:
    """Read until so many different changes are there."""
    reader = wire.reader()
    records: list[Record] = []
    end = time.monotonic() + 20
    while len(firsts(records)) < count:
        assert time.monotonic() < end, len(records)
        records += reader.poll(500, 0.2)
    reader.close()
    return records


def firsts(records: Sequence[Record]) -> list[bytes]:
    """The values in the order in which each came first: what the rule of duplicates leaves."""
    return list(dict.fromkeys(record.value or b"" for record in records))


def test_while_kafka_is_away_changes_are_spooled_and_come_to_it_in_order_once_it_is_back(wire: SpoolWire) -> None:
    async def outage(log: SpoolLog) -> None:
        assert not isinstance(placed(await log.append([message("one", 0)]))[0], Spooled)
        wire.kafka.break_()
        for number in range(1, 30):
            await spooled(log, message("one", number), message(f"other-{number}", 0))
        assert wire.metrics.registry.get_sample_value("licet_spool_open") == 1
        assert await log.ready() is None
        await until("the depth is told", lambda: wire.metrics.registry.get_sample_value("licet_spool_records") == 58)
        assert "58 changes wait" in (await log.standing() or "")
        wire.kafka.mend()
        await until("the spool is closed", lambda: not is_open(wire))
        number = 30
        while isinstance(placed(await log.append([message("one", number)]))[0], Spooled):  # at most a client's back-off
            number += 1
            assert number < 500
        await until("the door knows", lambda: wire.metrics.registry.get_sample_value("licet_spool_open") == 0)

    with_doors([wire], outage, timeout=4.0)
    assert rows(wire, "SELECT count(*) FROM queue_record") == [(0,)]
    records = all_in_kafka(wire, 60)
    mine = [record for record in records if record.key == b"one"]
    assert firsts(mine)[:31] == [message("one", number).value for number in range(31)]
    assert {record.key for record in records} == {b"one", *(b"other-%d" % number for number in range(1, 30))}
    for record in mine:
        number = int(dict(record.headers)["ce_id"].rpartition(b"-")[2])
        assert list(record.headers) == message("one", number).headers()


def test_the_first_confirmation_of_the_spool_waits_until_every_door_knows(wire: SpoolWire) -> None:
    async def outage(log: SpoolLog) -> None:
        await log.append([message("one", 0)])
        wire.kafka.break_()
        opened_at: list[float] = []

        async def watch() -> None:
            await until("the spool is open", lambda: is_open(wire))
            opened_at.append(time.monotonic())

        watching = asyncio.create_task(watch())
        await spooled(log, message("one", 1))
        confirmed = time.monotonic()
        await watching
        assert confirmed - opened_at[0] > SETTLE_S - 0.15  # the watcher looks each 20 ms, and in its own turn
        began = time.monotonic()
        await spooled(log, message("one", 2))
        assert time.monotonic() - began < SETTLE_S

    with_doors([wire], outage, timeout=4.0)


def test_a_change_never_overtakes_one_confirmed_before_it_at_another_door(wire: SpoolWire) -> None:
    """One door is cut off from Kafka time and again; the other is not. Each change is sent after the last one's 202."""
    far = SpoolWire(KafkaWire("127.0.0.1:1", lambda: None, lambda: None), wire.postgres)
    count = 15

    async def alternate(near_log: SpoolLog, far_log: SpoolLog) -> None:
        for number in range(count):
            log = far_log if number % 3 == 1 else near_log
            placed(await log.append([message("one", number)]))
        await until("the spool is closed", lambda: not is_open(wire))

    with_doors([wire, far], alternate)
    assert firsts(all_in_kafka(wire, count)) == [message("one", number).value for number in range(count)]


def test_a_report_that_comes_too_late_leaves_the_change_under_one_event_id(
    wire: SpoolWire, cluster: MockCluster
) -> None:
    async def slow(log: SpoolLog) -> None:
        await log.append([message("one", 0)])
        cluster.set_rtt(700)  # more than the first wait, 375 ms, and less than the drainer's
        await spooled(log, message("one", 1))
        cluster.set_rtt(0)
        await until("the spool is closed", lambda: not is_open(wire))

    with_doors([wire], slow)
    reader = wire.reader()
    records = read(reader, 3)
    reader.close()
    assert [dict(record.headers)["ce_id"] for record in records] == [b"one-0", b"one-1", b"one-1"]


def test_without_postgresql_changes_go_to_kafka(wire: SpoolWire) -> None:
    async def alone(log: SpoolLog) -> None:
        await log.append([message("one", 0)])
        await asyncio.to_thread(wire.postgres.break_)
        for number in range(1, 6):
            (result,) = placed(await log.append([message("one", number)]))
            assert not isinstance(result, Spooled)
            await asyncio.sleep(0.1)
        assert await log.ready() is None
        assert "closed as last known" in (await log.standing() or "")
        await asyncio.to_thread(wire.postgres.mend)

    with_doors([wire], alone)
    assert len(all_in_kafka(wire, 6)) == 6


def test_a_postgresql_that_hangs_holds_no_change_up_for_long(cluster: MockCluster, database: str) -> None:
    with proxied(database) as (proxy, url):
        wire = SpoolWire(KafkaWire.on_mock(cluster), PostgresWire(url))

        async def hanging(log: SpoolLog) -> None:
            await log.append([message("one", 0)])
            proxy.hold()
            for number in range(1, 4):
                began = time.monotonic()
                placed(await log.append([message("one", number)]))
                assert time.monotonic() - began < 2
            proxy.cut()
            proxy.release()

        with_doors([wire], hanging, timeout=4.0)


def test_with_both_away_nothing_is_confirmed_and_with_an_open_spool_nothing_overtakes(wire: SpoolWire) -> None:
    async def both(log: SpoolLog) -> None:
        await log.append([message("one", 0)])
        wire.kafka.break_()
        await spooled(log, message("one", 1))
        await asyncio.to_thread(wire.postgres.break_)
        began = time.monotonic()
        (refused,) = await log.append([message("one", 2)])
        assert isinstance(refused, AppendFailed)
        assert not refused.permanent
        assert time.monotonic() - began < 2
        wire.kafka.mend()  # Kafka is back, and what the spool holds is not in it
        (refused,) = await log.append([message("one", 3)])
        assert isinstance(refused, AppendFailed)
        assert await log.ready() is not None
        await asyncio.to_thread(wire.postgres.mend)
        await until("the spool is closed", lambda: not is_open(wire))

    with_doors([wire], both)
    assert firsts(all_in_kafka(wire, 2))[:2] == [message("one", 0).value, message("one", 1).value]


def test_the_spool_closes_while_changes_keep_coming(wire: SpoolWire) -> None:
    sent: list[bytes] = []

    async def flood(one: SpoolLog, other: SpoolLog) -> None:
        await one.append([message("start")])
        wire.kafka.break_()
        stop = False

        async def post(log: SpoolLog, key: str) -> None:
            number = 0
            while not stop:
                placed(await log.append([message(key, number)]))
                sent.append(message(key, number).value)
                number += 1

        posting = [
            asyncio.create_task(post(log, f"{key}-{at}")) for at, log in enumerate((one, other)) for key in "abc"
        ]
        await until("the spool is open", lambda: is_open(wire))
        await asyncio.sleep(1)
        wire.kafka.mend()
        await until("the spool is closed under load", lambda: not is_open(wire), 10)
        stop = True
        await asyncio.gather(*posting)

    with_doors([wire, wire], flood, timeout=4.0)
    records = all_in_kafka(wire, len(sent) + 1)
    for key in {value.partition(b'","n"')[0] for value in sent}:
        mine = [value for value in firsts(records) if value.startswith(key + b'"')]
        assert mine == sorted(mine, key=lambda value: int(value.partition(b'"n":')[2].rstrip(b"}")))
    assert set(sent) <= set(firsts(records))


def test_an_append_is_refused_where_the_spool_is_closed_or_was_since_the_door_looked(wire: SpoolWire) -> None:
    async def taken(opening: int) -> bool:
        log = PostgresLog(wire.postgres.url, wire.postgres.name, opening=lambda: opening)
        (result,) = await log.append([message("one", opening)])
        await log.close()
        return isinstance(result, Position)

    assert not asyncio.run(taken(0))
    rows(wire, "UPDATE spool_state SET open = true, opening = 2 RETURNING 1")
    assert [asyncio.run(taken(opening)) for opening in (0, 1, 2, 3)] == [False, False, True, False]
    assert rows(wire, "SELECT count(*) FROM queue_record") == [(1,)]


class Halting:
    """Kafka as it takes what comes until one change, and nothing of that partition's from there on."""

    name = "kafka:halting"

    def __init__(self, at: str) -> None:
        self.at = at
        self.taken: list[str] = []

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        results: list[Position | AppendFailed] = []
        for one in messages:
            if one.event_id == self.at:
                results.append(AppendFailed("it halts"))
            else:
                self.taken.append(one.event_id)
                results.append(Position(0, len(self.taken)))
        return results

    async def ready(self) -> str | None:
        return None

    async def close(self) -> None:
        return None


def test_the_drainer_forgets_nothing_behind_the_first_that_kafka_did_not_take(wire: SpoolWire) -> None:
    rows(wire, "UPDATE spool_state SET open = true, opening = 1 RETURNING 1")

    async def drain() -> None:
        log = wire.postgres.log()
        placed(await log.append([message("one", number) for number in range(5)]))
        await log.close()
        state = SpoolState(wire.postgres.url, wire.metrics)
        kafka = Halting("one-2")
        drainer = Drainer(wire.postgres.url, kafka, state, wire.metrics)
        tasks = [asyncio.create_task(state.follow()), asyncio.create_task(drainer.run())]
        await until("what follows was sent twice", lambda: kafka.taken.count("one-4") >= 2)
        assert rows(wire, 'SELECT "offset" FROM queue_record ORDER BY 1') == [(2,), (3,), (4,)]
        assert is_open(wire)
        kafka.at = ""
        await until("the spool is closed", lambda: not is_open(wire))
        assert kafka.taken[-3:] == ["one-2", "one-3", "one-4"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(drain())


def test_two_drainers_send_nothing_twice(wire: SpoolWire) -> None:
    async def outage(one: SpoolLog, other: SpoolLog) -> None:
        wire.kafka.break_()
        for log in (one, other):
            await spooled(log, *(message(f"customer-{number}", id(log)) for number in range(300)))
        wire.kafka.mend()
        await until("the spool is closed", lambda: not is_open(wire))

    with_doors([wire, wire], outage, timeout=4.0)
    reader = wire.reader()
    ids = [dict(record.headers)["ce_id"] for record in read(reader, 600)]
    assert not [record for record in reader.poll(10, 0.3) if dict(record.headers)["ce_id"] not in ids]
    reader.close()
    # What was under way when Kafka went may come twice; what was only spooled may not.
    assert len(ids) - len(set(ids)) <= 300


def test_what_a_deployment_without_kafka_left_behind_is_brought_to_kafka(wire: SpoolWire) -> None:
    async def before() -> None:
        log = wire.postgres.log()
        placed(await log.append([msgspec.structs.replace(message("one", at), **carried) for at in range(3)]))
        await log.close()

    async def after(log: SpoolLog) -> None:
        await until("the tables are empty", lambda: rows(wire, "SELECT count(*) FROM queue_record") == [(0,)])
        await until("the spool is closed", lambda: not is_open(wire))
        assert not isinstance(placed(await log.append([message("one", 3)]))[0], Spooled)

    carried = {"replay_of": "log/1/2", "compared_at": "3/4", "traceparent": f"00-{1:032x}-{2:016x}-01"}
    asyncio.run(before())
    with_doors([wire], after)
    records = all_in_kafka(wire, 4)
    assert [record.value for record in records] == [message("one", number).value for number in range(4)]
    envelope = read_envelope(records[0])
    assert (envelope.replay_of, envelope.compared_at, envelope.traceparent) == (
        ("log", 1, 2),
        (3, 4),
        carried["traceparent"],
    )
