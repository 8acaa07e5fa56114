"""Event ids of the door sort by time and are UUIDs of version 7."""

import datetime as dt
import os
import uuid

from hypothesis import given
from hypothesis import strategies as st

from licet.receive.uuid7 import uuid7
from support.properties import quick

MOMENTS = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(9999, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001


@quick
@given(MOMENTS, st.binary(min_size=10, max_size=10))
def test_every_id_is_a_version_7_uuid_of_its_millisecond(at: dt.datetime, chance: bytes) -> None:
    made = uuid.UUID(uuid7(at, lambda count: chance[:count]))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


@quick
@given(MOMENTS, MOMENTS)
def test_a_later_id_sorts_after_an_earlier_one(one: dt.datetime, other: dt.datetime) -> None:
    if one + dt.timedelta(milliseconds=1) <= other:
        assert uuid7(one, os.urandom) < uuid7(other, os.urandom)
