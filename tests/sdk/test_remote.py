"""Remote mode asks each time, remembers for a moment, and in an outage tells the last that still holds."""

import datetime as dt
import uuid
from typing import Any

import pytest

from licet_sdk import remote
from support.sdk_clients import InLoop, Open, eventually
from support.sdk_service import Service

ID = str(uuid.UUID(int=7))


def said(**more: Any) -> dict[str, Any]:
    base = {"allowed": True, "reason": "licensed", "message": "Yes.", "customer": "acme", "user": None, "value": 5}
    return (
        base | {"sku": "SKU1", "license_id": ID, "since": "2026-01-02T03:04:05Z", "until": None, "revision": 9} | more
    )


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE", 0.05)


def test_it_asks_the_service_and_remembers_for_a_moment(service: Service, connect: Open) -> None:
    service.decision = said(age_ms=4, lag_ms=None)
    licet = connect(mode="remote", keep=30.0)
    assert licet.wait_ready()
    decision = licet.check("mail", customer="tenant:1")
    assert (decision.allowed, decision.value, decision.customer, decision.feature) == (True, 5, "acme", "mail")
    assert decision.license_id == ID
    assert decision.since == dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert licet.allowed("mail", customer="tenant:1")
    assert licet.check("mail", user="ada").allowed
    assert service.requests == ["/v1/check"] * 2


def test_in_an_outage_the_last_known_answer_holds_until_it_ends(service: Service, connect: Open) -> None:
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=0.6)
    service.decision = said(until=ends.isoformat())
    licet = connect(mode="remote", keep=0.0, defaults={"spare": True})
    assert licet.check("mail", customer="acme").allowed
    service.stop()
    assert licet.check("mail", customer="acme").reason == "licensed"
    assert licet.check("mail", customer="other").reason == "unavailable"
    assert licet.check("spare", customer="other").reason == "default"
    eventually(lambda: dt.datetime.now(dt.UTC) > ends)
    assert licet.check("mail", customer="acme").reason == "unavailable"
    service.start()
    service.decision = said()
    eventually(lambda: licet.allowed("mail", customer="other"))


def test_an_answer_that_ended_by_itself_is_asked_anew_however_young(service: Service, connect: Open) -> None:
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=0.3)
    service.decision = said(until=ends.isoformat())
    licet = connect(mode="remote", keep=60.0)
    assert licet.allowed("mail", customer="acme")
    service.decision = said(allowed=False, reason="expired", value=None)
    eventually(lambda: dt.datetime.now(dt.UTC) > ends)
    assert licet.check("mail", customer="acme").reason == "expired"


def test_a_service_that_fails_is_left_alone_for_a_moment(
    service: Service, connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PAUSE", 30.0)
    service.refuse = 503
    licet = connect(mode="remote")
    assert [licet.check("mail", customer=str(number)).reason for number in range(5)] == ["unavailable"] * 5
    assert len(service.requests) == 1


def test_a_name_that_nobody_can_have_is_unknown(
    service: Service, connect: Open, caplog: pytest.LogCaptureFixture
) -> None:
    service.refuse = 422
    licet = connect(mode="remote")
    assert licet.check("mail", customer="a b").reason == "unknown_customer"
    assert licet.check("mail", user="a b").reason == "unknown_user"
    service.refuse, service.decision = 0, said(allowed=False, reason="unknown_feature", value=None)
    for _ in range(2):
        assert not licet.allowed("teleport", customer="x")
    assert sum("'teleport'" in record.getMessage() for record in caplog.records) == 1


def test_it_remembers_no_more_than_its_limit(service: Service, connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_MOST", 3)
    service.decision = said()
    licet = connect(mode="remote")
    for number in range(9):
        licet.check("mail", customer=str(number))
    core = licet._licet.core if isinstance(licet, InLoop) else licet
    assert core.remote is not None
    assert len(core.remote._answers) == 3
