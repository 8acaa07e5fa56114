"""The road over the wire: a Salesforce change becomes an answer with its reason."""

import uuid
from typing import Any

import pytest

from support.processes import Deployment, Wire
from system.payloads import EMAIL, TAKEOVER, customer, salesforce_id

DECISION = {"allowed", "reason", "message", "customer", "feature", "revision", "age_ms"}


@pytest.fixture
def wire(deployment: Deployment) -> Wire:
    return deployment.wire


def reason(wire: Wire, feature: str, **who: str) -> tuple[bool, str]:
    decision = wire.check(feature, **who)
    assert decision["message"].endswith("."), decision
    return decision["allowed"], decision["reason"]


def test_a_customer_that_bought_the_sku_may_use_its_feature(wire: Wire) -> None:
    acme = customer(SKU1=True)
    answer = wire.post(acme)
    assert answer.status_code == 202
    receipt = answer.json()
    assert receipt == {
        "changes": [{"event_id": receipt["changes"][0]["event_id"], "customer_id": acme["Id"], "queued_in": "log"}],
        "rejected": [],
    }
    change = wire.settled(receipt["changes"][0]["event_id"])
    decision = wire.check(EMAIL, customer=acme["Id"])
    assert decision.keys() >= DECISION
    assert (decision["allowed"], decision["reason"], decision["sku"]) == (True, "licensed", "SKU1")
    assert (decision["customer"], decision["feature"]) == (acme["Id"], EMAIL)
    assert decision["revision"] >= change["revision"]
    assert reason(wire, TAKEOVER, customer=acme["Id"]) == (False, "not_licensed")


def test_a_customer_that_lost_the_sku_is_refused_and_told_why(wire: Wire) -> None:
    acme = customer(SKU1=True)
    wire.applied(acme)
    wire.applied(acme | {"SKU1": False})
    decision = wire.check(EMAIL, customer=acme["Id"])
    assert (decision["allowed"], decision["reason"]) == (False, "revoked")
    assert decision["message"] == "Your license for this feature has ended."


def test_terms_that_are_not_signed_give_no_access_and_terms_withdrawn_take_it(wire: Wire) -> None:
    acme = customer(SKU1=True, SignedTos=False)
    wire.applied(acme)
    assert reason(wire, EMAIL, customer=acme["Id"]) == (False, "terms_not_signed")
    wire.applied(acme | {"SignedTos": True})
    assert reason(wire, EMAIL, customer=acme["Id"]) == (True, "licensed")
    wire.applied(acme | {"SignedTos": False})
    assert reason(wire, EMAIL, customer=acme["Id"]) == (False, "suspended")


def test_a_flag_that_is_absent_or_null_changes_nothing(wire: Wire) -> None:
    acme = customer(SKU1=True)
    wire.applied(acme)
    wire.applied({"Id": acme["Id"], "Name": "acme renamed", "SKU1": None})
    assert reason(wire, EMAIL, customer=acme["Id"]) == (True, "licensed")


def test_what_nobody_knows_is_denied_with_its_own_reason(wire: Wire) -> None:
    acme = customer(SKU1=True)
    wire.applied(acme)
    assert reason(wire, "teleportation", customer=acme["Id"]) == (False, "unknown_feature")
    assert reason(wire, EMAIL, customer=str(uuid.uuid4())) == (False, "unknown_customer")
    assert reason(wire, EMAIL, user="nobody@nowhere.example") == (False, "unknown_user")


def test_a_user_is_known_by_membership_and_by_domain(wire: Wire) -> None:
    acme, domain = customer(SKU1=True), f"{uuid.uuid4().hex[:12]}.example"
    wire.applied(acme)
    assert reason(wire, EMAIL, user=f"ana@{domain}") == (False, "unknown_user")
    domain_at = wire.put(f"/v1/customers/{acme['Id']}/domains/{domain}")["revision"]
    by_domain = wire.check(EMAIL, user=f"Ana@{domain.upper()}")
    assert (by_domain["allowed"], by_domain["customer"]) == (True, acme["Id"])
    assert by_domain["revision"] >= domain_at

    user = f"user-{uuid.uuid4().hex[:8]}"
    wire.put(f"/v1/customers/{acme['Id']}/users/{user}")
    assert reason(wire, EMAIL, user=user) == (True, "licensed")
    wire.delete(f"/v1/customers/{acme['Id']}/users/{user}")
    assert reason(wire, EMAIL, user=user) == (False, "unknown_user")


