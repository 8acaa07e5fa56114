"""An organisation with fields of its own: dates, a quantity, an alias, no terms, test accounts to leave out."""

import datetime as dt
import pathlib
import uuid
import zoneinfo
from collections.abc import Iterator
from typing import Any

import pytest

from support.processes import Deployment, Wire, deployed, eventually, licet, new_database
from system.payloads import EMAIL

CATALOG = pathlib.Path(__file__).parents[2] / "docs" / "examples" / "custom-fields.toml"
PARIS = zoneinfo.ZoneInfo("Europe/Paris")


def account(**fields: Any) -> dict[str, Any]:
    """A new customer as this organisation sends it: SKU1 bought."""
    return {"Id": str(uuid.uuid4()), "Name": "acme.example", "SKU1__c": True, **fields}


def day(offset: int) -> str:
    """A date in Paris, in days from today."""
    return (dt.datetime.now(PARIS).date() + dt.timedelta(days=offset)).isoformat()


@pytest.fixture(scope="module")
def early() -> dict[str, Any]:
    """A customer that came before the catalog knew its fields."""
    return account(SKU2__c=True, Tenant_Id__c=f"early-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def refused() -> dict[str, Any]:
    """A change that the first catalog cannot read: SKU1 is a flag there, and nothing in the organisation's own."""
    return account(SKU1="yes", SKU2__c=True, Name="old.example")


@pytest.fixture(scope="module")
def deployment(
    folder: pathlib.Path, store: str, early: dict[str, Any], refused: dict[str, Any]
) -> Iterator[Deployment]:
    """A deployment that began with the default catalog and then got its own, while it ran."""
    with deployed(folder, store) as running:
        wire = running.wire
        wire.applied(early)
        assert wire.check(EMAIL, customer=early["Id"])["reason"] == "not_licensed"
        assert wire.get(f"/v1/customers/{early['Id']}")["unmapped"]["SKU1__c"] is True
        refuse(running, refused)
        done = running.command("catalog", "apply", str(CATALOG))
        assert done.code == 0, done
        assert "is current" in done.out
        assert "2 customers brought under it" in done.out
        features = eventually("the web follows the catalog", lambda: mailboxes_known(wire))
        assert [grant["value"] for grant in features["granted_by"]] == [100, 500]
        wire.saw(wire.get(f"/v1/customers/{early['Id']}"))
        yield running


def refuse(deployment: Deployment, payload: dict[str, Any]) -> None:
    """Post a change that cannot be read, wait until the door has kept it, and send what came after it."""
    wire = deployment.wire
    key = deployment.command("keys", "create", "flow", "--scope", "ingest").out.strip()
    assert wire.post(payload, authorization=f"Bearer {key}").status_code == 422
    letter = eventually("the door keeps the bad post", lambda: kept(wire))
    too_soon = wire.ask("POST", f"/v1/dead-letters/{letter['letter']}/replay")
    assert too_soon.status_code == 409
    assert "cannot be read yet: SKU1" in too_soon.json()["detail"]
    wire.applied({"Id": payload["Id"], "Name": "new.example", "SKU2__c": False})


def kept(wire: Wire) -> Any:
    return next(iter(wire.get("/v1/dead-letters")["items"]), None)


def mailboxes_known(wire: Wire) -> Any:
    features = {feature["feature"]: feature for feature in wire.get("/v1/features")["items"]}
    return features.get("mailboxes")


@pytest.fixture
def wire(deployment: Deployment) -> Wire:
    return deployment.wire


def test_customers_that_came_before_are_brought_under_the_new_catalog(wire: Wire, early: dict[str, Any]) -> None:
    decision = wire.check(EMAIL, customer=early["Id"])
    assert (decision["allowed"], decision["reason"]) == (True, "licensed")
    assert wire.check(EMAIL, customer=f"tenant:{early['Tenant_Id__c']}")["customer"] == early["Id"]
    page = wire.get(f"/v1/customers/{early['Id']}")
    assert page["unmapped"] == {}
    assert {one["sku"]: one["opened_by_catalog"] for one in page["licenses"]} == {"SKU1": 2, "SKU2": 2}


def test_a_post_that_was_refused_is_replayed_to_where_it_arrived(
    deployment: Deployment, wire: Wire, refused: dict[str, Any]
) -> None:
    letter = kept(wire)["letter"]
    assert wire.check(EMAIL, customer=refused["Id"])["allowed"] is False
    done = deployment.command("dead", "replay", str(letter))
    assert done.code == 0, done

    def judged() -> Any:
        found = wire.get(f"/v1/dead-letters/{letter}")
        return found if found["state"] != "replaying" else None

    shown = eventually("the replay is judged", judged)
    assert (shown["origin"], shown["state"], shown["last_outcome"]) == ("door", "replayed", "applied")
    page = wire.saw(wire.get(f"/v1/customers/{refused['Id']}"))
    assert page["name"] == "new.example"
    assert {one["sku"] for one in page["licenses"]} == {"SKU1"}, "SKU2 was taken back after the post was refused"
    assert wire.check(EMAIL, customer=refused["Id"])["sku"] == "SKU1"
    assert [one["letter"] for one in wire.get("/v1/dead-letters")["items"]] == [letter], "it brought no other"
    again = deployment.command("dead", "replay", str(letter))
    assert again.code != 0
    assert "no longer open" in again.err


def test_there_are_no_terms_to_sign(wire: Wire) -> None:
    acme = account(SignedTos=False)
    wire.applied(acme)
    assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "licensed"
    assert wire.get(f"/v1/customers/{acme['Id']}")["terms_signed"] is None


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    [
        (0, 0, "licensed"),
        (-400, 400, "licensed"),
        (1, 400, "not_yet_valid"),
        (-400, -1, "expired"),
        (None, None, "licensed"),
    ],
)
def test_a_license_runs_from_its_first_day_to_the_end_of_its_last(
    wire: Wire, first: int | None, last: int | None, reason: str
) -> None:
    days = {"SKU1_From__c": first, "SKU1_Until__c": last}
    acme = account(**{field: None if offset is None else day(offset) for field, offset in days.items()})
    wire.applied(acme)
    decision = wire.check(EMAIL, customer=acme["Id"])
    assert (decision["allowed"], decision["reason"]) == (reason == "licensed", reason)


