"""Overrides over the API: made, replaced, ended; who may; what is refused; and that nothing of them is rewritten."""

import datetime as dt
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from support.web import ADMIN, Stage
from support.world import fresh, reader, rows

FEATURE = "inbound-email-security"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def day(number: float) -> str:
    return (NOW + dt.timedelta(days=number)).isoformat()


@pytest.fixture
def customer(there: Stage) -> str:
    name = fresh("customer")
    there.deal(name, SKU2=True)
    return name


def put(there: Stage, id_: object, customer: str, *, match: str | None = None, key: str = ADMIN, **said: Any) -> Any:
    draft = {"customer": customer, "sku": "SKU1", "effect": "grant", "reason": "case 4711"} | said
    headers = [("if-match", match)] if match is not None else []
    return there.web.ask("PUT", f"/v1/overrides/{id_}", key=key, json=draft, headers=headers)


def end(there: Stage, id_: object, match: str | None, reason: str | None = "over", key: str = ADMIN) -> httpx.Response:
    headers = [("if-match", match)] if match is not None else []
    params = {"reason": reason} if reason is not None else {}
    return there.web.ask("DELETE", f"/v1/overrides/{id_}", key=key, params=params, headers=headers)


def test_a_trial_lasts_48_hours_is_extended_and_ended_and_every_state_of_it_is_kept(
    there: Stage, customer: str
) -> None:
    id_ = uuid.uuid4()
    made = put(there, id_, customer, kind="trial")
    assert made.status_code == 200, made.text
    one = made.json()["override"]
    length = dt.datetime.fromisoformat(one["ends_at"]) - dt.datetime.fromisoformat(one["starts_at"])
    assert (length, one["kind"], one["author"], one["customer"]) == (
        dt.timedelta(hours=48),
        "trial",
        "bootstrap",
        customer,
    )
    assert there.web.check(FEATURE, customer=customer)["until"] == one["ends_at"]

    longer = put(
        there, id_, customer, kind="trial", match=made.headers["etag"], starts_at=one["starts_at"], ends_at=day(9)
    )
    assert longer.status_code == 200, longer.text
    decision = there.web.check(FEATURE, customer=customer, min_revision=longer.json()["revision"])
    assert dt.datetime.fromisoformat(decision["until"]) == dt.datetime.fromisoformat(day(9))
    shown = there.web.ask("GET", f"/v1/overrides/{id_}")
    assert (shown.json(), shown.headers["etag"]) == (longer.json()["override"], longer.headers["etag"])

    assert end(there, id_, longer.headers["etag"], "they bought it").status_code == 200
    assert there.web.check(FEATURE, customer=customer)["reason"] == "not_licensed"
    assert there.web.get(f"/v1/overrides/{id_}")["end_reason"] == "they bought it"
    assert there.web.get("/v1/overrides", customer=customer)["items"] == []
    found = rows(
        there.url,
        "SELECT upper_inf(valid) AS true_still, upper_inf(recorded) AS believed, ended_by FROM override"
        " WHERE override_id = %(id)s ORDER BY row_id",
        id=id_,
    )
    assert [(row["true_still"], row["believed"], row["ended_by"]) for row in found] == [
        (True, False, None),
        (False, True, None),
        (True, False, None),
        (False, True, "bootstrap"),
    ]
    acts = there.web.get("/v1/audit", customer=customer)["items"]
    assert [(act["action"], act["reason"]) for act in acts] == [
        ("override.end", "they bought it"),
        ("override.put", "case 4711"),
        ("override.put", "case 4711"),
    ]
    assert acts[1]["before"]["ends_at"] == one["ends_at"]


