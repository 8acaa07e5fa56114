"""A decision always has a reason, and of several the one nearest to "yes"."""

import datetime as dt
import itertools
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.domain.catalog import read_catalog
from licet.domain.decision import MESSAGES, Asked, Decision, Freshness, Held, Known, Reason, decide
from licet.domain.license import Status
from support.properties import quick

CATALOG = read_catalog(
    """
[features.mail]
[features.boxes]
[features.nothing]
[skus.SMALL]
flag = "a"
grants = { mail = true, boxes = 100 }
[skus.LARGE]
flag = "b"
grants = { boxes = 500 }
[skus.SAME]
flag = "c"
grants = { mail = true }
"""
)
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
FRESH = Freshness(revision=7, age_ms=3, lag_ms=None)
IDS = itertools.count(1)


def day(number: float) -> dt.datetime:
    return NOW + dt.timedelta(days=number)


def held(sku: str, status: Status = Status.ACTIVE, *, since: float = -10, **dates: float) -> Held:
    starts, ends = dates.get("starts"), dates.get("ends")
    return Held(
        sku,
        uuid.UUID(int=next(IDS)),
        status,
        day(starts) if starts is not None else None,
        day(ends) if ends is not None else None,
        None,
        day(since),
    )


def ask(*customers: Known, feature: str = "mail", user: str | None = None) -> Decision:
    return decide(Asked(feature, user, None if user else "acme"), customers, CATALOG, NOW, FRESH)


def one(*licenses: Held, feature: str = "mail") -> Decision:
    return ask(Known("acme", licenses), feature=feature)


@pytest.mark.parametrize(
    ("license_", "reason", "since", "until"),
    [
        (held("SMALL"), Reason.LICENSED, -10, None),
        (held("SMALL", starts=-3, ends=3), Reason.LICENSED, -3, 3),
        (held("SMALL", starts=-30, ends=3), Reason.LICENSED, -10, 3),
        (held("SMALL", starts=0), Reason.LICENSED, 0, None),
        (held("SMALL", starts=2, ends=3), Reason.NOT_YET_VALID, -10, 2),
        (held("SMALL", ends=0), Reason.EXPIRED, 0, None),
        (held("SMALL", ends=-1), Reason.EXPIRED, -1, None),
        (held("SMALL", Status.PENDING_TERMS, starts=-3), Reason.TERMS_NOT_SIGNED, -10, None),
        (held("SMALL", Status.SUSPENDED, ends=3), Reason.SUSPENDED, -10, None),
        (held("SMALL", Status.ENDED), Reason.REVOKED, -10, None),
        (held("SMALL", Status.ENDED, ends=-1), Reason.REVOKED, -10, None),  # it had ended before it would have expired
        (held("LARGE"), Reason.NOT_LICENSED, None, None),
    ],
)
def test_a_license_gives_a_reason_and_since_and_until_when_it_holds(
    license_: Held, reason: Reason, since: float | None, until: float | None
) -> None:
    said = one(license_)
    assert said.reason is reason
    assert said.allowed is (reason is Reason.LICENSED)
    assert said.message == MESSAGES[reason]
    assert said.since == (day(since) if since is not None else None)
    assert said.until == (day(until) if until is not None else None)
    assert said.license_id == (license_.license_id if license_.sku == "SMALL" else None)
    assert (said.revision, said.age_ms, said.customer, said.feature) == (7, 3, "acme", "mail")


def test_the_unknown_is_denied_and_said_so_before_anything_else() -> None:
    licensed = Known("acme", [held("SMALL")])
    assert ask(licensed, feature="teleport").reason is Reason.UNKNOWN_FEATURE
    assert ask().reason is Reason.UNKNOWN_CUSTOMER
    assert ask(user="ada@acme.example").reason is Reason.UNKNOWN_USER
    assert ask(licensed, feature="nothing").reason is Reason.NOT_LICENSED
    assert not any(said.allowed for said in (ask(), ask(user="ada"), ask(licensed, feature="teleport")))


def test_any_sku_allows_and_the_largest_value_wins() -> None:
    small, large = held("SMALL"), held("LARGE")
    assert (one(small, feature="boxes").value, one(large, feature="boxes").value) == (100, 500)
    for licenses in ([small, large], [large, small]):
        said = one(*licenses, feature="boxes")
        assert (said.value, said.sku, said.license_id) == (500, "LARGE", large.license_id)
    said = one(small, held("LARGE", ends=-1), feature="boxes")
    assert (said.allowed, said.value, said.sku) == (True, 100, "SMALL")


def test_of_equal_values_the_license_that_lasts_longest_is_named() -> None:
    endless, short, longer = held("SAME"), held("SMALL", ends=1), held("SAME", ends=9)
    assert one(short, endless).until is None
    assert one(short, longer).until == day(9)
    said = ask(Known("acme", [short]), Known("umbrella", [longer]), user="ada")
    assert (said.customer, said.until) == ("umbrella", day(9))


