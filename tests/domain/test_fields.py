"""Fields keep the time and the place of their last write, and say when a license begins and ends."""

import datetime as dt
import zoneinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.domain import fields as read
from licet.domain.catalog import Catalog, read_catalog
from licet.domain.fields import NEVER, Field, read_moment, write_fields
from support.properties import quick


def catalog_in(zone: str) -> Catalog:
    return read_catalog(
        f'[source]\nterms = "not_required"\ntime_zone = "{zone}"\n'
        '[skus.S]\nflag = "Flag"\nfrom = "From"\nuntil = "Until"\nquantity = "Seats"\n'
    )


CATALOG = catalog_in("UTC")
PARIS = zoneinfo.ZoneInfo("Europe/Paris")


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T09:00:00.000Z", "2026-11-23T09:00:00"),
        ("2026-11-23T09:00:00.000+0000", "2026-11-23T09:00:00"),
        ("2026-11-23T09:00:00+02:00", "2026-11-23T07:00:00"),
        ("2026-11-23T09:00:00.123456-0500", "2026-11-23T14:00:00.123456"),
        ("2026-11-23", "2026-11-22T23:00:00"),
        ("2026-07-01", "2026-06-30T22:00:00"),
    ],
)
def test_salesforce_s_spellings_of_a_moment_are_read(text: str, moment: str) -> None:
    assert read_moment(text, PARIS) == utc(moment)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-23T09:00:00",
        "2026-02-30",
        "23.11.2026",
        "0001-01-01T00:00:00+01:00",
        "\u0662\u0660\u0662\u0666-01-01",
    ],
)
def test_what_names_no_one_moment_is_none(text: str) -> None:
    assert read_moment(text, PARIS) is None


def test_a_date_is_none_where_only_a_moment_will_do() -> None:
    assert read_moment("2026-11-23", None) is None


def stored(**values: Any) -> dict[str, Field]:
    return {name: Field(value, 1, None, timed=False) for name, value in values.items()}


@pytest.mark.parametrize(
    ("zone", "until", "moment"),
    [
        ("UTC", "2026-11-23", "2026-11-24T00:00:00"),
        ("Europe/Paris", "2026-11-23", "2026-11-23T23:00:00"),
        ("Europe/Paris", "2026-03-29", "2026-03-29T22:00:00"),  # the clocks go forward on this day: 23 hours
        ("Europe/Paris", "2026-10-25", "2026-10-25T23:00:00"),  # and back on this one: 25 hours
        ("America/Los_Angeles", "2026-12-31", "2027-01-01T08:00:00"),
        ("Pacific/Kiritimati", "2026-12-31", "2026-12-31T10:00:00"),
        ("Africa/Cairo", "2026-04-23", "2026-04-23T22:00:00"),  # the next midnight does not exist there
        ("Europe/Paris", "2024-02-28", "2024-02-28T23:00:00"),
        ("UTC", "9999-12-30", "9999-12-31T00:00:00"),
        ("UTC", "2026-11-23T09:00:00.000Z", "2026-11-23T09:00:00"),
    ],
)
def test_a_last_day_counts_to_its_end_where_the_organisation_is(zone: str, until: str, moment: str) -> None:
    assert read.ends(stored(Until=until), "Until", catalog_in(zone)) == utc(moment)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_the_last_day_of_the_calendar_means_for_ever(zone: str) -> None:
    assert read.ends(stored(Until="9999-12-31"), "Until", catalog_in(zone)) is None


def test_a_first_day_begins_at_midnight_where_the_organisation_is() -> None:
    assert read.starts(stored(From="2026-11-23"), "From", catalog_in("Europe/Paris")) == utc("2026-11-22T23:00:00")


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_date_is_no_limit(value: object) -> None:
    assert read.starts(stored(From=value), "From", CATALOG) is None
    assert read.ends(stored(Until=value), "Until", CATALOG) is None
    assert read.starts({}, "From", CATALOG) is read.ends({}, None, CATALOG) is None


@pytest.mark.parametrize("value", ["soon", 7, True, ["2026-11-23"], "2026-13-01"])
def test_a_date_that_cannot_be_read_gives_no_access(value: object) -> None:
    """It can be stored: a field may have been unmapped, and held anything, when it came."""
    assert read.starts(stored(From=value), "From", CATALOG) == NEVER
    ends = read.ends(stored(Until=value), "Until", CATALOG)
    assert ends is not None
    assert ends.year == 1970