def test_a_user_of_two_customers_is_allowed_by_either_and_a_customer_narrows_it(wire: Wire) -> None:
    paying, other, user = customer(SKU1=True), customer(), f"user-{uuid.uuid4().hex[:8]}"
    for one in (paying, other):
        wire.applied(one)
        wire.put(f"/v1/customers/{one['Id']}/users/{user}")
    assert reason(wire, EMAIL, user=user) == (True, "licensed")
    assert reason(wire, EMAIL, user=user, customer=other["Id"]) == (False, "not_licensed")


def test_a_public_mail_domain_is_nobodys(wire: Wire) -> None:
    acme = customer()
    wire.applied(acme)
    answer = wire.ask("PUT", f"/v1/customers/{acme['Id']}/domains/gmail.com")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_an_alias_names_a_customer_wherever_an_id_does(wire: Wire) -> None:
    acme, other, alias = customer(SKU1=True), customer(), f"tenant:{uuid.uuid4().hex[:8]}"
    wire.applied(acme)
    wire.applied(other)
    wire.put(f"/v1/customers/{acme['Id']}/aliases/{alias}")
    assert reason(wire, EMAIL, customer=alias) == (True, "licensed")
    assert wire.get(f"/v1/customers/{alias}")["id"] == acme["Id"]
    taken = wire.ask("PUT", f"/v1/customers/{other['Id']}/aliases/{alias}")
    assert (taken.status_code, taken.json()["code"]) == (409, "conflict")


def test_the_short_and_the_long_form_of_a_salesforce_id_are_one_customer(wire: Wire) -> None:
    short = salesforce_id()
    long = short + "AAA"
    wire.applied(customer(Id=short, SKU1=True))
    wire.applied(customer(Id=long, SKU1=True, SKU2=True))
    for name in (short, long):
        assert wire.check(TAKEOVER, customer=name)["customer"] == long
        assert wire.get(f"/v1/customers/{name}")["id"] == long


