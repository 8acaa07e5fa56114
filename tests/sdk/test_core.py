"""The core answers as the service would, and a table that took changes is the table of a fresh snapshot."""

import itertools
import json
import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet_sdk.core import Core, canonical
from licet_sdk.link import Snapshot
from licet_sdk.table import Table
from licet_sdk.wire import Alive, Catalog, Changes, Events, Head, Record
from support.properties import quick
from support.sdk_model import (
    ALIASES,
    CUSTOMERS,
    DAY,
    FEATURES,
    NOW,
    USERS,
    World,
    customers,
    domains,
    gone,
    held,
    users,
)
from support.sdk_service import CATALOG, Service, customer, row

MEMBERS = ("allowed", "reason", "message", "customer", "user", "feature", "value", "sku", "since", "until")


class Dial:
    """A clock that a test sets, in seconds."""

    def __init__(self, now: float = NOW / 1e6) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def table(*records: dict[str, Any], catalog: dict[str, Any] = CATALOG) -> Table:
    made = Table(Head(position="p.1.t", revision=1, catalog=msgspec.convert(catalog, Catalog), age_ms=0))
    for record in records:
        made.put(msgspec.convert(record, Record))
    return made


def core(*records: dict[str, Any], clock: Dial | None = None, **options: Any) -> Core:
    made = Core(clock=clock or Dial(), monotonic=options.pop("monotonic", Dial(0.0)), **options)
    made.replace(table(*records), 0)
    return made


def changes(*records: dict[str, Any], revision: int = 2, catalog: dict[str, Any] | None = None) -> Changes:
    said: dict[str, Any] = {"revision": revision, "customers": [], "users": [], "domains": []}
    for record in records:
        said["users" if "u" in record else "domains" if "d" in record else "customers"].append(record)
    if catalog is not None:
        said["catalog"] = catalog
    return msgspec.convert(said, Changes)


events = st.lists(st.lists(st.one_of(customers, customers, gone, users, domains), max_size=4), max_size=2)
deals = st.fixed_dictionaries(dict.fromkeys(CUSTOMERS, held)).map(
    lambda held: [{"c": name, "l": rows} for name, rows in held.items()]
)
# A boundary, and a moment before it: what was judged must not outlive what it rests on.
MOMENTS = [NOW + days * DAY - before for days in range(1, 6) for before in (0, 1000)]
owners = st.dictionaries(st.sampled_from(ALIASES), st.sampled_from(CUSTOMERS))
WHO = [
    (name, user)
    for name in (None, *CUSTOMERS, *ALIASES, "0015g00000AbCdE", "nobody")
    for user in (None, *USERS, "ADA@ACME.EXAMPLE", "stranger")
]


@pytest.mark.storm
@quick
@given(deals, st.lists(users | domains, max_size=4), events, owners, st.sampled_from(MOMENTS))
def test_it_decides_as_the_service_does(
    deal: list[dict[str, Any]],
    people: list[dict[str, Any]],
    later: list[list[dict[str, Any]]],
    aliases: dict[str, str],
    moment: int,
) -> None:
    clock = Dial()
    world, asked = World(), core(clock=clock)
    for number, records in enumerate([deal, people, *later]):
        named = [{**one, "a": [name for name, of in aliases.items() if of == one["c"]]} for one in records]
        for record in named:
            world.put(record)
        asked.apply(changes(*named, revision=number + 2), f"p.{number}.t")
    known = {alias: of for alias, of in aliases.items() if of in world.customers}
    for at, feature, (name, user) in itertools.product((NOW, moment), FEATURES, WHO):
        clock.now = at / 1e6
        kept_user = user.lower() if user and "@" in user else user
        expected = world.decide(known, feature, canonical(name), kept_user, at)
        decision = asked.check(feature, customer=name, user=user)
        for member in MEMBERS:
            assert getattr(decision, member) == getattr(expected, member), member
        assert decision.license_id == (str(expected.license_id) if expected.license_id else None)
        assert decision.override_id == (str(expected.override_id) if expected.override_id else None)
        assert asked.allowed(feature, customer=name, user=user) is expected.allowed
        assert asked.check(feature, customer=name, user=user) == decision


