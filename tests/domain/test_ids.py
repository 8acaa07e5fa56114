"""Names come in many spellings and are kept in one."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.domain import ids
from licet.domain.errors import InvalidInput
from licet.domain.ids import CustomerRef
from support.properties import quick

SHORT = st.text(string.ascii_letters + string.digits, min_size=15, max_size=15)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("70130000001tcyI", "70130000001tcyIAAQ"),
        ("00558000001N0Ke", "00558000001N0KeAAK"),
        ("0015g00000AbCdE", "0015g00000AbCdEAAV"),
        ("000000000000000", "000000000000000AAA"),
        ("ZZZZZZZZZZZZZZZ", "ZZZZZZZZZZZZZZZ555"),
    ],
)
def test_a_short_salesforce_id_becomes_the_long_one(short: str, long: str) -> None:
    assert ids.canonical_customer_id(short) == long
    assert ids.canonical_customer_id(long) == long
    assert ids.is_salesforce_id(short)
    assert ids.is_salesforce_id(long)


@quick
@given(SHORT)
def test_both_forms_of_an_id_are_one_customer_and_case_still_counts(short: str) -> None:
    long = ids.canonical_customer_id(short)
    assert ids.canonical_customer_id(long) == long
    assert ids.is_salesforce_id(long)
    other = short.swapcase()
    if other != short:
        assert ids.canonical_customer_id(other).lower() != long.lower()


def test_a_long_id_with_a_false_suffix_is_no_salesforce_id() -> None:
    assert not ids.is_salesforce_id("0015g00000AbCdEAAA")
    assert not ids.is_salesforce_id("0015g00000AbCd")


@pytest.mark.parametrize("text", ["3f0c1b5e-6f7a-4b8c-9d0e-1f2a3b4c5d6e", "a", "A.b_c-9", "x" * 128])
def test_any_other_id_is_kept_as_it_is(text: str) -> None:
    assert ids.canonical_customer_id(text) == text


@pytest.mark.parametrize("text", ["", "x" * 129, "a b", "a/b", "é", "a\n", "a\x00", "a:b", "\u202eabc", "a%20"])
def test_what_could_not_stand_in_an_address_or_a_message_key_is_no_customer_id(text: str) -> None:
    with pytest.raises(InvalidInput):
        ids.canonical_customer_id(text)


def test_a_customer_is_named_by_id_or_alias() -> None:
    assert CustomerRef.parse("0015g00000AbCdE") == CustomerRef(customer_id="0015g00000AbCdEAAV")
    assert CustomerRef.parse("tenant:4711") == CustomerRef(alias="tenant:4711")
    assert CustomerRef.parse("tenant:a:b") == CustomerRef(alias="tenant:a:b")


@pytest.mark.parametrize("text", [":", "Tenant:1", "tenant:", ":1", "tenant:a b", "tenant:a\x00", "t" * 33 + ":1"])
def test_a_malformed_alias_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        CustomerRef.parse(text)


def test_an_address_is_the_same_in_any_case_and_an_id_is_not() -> None:
    assert ids.user_id("Ada@Acme.Example") == "ada@acme.example"
    assert ids.user_id("Ada") == "Ada"
    for text in ("", "a b@acme.example", "a\n", "x" * 321):
        with pytest.raises(InvalidInput):
            ids.user_id(text)


@pytest.mark.parametrize(
    ("user", "domain"),
    [
        ("ada@acme.example", "acme.example"),
        ("ada@mail.acme.example", "mail.acme.example"),
        ("ada@gmail.com", None),
        ("ada", None),
        ("acme.example", None),
        ("ada@", None),
        ("ada@localhost", None),
        ("ada@-acme.example", None),
    ],
)
def test_an_address_says_a_domain_unless_anyone_can_have_one_there(user: str, domain: str | None) -> None:
    assert ids.email_domain(user) == domain


def test_a_domain_is_verified_in_lower_case_and_a_public_one_never() -> None:
    assert ids.verified_domain("Acme.Example.") == "acme.example"
    for text in ("gmail.com", "GMAIL.com", "acme", "", "a..b", "acme.example/x", "ex ample.com", "x" * 64 + ".example"):
        with pytest.raises(InvalidInput):
            ids.verified_domain(text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        ("x" * 41, '"' + "x" * 40 + '…"'),
        ("\ud800", '"?"'),
        (10**60, "the number 1" + "0" * 39),
        ([1, 2], "an array of 2"),
        ({"secret": 1}, "an object of 1 fields"),
        (b"", "bytes"),
    ],
)
def test_a_found_value_is_shown_shortly(value: object, shown: str) -> None:
    assert ids.shown(value) == shown