BEST_FIRST = [
    held("SMALL"),
    held("SMALL", Status.PENDING_TERMS),
    held("SMALL", Status.SUSPENDED),
    held("SMALL", starts=1),
    held("SMALL", ends=-1),
    held("SMALL", Status.ENDED),
]


@pytest.mark.parametrize(
    ("better", "worse"),
    list(itertools.pairwise(BEST_FIRST)),
)
def test_of_several_the_reason_nearest_to_yes_is_told(better: Held, worse: Held) -> None:
    expected = one(better).reason
    for licenses in ([better], [worse]), ([worse], [better]):
        assert ask(*(Known(f"c{n}", held_) for n, held_ in enumerate(licenses)), user="ada").reason is expected


def test_a_user_of_several_customers_is_allowed_by_any_and_told_by_which() -> None:
    said = ask(Known("acme", []), Known("umbrella", [held("SMALL")]), user="ada")
    assert (said.allowed, said.customer, said.user) == (True, "umbrella", "ada")
    said = ask(Known("b", [held("SMALL")]), Known("a", [held("SMALL")]), user="ada")
    assert said.customer == "a"


def test_a_refusal_says_when_another_license_begins() -> None:
    said = one(held("SMALL", Status.ENDED), held("SAME", starts=4))
    assert (said.reason, said.until) == (Reason.NOT_YET_VALID, day(4))
    said = one(held("SMALL", Status.PENDING_TERMS), held("SAME", starts=4))
    assert (said.reason, said.until) == (Reason.TERMS_NOT_SIGNED, day(4))


def test_no_message_tells_an_end_user_a_name_or_a_number() -> None:
    assert set(MESSAGES) == set(Reason)
    assert all(message.endswith(".") and "{" not in message for message in MESSAGES.values())


licenses = st.builds(
    held,
    st.sampled_from(["SMALL", "LARGE", "SAME"]),
    st.sampled_from(Status),
    starts=st.sampled_from([-5, -1, 1, 5]),
    ends=st.sampled_from([-4, -2, 2, 4]),
)


holdings = st.lists(licenses, max_size=3, unique_by=lambda one: one.sku)


@quick
@given(st.lists(holdings, max_size=3), st.sampled_from(list(CATALOG.features)))
def test_a_decision_allows_exactly_where_some_active_license_grants_the_feature_now(
    customers: list[list[Held]], feature: str
) -> None:
    said = ask(*(Known(f"c{number}", held_) for number, held_ in enumerate(customers)), feature=feature)
    granting = dict(CATALOG.grants[feature])
    values = [
        granting[license_.sku]
        for held_ in customers
        for license_ in held_
        if license_.sku in granting
        and license_.status is Status.ACTIVE
        and (license_.starts_at or NOW) <= NOW < (license_.ends_at or day(1))
    ]
    assert said.allowed == bool(values)
    assert said.value == (max(values) if values else None)
    if said.until is not None:
        assert said.until > NOW
    if said.since is not None:
        assert said.since <= NOW


GRACE = read_catalog('[features.mail]\n[skus.SMALL]\nflag = "a"\ngrace_days = 14\ngrants = { mail = true }')


@pytest.mark.parametrize(
    ("license_", "reason", "until"),
    [
        (held("SMALL", ends=-14 + 1e-9), Reason.GRACE, 1e-9),
        (held("SMALL", ends=-14), Reason.EXPIRED, None),
        (held("SMALL", Status.ENDED, since=-13), Reason.GRACE, 1),
        (held("SMALL", Status.ENDED, since=-14), Reason.REVOKED, None),
        (held("SMALL", Status.ENDED, since=-1, ends=-13), Reason.GRACE, 1),  # it had expired before
        (held("SMALL", Status.ENDED, since=-13, ends=9), Reason.GRACE, 1),
        (held("SMALL", Status.ENDED, since=-1, starts=5), Reason.REVOKED, None),  # it never began
        (msgspec.structs.replace(held("SMALL", Status.ENDED, since=-1), lapsed=False), Reason.REVOKED, None),
        (held("SMALL", Status.SUSPENDED, since=-1, ends=-1), Reason.SUSPENDED, None),
    ],
)
def test_after_an_end_access_goes_on_for_the_grace_of_the_sku(
    license_: Held, reason: Reason, until: float | None
) -> None:
    said = decide(Asked("mail", None, "acme"), [Known("acme", [license_])], GRACE, NOW, FRESH)
    assert (said.reason, said.allowed) == (reason, reason is Reason.GRACE)
    assert said.license_id == license_.license_id
    assert said.until == (day(until) if until is not None else None)
