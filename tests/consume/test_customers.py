"""A deleted customer is restored, a customer is erased; what stays, and that the ledger folds again to the store."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from consume.test_verify import bring_under, verified
from licet.bootstrap.desks import customer_desk
from licet.domain.errors import Conflict, InvalidInput, NotFound
from licet.settings import Settings
from licet.store.migrate import default_catalog
from support.web import Stage, stage
from support.world import TESTER, Log, Road, at, fresh, rows, states

PERSON = "ada.byron@acme.example"
FULL = {"Name": PERSON, "AccountManager": PERSON, "SignedTos": True, "SKU1": True, "Note": PERSON}
OVERRIDE = "0198f6a2-0000-7000-8000-000000000001"
SF_ID = "001D000000IqhSLIAZ"


@pytest.fixture(scope="module")
def there(postgres: str, template: str) -> Iterator[Stage]:
    with stage(postgres, template) as built:
        yield built


def act(url: str, what: str, customer: str) -> int:
    desk = customer_desk(Settings(database_url=url))
    done = desk.restore if what == "restore" else desk.erase
    return done(customer, "a test", TESTER).revision


def stamped(hours: float, **fields: Any) -> dict[str, Any]:
    return {**fields, "SystemModstamp": at(hours).isoformat()}


def test_a_restored_customer_has_at_once_what_its_kept_fields_say(there: Stage) -> None:
    customer = fresh("acme")
    there.deal(customer, SKU1=True, SKU2=False)
    there.send({"Id": customer, "IsDeleted": True})
    there.send({"Id": customer, "SKU2": True})
    assert there.web.check("inbound-email-security", customer=customer)["allowed"] is False
    answer = there.web.ask("POST", f"/v1/customers/{customer}/restore", json={"reason": "case 4711"})
    assert answer.status_code == 200, answer.text
    said = there.web.check("inbound-email-security", customer=customer)
    assert (said["allowed"], said["revision"]) == (True, answer.json()["revision"])
    assert states(there.url, customer) == {"SKU1": "active"}
    [entry] = there.web.get("/v1/audit", customer=customer)["items"]
    assert (entry["action"], entry["reason"], entry["actor"]) == (
        "customer.restore",
        "case 4711",
        "bootstrap (bootstrap)",
    )
    assert there.web.ask("POST", f"/v1/customers/{customer}/restore", json={"reason": "again"}).status_code == 409
    change = there.web.get(f"/v1/changes/restored-{_sequence(there.url, customer)}")
    assert (change["outcome"], change["reason"]) == ("applied", "restored")
    assert verified(there.url).faults == []


def _sequence(url: str, customer: str) -> int:
    found: int = rows(url, "SELECT last_delivery AS n FROM customer WHERE customer_id = %(id)s", id=customer)[0]["n"]
    return found


def test_the_deletion_that_was_undone_does_not_come_back_but_a_newer_one_holds(
    database: str, log: Log, road: Road
) -> None:
    gone = stamped(2, Id="acme", IsDeleted=True)
    road.apply(log.change(stamped(1, Id="acme", **FULL)), log.change(gone, event_id="gone"))
    act(database, "restore", "acme")
    again = [log.change(gone, event_id="gone"), log.change(gone, event_id="resync")]
    replay = log.change(gone, event_id="gone", replay_of=f"{log.name}/0/1")
    assert road.apply(*again, replay) == ["ignored(duplicate)", "superseded", "superseded"]
    assert states(database, "acme") == {"SKU1": "active"}
    assert road.apply(log.change(stamped(3, Id="acme", IsDeleted=True))) == ["applied"]
    assert states(database, "acme") == {"SKU1": "ended"}
    assert verified(database).faults == []


def test_of_an_erased_customer_the_rows_stay_and_nothing_that_it_said(there: Stage) -> None:
    there.send({"Id": SF_ID, **FULL, "IsDeleted": False})
    there.web.put(f"/v1/customers/{SF_ID}/users/{PERSON}")
    there.web.put(f"/v1/customers/{SF_ID}/domains/acme.example")
    there.web.put(f"/v1/customers/{SF_ID}/aliases/tenant:byron")
    log, road = there.log, there.road
    wrong = log.change({"Id": SF_ID, "SKU1": PERSON})
    stranger = log.raw(b"x", json.dumps({"Id": SF_ID[:15], "Name": PERSON}).encode() + b"}", [])
    other = log.change({"Id": fresh("umbrella"), "SKU1": "yes"})
    road.apply(wrong, stranger, other)
    grant = {"customer": SF_ID, "sku": "SKU2", "effect": "grant", "reason": PERSON}
    assert there.web.ask("PUT", f"/v1/overrides/{OVERRIDE}", json=grant).status_code == 200
    before = there.web.check("inbound-email-security", user=PERSON)
    assert before["allowed"]

    assert there.web.ask("POST", f"/v1/customers/{SF_ID}/erase", json={"reason": " "}).status_code == 422
    reader = there.web.key("writer", "write")
    refused = there.web.ask("POST", f"/v1/customers/{SF_ID}/erase", key=reader, json={"reason": "request"})
    assert refused.status_code == 403
    answer = there.web.ask("POST", f"/v1/customers/{SF_ID}/erase", json={"reason": "request"})
    assert answer.status_code == 200, answer.text
    for asked in ({"user": PERSON}, {"user": "bob@acme.example"}, {"customer": "tenant:byron"}):
        assert there.web.check("inbound-email-security", **asked)["reason"] in ("unknown_user", "unknown_customer")
    said = there.web.check("inbound-email-security", customer=SF_ID)
    assert (said["allowed"], said["reason"]) == (False, "unknown_customer")
    moments = [
        there.web.check("inbound-email-security", customer=SF_ID, known_at=str(said["revision"] - n)) for n in (0, 1)
    ]
    assert [one["reason"] for one in moments] == ["unknown_customer", "licensed"]
    override = there.web.get(f"/v1/overrides/{OVERRIDE}")
    assert [override[name] for name in ("author", "reason", "ended_by", "end_reason")] == [
        "", "", "bootstrap", "the customer was erased"
    ]  # fmt: skip
    assert there.web.get("/v1/overrides")["items"] == []
    act_, *_ = there.web.get("/v1/audit", customer=SF_ID)["items"]
    assert (act_["actor"], act_["before"]) == ("bootstrap (bootstrap)", {"deleted": False, "overrides": [OVERRIDE]})

    kept = everything(there.url)
    assert {table for table, text in kept.items() if PERSON in text} == {"audit_entry", "change_feed"}
    assert "byron" not in kept["customer_alias"]
    assert SF_ID in kept["delivery"]
    open_ = rows(there.url, "SELECT reason, value FROM dead_letter_state WHERE state = 'open' AND value IS NOT NULL")
    assert len(open_) == 1, "another customer's letter stays"
    assert verified(there.url).faults == []
    act(there.url, "erase", SF_ID)
    there.send({"Id": SF_ID, **FULL})
    assert states(there.url, SF_ID) == {"SKU1": "ended"}, "what comes later finds a tombstone"
    there.send(stamped(9, Id=SF_ID, **FULL, IsDeleted=False))
    assert states(there.url, SF_ID) == {"SKU1": "active"}, "unless it says that the customer lives"
    assert verified(there.url).faults == []


def everything(url: str) -> dict[str, str]:
    """All rows of all tables as text, bytes told by their letters."""
    tables = rows(url, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
    return {one["relname"]: _text(url, one["relname"]) for one in tables}


def _text(url: str, table: str) -> str:
    return "".join(
        value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for row in rows(url, f"SELECT * FROM {table}")
        for value in row.values()
    )


def test_who_is_not_there_or_not_deleted_and_why(database: str, road: Road, log: Log) -> None:
    road.apply(log.change({"Id": "acme", **FULL}))
    with pytest.raises(NotFound):
        act(database, "erase", "nobody")
    with pytest.raises(Conflict, match="not deleted"):
        act(database, "restore", "acme")
    with pytest.raises(InvalidInput):
        customer_desk(Settings(database_url=database)).erase("acme", "", TESTER)
    assert rows(database, "SELECT action FROM audit_entry") == []


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("SignedTos", "SKU1", "SKU2"), st.sampled_from([True, True, False])),
        "IsDeleted": st.sampled_from([True, False, False]),
        "Name": st.sampled_from(["a", "b", None]),
    },
)
STEPS: st.SearchStrategy[tuple[str, dict[str, Any], int | None]] = st.one_of(
    st.tuples(st.just("change"), CHANGES, st.sampled_from([None, None, 1, 2, 3, 4])),
    st.tuples(st.sampled_from(["restore", "erase", "again", "catalog"]), st.just({}), st.none()),
)


@pytest.mark.storm
@settings(
    max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, min_size=3, max_size=12))
def test_whatever_people_did_between_changes_the_ledger_folds_again_to_the_store(
    shared_database: str, steps: list[tuple[str, dict[str, Any], int | None]]
) -> None:
    log, customer = Log(), fresh("c")
    road = Road(shared_database, log.name)
    sent: list[tuple[dict[str, Any], str]] = [({"Id": customer, "SKU1": True, "SignedTos": True}, "first")]
    road.apply(log.change(sent[0][0], event_id=f"{customer}-first"))
    for number, (what, fields, hour) in enumerate(steps):
        if what == "change":
            payload = {"Id": customer, **fields}
            sent.append((stamped(hour, **payload) if hour is not None else payload, str(number)))
        if what == "catalog":
            bring_under(shared_database, default_catalog() + f'\n[skus.X]\nflag = "SKU2" # {fresh("n")}\n', 5 + number)
        elif what in ("change", "again"):
            payload, event = sent[-1]
            road.apply(log.change(payload, event_id=f"{customer}-{event}", received=at(number / 60)))
        else:
            try:
                act(shared_database, what, customer)
            except Conflict:
                assert what == "restore"
    road.close()
    report = verified(shared_database)
    assert (report.faults, report.unchecked) == ([], {})
