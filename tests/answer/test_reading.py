"""The read API: one customer in one answer, lists by cursor, what became of a change."""

import base64
import itertools
from typing import Any

import pytest

from support.web import Stage
from support.world import fresh, rows


def walk(there: Stage, path: str, limit: int, **query: Any) -> list[list[Any]]:
    """Follow the cursors to the end; returns the pages."""
    pages: list[list[Any]] = []
    cursor = None
    while cursor is not None or not pages:
        said = {"limit": limit, **query} | ({"cursor": cursor} if cursor else {})
        answer = there.web.get(path, **said)
        pages.append(answer["items"])
        cursor = answer["next"]
        assert len(pages) < 100
    return pages


def test_a_customer_is_shown_with_everything_in_one_answer(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, Name="Acme", AccountManager="Ada", SalesEngineerId="Bob", SKU1=True, SKU9=True, Region="EU")
    there.deal(customer, SKU1=False, SKU2=True)
    there.web.put(f"/v1/customers/{customer}/users/ada@acme.example")
    there.web.put(f"/v1/customers/{customer}/domains/{customer}.example")
    there.web.put(f"/v1/customers/{customer}/aliases/tenant:{customer}")
    shown = there.web.get(f"/v1/customers/{customer}")
    assert (shown["id"], shown["name"], shown["deleted"], shown["terms_signed"]) == (customer, "Acme", False, True)
    assert shown["unmapped"] == {"Region": "EU", "SKU9": True}
    people = shown["people"]
    assert (people["account_manager"], people["sales_engineer"], people["user_count"]) == ("Ada", "Bob", 1)
    assert [(one["name"], one["origin"], one["author"]) for one in people["users"]] == [
        ("ada@acme.example", "person", "bootstrap")
    ]
    assert [one["name"] for one in shown["domains"]] == [f"{customer}.example"]
    assert [one["name"] for one in shown["aliases"]] == [f"tenant:{customer}"]
    assert {sku["sku"]: sku["state"] for sku in shown["skus"]} == {
        "SKU1": "ended",
        "SKU2": "active",
        "SKU3": "not_licensed",
    }
    assert {row["sku"]: row["status"] for row in shown["licenses"]} == {"SKU1": "ended", "SKU2": "active"}
    assert shown["revision"] == rows(there.url, "SELECT revision FROM revision")[0]["revision"]


def test_what_is_shown_of_a_feature_is_what_a_check_answers(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, SKU1=True, SKU2=False)
    for feature in there.web.get(f"/v1/customers/{customer}")["features"]:
        decision = there.web.check(feature["feature"], customer=customer)
        assert {name: decision[name] for name in feature if name != "title"} == {
            name: value for name, value in feature.items() if name != "title"
        }


def test_a_customer_is_found_by_either_length_of_its_id_and_by_alias(there: Stage) -> None:
    there.deal("0015g00000AbCdE", SKU1=True)
    there.web.put("/v1/customers/0015g00000AbCdE/aliases/tenant:77")
    for name in ("0015g00000AbCdE", "0015g00000AbCdEAAV", "tenant:77"):
        assert there.web.get(f"/v1/customers/{name}")["id"].startswith("0015g00000AbCdE")
        assert there.web.get(f"/v1/customers/{name}/licenses")["items"]