def test_a_write_replaces_only_what_its_author_has_seen(there: Stage, customer: str) -> None:
    id_ = uuid.uuid4()
    assert put(there, id_, customer, match='"1"').status_code == 409
    assert end(there, id_, '"1"').status_code == 404
    tag = put(there, id_, customer).headers["etag"]
    before = rows(there.url, "SELECT revision FROM revision")
    assert put(there, id_, customer).status_code == 422, "If-Match is missing"
    assert put(there, id_, customer, match='"1234567"').status_code == 409
    assert put(there, id_, customer, match="x").status_code == 422
    assert end(there, id_, None).status_code == 422
    assert end(there, id_, '"1234567"').status_code == 409
    assert end(there, id_, tag, " ").status_code == 422
    assert end(there, id_, tag, None).status_code in (400, 422)
    assert put(there, uuid.uuid4(), fresh("nobody")).status_code == 404
    assert rows(there.url, "SELECT revision FROM revision") == before, "a refusal writes nothing"
    assert end(there, id_, tag).status_code == 200
    assert end(there, id_, tag).status_code == 409
    assert put(there, id_, customer).status_code == 409, "a late retry does not open again what was ended"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"sku": "SKU9"}, "sku"),
        ({"feature": FEATURE}, "sku"),
        ({"sku": None}, "sku"),
        ({"sku": None, "feature": "teleport"}, "feature"),
        ({"value": 5}, "value"),
        ({"sku": None, "feature": FEATURE, "value": -1}, "value"),
        ({"sku": None, "feature": FEATURE, "effect": "block", "value": 1}, "value"),
        ({"effect": "block", "kind": "trial"}, "kind"),
        ({"starts_at": day(2), "ends_at": day(1)}, "ends_at"),
        ({"starts_at": day(-2), "ends_at": day(-1)}, "ends_at"),
        ({"starts_at": "0001-01-01T00:00:00+23:59"}, "starts_at"),
        ({"ends_at": "9999-12-31T23:59:59-23:59"}, "ends_at"),
        ({"reason": ""}, "reason"),
        ({"reason": "x\x00"}, "reason"),
    ],
)
def test_what_cannot_be_is_refused_with_its_fault(
    there: Stage, customer: str, said: dict[str, Any], field: str
) -> None:
    answer = put(there, uuid.uuid4(), customer, **said)
    assert answer.status_code == 422, answer.text
    assert [fault["field"] for fault in answer.json()["faults"]] == [field]


def test_support_makes_and_ends_grants_of_up_to_14_days_and_nothing_else(there: Stage, customer: str) -> None:
    key = there.web.key("support desk", "support")
    span = {"starts_at": day(0), "ends_at": day(14)}
    id_ = uuid.uuid4()
    made = put(there, id_, customer, key=key, kind="trial", **span)
    assert (made.status_code, made.json()["override"]["author"]) == (200, "support desk")
    longer = {"starts_at": day(0), "ends_at": day(14.1)}
    assert put(there, id_, customer, key=key, match=made.headers["etag"], **longer).status_code == 403
    assert put(there, uuid.uuid4(), customer, key=key, effect="block", **span).status_code == 403
    assert end(there, id_, made.headers["etag"], key=key).status_code == 200
    block = uuid.uuid4()
    tag = put(there, block, customer, effect="block", **span).headers["etag"]
    assert end(there, block, tag, key=key).status_code == 403
    assert put(there, block, customer, key=key, match=tag, **span).status_code == 403, "a block is not made a grant"
    writer = there.web.key("writer", "write", "read")
    assert put(there, uuid.uuid4(), customer, key=writer, **span).status_code == 403


def test_the_list_goes_on_where_a_page_ended(there: Stage, customer: str) -> None:
    made = sorted(str(uuid.uuid4()) for _ in range(3))
    for id_ in made:
        assert put(there, id_, customer, sku=None, feature=FEATURE, value=7.5).status_code == 200
    page = there.web.get("/v1/overrides", customer=customer, limit=2)
    rest = there.web.get("/v1/overrides", customer=customer, limit=2, cursor=page["next"])
    assert [one["override_id"] for one in page["items"] + rest["items"]] == made
    assert rest["next"] is None
    assert there.web.check(FEATURE, customer=customer)["value"] == 7.5
    assert len(there.web.get("/v1/overrides")["items"]) >= 3


def test_erasing_a_customer_empties_the_words_and_nothing_else_may_change_a_row(there: Stage, customer: str) -> None:
    id_ = uuid.uuid4()
    tag = put(there, id_, customer, reason="Ada Byron called").headers["etag"]
    end(there, id_, tag, "Ada Byron called again")
    there.web.ask("POST", f"/v1/customers/{customer}/erase", json={"reason": "request"})
    found = rows(there.url, "SELECT * FROM override WHERE override_id = %(id)s", id=id_)
    assert len(found) == 2
    assert {word for row in found for word in (row["reason"], row["author"], row["ended_by"], row["end_reason"])} == {
        "",
        None,
    }
    for statement in (
        "UPDATE override SET ends_at = ends_at + interval '1 day'",
        "UPDATE override SET reason = 'better'",
        "UPDATE override SET recorded = int8range(lower(recorded), NULL)",
        "DELETE FROM override",
        "TRUNCATE override",
    ):
        with reader(there.url) as connection, pytest.raises(psycopg.errors.IntegrityConstraintViolation):
            connection.execute(statement)
