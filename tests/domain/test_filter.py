"""The filter is an ordered table: of several rules that match the first one speaks."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from licet.domain.catalog import read_catalog
from licet.domain.change import CustomerChange
from licet.domain.fields import Written, microseconds
from licet.domain.filter import INAPPLICABLE, OUTCOMES, UNREADABLE, Earlier, Facts, Kind, judge

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CATALOG = read_catalog('[[exclude]]\nname = "tests"\nfield = "Type"\nequals = ["Test"]')
DAY = dt.timedelta(days=1)

CHANGE = CustomerChange(
    event_id="one",
    source="salesforce",
    customer_id="acme",
    received_at=NOON,
    source_time=None,
    is_deleted=None,
    organization_id=None,
    fields={"Name": "Acme"},
    payload_hash=b"hash",
)
NEW = Written({}, frozenset({"Name"}), 1, 0)
FACTS = Facts(
    change=CHANGE,
    catalog=CATALOG,
    earlier=(),
    replay=False,
    original_known=True,
    deleted=False,
    deleted_at=None,
    written=NEW,
    new_customer=False,
    organization=None,
)


def facts(change: dict[str, Any] | None = None, **said: Any) -> Facts:
    changed = msgspec.structs.replace(CHANGE, **(change or {}))
    return msgspec.structs.replace(FACTS, change=changed, **said)


def test_every_rule_at_once_and_then_without_the_first_one_by_one() -> None:
    """The order is the contract: a stranger's change is not even a duplicate, and a duplicate is not tombstoned."""
    change: dict[str, Any] = {"source_time": NOON + 2 * DAY, "fields": {"Type": "Test"}}
    said: dict[str, Any] = {
        "organization": "00D5g000004aBcDEAU",
        "original_known": False,
        "earlier": [Earlier(b"other", dead=False), Earlier(b"hash", dead=False)],
        "deleted": True,
        "written": Written({}, frozenset(), 1, 1),
    }
    cures: list[dict[str, Any]] = [
        {"organization": None},
        {"original_known": True},
        {"change": {"source_time": None}},
        {"earlier": [Earlier(b"other", dead=False)]},
        {"earlier": []},
        {"change": {"fields": {}}},
        {"deleted": False},
        {"written": Written({}, frozenset(), 1, 0)},
        {"written": NEW},
    ]
    told = [judge(facts(change, **said)).rule]
    for cure in cures:
        change |= cure.pop("change", {})
        said |= cure
        told.append(judge(facts(change, **said)).rule)
    assert told == [outcome.rule for outcome in OUTCOMES]


def test_every_outcome_is_one_that_the_ledger_knows() -> None:
    assert {str(outcome) for outcome in (*OUTCOMES, UNREADABLE, INAPPLICABLE)} == {
        "applied",
        "superseded",
        "ignored(unchanged)",
        "ignored(duplicate)",
        "ignored(excluded)",
        "ignored(tombstoned)",
        "dead(unreadable)",
        "dead(inapplicable)",
        "dead(unknown_original)",
        "dead(source_time_in_future)",
        "dead(event_id_reused)",
        "dead(wrong_organization)",
    }
    assert {outcome.kind for outcome in OUTCOMES} == set(Kind)


@pytest.mark.parametrize(
    ("earlier", "replay", "rule"),
    [
        ([], False, "applied"),
        ([Earlier(b"hash", dead=False)], False, "duplicate"),
        ([Earlier(b"hash", dead=True)], False, "applied"),
        ([Earlier(b"other", dead=False)], False, "event_id_reused"),
        ([Earlier(b"other", dead=True)], False, "applied"),
        ([Earlier(b"other", dead=True), Earlier(b"hash", dead=False)], False, "duplicate"),
        ([Earlier(b"hash", dead=False)], True, "applied"),
        ([Earlier(b"other", dead=False)], True, "applied"),
    ],
)
def test_a_change_is_a_duplicate_where_it_came_before_and_did_not_end_dead(
    earlier: list[Earlier], replay: bool, rule: str
) -> None:
    assert judge(facts(earlier=earlier, replay=replay)).rule == rule


@pytest.mark.parametrize(
    ("ahead", "rule"), [(DAY, "applied"), (DAY + dt.timedelta(microseconds=1), "source_time_in_future")]
)
def test_a_source_time_may_be_a_day_ahead_of_ours(ahead: dt.timedelta, rule: str) -> None:
    assert judge(facts({"source_time": NOON + ahead})).rule == rule


@pytest.mark.parametrize(
    ("is_deleted", "time", "deleted_at", "rule"),
    [
        (None, NOON, None, "tombstoned"),
        (True, NOON, None, "tombstoned"),
        (False, None, None, "tombstoned"),
        (False, NOON, NOON, "tombstoned"),
        (False, NOON, NOON + DAY, "tombstoned"),
        (False, NOON, NOON - DAY, "applied"),
        (False, NOON, None, "applied"),
    ],
)
def test_only_a_newer_word_brings_a_deleted_customer_back(
    is_deleted: bool | None, time: dt.datetime | None, deleted_at: dt.datetime | None, rule: str
) -> None:
    said = facts(
        {"is_deleted": is_deleted, "source_time": time},
        deleted=True,
        deleted_at=microseconds(deleted_at) if deleted_at else None,
    )
    assert judge(said).rule == rule


@pytest.mark.parametrize(
    ("changed", "carried", "late", "new", "rule"),
    [
        ({"Name"}, 2, 1, False, "applied"),
        (set(), 2, 1, False, "unchanged"),
        (set(), 2, 2, False, "superseded"),
        (set(), 0, 0, False, "unchanged"),
        (set(), 0, 0, True, "applied"),
    ],
)
def test_a_change_is_superseded_only_where_every_field_was_newer(
    changed: set[str], carried: int, late: int, new: bool, rule: str
) -> None:
    written = Written({}, frozenset(changed), carried, late)
    assert judge(facts(written=written, new_customer=new)).rule == rule