@pytest.mark.parametrize("path", ["", "/licenses", "/users"])
def test_an_unknown_customer_is_a_404(there: Stage, path: str) -> None:
    for name in ("nobody-here", "tenant:nobody"):
        answer = there.web.ask("GET", f"/v1/customers/{name}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert name in answer.json()["detail"]


def test_a_search_finds_parts_of_names_in_any_case_and_takes_no_character_for_a_pattern(there: Stage) -> None:
    mark = fresh("mark")
    for name in (f"{mark} Ünder_score", f"{mark} 100%", "nothing of the kind"):
        there.deal(fresh("customer"), Name=name)

    def found(part: str) -> list[str]:
        return [one["name"] for one in there.web.get("/v1/customers", name=part)["items"]]

    assert found(mark.upper()) == [f"{mark} 100%", f"{mark} Ünder_score"]
    assert found(f"{mark} 100%") == [f"{mark} 100%"]
    assert found(f"{mark}_100") == []
    assert found(f"{mark} ÜNDER_") == [f"{mark} Ünder_score"]


def test_a_walk_through_the_customers_meets_each_once_while_others_are_inserted(there: Stage) -> None:
    mark = fresh("mark")
    before = {}
    for number in range(23):
        before[f"{mark}-{number}"] = None if number % 5 == 0 else f"{mark} {'abAB'[number % 4]} {number % 3}"
        there.deal(f"{mark}-{number}", Name=before[f"{mark}-{number}"])
    seen, cursor = [], None
    for step in itertools.count():
        query = {"limit": 4} | ({"cursor": cursor} if cursor else {})
        page = there.web.get("/v1/customers", **query)
        seen += [(one["name"].lower() if one["name"] else None, one["id"]) for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        there.deal(f"{mark}-early-{step}", Name=f"{mark} a")
        there.deal(f"{mark}-late-{step}", Name=f"{mark} zz {step}")
    ids = [one for _, one in seen]
    assert len(ids) == len(set(ids))
    assert set(before) <= set(ids)
    named = [(name.encode(), one) for name, one in seen if name is not None]
    assert [one for name, one in seen[: len(named)]] == [one for _, one in sorted(named)]
    assert [one for name, one in seen if name is None] == sorted(one for name, one in seen if name is None)


def test_a_license_keeps_its_history_and_the_cursor_walks_all_of_it(there: Stage) -> None:
    customer = fresh("customer")
    for signed, flag in ((False, True), (True, True), (False, True), (True, False)):
        there.deal(customer, signed=signed, SKU1=flag)
    pages = walk(there, f"/v1/customers/{customer}/licenses", 2)
    items = [item for page in pages for item in page]
    assert [len(page) for page in pages][:-1] == [2] * (len(pages) - 1)
    stored = rows(there.url, "SELECT count(*) AS all FROM license WHERE customer_id = %(id)s", id=customer)
    assert len(items) == stored[0]["all"] == 7  # four states, and the copies of the three that were cut
    believed = [item for item in items if item["recorded_to"] is None]
    assert {item["status"] for item in believed if item["valid_to"]} == {"pending_terms", "active", "suspended"}
    assert [item["status"] for item in believed if item["valid_to"] is None] == ["ended"]
    assert all(item["opened_by_delivery"] for item in items)


def test_a_walk_through_a_customers_users_meets_each_once_and_the_customer_shows_how_many(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer)
    for number in range(7):
        there.web.put(f"/v1/customers/{customer}/users/user-{number}")
    pages = walk(there, f"/v1/customers/{customer}/users", 3)
    assert [one["name"] for page in pages for one in page] == [f"user-{number}" for number in range(7)]
    assert there.web.get(f"/v1/customers/{customer}")["people"]["user_count"] == 7


# A list's places: [name in lower case, id] of customers, a row's number of licenses, an id of users.
NOWHERE = [b"x", b"null", b"-1", b"1" + b"0" * 30, rb'"\u0000"', rb'["\u0000", "a"]', b"[1]", b"{}", b"\xff"]


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/customers/acme/licenses", "/v1/customers/acme/users"])
def test_a_cursor_that_no_page_ended_at_is_refused(there: Stage, path: str) -> None:
    there.deal("acme")
    for cursor in [*(base64.urlsafe_b64encode(place).decode() for place in NOWHERE), "a", "*", "%ff", "é"]:
        answer = there.web.ask("GET", path, params={"cursor": cursor})
        assert answer.status_code == 422, cursor
        assert answer.json()["faults"][0]["field"] == "cursor"


@pytest.mark.parametrize("limit", ["0", "201", "many", ""])
def test_a_limit_out_of_bounds_is_refused(there: Stage, limit: str) -> None:
    answer = there.web.ask("GET", f"/v1/customers?limit={limit}")
    assert answer.status_code == 422
    assert answer.json()["faults"][0]["field"] == "limit"


def test_the_catalog_is_readable(there: Stage) -> None:
    skus = there.web.get("/v1/skus")
    assert [sku["sku"] for sku in skus["items"]] == ["SKU1", "SKU2", "SKU3"]
    assert skus["next"] is None
    assert skus["items"][0]["grants"] == {"inbound-email-security": True}
    features = there.web.get("/v1/features")["items"]
    assert features[0] == {
        "feature": "inbound-email-security",
        "title": "Inbound email security",
        "when_stale": "last_known",
        "granted_by": [{"sku": "SKU1", "value": True}],
    }


def test_a_change_says_what_became_of_it_and_where_its_deliveries_stand(there: Stage) -> None:
    customer = fresh("customer")
    event_id = there.deal(customer, SKU1=True)
    change = there.web.get(f"/v1/changes/{event_id}")
    assert (change["outcome"], change["rule"], change["customer"], change["note"]) == (
        "applied",
        "applied",
        customer,
        None,
    )
    (delivery,) = change["deliveries"]
    assert (delivery["log"], delivery["partition"], delivery["source"]) == (there.log.name, 0, "salesforce")
    assert (
        delivery["offset"]
        == rows(there.url, 'SELECT "offset" FROM delivery WHERE event_id = %(id)s', id=event_id)[0]["offset"]
    )
    assert there.web.check("inbound-email-security", customer=customer)["revision"] >= change["revision"]


def test_a_duplicate_and_a_reused_id_do_not_change_the_outcome_of_a_change(there: Stage) -> None:
    customer, event_id = fresh("customer"), fresh("event")
    first = {"Id": customer, "SignedTos": True, "SKU1": True}
    there.road.apply(there.log.change(first, event_id=event_id))
    there.road.apply(there.log.change(first, event_id=event_id))
    there.road.apply(there.log.change(first | {"SKU1": False}, event_id=event_id))
    for _ in range(120):
        there.road.apply(there.log.change(first, event_id=event_id))
    change = there.web.get(f"/v1/changes/{event_id}")
    assert change["outcome"] == "applied"
    assert len(change["deliveries"]) == 100
    assert change["deliveries"][0]["rule"] == "duplicate"


def test_a_dead_change_tells_its_faults(there: Stage) -> None:
    event_id = there.send({"Id": fresh("customer"), "SignedTos": "yes"})
    change = there.web.get(f"/v1/changes/{event_id}")
    assert change["outcome"] == "dead"
    assert change["deliveries"][0]["faults"][0]["field"] == "SignedTos"


def test_an_event_id_of_several_customers_is_narrowed_by_customer(there: Stage) -> None:
    one, other, event_id = fresh("one"), fresh("other"), fresh("event")
    there.road.apply(there.log.change({"Id": one, "SKU1": True}, event_id=event_id))
    there.road.apply(there.log.change({"Id": other}, event_id=event_id))
    there.road.apply(there.log.change({"Id": one, "SKU1": True}, event_id=event_id))
    assert len(there.web.get(f"/v1/changes/{event_id}")["deliveries"]) == 3
    assert there.web.get(f"/v1/changes/{event_id}", customer=other)["customer"] == other
    assert len(there.web.get(f"/v1/changes/{event_id}", customer=one)["deliveries"]) == 2
    assert there.web.ask("GET", f"/v1/changes/{event_id}?customer=tenant:none").status_code == 404


def test_a_change_that_nobody_consumed_has_no_outcome_yet(there: Stage) -> None:
    change = there.web.get("/v1/changes/never-seen")
    assert change["outcome"] is None
    assert change["note"] == "not consumed or never received"
    assert change["deliveries"] == []


def test_an_event_id_may_hold_slashes_and_other_signs(there: Stage) -> None:
    event_id = f"urn:a/b?c {fresh('event')}"
    there.road.apply(there.log.change({"Id": fresh("customer")}, event_id=event_id))
    quoted = event_id.replace("?", "%3F").replace(" ", "%20").replace("/", "%2F")
    assert there.web.get(f"/v1/changes/{quoted}")["event_id"] == event_id
    assert there.web.ask("GET", "/v1/changes/a%00b").status_code == 422
