"""A change is read whole or refused with every fault at once."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.domain.catalog import Role, read_catalog
from licet.domain.change import MAX_EVENT_ID, CustomerChange, Identity, read_change, sent_event_id
from licet.domain.errors import InvalidInput
from support.door import NOW, default_catalog
from support.properties import quick

CATALOG = default_catalog()
CUSTOM = read_catalog(
    """
[source]
id = "Id"
terms = "not_required"
[features.f]
[skus.S]
flag = "S__c"
from = "From__c"
until = "Until__c"
quantity = "Seats__c"
grants = { f = true }
"""
)
IDENTITY = Identity("event-1", "salesforce", NOW)
SEED = {
    "AccountManager": "Ada Byron",
    "Id": "3f0c1b5e-6f7a-4b8c-9d0e-1f2a3b4c5d6e",
    "Name": "acme.example",
    "SalesEngineerId": "b1",
    "SignedTos": True,
    "SKU1": True,
    "SKU2": False,
    "SKU3": None,
}


def read(**payload: Any) -> CustomerChange:
    return read_change(payload, IDENTITY, CATALOG)


def faults(catalog: Any = CATALOG, **payload: Any) -> dict[str, tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        read_change(payload, IDENTITY, catalog)
    return {fault.field: (fault.found, fault.expected) for fault in caught.value.faults}


def test_the_seeds_payload_is_a_change_with_all_its_fields() -> None:
    change = read(**SEED)
    assert change.customer_id == SEED["Id"]
    assert change.fields == {name: value for name, value in SEED.items() if name != "Id"}
    assert (change.source_time, change.is_deleted, change.organization_id) == (None, None, None)


def test_a_short_and_a_long_salesforce_id_are_one_customer() -> None:
    assert read(Id="70130000001tcyI").customer_id == read(Id="70130000001tcyIAAQ").customer_id == "70130000001tcyIAAQ"


def test_unknown_fields_are_kept_and_those_that_name_the_change_are_not() -> None:
    change = read(
        Id="a",
        Region__c={"x": [1]},
        EventId="e",
        SystemModstamp="2026-11-23T08:00:00.000+0000",
        OrganizationId="00D5g000004aBcD",
        IsDeleted=True,
    )
    assert change.fields == {"Region__c": {"x": [1]}, "IsDeleted": True}
    assert change.source_time == dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC)
    assert change.is_deleted is True
    assert change.organization_id == "00D5g000004aBcDEAU"


def test_every_fault_is_told_at_once() -> None:
    told = faults(
        Id=7, SKU1="yes", SKU2=1, SignedTos="true", Name=3, SystemModstamp="2026-11-23", OrganizationId="x", IsDeleted=0
    )
    assert told["Id"] == ("the number 7", "an id of 1 to 128 letters, digits, '.', '_' or '-'")
    assert told["SKU1"] == ('"yes"', "true, false or null")
    assert told["SKU2"] == ("the number 1", "true, false or null")
    assert told["SystemModstamp"] == ('"2026-11-23"', "a time with a zone (2026-11-23T09:00:00.000Z)")
    assert set(told) == {"Id", "SKU1", "SKU2", "SignedTos", "Name", "SystemModstamp", "OrganizationId", "IsDeleted"}


@pytest.mark.parametrize("value", [None, "", " ", "a b", "a/b", "x" * 129, "ü", [], {}, True, 1])
def test_a_customer_needs_an_id_that_can_stand_in_an_address(value: object) -> None:
    assert "Id" in faults(Id=value)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (
            "From__c",
            ["2026-11-23", "2026-11-23T09:00:00Z"],
            ["soon", "2026-13-01", "2026-11-23T09:00:00", 20261123, True],
        ),
        ("Until__c", ["9999-12-31", "2026-11-23T00:00:00.000+0000"], ["", "0000-00-00", ["2026-11-23"]]),
        ("Seats__c", [0, 500, 5.0, 2**63 - 1], [-1, 1.5, -5.0, 1e300, True, "5", 2**63]),
        ("S__c", [True, False], ["true", 0, 1, []]),
    ],
)
def test_mapped_fields_have_their_type_or_null(field: str, good: list[object], bad: list[object]) -> None:
    for value in [*good, None]:
        assert read_change({"Id": "a", field: value}, IDENTITY, CUSTOM).fields[field] == value
    for value in bad:
        assert list(faults(CUSTOM, Id="a", **{field: value})) == [field]


def test_a_quantity_with_a_point_is_the_whole_number_that_it_is() -> None:
    assert type(read_change({"Id": "a", "Seats__c": 5.0}, IDENTITY, CUSTOM).fields["Seats__c"]) is int
    assert type(read_change({"Id": "a", "Else__c": 5.0}, IDENTITY, CUSTOM).fields["Else__c"]) is float
    assert faults(CUSTOM, Id="a", Seats__c=5.5) == {"Seats__c": ("the number 5.5", "a whole number from 0 or null")}


@pytest.mark.parametrize("value", ["", 5, True, [], "x" * (MAX_EVENT_ID + 1)])
def test_a_senders_event_id_is_a_string_that_the_ledger_can_keep(value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        sent_event_id({"EventId": value}, CATALOG)
    assert caught.value.faults[0].field == "EventId"


def test_no_event_id_is_no_fault() -> None:
    assert sent_event_id({}, CATALOG) is None
    assert sent_event_id({"EventId": None}, CATALOG) is None
    assert sent_event_id({"EventId": "x" * MAX_EVENT_ID}, CATALOG) == "x" * MAX_EVENT_ID


ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.none(), max_size=2)
NAMES = st.sampled_from([*CUSTOM.roles, *CUSTOM.source.envelope, "Other"])


@quick
@given(st.dictionaries(NAMES, ANY))
def test_whatever_the_fields_hold_the_change_is_read_or_its_wrong_fields_named(payload: dict[str, Any]) -> None:
    try:
        change = read_change(payload, IDENTITY, CUSTOM)
    except InvalidInput as error:
        named = {fault.field for fault in error.faults}
        assert named <= {*CUSTOM.roles, "Id", "SystemModstamp", "OrganizationId"}
        return
    assert set(change.fields) == set(payload) - CUSTOM.source.envelope
    for field, role in CUSTOM.roles.items():
        if role is Role.FLAG:
            assert change.fields.get(field) in (None, True, False)
