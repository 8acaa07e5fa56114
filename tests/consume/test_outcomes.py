"""What a person in sales or support would say of a change, and what the store then holds."""

import datetime as dt
from typing import Any

import pytest

from consume.rogues import ROGUES
from support.world import Log, Road, at, fresh, history, rows, states

SIGNED = {"SignedTos": True, "SKU1": True}


@pytest.mark.parametrize("what", ROGUES)
def test_what_nobody_can_read_is_dead_with_its_bytes_and_the_partition_goes_on(
    shared_database: str, log: Log, shared_road: Road, what: str
) -> None:
    key, value, headers = ROGUES[what]
    record = log.raw(key, value, headers)
    customer = fresh("acme")
    assert shared_road.apply(record, log.change({"Id": customer, **SIGNED})) == ["dead(unreadable)", "applied"]
    (dead,) = rows(
        shared_database,
        "SELECT d.payload, l.* FROM delivery d JOIN dead_letter l USING (sequence) WHERE d.log = %(log)s",
        log=log.name,
    )
    assert (dead["key"], dead["value"], dead["payload"]) == (key, value, value)
    assert len(dead["headers"]) == len(headers)
    assert all(fault["field"] and fault["found"] and fault["expected"] for fault in dead["faults"])
    assert dead["faults"]
    assert states(shared_database, customer) == {"SKU1": "active"}


def test_a_replay_of_a_place_that_the_store_cannot_look_up_is_dead(log: Log, shared_road: Road) -> None:
    customer = fresh("acme")
    assert shared_road.apply(log.change({"Id": customer})) == ["applied"]
    replay = log.change({"Id": customer, "Name": "x"}, replay_of="a\x00b/1/2")
    outcomes = shared_road.apply(replay, log.change({"Id": customer, "Name": "y"}))
    assert outcomes[0].startswith("dead")
    assert outcomes[1] == "applied"


def test_a_flag_with_signed_terms_gives_a_license_and_without_them_none(
    shared_database: str, log: Log, shared_road: Road
) -> None:
    customer = fresh("acme")
    shared_road.apply(log.change({"Id": customer, "SKU1": True, "SKU2": False, "SKU3": None}))
    assert states(shared_database, customer) == {"SKU1": "pending_terms"}
    shared_road.apply(log.change({"Id": customer, "SignedTos": True}))
    assert states(shared_database, customer) == {"SKU1": "active"}


def test_withdrawn_terms_suspend_the_same_license_until_they_are_signed_again(
    shared_database: str, log: Log, shared_road: Road
) -> None:
    customer = fresh("acme")
    for signed in (True, False, None, True):  # null says nothing
        shared_road.apply(log.change({"Id": customer, **SIGNED, "SignedTos": signed}))
    told = history(shared_database, customer, "SKU1")
    assert [row["status"] for row in told] == ["active", "suspended", "active"]
    assert len({row["license_id"] for row in told}) == 1


def test_a_license_that_ended_and_is_sold_again_is_another_license(
    shared_database: str, log: Log, shared_road: Road
) -> None:
    customer = fresh("acme")
    for on in (True, False, True):
        shared_road.apply(log.change({"Id": customer, "SignedTos": True, "SKU1": on}))
    told = history(shared_database, customer, "SKU1")
    assert [row["status"] for row in told] == ["active", "ended", "active"]
    assert told[0]["license_id"] == told[1]["license_id"] != told[2]["license_id"]


def timed(customer: str, hours: int, **fields: Any) -> dict[str, Any]:
    return {"Id": customer, "SystemModstamp": at(hours).isoformat(), **fields}


def test_a_deleted_customer_loses_all_licenses_and_only_a_newer_word_brings_them_back(
    shared_database: str, log: Log, shared_road: Road
) -> None:
    customer, late = fresh("acme"), at(30)
    told = [
        (timed(customer, 1, **SIGNED, SKU2=True), "applied"),
        (timed(customer, 5, IsDeleted=True), "applied"),
        (timed(customer, 6, SKU3=True), "ignored(tombstoned)"),
        (timed(customer, 4, IsDeleted=False), "ignored(tombstoned)"),
        ({"Id": customer, "IsDeleted": False}, "ignored(tombstoned)"),
        (timed(customer, 7, IsDeleted=True), "ignored(tombstoned)"),
        (timed(customer, 6, IsDeleted=False), "ignored(tombstoned)"),
    ]
    for payload, outcome in told:
        assert shared_road.apply(log.change(payload, received=late)) == [outcome]
    assert states(shared_database, customer) == {"SKU1": "ended", "SKU2": "ended"}
    assert shared_road.apply(log.change(timed(customer, 8, IsDeleted=False), received=late)) == ["applied"]
    assert states(shared_database, customer) == {"SKU1": "active", "SKU2": "active"}


