"""The table finds customers by the hashes of their names; here hashes are so weak that names meet all the time."""

import pickle
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet_sdk import core as core_module
from licet_sdk import slots
from licet_sdk.core import Core
from licet_sdk.link import Snapshot
from licet_sdk.wire import Changes
from support.properties import quick
from support.sdk_service import CATALOG, customer, row

IDS = [f"acme{number}" for number in range(9)]
ALIASES = [f"tenant:{number}" for number in range(9)]
LICENSES = [[], [row()], [row("SKU2", since=7)], [row(), row("SKU3", since=9)]]

records = st.builds(
    lambda name, held, aliases: customer(name, *held, aliases=tuple(sorted(aliases))),
    st.sampled_from(IDS),
    st.sampled_from(LICENSES),
    st.sets(st.sampled_from(ALIASES), max_size=3),
) | st.builds(lambda name: {"c": name, "gone": True}, st.sampled_from(IDS))


class Follower:
    """A core that follows, beside a plain dict of names."""

    def __init__(self) -> None:
        body = Snapshot()
        head = {"licet": "snapshot", "format": 1, "position": "p", "revision": 1, "catalog": CATALOG, "age_ms": 0}
        for line in (head, {"end": True}):
            body.line(msgspec.json.encode(line))
        assert body.whole is not None
        self.core, self.state = Core(), dict[str, Any]()
        self.core.replace(body.whole[1], 0)

    def apply(self, told: list[dict[str, Any]]) -> None:
        """Send one event as the service does: each customer once, an alias taken from whoever had it."""
        whole = {one["c"]: one for one in told}
        for name, record in list(whole.items()):
            for other, before in {**self.state, **whole}.items():
                if other != name and set(before.get("a", ())) & set(record.get("a", ())):
                    left = [one for one in whole.get(other, before).get("a", ()) if one not in record["a"]]
                    whole[other] = {**whole.get(other, before), "a": left}
        self.core.apply(msgspec.convert({"revision": 2, "customers": list(whole.values())}, Changes), "p")
        self.state |= whole
        self.state = {name: one for name, one in self.state.items() if not one.get("gone")}

    def names(self) -> dict[str, dict[str, Any]]:
        """Return who has which name."""
        return {name: one for one in self.state.values() for name in (one["c"], *one["a"])}


@pytest.fixture(params=[1, 7, 64, 10**6])
def strength(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Make ``hash`` as weak as this many values, in the two modules that use it."""

    values: int = request.param

    def weak(name: str) -> int:
        return zlib.crc32(name.encode()) % values + 1

    for module in (core_module, slots):
        monkeypatch.setattr(module, "hash", weak, raising=False)
    return values


@quick
@given(told=st.lists(st.lists(records, max_size=6), max_size=12))
def _follows(strength: int, told: list[list[dict[str, Any]]]) -> None:
    one = Follower()
    kept = []
    for event in told:
        one.apply(event)
        names = one.names()
        for _ in range(2):  # the second time from what the first one judged
            for name in (*IDS, *ALIASES):
                decision = one.core.check("mail", customer=name)
                has = {license_[0]: license_ for license_ in names[name]["l"]} if name in names else {}
                if name in names:
                    expected = next((has[sku] for sku in ("SKU1", "SKU2") if sku in has), None)
                    assert decision.customer == names[name]["c"]
                    assert decision.license_id == (expected[5] if expected else None)
                    assert one.core.allowed("mail", customer=name) is decision.allowed is (expected is not None)
                elif strength == 10**6:
                    assert decision.reason == "unknown_customer"
                assert one.core.check("mail", customer=name, user="nobody").reason == "unknown_user"
                kept.append((decision, decision.as_dict()))
    assert all(decision.as_dict() == said for decision, said in kept)  # of its moment, whatever came later
    assert one.core.table is not None
    lines = [msgspec.json.decode(line) for line in one.core.table.lines()]
    assert sorted(line["c"] for line in lines[:-1]) == sorted(one.state)
    assert lines[-1].get("customers", 0) == len(one.state)
    for line in lines[:-1]:
        assert sorted(line.get("a", [])) == sorted(one.state[line["c"]]["a"])


@pytest.mark.storm
def test_names_that_meet_are_told_apart_whatever_comes_and_goes(strength: int) -> None:
    _follows(strength)


@pytest.mark.usefixtures("strength")
def test_without_a_keyed_hash_names_are_compared_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_KEYED", False)
    one = Follower()
    one.apply([customer(name, row()) for name in IDS[:5]])
    for _ in range(2):
        assert [one.core.allowed("mail", customer=name) for name in IDS] == [True] * 5 + [False] * 4


def test_a_pickled_decision_says_the_same_and_takes_no_other_customer_along() -> None:
    one = Follower()
    one.apply([customer(name, row()) for name in IDS])
    decision = one.core.check("mail", customer=IDS[4])
    pickled = pickle.dumps(decision)
    assert pickle.loads(pickled).as_dict() == decision.as_dict()  # noqa: S301 made above
    assert IDS[3].encode() not in pickled
    assert IDS[3] not in repr(decision)


def test_a_str_of_another_class_is_compared_in_full() -> None:
    class Named(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return hash(IDS[0])

    one = Follower()
    one.apply([customer(IDS[0], row())])
    assert one.core.allowed("mail", customer=IDS[0])
    for _ in range(2):
        assert not one.core.allowed("mail", customer=Named("another"))
        assert one.core.check("mail", customer=Named("another")).reason == "unknown_customer"


def test_hundreds_of_customers_and_their_deletion_leave_each_name_with_its_own() -> None:
    one = Follower()
    one.apply([customer(f"c{number}", row(since=number), aliases=(f"t:{number}",)) for number in range(900)])
    one.apply([{"c": f"c{number}", "gone": True} for number in range(0, 900, 2)])
    one.apply([customer(f"d{number}", row(since=number)) for number in range(900)])
    assert one.core.table is not None
    assert len(one.core.table.pages.pages) < 7  # rows of who went are taken again
    for number in range(0, 900, 7):
        for name, there in ((f"t:{number}", number % 2), (f"c{number}", number % 2), (f"d{number}", 1)):
            decision = one.core.check("mail", customer=name)
            assert decision.reason == ("licensed" if there else "unknown_customer")
            if there:
                assert decision.license_id == row(since=number)[5]
