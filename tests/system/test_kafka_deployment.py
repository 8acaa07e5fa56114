"""The same deployment on a real Kafka: nothing is lost when a worker dies, and nothing is promised while it is down."""

import pathlib
import signal
from collections.abc import Iterator

import httpx
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from support.kafka import Broker, lacking, running_broker
from support.processes import PATIENCE_S, Deployment, deployed, eventually, worker_ready
from system.payloads import EMAIL, customer
from system.posting import Sender, all_partitions_move, applied_by, outcomes

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("system-kafka")]
CHANGES = 200


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this module alone, which kills it."""
    missing = lacking()
    if missing is not None:
        pytest.skip(missing)
    with running_broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture(scope="module")
def deployment(folder: pathlib.Path, store: str, broker: Broker) -> Iterator[Deployment]:
    """A web and two workers on Kafka; the topic is made by them."""
    settings = {"LICET_KAFKA_BROKERS": broker.bootstrap, "LICET_APPEND_TIMEOUT_MS": "1000"}
    with deployed(folder, store, workers=2, settings=settings) as running:
        yield running


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
        # The group waits for the dead one's session (6 s) before its partitions move.
        all_partitions_move(deployment.wire, 20)
    assert sender.refused == []
    assert outcomes(deployment.wire, sender.event_ids, 10) == {"applied": CHANGES}


def test_a_topic_made_anew_stops_its_partitions_until_a_person_accepts(deployment: Deployment, broker: Broker) -> None:
    topic, admin = "licet.customer-changes", AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.delete_topics([topic])[topic].result(20)

    def made() -> bool | None:
        try:
            admin.create_topics([NewTopic(topic, 12, 1)])[topic].result(20)
        except KafkaException:  # the old one is not gone yet
            return None
        return True

    eventually("the topic is made anew", made)
    health = worker_ready(deployment.workers[0])

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


def test_while_the_broker_is_down_nothing_is_accepted_and_checks_are_answered(
    deployment: Deployment, broker: Broker
) -> None:
    wire, acme = deployment.wire, customer(SKU1=True)
    wire.applied(acme)
    broker.kill()
    try:
        for _ in range(3):
            answer = wire.post(acme | {"SKU1": False})
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "unavailable"
        assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "licensed"
        waits = wire.ask("GET", "/readyz", key=None)
        assert waits.status_code == 503
        assert waits.json()["checks"]["store"] == "ok"
        assert waits.json()["checks"]["queue"] != "ok"
    finally:
        broker.start()

    def accepted() -> bool | None:
        return wire.post(customer(Id=acme["Id"], SKU1=False)).status_code == 202 or None

    eventually("posts are accepted again", accepted)
    all_partitions_move(wire, PATIENCE_S)
    assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "revoked"
    wire.ready()
    assert deployment.web.running
