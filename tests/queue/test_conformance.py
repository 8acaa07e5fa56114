"""What every log must do: one suite, run in memory, on PostgreSQL, on Kafka's mock cluster and on a real Kafka."""

import asyncio
import datetime as dt
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

import pytest

from licet.queue.message import Position, Record, read_envelope
from licet.queue.ports import AppendFailed, Extent, LogGap, LogReader, LogUnavailable
from support.logs import Wire, append, message, placed, poll_until, read

CUSTOMERS = [f"0015g00000AbC{number:02d}AAV" for number in range(40)]
ALL_PARTITIONS = frozenset(range(12))


class Store:
    """Where the store of one test stands: ``at`` has the next offset of a partition, None where it is stopped."""

    def __init__(self) -> None:
        self.at: dict[int, int | None] = {}
        self.asked: list[tuple[str, int]] = []

    def positions(self, log: str, partitions: Collection[int]) -> Mapping[int, int | None]:
        self.asked += [(log, partition) for partition in partitions]
        return self.at


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def reader(wire: Wire, store: Store) -> Iterator[LogReader]:
    opened = wire.reader(store.positions)
    yield opened
    opened.close()


def by_place(records: Collection[Record]) -> dict[Position, Record]:
    return {Position(record.partition, record.offset): record for record in records}


def test_each_result_says_where_its_own_message_stands(wire: Wire, reader: LogReader) -> None:
    messages = [message(customer, number) for number in range(3) for customer in CUSTOMERS]
    positions = placed(append(wire, messages))
    found = by_place(read(reader, len(messages)))
    assert [found[position].value for position in positions] == [sent.value for sent in messages]


def test_value_key_and_headers_arrive_as_they_were_sent(wire: Wire, reader: LogReader) -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=2)
    sent = message("tenant.Ä-é", value=b'{"Id": "x"\r\n, "raw":"\\u0000"}\x00\xff')
    placed(append(wire, [sent]))
    [record] = read(reader, 1)
    assert (record.key, record.value) == ("tenant.Ä-é".encode(), sent.value)
    assert list(record.headers) == sent.headers()
    assert read_envelope(record).event_id == sent.event_id
    assert record.log == reader.name
    assert record.appended_at is not None
    assert before < record.appended_at < dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)


def test_one_customers_changes_keep_their_order(wire: Wire, reader: LogReader) -> None:
    async def post() -> None:
        log = wire.log()
        calls = [
            log.append([message(customer, 2 * call), message(customer, 2 * call + 1)])
            for call in range(10)
            for customer in CUSTOMERS[:5]
        ]
        for results in await asyncio.gather(*calls):
            placed(results)
        await log.close()

    asyncio.run(post())
    seen: dict[bytes, list[bytes]] = defaultdict(list)
    for record in read(reader, 100):
        seen[record.key or b""].append(record.value or b"")
    for customer in CUSTOMERS[:5]:
        assert seen[customer.encode()] == [message(customer, number).value for number in range(20)]


def test_many_tasks_at_once_lose_nothing_and_share_no_position(wire: Wire, reader: LogReader) -> None:
    async def post() -> list[Position]:
        log = wire.log()

        async def task(number: int) -> list[Position]:
            return [
                place for call in range(10) for place in placed(await log.append([message(f"customer-{number}", call)]))
            ]

        places = await asyncio.gather(*(task(number) for number in range(64)))
        await log.close()
        return [place for each in places for place in each]

    positions = asyncio.run(post())
    assert len(set(positions)) == 640
    assert set(by_place(read(reader, 640))) == set(positions)


def test_an_array_of_a_thousand_is_taken_in_one_call(wire: Wire, reader: LogReader) -> None:
    messages = [message(CUSTOMERS[number % 40], number, b"x" * 2000) for number in range(1000)]
    positions = placed(append(wire, messages))
    assert set(by_place(read(reader, 1000, limit=300))) == set(positions)


def test_nothing_to_append_is_nothing_appended(wire: Wire) -> None:
    assert list(append(wire, [])) == []


def test_a_message_too_large_fails_alone_and_for_good(wire: Wire, reader: LogReader) -> None:
    large = message(CUSTOMERS[0], 1, b"x" * 1_000_001)
    first, refused, last = append(wire, [message(CUSTOMERS[0], 0), large, message(CUSTOMERS[0], 2)])
    assert isinstance(refused, AppendFailed)
    assert refused.permanent
    placed([first, last])
    assert [record.value for record in read(reader, 2)] == [message(CUSTOMERS[0], number).value for number in (0, 2)]


def test_a_key_that_is_no_text_fails_alone_and_for_good(wire: Wire) -> None:
    refused, taken = append(wire, [message("a\ud800", value=b"{}"), message("b")])
    assert isinstance(refused, AppendFailed)
    assert refused.permanent
    placed([taken])


