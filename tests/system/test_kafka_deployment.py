"""The same deployment on a real Kafka: a worker dies, the broker dies or hangs, the web ends; nothing is lost."""

import contextlib
import pathlib
import signal
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from support.collector import Collector, Seen, running_collector
from support.kafka import Broker, lacking, running_broker
from support.processes import PATIENCE_S, Deployment, Process, deployed, eventually, worker_ready
from system.payloads import EMAIL, customer
from system.posting import Sender, Stream, all_partitions_move, applied_by, outcomes

pytestmark = pytest.mark.broker
CHANGES = 120
SPOOLED = 40


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this module alone, which kills it."""
    missing = lacking()
    if missing is not None:
        pytest.skip(missing)
    data = tmp_path_factory.mktemp("kafka")
    (data / "extra.properties").write_text("group.min.session.timeout.ms=1000\n")
    with running_broker(data, quick=True) as running:
        yield running


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Where all processes of this module send their spans."""
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def deployment(folder: pathlib.Path, store: str, broker: Broker, collector: Collector) -> Iterator[Deployment]:
    """A web and two workers on Kafka; the topic is made by them."""
    settings = {
        "LICET_KAFKA_BROKERS": broker.bootstrap,
        # A dead worker's partitions move after 3 s instead of 6, and a topic made anew is seen after 1 instead of 10.
        "LICET_KAFKA_CONFIG": (
            "session.timeout.ms=3000,heartbeat.interval.ms=500,topic.metadata.refresh.interval.ms=1000"
        ),
        "LICET_TRACES": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with deployed(folder, store, workers=2, settings=settings) as running:
        yield running


def test_one_trace_from_the_door_over_kafka_and_the_store_to_the_answer(
    deployment: Deployment, collector: Collector
) -> None:
    wire, trace, ours = deployment.wire, uuid.uuid4().hex, uuid.uuid4().hex[:16]
    context = {"traceparent": f"00-{trace}-{ours}-01"}
    sent = wire.ask("POST", "/salesforce/webhook", json=(acme := customer(SKU1=True)), headers=context)
    event = sent.json()["changes"][0]["event_id"]
    asked = {"customer": acme["Id"], "feature": EMAIL, "after_event": event}
    assert wire.ask("GET", "/v1/check", params=asked, headers=context).json()["reason"] == "licensed"

    def whole() -> dict[str, Seen] | None:
        found = {span.name: span for span in collector.trace(trace)}
        return found if len(found) >= 5 else None

    spans = eventually("five spans of one trace", whole)
    door, check = spans["POST /salesforce/webhook"], spans["GET /v1/check"]
    record, store = spans["process licet.customer-changes"], spans["store transaction"]
    follows = spans["snapshot follows"]
    assert (door.parent, check.parent) == (ours, ours)
    assert (record.parent, follows.parent, store.parent) == (door.span, door.span, record.span)
    assert [span.service for span in (door, record, store, follows)] == [
        "licet-web",
        "licet-worker",
        "licet-worker",
        "licet-web",
    ]
    assert record.values["licet.event_id"] == event
    assert record.values["licet.customer"] == acme["Id"]
    assert record.values["licet.outcome"] == "applied"
    assert door.began <= record.began <= store.began <= store.ended <= record.ended
    assert store.began <= follows.ended


def test_a_trace_that_its_sender_does_not_keep_costs_no_span(deployment: Deployment, collector: Collector) -> None:
    wire, traces = deployment.wire, [uuid.uuid4().hex for _ in range(2)]
    for trace, flag in zip(traces, ("00", "01"), strict=True):
        context = {"traceparent": f"00-{trace}-{'ab' * 8}-{flag}"}
        assert wire.ask("POST", "/salesforce/webhook", json=customer(), headers=context).status_code == 202
    eventually("the spans of the one that is kept", lambda: len(collector.trace(traces[1])) >= 4 or None)
    assert collector.trace(traces[0]) == []


def test_a_change_goes_through_kafka_and_two_workers_share_the_partitions(deployment: Deployment) -> None:
    wire = deployment.wire
    change = wire.applied(acme := customer(SKU1=True))
    assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "licensed"
    assert change["deliveries"][0]["log"].startswith("kafka:")
    both = [worker_ready(worker) for worker in deployment.workers]

    def shared() -> bool | None:
        all_partitions_move(wire, PATIENCE_S)
        return min(applied_by(url) for url in both) > 20 or None

    eventually("both workers apply changes", shared)


def test_a_worker_that_is_killed_loses_nothing_and_another_takes_over(deployment: Deployment) -> None:
    killed = deployment.workers.pop(0)
    with Sender(deployment.wire.url, CHANGES) as sender:
        sender.wait_until_half_is_sent()
        killed.signal(signal.SIGKILL)
        assert killed.ended() == -signal.SIGKILL
        # The group waits for the dead one's session before its partitions move.
        all_partitions_move(deployment.wire, 20)
    assert sender.refused == []
    assert outcomes(deployment.wire, sender.event_ids, 10) == {"applied": CHANGES}


def test_a_topic_made_anew_stops_its_partitions_until_a_person_accepts(deployment: Deployment, broker: Broker) -> None:
    topic, admin = "licet.customer-changes", AdminClient({"bootstrap.servers": broker.bootstrap})
    health = worker_ready(deployment.workers[0])
    admin.delete_topics([topic])[topic].result(20)

    def made() -> bool | None:
        try:
            admin.create_topics([NewTopic(topic, 12, 1)])[topic].result(20)
        except KafkaException:  # the old one is not gone yet
            return None
        return True

    eventually("the topic is made anew", made)

    def stopped() -> bool | None:
        told = httpx.get(f"{health}/readyz").json()
        return ("made anew" in str(told["stopped"]) and not told["ready"]) or None

    eventually("the worker's partitions are stopped", stopped)
    eventually("all are", lambda: deployment.rows("SELECT count(*) FROM partition_stop") == [(12,)] or None)
    assert deployment.command("partition", "show").code == 1

    def taken() -> str | None:
        answer = deployment.wire.post(customer())
        return answer.json()["changes"][0]["event_id"] if answer.status_code == 202 else None

    event_id = eventually("the door finds the new topic", taken)
    said = deployment.command("partition", "accept", "--all")
    assert said.code == 0, said
    assert deployment.wire.settled(event_id)["outcome"] == "applied"
    verified = deployment.command("verify")
    assert verified.code == 0, verified


def waits_in_spool(deployment: Deployment) -> bool:
    return deployment.rows("SELECT open FROM spool_state") == [(True,)]


@pytest.mark.parametrize(("breaks", "mends"), [("kill", "start"), ("pause", "resume")])
def test_while_the_broker_is_away_changes_are_taken_and_none_is_lost_doubled_or_overtaken(
    deployment: Deployment, broker: Broker, breaks: str, mends: str
) -> None:
    wire = deployment.wire
    wire.applied(acme := customer(SKU1=True))
    with Stream(wire.url) as stream:
        stream.wait_for(SPOOLED)
        getattr(broker, breaks)()
        try:
            eventually("the door spools", lambda: waits_in_spool(deployment) or None)
            stream.wait_for(SPOOLED)
            assert wire.ask("GET", "/readyz", key=None).json()["checks"]["spool"].startswith("ok: open since")
            assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "licensed"
        finally:
            getattr(broker, mends)()
        back = time.monotonic()
        eventually("the spool is drained", lambda: not waits_in_spool(deployment) or None, 10)
        print(f"drained {time.monotonic() - back:.1f} s after the broker's return")
        stream.wait_for(SPOOLED)
    assert set(stream.statuses) == {202}
    assert stream.queued["spool"] >= SPOOLED
    stream.account(deployment)


def test_a_web_that_is_told_to_end_under_load_loses_nothing(deployment: Deployment, broker: Broker) -> None:
    streams = [Stream(deployment.wire.url, pause=0) for _ in range(8)]
    with contextlib.ExitStack() as stack:
        for stream in streams:
            stack.enter_context(stream)
        streams[0].wait_for(30)
        began = time.monotonic()
        deployment.web.signal(signal.SIGTERM)
        assert deployment.web.ended(10) == 0, deployment.web
        print(f"ended {time.monotonic() - began:.1f} s after the signal")
    assert "stopped" in deployment.web.err.splitlines()[-1]
    # The web starts again while Kafka is away, and takes changes.
    broker.kill()
    try:
        deployment.web = Process(deployment.folder, "web", env=deployment.env)
        deployment.web.wait_for(r"\bstarted\b.*process=web")
        assert f"Kafka at {broker.bootstrap}" in deployment.web.err
        deployment.wire.ready()
        assert deployment.wire.post(customer()).json()["changes"][0]["queued_in"] == "spool"
    finally:
        broker.start()
    for stream in streams:
        assert set(stream.statuses) <= {202}, "a request in flight is answered, a later one finds no listener"
        stream.account(deployment)