@pytest.mark.storm
@quick
@given(
    st.lists(
        st.lists(
            st.builds(lambda one, at: {**one, "a": [f"tenant:{n}" for n in at]}, customers, st.sets(st.integers(0, 3)))
            | gone
            | users
            | domains,
            max_size=5,
        ),
        max_size=5,
    )
)
def test_changes_in_any_order_end_where_a_fresh_snapshot_is(told: list[list[dict[str, Any]]]) -> None:
    followed = table()
    state: dict[tuple[str, str], dict[str, Any]] = {}
    for number, records in enumerate(told):
        whole = {}
        for record in records:
            kind = "u" if "u" in record else "d" if "d" in record else "c"
            whole[kind, record[kind]] = record
        # An alias names one customer: whoever has it last takes it from the others, in the same event.
        for key, record in list(whole.items()):
            for other, before in [*state.items(), *whole.items()]:
                if other != key and set(before.get("a", ())) & set(record.get("a", ())):
                    current = whole.get(other, before)
                    whole[other] = current | {"a": [one for one in current.get("a", ()) if one not in record["a"]]}
        followed.apply(changes(*whole.values(), revision=number + 2), f"p.{number}.t")
        state |= whole
    left = [one for one in state.values() if not one.get("gone") and one["c"] != []]
    assert sorted(followed.lines()) == sorted(table(*left).lines())
    asked, fresh = Core(clock=Dial()), Core(clock=Dial())
    asked.replace(followed, 0)
    fresh.replace(table(*left), 0)
    for name in (*CUSTOMERS, *(f"tenant:{number}" for number in range(4))):
        assert asked.check("mail", customer=name).customer == fresh.check("mail", customer=name).customer


def test_a_license_begins_and_ends_by_time_alone() -> None:
    clock = Dial()
    asked = core(customer("acme", row(starts=NOW + DAY, ends=NOW + 2 * DAY)), clock=clock)
    tick = 1e-6
    for days, after, reason in (
        (0, 0.0, "not_yet_valid"),
        (1, -tick, "not_yet_valid"),
        (1, 0.0, "licensed"),
        (2, -tick, "licensed"),
        (2, 0.0, "grace"),
        (4, -tick, "grace"),
        (4, 0.0, "expired"),
    ):
        clock.now = (NOW + days * DAY) / 1e6 + after
        assert asked.allowed("mail", customer="acme") is (reason in ("licensed", "grace"))
        assert asked.check("mail", customer="acme").reason == reason


def test_a_new_catalog_counts_at_once() -> None:
    asked = core(customer("acme", row("SKU3")))
    assert asked.allowed("mail", customer="acme") is False
    wider = {"version": 2, "features": {"mail": {"grants": [["SKU3", 7]]}}}
    asked.apply(changes(catalog=wider), "p.2.t")
    decision = asked.check("mail", customer="acme")
    assert (decision.allowed, decision.value, decision.revision) == (True, 7, 2)
    assert asked.check("boxes", customer="acme").reason == "unknown_feature"
    assert not asked.allowed("boxes", customer="acme")


def test_what_is_too_old_follows_the_features_own_rule() -> None:
    now = Dial(0.0)
    asked = core(customer("acme", row()), monotonic=now, stale_after=60)
    heard: list[str] = []
    asked.listeners.append(heard.append)
    asked.heard(Alive(revision=1, age_ms=1000), "p.1.t")
    answers = {name: asked.check(name, customer="acme").reason for name in CATALOG["features"]}
    assert answers == {"mail": "licensed", "boxes": "licensed", "strict": "licensed", "lenient": "not_licensed"}
    now.now = 59.5
    assert asked.check("strict", customer="acme").age_ms == 60_500
    assert asked.tick()
    told = {name: (asked.check(name, customer="acme").reason, asked.allowed(name, customer="acme")) for name in answers}
    assert told == {
        "mail": ("licensed", True),
        "boxes": ("licensed", True),
        "strict": ("stale", False),
        "lenient": ("stale", True),
    }
    assert asked.check("lenient", customer="acme").value is True
    assert asked.check("lenient", customer="nobody").reason == "unknown_customer"
    asked.apply(changes(customer("acme", row(status="ended"))), "p.2.t")
    assert asked.check("strict", customer="acme").reason == "revoked"
    asked.apply(changes(customer("acme", row())), "p.2.t")
    asked.heard(Alive(revision=2, age_ms=0, lag_ms=4), "p.2.t")
    decision = asked.check("strict", customer="acme")
    assert (decision.allowed, decision.revision, decision.age_ms, decision.lag_ms) == (True, 2, 0, 4)
    assert heard == ["ready", "stale", "changed", "changed", "ready"]


def test_before_anything_is_known_defaults_answer_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    asked = Core(defaults={"mail": True, "boxes": 5, "strict": False})
    with caplog.at_level(logging.WARNING):
        answers = [asked.check(name, customer="acme") for name in ("mail", "boxes", "strict", "lenient", "mail")]
    assert [(one.allowed, one.reason, one.value) for one in answers[:4]] == [
        (True, "default", True),
        (True, "default", 5),
        (False, "default", None),
        (False, "unavailable", None),
    ]
    assert sum("mail" in record.getMessage() for record in caplog.records) == 1
    asked.replace(table(customer("acme")), 0)
    assert asked.check("mail", customer="acme").reason == "not_licensed"