@pytest.mark.parametrize(
    ("first", "starts_at", "last", "ends_at"),
    [
        ("2026-01-15", "2026-01-14T23:00:00Z", "2099-07-14", "2099-07-14T22:00:00Z"),
        ("2026-07-15", "2026-07-14T22:00:00Z", "2099-12-31", "2099-12-31T23:00:00Z"),
    ],
)
def test_days_begin_and_end_at_midnight_in_paris(
    wire: Wire, first: str, starts_at: str, last: str, ends_at: str
) -> None:
    acme = account(SKU1_From__c=first, SKU1_Until__c=last, SKU1_Seats__c=25.0)
    wire.applied(acme)
    (held,) = wire.get(f"/v1/customers/{acme['Id']}")["licenses"]
    assert (held["starts_at"], held["ends_at"], held["quantity"]) == (starts_at, ends_at, 25)
    assert wire.check(EMAIL, customer=acme["Id"])["until"] == ends_at


def test_a_null_takes_the_last_day_away_and_an_absent_field_leaves_it(wire: Wire) -> None:
    acme = account(SKU1_Until__c=day(-1))
    wire.applied(acme)
    wire.applied({"Id": acme["Id"], "Name": "renamed"})
    assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "expired"
    wire.applied({"Id": acme["Id"], "SKU1_Until__c": None})
    assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "licensed"


def test_the_tenant_id_names_the_customer_and_its_domain_its_users(wire: Wire) -> None:
    tenant, domain = f"4711-{uuid.uuid4().hex[:8]}", f"{uuid.uuid4().hex[:12]}.example"
    acme = account(Tenant_Id__c=tenant, EmailDomain__c=domain)
    wire.applied(acme)
    assert wire.check(EMAIL, customer=f"tenant:{tenant}")["customer"] == acme["Id"]
    assert wire.check(EMAIL, user=f"ana@{domain}")["customer"] == acme["Id"]
    given = wire.ask("DELETE", f"/v1/customers/{acme['Id']}/aliases/tenant:{tenant}")
    assert (given.status_code, given.json()["code"]) == (409, "conflict")  # Salesforce gave it


@pytest.mark.parametrize(
    ("flags", "value", "sku"),
    [
        ({"SKU1__c": True}, 100, "SKU1"),
        ({"SKU2__c": True}, 500, "SKU2"),
        ({"SKU1__c": True, "SKU2__c": True}, 500, "SKU2"),
        ({"SKU1__c": True, "SKU2__c": False}, 100, "SKU1"),
    ],
)
def test_of_several_skus_the_largest_value_wins(wire: Wire, flags: dict[str, bool], value: int, sku: str) -> None:
    acme = account(**{"SKU1__c": None, **flags})
    wire.applied(acme)
    decision = wire.check("mailboxes", customer=acme["Id"])
    assert (decision["allowed"], decision["value"], decision["sku"]) == (True, value, sku)


def test_test_accounts_are_left_out_by_name_of_the_rule(wire: Wire) -> None:
    acme = account(Type="Test")
    (event_id,) = wire.accepted(acme)
    change = wire.settled(event_id)
    assert (change["outcome"], change["reason"]) == ("ignored", "excluded")
    assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "unknown_customer"


@pytest.mark.parametrize("field", ["SKU1_From__c", "SKU1_Seats__c", "SKU1__c"])
def test_a_value_that_does_not_fit_its_field_is_refused_at_the_door(wire: Wire, field: str) -> None:
    answer = wire.post(account(**{field: "many"}))
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["faults"]] == [field]


def test_a_fresh_store_begins_with_the_catalog_that_the_setting_names(postgres: str, folder: pathlib.Path) -> None:
    with new_database(postgres) as url:
        env = {"LICET_DATABASE_URL": url, "LICET_CATALOG": str(CATALOG)}
        assert licet("migrate", env=env, folder=folder).code == 0
        shown = licet("catalog", "show", env={"LICET_DATABASE_URL": url}, folder=folder)
    assert (shown.code, shown.out) == (0, CATALOG.read_text("utf-8"))