def test_a_license_begins_and_ends_when_salesforce_says_and_not_when_we_hear_of_it(
    shared_database: str, log: Log, shared_road: Road
) -> None:
    customer = fresh("acme")
    shared_road.apply(log.change(timed(customer, 1, **SIGNED), received=at(3)))
    shared_road.apply(log.change(timed(customer, 2, SKU1=False), received=at(4)))
    shared_road.apply(log.change({"Id": customer, "SKU1": True}, received=at(1)))  # a door whose clock is slow
    told = history(shared_database, customer, "SKU1")
    tick = dt.timedelta(microseconds=1)
    assert [(row["since"], row["till"]) for row in told] == [
        (at(1), at(2)),
        (at(2), at(2) + tick),
        (at(2) + tick, None),
    ]


def test_another_organisation_is_dead_and_so_is_one_that_does_not_say_who_it_is(database: str, log: Log) -> None:
    ours, theirs = "00D5g000004aBcDEAU", "00D5g000004aXyZEAU"
    road = Road(database, log.name, organization=ours)
    outcomes = road.apply(
        log.change({"Id": "acme", "OrganizationId": ours}),
        log.change({"Id": "acme", "OrganizationId": ours[:15], "Name": "Acme"}),
        log.change({"Id": "acme", "OrganizationId": theirs}),
        log.change({"Id": "acme"}),
    )
    road.close()
    assert outcomes == ["applied", "applied", "dead(wrong_organization)", "dead(wrong_organization)"]
    dead = rows(database, "SELECT faults FROM dead_letter ORDER BY sequence")
    assert [row["faults"][0]["field"] for row in dead] == ["OrganizationId"] * 2


def test_every_dead_letter_of_a_rule_says_what_was_found_and_what_was_expected(database: str, log: Log) -> None:
    road = Road(database, log.name)
    outcomes = road.apply(
        log.change({"Id": "acme"}, event_id="one"),
        log.change({"Id": "acme", "Name": "other"}, event_id="one"),
        log.change(timed("acme", 30)),
        log.change({"Id": "acme"}, replay_of=f"{log.name}/3/4"),
    )
    road.close()
    assert outcomes == ["applied", "dead(event_id_reused)", "dead(source_time_in_future)", "dead(unknown_original)"]
    faults = [row["faults"] for row in rows(database, "SELECT faults FROM dead_letter ORDER BY sequence")]
    assert [fault["field"] for (fault,) in faults] == ["event id", "SystemModstamp", "licet-replay-of"]
    assert all(fault["found"] and fault["expected"] for (fault,) in faults)


def test_a_dead_change_may_be_sent_again_with_the_same_event_id(log: Log, shared_road: Road) -> None:
    customer = fresh("acme")
    payload = timed(customer, 30, Name="too early")
    outcomes = [
        *shared_road.apply(log.change(payload, event_id="one")),
        *shared_road.apply(log.change(payload, event_id="one", received=at(29))),
        *shared_road.apply(log.change(payload, event_id="one", received=at(29))),
    ]
    assert outcomes == ["dead(source_time_in_future)", "applied", "ignored(duplicate)"]


def test_the_same_event_id_means_another_change_for_another_sender_or_customer(log: Log, shared_road: Road) -> None:
    one, two = fresh("acme"), fresh("umbrella")
    outcomes = shared_road.apply(
        log.change({"Id": one}, event_id="one", source="a"),
        log.change({"Id": one, "Name": "x"}, event_id="one", source="b"),
        log.change({"Id": two}, event_id="one", source="a"),
    )
    assert outcomes == ["applied"] * 3


def test_an_original_and_its_replay_may_arrive_in_one_batch(log: Log, shared_road: Road) -> None:
    """As when a log is read again from its start, into an empty store."""
    customer = fresh("acme")
    original = log.change({"Id": customer, "Name": "x"}, event_id="one")
    replay = log.change({"Id": customer, "Name": "x"}, event_id="one", replay_of=original.place)
    assert shared_road.apply(original, replay) == ["applied", "ignored(unchanged)"]