def test_a_value_of_another_type_says_nothing() -> None:
    fields = stored(Flag="true", Name=7, Seats=True, Many=-1, Half=1.5)
    assert read.flag(fields, "Flag") is None
    assert read.text(fields, "Name") is None
    assert [read.quantity(fields, name) for name in ("Seats", "Many", "Half", "None", None)] == [None] * 5
    assert read.quantity(stored(Seats=0), "Seats") == 0
    assert read.quantity(stored(Seats=5.0), "Seats") == 5  # kept before the catalog knew the field


def test_a_write_says_what_it_changed_and_touches_nothing_that_was_stored() -> None:
    before = {"Flag": Field(True, 1, 5, timed=True), "Name": Field("a", 1, 9, timed=True)}
    written = write_fields(before, {"Flag": False, "Name": "b", "Extra": 1, "From": None}, 7, 2, CATALOG)
    assert written.changed == frozenset({"Flag", "Extra", "From"})
    assert (written.carried, written.late) == (4, 1)
    assert written.fields["Flag"] == Field(False, 2, 7, timed=True)
    assert written.fields["Name"] == Field("a", 1, 9, timed=True)
    assert before["Flag"] == Field(True, 1, 5, timed=True)


def test_a_write_without_a_time_keeps_the_stored_one() -> None:
    before = {"Flag": Field(True, 1, 5, timed=True)}
    after = write_fields(before, {"Flag": False}, None, 2, CATALOG).fields
    assert after["Flag"] == Field(False, 2, 5, timed=False)
    assert write_fields(after, {"Flag": True}, 4, 3, CATALOG).late == 1
    assert write_fields(after, {"Flag": True}, 5, 3, CATALOG).fields["Flag"] == Field(True, 3, 5, timed=True)


@pytest.mark.parametrize(
    ("last", "timed", "time", "late"),
    [
        (9, False, None, True),
        (9, False, 99, True),  # the write since was not timed: nobody can say which is newer
        (9, True, None, True),
        (9, True, 50, True),
        (9, True, 51, False),
        (3, True, 50, False),
        (3, True, 49, True),
        (3, False, None, False),
    ],
)
def test_a_replay_leaves_what_was_written_since_unless_its_own_time_is_newer(
    last: int, timed: bool, time: int | None, late: bool
) -> None:
    before = {"Flag": Field(True, last, 50, timed=timed)}
    assert write_fields(before, {"Flag": False}, time, 5, CATALOG, replay=True).late == int(late)


@pytest.mark.parametrize(
    ("before", "value", "carried"),
    [
        ({}, {"Flag": None}, 0),
        ({"Flag": True}, {"Flag": None}, 0),
        ({}, {"Until": None}, 1),
        ({"Seats": 5}, {"Seats": None}, 1),
        ({}, {"Extra": None}, 0),
        ({"Extra": "x"}, {"Extra": None}, 1),
        ({"SKU9": True}, {"SKU9": None}, 0),  # perhaps the flag of a SKU that the catalog learns tomorrow
    ],
)
def test_a_null_clears_what_is_no_flag(before: dict[str, Any], value: dict[str, Any], carried: int) -> None:
    assert write_fields(stored(**before), value, None, 2, CATALOG).carried == carried


values = st.sampled_from([1, 1.0, True, "1", [1], [True], {"a": 1, "b": 2}, {"b": 2, "a": 1}, 2**70])


@quick
@given(values, values)
def test_a_field_changes_where_json_s_readers_would_see_another_value(one: object, two: object) -> None:
    changed = write_fields(stored(Extra=one), {"Extra": two}, None, 2, CATALOG).changed
    same = repr(one) == repr(two) or (isinstance(one, dict) and isinstance(two, dict))
    assert (changed == frozenset()) == same


@quick
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=8), st.randoms())
def test_timed_writes_end_in_the_newest_in_whatever_order_they_arrive(
    writes: list[tuple[int, bool]], dice: Any
) -> None:
    newest: dict[int, bool] = dict(writes)  # of equal times any may win, so give each time one value
    told = [(time, newest[time]) for time, _ in writes]
    dice.shuffle(told)
    fields: Any = {}
    for place, (time, value) in enumerate(told):
        fields = write_fields(fields, {"Flag": value}, time, place, CATALOG).fields
    assert read.flag(fields, "Flag") == (newest[max(newest)] if newest else None)
