"""What the door writes into a message the worker reads out of it, and nothing else is believed."""

import datetime as dt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.domain.errors import InvalidInput
from licet.queue.message import Envelope, Header, Message, Record, pack_headers, read_envelope, unpack_headers
from support.properties import quick

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
MESSAGE = Message(key="acme", value=b"{}", event_id="one", source="salesforce", received_at=NOON)


def record(headers: list[Header]) -> Record:
    return Record(log="kafka:x", partition=3, offset=7, key=b"acme", value=b"{}", headers=headers, appended_at=None)


names = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=255)
moments = st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9998, 12, 31), timezones=st.just(dt.UTC))  # noqa: DTZ001 the zone is beside it
places = st.tuples(st.from_regex(r"[^/\x00\s]{1,50}", fullmatch=True), st.integers(0, 999), st.integers(0, 10**18 - 1))
compared = st.tuples(st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1))


@quick
@given(names, names, moments, st.none() | places, st.none() | st.just(f"00-{1:032x}-{2:016x}-01"), st.none() | compared)
def test_an_envelope_comes_back_as_it_was_sent(
    event_id: str,
    source: str,
    received: dt.datetime,
    place: tuple[str, int, int] | None,
    trace: str | None,
    compared_at: tuple[int, int] | None,
) -> None:
    message = Message(
        key="acme",
        value=b"{}",
        event_id=event_id,
        source=source,
        received_at=received,
        traceparent=trace,
        replay_of="/".join(map(str, place)) if place else None,
        compared_at="/".join(map(str, compared_at)) if compared_at else None,
    )
    headers = unpack_headers(pack_headers(message.headers()))
    assert read_envelope(record(headers)) == Envelope(event_id, source, received, place, trace, compared_at)


def test_a_time_in_another_zone_is_read_as_utc() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    message = msgspec.structs.replace(MESSAGE, received_at=NOON.astimezone(zone))
    assert read_envelope(record(message.headers())).received_at == NOON
    assert read_envelope(record(message.headers())).received_at.utcoffset() == dt.timedelta(0)


def test_a_place_may_hold_slashes_and_colons_in_the_log_s_name() -> None:
    message = msgspec.structs.replace(MESSAGE, replay_of="kafka:a/b/3/7")
    assert read_envelope(record(message.headers())).replay_of == ("kafka:a/b", 3, 7)


def test_a_record_names_its_place_as_a_replay_names_it() -> None:
    message = msgspec.structs.replace(MESSAGE, replay_of=record([]).place)
    assert read_envelope(record(message.headers())).replay_of == ("kafka:x", 3, 7)


@pytest.mark.parametrize(
    "place", ["", "x", "x/1", "x/a/1", "x/1/-1", "x/1/" + "1" * 19, "/1/1", "x/1/1\n", "x\x00y/1/1"]
)
def test_a_place_that_is_none_is_refused(place: str) -> None:
    message = msgspec.structs.replace(MESSAGE, replay_of=place)
    with pytest.raises(InvalidInput) as refused:
        read_envelope(record(message.headers()))
    assert [fault.field for fault in refused.value.faults] == ["header licet-replay-of"]


@pytest.mark.parametrize("text", ["", "7", "7/", "/7", "-1/7", "7/-1", "7/7/7", "7/7\n", "\u0667/7", "7/" + "1" * 19])
def test_a_repair_that_was_compared_at_no_place_is_refused(text: str) -> None:
    message = msgspec.structs.replace(MESSAGE, compared_at=text)
    with pytest.raises(InvalidInput) as refused:
        read_envelope(record(message.headers()))
    assert [fault.field for fault in refused.value.faults] == ["header licet-compared-at"]


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59.999999+00:00", "9999-01-01T00:00:00Z", "0001-01-01T00:00+14:00"])
def test_a_receipt_that_leaves_no_time_for_what_follows_is_refused(time: str) -> None:
    headers = [(name, time.encode() if name == "ce_time" else raw) for name, raw in MESSAGE.headers()]
    with pytest.raises(InvalidInput) as refused:
        read_envelope(record(headers))
    (fault,) = refused.value.faults
    assert (fault.field, fault.found) == ("header ce_time", f'"{time}"')
    assert "before the year 9999" in fault.expected


def test_all_faults_are_told_at_once() -> None:
    headers = [("ce_type", b"other"), ("ce_time", b"then"), ("x", b"\xff"), ("licet-replay-of", b"nowhere")]
    with pytest.raises(InvalidInput) as refused:
        read_envelope(record(headers))
    assert [fault.field for fault in refused.value.faults] == [
        "header x",
        "header ce_id",
        "header ce_source",
        "header ce_type",
        "header ce_time",
        "header licet-replay-of",
    ]


@quick
@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=40)), max_size=8))
def test_headers_without_the_names_that_count_are_refused_whatever_they_hold(headers: list[Header]) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_envelope(record([header for header in headers if header[0] != "ce_id"]))
    assert "header ce_id" in [fault.field for fault in refused.value.faults]


def test_bytes_that_are_no_headers_are_kept_for_a_person() -> None:
    kept = unpack_headers(b"\xc1")
    assert kept == [("licet-unreadable-headers", b"\xc1")]
    with pytest.raises(InvalidInput) as refused:
        read_envelope(record(kept))
    assert "headers" in [fault.field for fault in refused.value.faults]
