"""The topic that tells others: confirmed as a whole or not at all, compacted, and closed to a publisher of before."""

from collections.abc import Sequence

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from licet.queue.kafka import KafkaTopic
from licet.queue.kafka_announcer import COMPACTED, KafkaAnnouncer
from licet.queue.ports import Announcement, LogUnavailable
from support.kafka import Broker
from support.mock_cluster import MockCluster
from support.processes import eventually
from support.world import fresh


def said(key: str, *values: bytes | None) -> list[Announcement]:
    return [Announcement(key, value, [("ce_id", b"1")]) for value in values]


def heard(bootstrap: str, topic: str, count: int) -> Sequence[tuple[bytes | None, bytes | None]]:
    """Read committed records until there are so many; returns (key, value)."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "x", "isolation.level": "read_committed"}
    consumer = Consumer(settings | {"auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(12)])
    found: list[tuple[bytes | None, bytes | None]] = []

    def look() -> bool | None:
        found.extend((one.key(), one.value()) for one in consumer.consume(100, 0.1) if one.error() is None)
        return len(found) >= count or None

    eventually(f"{count} records", look)
    look()
    consumer.close()
    return found


def test_what_is_said_of_one_key_stays_in_order_and_none_forgets_it(cluster: MockCluster) -> None:
    cluster.create_topic("told")
    announcer = KafkaAnnouncer(KafkaTopic(brokers=cluster.bootstrap, name="told"))
    announcer.open()
    announcer.send(said("a", b"1", b"2"))
    announcer.send(said("a", b"3", None))
    announcer.close()
    with pytest.raises(LogUnavailable):
        announcer.send(said("a", b"4"))
    assert [value for _, value in heard(cluster.bootstrap, "told", 4)] == [b"1", b"2", b"3", None]


def test_a_cluster_that_is_away_is_said_to_be_and_found_again(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("licet.queue.kafka_announcer.LIMIT_S", 1.0)
    cluster.create_topic("told")
    announcer = KafkaAnnouncer(KafkaTopic(brokers=cluster.bootstrap, name="told"))
    announcer.open()
    announcer.send(said("a", b"1"))
    cluster.set_down()
    with pytest.raises(LogUnavailable):
        announcer.send(said("a", b"2"))
    with pytest.raises(LogUnavailable):
        announcer.open()
    cluster.set_up()
    eventually("it can be opened again", lambda: opened(announcer))
    announcer.send(said("a", b"2"))
    announcer.close()
    assert [value for _, value in heard(cluster.bootstrap, "told", 2)][-1] == b"2"


@pytest.mark.broker
def test_who_opens_the_topic_cuts_off_who_opened_it_before(broker: Broker) -> None:
    topic = KafkaTopic(brokers=broker.bootstrap, name=fresh("told"), made_with=COMPACTED)
    former, present = KafkaAnnouncer(topic), KafkaAnnouncer(topic)
    eventually("a coordinator is there", lambda: opened(former))
    former.send(said("a", b"1"))
    assert former._producer is not None
    former._producer.begin_transaction()  # what it still has in flight when it is paused
    former._producer.produce(topic.name, b"in flight", b"a")
    former._producer.flush(5)
    present.open()
    present.send(said("a", b"2"))
    with pytest.raises(KafkaException, match="fenced"):
        former._producer.commit_transaction(5)
    former.close()
    present.close()
    assert heard(broker.bootstrap, topic.name, 2) == [(b"a", b"1"), (b"a", b"2")]
    described = broker.topics("--describe", "--topic", topic.name)
    assert "PartitionCount: 12" in described
    assert "cleanup.policy=compact" in described


def opened(announcer: KafkaAnnouncer) -> bool | None:
    try:
        announcer.open()
    except LogUnavailable:
        return None
    return True
