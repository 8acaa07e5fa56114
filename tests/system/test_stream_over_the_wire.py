"""Snapshot and stream over the wire: a change arrives, and neither a killed web nor a slow death loses one."""

import contextlib
import signal
import time
from collections.abc import Iterator

import httpx

from support.processes import ADMIN, Deployment, Process, eventually
from support.streams import Event, Events, Mirror
from system.payloads import customer


@contextlib.contextmanager
def following(url: str, after: str = "") -> Iterator[Iterator[Event]]:
    """Open a stream; yields its events."""
    headers = {"authorization": f"Bearer {ADMIN}"} | ({"last-event-id": after} if after else {})
    with httpx.stream("GET", f"{url}/v1/stream", headers=headers, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        yield events(answer)


def events(answer: httpx.Response) -> Iterator[Event]:
    read = Events()
    for text in answer.iter_text():
        yield from read.feed(text)


def named(stream: Iterator[Event], customer_id: str) -> Event:
    """Wait for the event that tells of a customer."""
    for event in stream:
        if any(one["c"] == customer_id for one in event.data.get("customers", ())):
            return event
    raise AssertionError("the stream is over")


def test_a_change_arrives_within_moments_and_a_snapshot_has_it_too(deployment: Deployment) -> None:
    wire = deployment.wire
    with following(wire.url) as stream:
        assert next(stream).name == "alive"
        payload = customer(SKU1=True)
        change = wire.applied(payload)
        event = named(stream, payload["Id"])
        assert event.data["revision"] >= change["revision"]
        ((sku, status, *_),) = [one for one in event.data["customers"][0]["l"] if one[1] == "active"]
        assert (sku, status) == ("SKU1", "active")
        alive = next(one for one in stream if one.name == "alive")
        assert alive.data["age_ms"] < 10_000
    mirror = Mirror(wire.ask("GET", "/v1/snapshot").content)
    assert mirror.customers[payload["Id"]] == event.data["customers"][0]
    assert "licet_stream_readers" in wire.ask("GET", "/metrics").text


def test_a_web_that_is_killed_and_comes_back_leaves_no_gap(deployment: Deployment) -> None:
    wire = deployment.wire
    first, missed, later = (customer(SKU1=True) for _ in range(3))
    with following(wire.url) as stream:
        next(stream)
        wire.applied(first)
        position = named(stream, first["Id"]).id
    wire.applied(missed)
    deployment.web.signal(signal.SIGKILL)
    deployment.web.ended()
    deployment.web = Process(deployment.folder, "web", env=deployment.env)
    wire.ready()
    with following(wire.url, position) as stream:
        assert named(stream, missed["Id"]).id != position
        wire.applied(later)
        named(stream, later["Id"])


def test_a_web_that_is_told_to_end_says_so_to_its_readers_and_ends_well(deployment: Deployment) -> None:
    with following(deployment.wire.url) as stream:
        next(stream)
        began = time.monotonic()
        deployment.web.signal(signal.SIGTERM)
        reason = next(one for one in stream if one.name == "cut_off").data["reason"]
        assert "stopping" in reason
        assert next(stream, None) is None
    assert deployment.web.ended() == 0
    assert time.monotonic() - began < 7  # requests in flight have 8 s; nothing waited for the stream
    deployment.web = Process(deployment.folder, "web", env=deployment.env)
    deployment.wire.ready()


def test_a_key_of_scope_snapshot_reads_both_until_it_is_revoked(deployment: Deployment) -> None:
    made = deployment.command("keys", "create", "sdk", "--scope", "snapshot")
    key = made.out.strip()
    headers = {"authorization": f"Bearer {key}"}
    url = deployment.wire.url
    eventually("the key is known", lambda: httpx.get(f"{url}/v1/snapshot", headers=headers).status_code == 200 or None)
    assert httpx.get(f"{url}/v1/skus", headers=headers).status_code == 403
    with httpx.stream("GET", f"{url}/v1/stream", headers=headers, timeout=30) as answer:
        stream = events(answer)
        next(stream)
        deployment.command("keys", "revoke", key.split("_")[1])
        began = time.monotonic()
        assert "revoked" in next(one for one in stream if one.name == "cut_off").data["reason"]
        assert time.monotonic() - began < 15
