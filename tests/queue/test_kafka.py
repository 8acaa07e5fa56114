"""What only the Kafka log does."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from licet.domain.errors import InvalidInput
from licet.queue.kafka import KafkaLog, KafkaTopic, ensure_topic
from licet.queue.message import Message, Position, read_envelope
from licet.queue.ports import AppendFailed, LogGap, LogUnavailable
from support.kafka import Broker
from support.logs import KafkaWire, Results, append, message, placed, poll_until, read
from support.mock_cluster import PRODUCE, MockCluster

ALL_PARTITIONS = frozenset(range(12))


@pytest.fixture
def wire(cluster: MockCluster) -> KafkaWire:
    return KafkaWire.on_mock(cluster)


def append_each(wire: KafkaWire, *calls: Sequence[Message], timeout: float = 1.0) -> list[Results]:
    """Append call after call to one log."""

    async def run() -> list[Results]:
        log = wire.log(timeout)
        results = [await log.append(messages) for messages in calls]
        await log.close()
        return results

    return asyncio.run(run())


def test_there_is_no_position_before_the_brokers_report(wire: KafkaWire, cluster: MockCluster) -> None:
    async def run() -> None:
        log = wire.log()
        placed(await log.append([message("one")]))
        cluster.set_rtt(400)
        began = time.monotonic()
        placed(await log.append([message("one", 1)]))
        assert time.monotonic() - began >= 0.4
        await log.close()

    asyncio.run(run())


def test_what_the_broker_refuses_has_no_position_and_the_next_may_have(wire: KafkaWire, cluster: MockCluster) -> None:
    # How long a refusal lasts: until the client looks at the topic again, each 10 s by default.
    config = {"topic.metadata.refresh.interval.ms": "200"}
    wire.topic = msgspec.structs.replace(wire.topic, config=config)

    async def run() -> None:
        log = wire.log()
        placed(await log.append([message("one", 0)]))
        cluster.fail_next(PRODUCE, KafkaError.TOPIC_AUTHORIZATION_FAILED)
        [refused] = await log.append([message("one", 1)])
        assert isinstance(refused, AppendFailed)
        assert not refused.permanent
        assert "authorization" in refused.reason
        await asyncio.sleep(0.5)
        [position] = placed(await log.append([message("one", 2)]))
        assert position.offset == 1
        await log.close()

    asyncio.run(run())


def test_a_hiccup_of_the_broker_is_retried_and_doubles_nothing(wire: KafkaWire, cluster: MockCluster) -> None:
    ensure_topic(wire.topic)
    cluster.fail_next(PRODUCE, KafkaError.NOT_ENOUGH_REPLICAS, KafkaError.NOT_LEADER_FOR_PARTITION)
    sent = [message("one", number) for number in range(20)]
    [results] = append_each(wire, sent, timeout=4)
    assert len(placed(results)) == len(sent)
    # Where they stand the log says: of a batch that it had already, the broker's word leaves the offset open.
    reader = wire.reader()
    found = read(reader, 20)
    assert [(record.offset, record.value) for record in found] == [(at, one.value) for at, one in enumerate(sent)]
    reader.close()


def test_an_error_that_ends_the_producer_ends_no_process(wire: KafkaWire, cluster: MockCluster) -> None:
    async def run() -> None:
        log = wire.log()
        placed(await log.append([message("one")]))
        cluster.fail_next(PRODUCE, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
        await log.append([message("one", 1)])
        deadline = time.monotonic() + 5
        while not isinstance((await log.append([message("one", 2)]))[0], Position):
            assert time.monotonic() < deadline
        await log.close()

    asyncio.run(run())


def test_a_full_buffer_is_a_failure_and_no_exception(cluster: MockCluster) -> None:
    wire = KafkaWire.on_mock(cluster)
    wire.topic = msgspec.structs.replace(wire.topic, config={"queue.buffering.max.messages": "3"})
    [results] = append_each(wire, [message("one", number) for number in range(10)])
    assert [isinstance(result, Position) for result in results] == [True] * 3 + [False] * 7
    assert all("wait for Kafka" in result.reason for result in results if isinstance(result, AppendFailed))


def test_a_topic_that_cannot_be_made_is_said(cluster: MockCluster) -> None:
    wire = KafkaWire(cluster.bootstrap, cluster.set_down, cluster.set_up)

    async def run() -> None:
        log = wire.log(timeout=1.0)
        [result] = await log.append([message("one")])
        assert isinstance(result, AppendFailed)
        assert wire.topic.name in result.reason
        assert wire.topic.name in (await log.ready() or "")
        cluster.create_topic(wire.topic.name)
        placed(await log.append([message("one")]))
        assert await log.ready() is None
        await log.close()

    with pytest.raises(LogUnavailable, match=wire.topic.name):
        wire.reader().poll(1, 0)
    asyncio.run(run())


def test_brokers_that_take_the_call_and_say_nothing_cost_no_more_than_the_time_out() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            log = KafkaLog(KafkaTopic(brokers=f"127.0.0.1:{mute.getsockname()[1]}"), timeout=0.5)
            began = time.monotonic()
            [result] = await log.append([message("one")])
            assert time.monotonic() - began < 1.5
            assert isinstance(result, AppendFailed)
            assert not result.permanent
            await log.close()

    asyncio.run(run())


def test_settings_pass_through_and_cannot_break_a_promise() -> None:
    topic = KafkaTopic(brokers="broker:9093", config={"sasl.username": "licet", "linger.ms": "5", "acks": "0"})
    settings = topic.client({"linger.ms": 1}, {"acks": "all"})
    assert (settings["sasl.username"], settings["linger.ms"], settings["acks"]) == ("licet", "5", "all")
    assert settings["bootstrap.servers"] == "broker:9093"


def test_a_rogue_record_is_read_as_it_is(wire: KafkaWire) -> None:
    ensure_topic(wire.topic)
    producer = Producer({"bootstrap.servers": wire.topic.brokers})
    producer.produce(wire.topic.name, partition=3)
    producer.produce(wire.topic.name, b"\xff\x00", b"\xfe", 3, headers=[("ce_id", None), ("ce_id", b"\xff"), ("", b"")])
    producer.produce(wire.topic.name, b"v", b"", 3, timestamp=2**62)
    producer.flush(5)
    reader = wire.reader()
    bare, odd, timeless = read(reader, 3)
    assert (bare.key, bare.value, list(bare.headers)) == (None, None, [])
    assert (odd.key, odd.value) == (b"\xfe", b"\xff\x00")
    assert list(odd.headers) == [("ce_id", b""), ("ce_id", b"\xff"), ("", b"")]
    assert (timeless.key, timeless.appended_at) == (b"", None)
    reader.close()


def test_a_header_whose_name_is_no_utf_8_stops_nobody_and_is_told(wire: KafkaWire, cluster: MockCluster) -> None:
    ensure_topic(wire.topic)
    for _ in range(50):  # the interpreter treats a call that it has seen often in another way
        cluster.write(wire.topic.name, b"{}", (b"name", b"v"))
    cluster.write(wire.topic.name, b"[]", (b"na\xffme", b"v"))
    reader = wire.reader()
    records = read(reader, 51)
    reader.close()
    [odd] = [record for record in records if record.value == b"[]"]
    with pytest.raises(InvalidInput) as refused:
        read_envelope(odd)
    assert ("headers", "headers whose names are UTF-8") in [(one.field, one.expected) for one in refused.value.faults]


def test_records_that_retention_took_before_they_were_read_stop_the_reader(
    wire: KafkaWire, cluster: MockCluster
) -> None:
    [first, *_] = placed(append(wire, [message("one", number) for number in range(10)]))
    cluster.delete_records(wire.topic.name, first.partition, 6)
    reader = wire.reader(lambda _log, _partitions: {first.partition: 2})
    with pytest.raises(LogGap, match=r"next offset is 2, the log has 6 to 10"):
        read(reader, 1)
    reader.close()
    fresh = wire.reader()
    assert [record.offset for record in read(fresh, 4)] == [6, 7, 8, 9]
    fresh.close()


def test_lag_tools_see_what_was_committed(wire: KafkaWire) -> None:
    [first, *_] = placed(append(wire, [message("one", number) for number in range(3)]))
    reader = wire.reader()
    read(reader, 3)
    reader.commit({first.partition: 2})
    asked = Consumer({"bootstrap.servers": wire.topic.brokers, "group.id": wire.group})

    def committed() -> bool:
        [found] = asked.committed([TopicPartition(wire.topic.name, first.partition)], timeout=5)
        return bool(found.offset == 2)

    poll_until(committed, reader)
    asked.close()
    reader.close()


class TestOnABroker:
    pytestmark = pytest.mark.broker

    @pytest.fixture
    def wire(self, broker: Broker) -> KafkaWire:
        return KafkaWire.on_broker(broker)

    def test_the_topic_is_made_once_with_twelve_partitions_and_thirty_days(self, wire: KafkaWire) -> None:
        makers = [threading.Thread(target=ensure_topic, args=(wire.topic,)) for _ in range(4)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
        admin = AdminClient({"bootstrap.servers": wire.topic.brokers})
        assert len(admin.list_topics(timeout=5).topics[wire.topic.name].partitions) == 12
        named = ConfigResource("topic", wire.topic.name)
        config = admin.describe_configs([named])[named].result(5)
        assert config["retention.ms"].value == str(30 * 24 * 3600 * 1000)

    def test_a_topic_that_exists_is_left_as_it_is(self, wire: KafkaWire) -> None:
        ensure_topic(msgspec.structs.replace(wire.topic, partitions=3))
        admin = AdminClient({"bootstrap.servers": wire.topic.brokers})
        deadline = time.monotonic() + 10
        while wire.topic.name not in admin.list_topics(timeout=5).topics:
            assert time.monotonic() < deadline
        ensure_topic(wire.topic)
        assert len(admin.list_topics(timeout=5).topics[wire.topic.name].partitions) == 3

    def test_a_reader_takes_over_from_one_that_was_killed_within_ten_seconds(self, wire: KafkaWire) -> None:
        program = (
            "import sys\nfrom licet.queue.kafka import KafkaTopic\nfrom licet.queue.kafka_reader import KafkaReader\n"
            "topic = KafkaTopic(brokers=sys.argv[1], name=sys.argv[2])\n"
            "reader = KafkaReader(topic, lambda *_: {}, group=sys.argv[3])\n"
            "while True:\n    reader.poll(10, 0.1)\n    print(len(reader.assigned), flush=True)\n"
        )
        arguments = [wire.topic.brokers, wire.topic.name, wire.group]
        with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            while other.stdout.readline() != b"12\n":
                assert other.poll() is None
            other.kill()
        began = time.monotonic()
        reader = wire.reader()
        poll_until(lambda: reader.assigned == ALL_PARTITIONS, reader)
        assert time.monotonic() - began < 10
        reader.close()

    def test_what_was_confirmed_outlives_a_crash_of_the_broker(self, wire: KafkaWire, broker: Broker) -> None:
        positions = placed(append(wire, [message(f"customer-{number}", number) for number in range(100)]))
        broker.kill()
        broker.start()
        reader = wire.reader()
        records = read(reader, 100, seconds=60)
        assert sorted(Position(record.partition, record.offset) for record in records) == sorted(positions)
        reader.close()

    def test_a_topic_made_anew_is_another_log_and_the_reader_that_was_there_reads_it(
        self, wire: KafkaWire, broker: Broker
    ) -> None:
        placed(append(wire, [message("one", number) for number in range(10)]))
        reader = wire.reader()
        read(reader, 10)
        before = reader.name
        broker.kill()  # then the old topic's leader epochs are higher than the new one's
        broker.start()
        admin = AdminClient({"bootstrap.servers": wire.topic.brokers})
        deadline = time.monotonic() + 60
        while any(
            one.leader < 0 for one in admin.list_topics(wire.topic.name, 20).topics[wire.topic.name].partitions.values()
        ):
            assert time.monotonic() < deadline
        placed(append(wire, [message("one", 10)]))
        read(reader, 1, seconds=60)
        admin.delete_topics([wire.topic.name])[wire.topic.name].result(10)
        deadline = time.monotonic() + 20
        while wire.topic.name in admin.list_topics(timeout=5).topics:
            assert time.monotonic() < deadline
        (position,) = placed(append(wire, [message("one", 11)]))
        (record,) = read(reader, 1, seconds=60)
        assert Position(record.partition, record.offset) == position == Position(position.partition, 0)
        assert record.log == reader.name != before
        assert reader.name.rpartition("@")[0] == before.rpartition("@")[0] == f"kafka:{wire.topic.name}"
        reader.close()