def test_a_poll_returns_at_most_its_limit_and_waits_no_longer_than_told(wire: Wire, reader: LogReader) -> None:
    placed(append(wire, [message(customer) for customer in CUSTOMERS]))
    poll_until(lambda: reader.assigned == ALL_PARTITIONS, reader)
    reader.refresh()
    records: list[Record] = []
    while len(records) < 40:
        some = reader.poll(7, 5)
        assert 0 < len(some) <= 7
        records += some
    began = time.monotonic()
    assert list(reader.poll(7, 0.3)) == []
    assert 0.2 < time.monotonic() - began < 1.5


def test_a_waiting_reader_gets_a_change_at_once(wire: Wire, reader: LogReader) -> None:
    async def post() -> list[float]:
        log, delays = wire.log(), []
        placed(await log.append([message("first")]))
        await asyncio.to_thread(read, reader, 1)
        for number in range(10):
            waiting = asyncio.create_task(asyncio.to_thread(reader.poll, 10, 5))
            await asyncio.sleep(0.05)
            began = time.monotonic()
            placed(await log.append([message("next", number)]))
            assert len(await waiting) == 1
            delays.append(time.monotonic() - began)
        await log.close()
        return delays

    assert sorted(asyncio.run(post()))[5] < 0.1


def test_a_new_group_starts_at_the_logs_start_and_never_at_its_end(wire: Wire) -> None:
    positions = placed(append(wire, [message(customer) for customer in CUSTOMERS]))
    late = wire.reader()
    assert set(by_place(read(late, 40))) == set(positions)
    late.close()


def test_a_reader_starts_where_the_store_stands_and_not_where_it_committed(wire: Wire, store: Store) -> None:
    [first, *rest] = placed(append(wire, [message("one", number) for number in range(5)]))
    early = wire.reader()
    read(early, 5)
    early.commit({first.partition: first.offset + 1})
    early.close()
    store.at = {first.partition: first.offset + 2}
    later = wire.reader(store.positions)
    assert [record.offset for record in read(later, 3)] == [position.offset for position in rest[1:]]
    assert sorted(store.asked) == [(later.name, partition) for partition in sorted(ALL_PARTITIONS)]
    later.close()


def test_a_store_that_is_away_is_asked_again_and_nothing_is_skipped(wire: Wire) -> None:
    placed(append(wire, [message("one", number) for number in range(3)]))
    away = ConnectionError("the store is away")
    answers: list[Exception | None] = [away, away, None]

    def stored(_log: str, _partitions: Collection[int]) -> Mapping[int, int | None]:
        failure = answers.pop(0)
        if failure is not None:
            raise failure
        return {}

    reader = wire.reader(stored)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            read(reader, 1)
        assert reader.assigned == frozenset()
    assert [record.offset for record in read(reader, 3)] == [0, 1, 2]
    reader.close()


def test_an_offset_that_the_log_does_not_hold_stops_its_partition_and_the_others_go_on(
    wire: Wire, store: Store, reader: LogReader
) -> None:
    places = placed(append(wire, [message(customer) for customer in CUSTOMERS]))
    partition = places[0].partition
    store.at = {partition: 107}
    for _ in range(2):  # each poll says it, and none jumps over it
        with pytest.raises(LogGap, match=r"the next offset is 107, the log has 0 to \d+$") as gap:
            read(reader, len(places))
        assert gap.value.partition == partition
        assert not gap.value.below
    store.at = {partition: None}
    reader.refresh()
    others = [place for place in places if place.partition != partition]
    assert set(by_place(read(reader, len(others)))) == set(others)
    assert partition in reader.assigned
    assert partition not in reader.lag()


def test_a_stopped_partition_goes_on_where_the_store_says_once_it_does(
    wire: Wire, store: Store, reader: LogReader
) -> None:
    [first, *_] = placed(append(wire, [message("one", number) for number in range(5)]))
    store.at = {first.partition: None}
    poll_until(lambda: reader.assigned == ALL_PARTITIONS, reader)
    assert list(reader.poll(10, 0.3)) == []
    store.at = {first.partition: 3}
    reader.refresh()
    assert [record.offset for record in read(reader, 2)] == [3, 4]


def test_after_a_refresh_the_records_come_again_without_a_gap(wire: Wire, store: Store, reader: LogReader) -> None:
    [first, *_] = placed(append(wire, [message("one", number) for number in range(300)]))
    read(reader, 10, limit=10)
    for start in (5, 0, 200):
        store.at = {first.partition: start}
        reader.refresh()
        assert [record.offset for record in read(reader, 300 - start, limit=50)] == list(range(start, 300))


def test_a_survey_tells_the_ledgers_name_and_what_each_partition_holds(wire: Wire, reader: LogReader) -> None:
    [first, *_] = placed(append(wire, [message("one", number) for number in range(7)]))
    read(reader, 7)
    name, extents = wire.survey().extents()
    assert name == reader.name
    assert re.fullmatch(r"[a-z]+(:.+)?@[A-Za-z0-9_-]{22,36}", name)
    assert extents == dict.fromkeys(ALL_PARTITIONS, Extent(0, 0)) | {first.partition: Extent(0, 7)}
    assert [wire.survey().count(first.partition, *extent) for extent in ((0, 7), (2, 5), (0, 100))] == [7, 3, 7]