def test_a_name_that_the_catalog_does_not_know_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    asked = Core(features=["mial", "mail"])
    asked.check("bxes", customer="acme")
    with caplog.at_level(logging.ERROR):
        asked.replace(table(), 0)
        for _ in range(3):
            asked.check("bxes", user="bob")
            asked.allowed("strcit", customer="acme")
    said = [record.getMessage() for record in caplog.records]
    assert [name for name in ("mial", "bxes", "strcit") for one in said if f"'{name}'" in one] == [
        "mial",
        "bxes",
        "strcit",
    ]
    assert not any("'mail'" in one for one in said)


def test_a_decision_is_frozen_and_true_where_it_allows() -> None:
    asked = core(customer("acme", row(since=NOW)))
    yes, no = asked.check("mail", customer="acme"), asked.check("lenient", customer="acme")
    assert (bool(yes), bool(no), no.license_id, no.since) == (True, False, None, None)
    assert yes.as_dict()["license_id"] == row(since=NOW)[5]
    with pytest.raises(AttributeError):
        yes.allowed = False  # type: ignore[misc]


def test_nobody_is_denied_and_nothing_raises() -> None:
    asked = core(customer("acme", row()))
    for who in ({}, {"user": ""}, {"customer": ""}, {"user": "a b"}, {"customer": "ü" * 15}):
        assert asked.check("mail", **who).allowed is False
        assert asked.allowed("mail", **who) is False


def test_profiles_that_nobody_holds_any_more_are_let_go() -> None:
    followed = table()
    for number in range(4_000):
        followed.apply(changes(customer("acme", row(ends=NOW + number))), "p")
    assert len(followed._profiles) < 3_000


@pytest.mark.storm
@quick
@given(st.lists(st.tuples(st.sampled_from(["changes", "alive"]), st.text('ab {}:"', max_size=9))), st.data())
def test_events_do_not_depend_on_how_they_are_cut(told: list[tuple[str, str]], data: Any) -> None:
    raw = "".join(
        f": hello\r\nevent: {name}\nid: {number}\ndata: {text}\n\n" for number, (name, text) in enumerate(told)
    )
    sent, reader, found = raw.encode(), Events(), []
    while sent:
        at = data.draw(st.integers(1, len(sent)))
        found += list(reader.feed(sent[:at]))
        sent = sent[at:]
    assert found == [(name.encode(), text.encode(), str(number)) for number, (name, text) in enumerate(told)]


def test_a_snapshot_without_its_last_line_or_with_another_count_is_not_whole() -> None:
    service = Service()
    service.change(
        customer("acme", row(), aliases=("tenant:1",)), {"u": "bob", "c": ["acme"]}, {"d": "x.y", "c": ["acme"]}
    )
    lines = service.snapshot()
    whole = Snapshot()
    whole.feed(b"".join(lines))
    assert whole.whole is not None
    for cut in range(len(lines)):
        part = Snapshot()
        part.feed(b"".join(lines[:cut]))
        assert part.whole is None
    with pytest.raises(ValueError, match="it had"):
        Snapshot().feed(b"".join([lines[0], *lines[2:]]))
    with pytest.raises(ValueError, match="format 1"):
        Snapshot().feed(json.dumps(json.loads(lines[0]) | {"format": 2}).encode() + b"\n")


def test_short_salesforce_ids_are_the_long_ones() -> None:
    assert canonical("70130000001tcyI") == "70130000001tcyIAAQ"
    assert canonical("00558000001N0Ke") == "00558000001N0KeAAK"
    asked = core(customer("0015g00000AbCdEAAV", row()))
    assert asked.check("mail", customer="0015g00000AbCdE").customer == "0015g00000AbCdEAAV"


def test_a_user_who_moves_between_two_look_ups_is_asked_about_again() -> None:
    asked = core(customer("a", row()), customer("b"), {"u": "bob", "c": ["a"]})
    assert asked.allowed("mail", user="bob")
    assert asked.table is not None

    class Moving(dict[str, str]):
        def __getitem__(self, user: str) -> str:
            found = super().__getitem__(user)
            asked.apply(changes(customer("a"), customer("b", row()), {"u": "bob", "c": ["b"]}), "p.2.t")
            return found

    asked.table.users = Moving(asked.table.users)
    assert not asked.allowed("mail", customer="b")  # so the profile that "a" is about to have is judged already
    assert asked.allowed("mail", user="bob")


def test_a_listener_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    asked, heard = core(customer("acme", row())), list[str]()

    def fail(event: str) -> None:
        raise RuntimeError(event)

    asked.listeners += [fail, heard.append]
    asked.apply(changes(customer("acme")), "p.2.t")
    assert heard == ["changed"]
    assert not asked.allowed("mail", customer="acme")
    assert "a listener failed" in caplog.text