def test_of_an_array_the_good_items_are_taken_and_the_others_come_back(wire: Wire) -> None:
    good = [customer(SKU1=True), customer(SKU1=True)]
    answer = wire.post([good[0], {"Name": "no id", "SKU1": "yes"}, good[1], 4711])
    assert answer.status_code == 202
    receipt = answer.json()
    assert [change["customer_id"] for change in receipt["changes"]] == [one["Id"] for one in good]
    assert [item["index"] for item in receipt["rejected"]] == [1, 3]
    first = receipt["rejected"][0]["faults"]
    assert {fault["field"] for fault in first} == {"Id", "SKU1"}
    assert all(fault.keys() == {"field", "found", "expected"} for fault in first)
    for change in receipt["changes"]:
        assert wire.settled(change["event_id"])["outcome"] == "applied"
    none_good = wire.post([{"Name": "no id"}, 4711])
    assert (none_good.status_code, none_good.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize("path", ["/salesforce/webhook", "/salesforce/webhook/"])
@pytest.mark.parametrize("kind", [None, "application/json", "text/plain"])
def test_the_webhook_asks_for_no_content_type_and_no_exact_slash(wire: Wire, path: str, kind: str | None) -> None:
    answer = wire.post(customer(), path, **({"content-type": kind} if kind else {}))
    assert answer.status_code == 202


def test_a_change_has_no_outcome_before_it_is_consumed_and_one_after(wire: Wire) -> None:
    acme = customer(SKU1=True, EventId=f"deal-{uuid.uuid4()}")
    before = wire.get(f"/v1/changes/{acme['EventId']}")
    assert (before["outcome"], before["note"]) == (None, "not consumed or never received")
    wire.applied(acme)
    after = wire.get(f"/v1/changes/{acme['EventId']}")
    assert (after["outcome"], after["rule"], after["customer"]) == ("applied", "applied", acme["Id"])
    (delivery,) = after["deliveries"]
    assert delivery["offset"] >= 0
    assert delivery["outcome"] == "applied"


def test_a_change_sent_twice_counts_once(wire: Wire) -> None:
    acme = customer(SKU1=True, EventId=f"deal-{uuid.uuid4()}")
    wire.applied(acme)
    wire.accepted(acme)
    wire.accepted(acme | {"SKU1": False})  # the same id over other content is a mistake of the sender
    marker = customer(Id=acme["Id"], SKU1=True, Name="read after those two")
    wire.applied(marker)
    change = wire.get(f"/v1/changes/{acme['EventId']}")
    assert change["outcome"] == "applied"
    assert [(one["outcome"], one["reason"]) for one in change["deliveries"]] == [
        ("dead", "event_id_reused"),
        ("ignored", "duplicate"),
        ("applied", None),
    ]
    assert reason(wire, EMAIL, customer=acme["Id"]) == (True, "licensed")


def test_an_older_change_that_comes_late_is_superseded(wire: Wire) -> None:
    acme = customer(SKU1=True, SystemModstamp="2026-03-02T09:00:00.000Z")
    wire.applied(acme)
    (late,) = wire.accepted(acme | {"SKU1": False, "SystemModstamp": "2026-03-01T09:00:00.000Z"})
    assert wire.settled(late)["outcome"] == "superseded"
    assert reason(wire, EMAIL, customer=acme["Id"]) == (True, "licensed")


def test_a_deleted_customer_loses_all_and_a_late_change_does_not_bring_it_back(wire: Wire) -> None:
    acme = customer(SKU1=True)
    wire.applied(acme)
    wire.applied({"Id": acme["Id"], "IsDeleted": True})
    assert reason(wire, EMAIL, customer=acme["Id"]) == (False, "revoked")
    (late,) = wire.accepted(acme)
    change = wire.settled(late)
    assert (change["outcome"], change["reason"]) == ("ignored", "tombstoned")
    assert wire.get(f"/v1/customers/{acme['Id']}")["deleted"] is True


def test_the_customer_page_tells_all_in_one_answer(wire: Wire) -> None:
    name = f"page-{uuid.uuid4().hex[:8]}.example"
    acme = customer(SKU1=True, SKU9=True, Name=name, AccountManager="Grace Hopper")
    wire.applied(acme)
    wire.put(f"/v1/customers/{acme['Id']}/users/ana")
    page = wire.get(f"/v1/customers/{acme['Id']}")
    assert (page["id"], page["name"], page["terms_signed"]) == (acme["Id"], name, True)
    assert page["people"]["account_manager"] == "Grace Hopper"
    assert [user["name"] for user in page["people"]["users"]] == ["ana"]
    assert {sku["sku"]: sku["state"] for sku in page["skus"]} == {
        "SKU1": "active",
        "SKU2": "not_licensed",
        "SKU3": "not_licensed",
    }
    assert {one["feature"]: one["allowed"] for one in page["features"]}[EMAIL] is True
    assert [one["sku"] for one in page["licenses"]] == ["SKU1"]
    assert page["unmapped"] == {"SKU9": True}
    found = wire.get("/v1/customers", name=name.upper())
    assert ([line["id"] for line in found["items"]], found["next"]) == ([acme["Id"]], None)


def test_a_license_keeps_its_history(wire: Wire) -> None:
    acme = customer(SKU1=True)
    wire.applied(acme)
    wire.applied(acme | {"SKU1": False})
    first = wire.get(f"/v1/customers/{acme['Id']}/licenses", limit=2)
    rest = wire.get(f"/v1/customers/{acme['Id']}/licenses", limit=2, cursor=first["next"])
    rows = first["items"] + rest["items"]
    assert rest["next"] is None
    assert len({row["license_id"] for row in rows}) == 1
    believed = [(row["status"], row["valid_to"] is None) for row in rows if row["recorded_to"] is None]
    assert sorted(believed) == [("active", False), ("ended", True)]
    assert [row["status"] for row in rows if row["recorded_to"] is not None] == ["active"]


def test_the_current_licenses_can_be_read_in_psql(deployment: Deployment) -> None:
    acme = customer(SKU1=True, SKU2=True, SignedTos=True)
    deployment.wire.applied(acme)
    deployment.wire.applied(acme | {"SKU2": False})
    assert deployment.rows(
        f"SELECT customer, sku, state FROM license_current WHERE customer_id = '{acme['Id']}' ORDER BY sku"
    ) == [("acme.example", "SKU1", "active"), ("acme.example", "SKU2", "ended")]


def test_skus_and_features_are_listed(wire: Wire) -> None:
    skus = wire.get("/v1/skus")
    assert {sku["sku"]: list(sku["grants"]) for sku in skus["items"]} == {
        "SKU1": [EMAIL],
        "SKU2": [TAKEOVER],
        "SKU3": ["abuse-mailbox-automation"],
    }
    features = wire.get("/v1/features")
    assert features["next"] is None
    assert EMAIL in {feature["feature"] for feature in features["items"]}


def test_the_api_describes_itself_and_its_page_reaches_nothing_outside(wire: Wire) -> None:
    described = wire.ask("GET", "/openapi.json", key=None).json()
    assert described["openapi"].startswith("3.1")
    assert described["paths"].keys() >= {
        "/salesforce/webhook",
        "/v1/check",
        "/v1/customers",
        "/v1/customers/{customer}",
        "/v1/customers/{customer}/licenses",
        "/v1/changes/{event_id}",
        "/v1/skus",
        "/v1/features",
    }
    for path in ("/docs", "/"):
        page = wire.ask("GET", path, key=None)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not any(mark in page.text for mark in ('src="http', "src='http", 'href="http', "@import"))


def test_health_needs_no_key_and_metrics_count_what_was_accepted(wire: Wire) -> None:
    assert wire.ask("GET", "/livez", key=None).status_code == 200
    assert wire.ask("GET", "/readyz", key=None).json()["ready"] is True
    wire.accepted(customer())
    metrics = wire.ask("GET", "/metrics", key=None).text
    accepted = next(line for line in metrics.splitlines() if line.startswith("licet_changes_accepted_total "))
    assert float(accepted.split()[1]) >= 1


ERRORS: list[tuple[str, str, str, dict[str, Any], int, str]] = [
    ("no key", "GET", "/v1/check?customer=a&feature=b", {"key": None}, 401, "unauthenticated"),
    ("a wrong key", "GET", "/v1/customers", {"key": "licet_nobody_" + "x" * 43}, 401, "unauthenticated"),
    ("a key of no form", "GET", "/v1/check?customer=a&feature=b", {"key": "not-of-that-form"}, 401, "unauthenticated"),
    ("nothing there", "GET", "/v1/nothing", {}, 404, "not_found"),
    ("no such customer", "GET", "/v1/customers/nobody", {}, 404, "not_found"),
    ("no such customer to change", "PUT", "/v1/customers/nobody/users/ana", {}, 404, "not_found"),
    ("another method on the front", "GET", "/salesforce/webhook", {}, 405, "method_not_allowed"),
    ("another method behind it", "POST", "/v1/customers", {}, 405, "method_not_allowed"),
    ("no question", "GET", "/v1/check", {}, 422, "invalid_input"),
    ("a parameter misspelt", "GET", "/v1/check?custmer=a&feature=b", {}, 422, "invalid_input"),
    ("a limit too high", "GET", "/v1/customers?limit=201", {}, 422, "invalid_input"),
    ("a cursor of one's own", "GET", "/v1/customers?cursor=abc", {}, 422, "invalid_input"),
    ("no JSON", "POST", "/salesforce/webhook", {"key": None, "content": b"Id=1"}, 422, "invalid_input"),
    ("an empty body", "POST", "/salesforce/webhook", {"key": None, "content": b""}, 422, "invalid_input"),
    (
        "a key twice",
        "POST",
        "/salesforce/webhook",
        {"key": None, "content": b'{"Id":"a","Id":"b"}'},
        422,
        "invalid_input",
    ),
    ("NaN", "POST", "/salesforce/webhook", {"key": None, "content": b'{"Id":"a","x":NaN}'}, 422, "invalid_input"),
    (
        "300 KiB in one object",
        "POST",
        "/salesforce/webhook",
        {"key": None, "content": b'{"Id":"' + b"x" * 300_000 + b'"}'},
        413,
        "payload_too_large",
    ),
    (
        "a compressed body",
        "POST",
        "/salesforce/webhook",
        {"key": None, "content": b"x", "headers": {"content-encoding": "gzip"}},
        415,
        "unsupported_encoding",
    ),
]


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
def test_every_error_is_a_problem_document_with_a_stable_code(
    wire: Wire, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    answer = wire.ask(method, path, **options)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"]
    if status in (413, 422):
        assert all(fault.keys() == {"field", "found", "expected"} for fault in problem["faults"])
        assert problem["faults"]