def test_the_lag_is_what_stands_beyond_the_last_poll(wire: Wire, store: Store, reader: LogReader) -> None:
    [first, *_] = placed(append(wire, [message("one", number) for number in range(10)]))
    read(reader, 4, limit=2)
    assert sum(reader.lag().values()) <= 6
    read(reader, 6)
    poll_until(lambda: reader.lag() == dict.fromkeys(ALL_PARTITIONS, 0), reader)
    store.at = {first.partition: 3}
    reader.refresh()
    assert len(read(reader, 1, limit=1)) == 1
    assert reader.lag()[first.partition] == 6


def test_two_readers_share_the_partitions_and_one_takes_all_when_the_other_closes(wire: Wire) -> None:
    one, two = wire.reader(), wire.reader()
    poll_until(lambda: len(one.assigned) == 12, one)
    poll_until(lambda: len(one.assigned) == len(two.assigned) == 6, one, two)
    assert one.assigned | two.assigned == ALL_PARTITIONS
    places = placed(append(wire, [message(customer) for customer in CUSTOMERS]))
    records: list[Record] = []
    deadline = time.monotonic() + 20
    while len(records) < 40 and time.monotonic() < deadline:
        for reader in (one, two):
            some = reader.poll(500, 0.05)
            assert {record.partition for record in some} <= reader.assigned
            records += some
    assert sorted(by_place(records)) == sorted(places)
    one.close()
    began = time.monotonic()
    poll_until(lambda: two.assigned == ALL_PARTITIONS, two)
    assert time.monotonic() - began < 5
    two.close()


def test_a_log_that_is_away_fails_in_time_and_takes_messages_again_later(wire: Wire) -> None:
    placed(append(wire, [message("before")]))  # a topic is made, for which a busy broker may need more than a second

    async def run() -> None:
        log = wire.log(timeout=1.0)
        deadline = time.monotonic() + 20
        while await log.ready() is not None:
            assert time.monotonic() < deadline
        await asyncio.to_thread(wire.break_)
        began = time.monotonic()
        results = await log.append([message("during", number) for number in range(3)])
        assert time.monotonic() - began < 2
        assert all(isinstance(result, AppendFailed) and not result.permanent for result in results)
        assert await log.ready() is not None
        await asyncio.to_thread(wire.mend)
        deadline = time.monotonic() + 20
        while not isinstance((await log.append([message("after")]))[0], Position):
            assert time.monotonic() < deadline
        while await log.ready() is not None:
            assert time.monotonic() < deadline
        await log.close()

    asyncio.run(run())
    reader = wire.reader()
    read(reader, 2)
    reader.close()


def test_a_reader_says_that_the_log_is_away_and_reads_on_once_it_is_back(wire: Wire, reader: LogReader) -> None:
    placed(append(wire, [message("one", number) for number in range(3)]))
    assert [record.offset for record in read(reader, 3)] == [0, 1, 2]
    wire.break_()
    with pytest.raises(LogUnavailable):
        read(reader, 1)
    wire.mend()
    placed(append(wire, [message("one", 3)]))
    reader_at: list[int] = []
    deadline = time.monotonic() + 30
    while not reader_at or reader_at[-1] != 3:
        assert time.monotonic() < deadline
        try:
            reader_at += [record.offset for record in reader.poll(10, 0.2)]
        except LogUnavailable:
            time.sleep(0.1)
    assert reader_at in ([3], [0, 1, 2, 3])


def test_a_closed_log_takes_nothing_and_says_so(wire: Wire) -> None:
    async def run() -> None:
        log = wire.log()
        placed(await log.append([message("one")]))
        await log.close()
        [result] = await log.append([message("two")])
        assert isinstance(result, AppendFailed)
        assert "closed" in (await log.ready() or "")
        await log.close()

    asyncio.run(run())


def test_closing_waits_for_what_is_in_flight(wire: Wire) -> None:
    async def run() -> None:
        log = wire.log()
        placed(await log.append([message("one")]))
        flying = asyncio.create_task(log.append([message("one", number) for number in range(1, 50)]))
        await asyncio.sleep(0)
        await log.close()
        placed(await flying)

    asyncio.run(run())


def test_a_caller_that_gives_up_disturbs_no_other(wire: Wire) -> None:
    async def run() -> None:
        log = wire.log()
        gone = asyncio.create_task(log.append([message("one")]))
        await asyncio.sleep(0)
        gone.cancel()
        placed(await log.append([message("two")]))
        with pytest.raises(asyncio.CancelledError):
            await gone
        await log.close()

    asyncio.run(run())


def test_a_reader_of_an_empty_log_waits(wire: Wire, reader: LogReader) -> None:
    poll_until(lambda: reader.assigned == ALL_PARTITIONS, reader)
    assert list(reader.poll(10, 0)) == []
