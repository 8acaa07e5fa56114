"""``POST /salesforce/webhook`` on Kafka, beside a bare ASGI handler with confluent-kafka on the same broker.

The limit is served by uvicorn as released; told beside it is what the handler reaches on Licet's own connections, which
send an answer's head and body together.
"""

import statistics
from functools import partial

from confluent_kafka import Consumer, TopicPartition
from tests.support import kafka

from benches.machine import Machine, bare_server, licet_web, postgres
from benches.table import Row, Skipped, beside, interleaved
from benches.wrk import Load, load, need_wrk, told
from licet.queue.kafka import KafkaTopic, ensure_topic
from licet.queue.message import PARTITIONS, TOPIC

ROUNDS = 6
SECONDS = 2
BAR = 0.70
_BARE_TOPIC = "bench.bare"


def run(machine: Machine) -> list[Row]:
    """Measure."""
    need_wrk()
    lacking = kafka.lacking()
    if lacking is not None:
        raise Skipped(f"{lacking} (Debian: apt-get install openjdk-17-jre-headless maven)")
    with kafka.running_broker(machine.folder / "kafka") as broker, postgres(machine) as (url, _):
        brokers = broker.bootstrap
        ensure_topic(KafkaTopic(brokers=brokers, name=_BARE_TOPIC))
        with (
            licet_web(machine, url, kafka_brokers=brokers) as (port, web),
            bare_server(machine, "--plain", "--kafka", brokers, _BARE_TOPIC) as (bare_port, bare),
            bare_server(machine, "--kafka", brokers, _BARE_TOPIC) as (joined_port, joined),
        ):
            runs = [
                partial(load, "webhook", at, pid, seconds=SECONDS)
                for at, pid in ((port, web), (bare_port, bare), (joined_port, joined))
            ]
            warm = [one() for one in runs]
            ours, limits, on_ours = interleaved(ROUNDS, *runs)
        for topic, loads in ((TOPIC, [warm[0], *ours]), (_BARE_TOPIC, [*warm[1:], *limits, *on_ours])):
            _check_held(brokers, topic, sum(one.requests for one in loads))
    return [_row("webhook", ours, limits, BAR), _row("webhook, limit on Licet's server", ours, on_ours)]


def _row(what: str, ours: list[Load], limits: list[Load], bar: float | None = None) -> Row:
    rates, bare = [one.rate for one in ours], [one.rate for one in limits]
    row = Row(what=what, measured=statistics.median(rates), unit="posts/s", note=told(ours, limits))
    return beside(row, rates, bare, bar)


def _check_held(brokers: str, topic: str, accepted: int) -> None:
    """Make sure that the broker holds a record for each 202."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "bench"})
    try:
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, one), 5)[1] for one in range(PARTITIONS)]
    finally:
        consumer.close()
    if sum(ends) < accepted:
        raise RuntimeError(f"{topic}: {accepted} posts got a 202 and the broker holds {sum(ends)}")
