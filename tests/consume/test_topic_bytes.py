"""The consumer trusts nobody: whatever bytes stand in the topic, each record gets exactly one outcome."""

from collections import Counter

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consume.deliveries import RUBBISH
from licet.queue.message import Record
from licet.store.ports import DeadLimit
from support.world import Log, Road, fresh, rows

_ours = ["ce_id", "ce_source", "ce_time", "ce_type", "licet-replay-of", "licet-compared-at", "traceparent"]
_names = st.sampled_from([*_ours, "", "x\x00", "é", "ce_id "])
_times = st.sampled_from(
    [b"2026-03-01T12:00:00+00:00", b"9999-12-31T23:59:59-12:00", b"0001-01-01T00:00:00+14:00", b"1"]
)
_places = st.sampled_from(
    [b"log/0/0", b"a/b/1/999999999999999999", b"//", b"log/999999999/0", b"\x00/0/0", b"9/0", b"0/999999999999999999"]
)
_values = st.one_of(
    st.binary(max_size=40), _times, _places, st.sampled_from([b"salesforce", b"\xed\xa0\x80", b"a\x00b"])
)
_said = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)
_fields = st.sampled_from(
    ["Id", "Name", "SignedTos", "SKU1", "IsDeleted", "SystemModstamp", "EventId", "Extra", "OrganizationId"]
)
_objects = st.dictionaries(_fields, _said, max_size=6)
GOOD = [("ce_id", b"e"), ("ce_source", b"salesforce"), ("ce_time", b"2026-03-01T12:00:00+00:00")]


@st.composite
def records(draw: st.DrawFn) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]], int]:
    """Draw the bytes of one record: anything at all, or nearly a change."""
    key = draw(st.one_of(st.none(), st.binary(max_size=20), st.just(b"acme")))
    said = _objects.map(lambda payload: msgspec.json.encode({"Id": "acme"} | payload))
    value = draw(st.one_of(st.none(), st.binary(max_size=60), st.sampled_from(RUBBISH), said, said))
    odd = draw(st.lists(st.tuples(_names, _values), max_size=4))
    return key, value, [*(GOOD if draw(st.booleans()) else []), *odd], draw(st.integers(0, 1))


@pytest.mark.storm
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(drawn=st.lists(records(), min_size=1, max_size=12), cut=st.integers(1, 12))
def test_each_record_gets_exactly_one_outcome_whatever_its_bytes(
    shared_database: str, drawn: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]], int]], cut: int
) -> None:
    log = Log(fresh("rogue"))
    sent: list[Record] = [log.raw(key, value, headers, partition) for key, value, headers, partition in drawn]
    road = Road(shared_database, log.name, limit=DeadLimit(count=10_000))
    outcomes = road.apply(*sent[:cut]) + (road.apply(*sent[cut:]) if sent[cut:] else [])
    road.close()
    assert len(outcomes) == len(sent)
    ledger = rows(
        shared_database, 'SELECT partition, "offset", payload, outcome FROM delivery WHERE log = %(log)s', log=log.name
    )
    assert {(row["partition"], row["offset"]): row["payload"] for row in ledger} == {
        (record.partition, record.offset): record.value for record in sent
    }
    assert len(ledger) == len(sent)
    dead = sum(word.startswith("dead") for word in outcomes)
    assert Counter(row["outcome"] for row in ledger)["dead"] == dead
    assert road.applier.stopped == {}
