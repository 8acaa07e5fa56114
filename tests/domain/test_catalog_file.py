"""The catalog is data: read whole, or refused with every fault and where it stands."""

import pathlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.domain.catalog import Exclusion, Role, read_catalog
from licet.domain.errors import InvalidInput
from licet.store.migrate import default_catalog

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/custom-fields.toml"


def faults(text: str) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidInput) as refused:
        read_catalog(text)
    return [(fault.field, fault.found, fault.expected) for fault in refused.value.faults]


def test_the_default_catalog_maps_the_seed_s_names() -> None:
    catalog = read_catalog(default_catalog(), 1)
    assert catalog.grants == {
        "inbound-email-security": (("SKU1", True),),
        "account-takeover-protection": (("SKU2", True),),
        "abuse-mailbox-automation": (("SKU3", True),),
    }
    assert catalog.source.terms_field == "SignedTos"
    assert {field for field, role in catalog.roles.items() if role is Role.FLAG} == {
        "SignedTos",
        "IsDeleted",
        "SKU1",
        "SKU2",
        "SKU3",
    }
    assert catalog.text == default_catalog()


def test_the_example_with_custom_fields_reads() -> None:
    catalog = read_catalog(EXAMPLE.read_text(), 2)
    assert catalog.source.terms_field is None
    assert catalog.grants["mailboxes"] == (("SKU1", 100), ("SKU2", 500))
    assert catalog.roles["SKU1_Until__c"] is Role.END
    assert catalog.roles["SKU1_Seats__c"] is Role.QUANTITY
    assert catalog.roles["Tenant_Id__c"] is Role.TEXT
    assert str(catalog.zone) == "Europe/Paris"


def test_an_empty_document_is_a_catalog_without_skus() -> None:
    assert read_catalog("").skus == {}


A_FIELD = "a field that does not name the change itself"
A_NAME = "a name of 1 to 100 letters, digits, '.', '_' or '-'"
FAULTS = {
    "no TOML": ("x", "catalog", "Expected '=' after a key in a key/value pair (at end of document)", "TOML"),
    "an unknown table": (
        "[nonsense]",
        "catalog",
        "Object contains unknown field `nonsense`",
        "the catalog's own fields",
    ),
    "an unknown source field": (
        "[source]\nnonsense = 1",
        "source",
        "Object contains unknown field `nonsense`",
        "the catalog's own fields",
    ),
    "a SKU without a flag": (
        '[skus.S]\ntitle = "x"',
        "skus.S",
        "Object missing required field `flag`",
        "the catalog's own fields",
    ),
    "an empty flag": ('[skus.S]\nflag = ""', "skus.S.flag", '""', "the name of a field"),
    "empty terms": ('[source]\nterms = ""', "source.terms", '""', "the name of a field"),
    "an unknown zone": (
        '[source]\ntime_zone = "Mars/Base"',
        "source.time_zone",
        '"Mars/Base"',
        "an IANA zone such as Europe/Paris",
    ),
    "a continent": (
        '[source]\ntime_zone = "Europe"',
        "source.time_zone",
        '"Europe"',
        "an IANA zone such as Europe/Paris",
    ),
    "a path": (
        '[source]\ntime_zone = "../../etc/passwd"',
        "source.time_zone",
        '"../../etc/passwd"',
        "an IANA zone such as Europe/Paris",
    ),
    "a feature's name": ('[features."a b"]', "features", '"a b"', A_NAME),
    "a SKU's name": ('[skus."a/b"]\nflag = "x"', "skus", '"a/b"', A_NAME),
    "an alias's system": (
        '[source.aliases]\nTenant = "T"',
        "source.aliases",
        '"Tenant"',
        "a system in lower-case letters, digits, '_' or '-'",
    ),
    "a grant of no feature": (
        '[skus.S]\nflag = "x"\ngrants = { f = true }',
        "skus.S.grants",
        '"f"',
        "a feature of the [features] table",
    ),
    "a grant of nothing": (
        '[features.f]\n[skus.S]\nflag = "x"\ngrants = { f = false }',
        "skus.S.grants.f",
        "false",
        "true or a number; leave out what is not granted",
    ),
    "a grant that is no number": (
        '[features.f]\n[skus.S]\nflag = "x"\ngrants = { f = nan }',
        "skus.S.grants.f",
        "the number nan",
        "true or a number",
    ),
    "an exclusion without values": (
        '[[exclude]]\nname = "tests"\nfield = "Type"',
        "exclude.tests",
        "no values",
        "equals = […] or ends_with = […]",
    ),
    "an exclusion that could never match": (
        '[[exclude]]\nname = "us"\nfield = "Id"\nequals = ["x"]',
        "exclude.us",
        '"Id"',
        A_FIELD,
    ),
    "a flag that names the change": ('[skus.S]\nflag = "EventId"', "skus.S.flag", '"EventId"', A_FIELD),
    "one field with two meanings": (
        '[source]\nname = "X"\n[skus.S]\nflag = "X"',
        "skus.S.flag",
        '"X"',
        "another field: source.name reads it as a string or null",
    ),
    "U+0000": ('[features.f]\ntitle = "\\u0000"', "catalog", "U+0000", "text that PostgreSQL can keep"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_says_where_it_stands_what_was_found_and_what_was_expected(what: str) -> None:
    text, *fault = FAULTS[what]
    assert faults(text) == [tuple(fault)]


# What may stand before the line with the fault; none of it may move the place that is told.
BEFORE = [
    "# [skus.S] WRONG = 1",
    "",
    '[features."a.b"]\ntitle = "[skus.S]"',
    '[features.note]\ntitle = """\n[skus.S]\nWRONG = 1\n"""',
    "[features.flat]\ntitle = '''\nWRONG = 1\n'''",
    '[[exclude]]\nname = "x"\nfield = "Type"\nequals = [\n  "a", # ]\n  "WRONG = 1",\n]',
    "[source.aliases]\ntenant = 'T'",
]
LINES = {
    "a table": "[skus.S]\nflag = 'F'\n  WRONG = 1",
    "a grant": "[features.f]\n[skus.S]\nflag = 'F'\ngrants = { f = true, WRONG = true }",
    "grants of their own": "[features.f]\n[skus.S]\nflag = 'F'\n[skus.S.grants]\nWRONG = true",
    "a dotted key": "[skus.S]\nflag = 'F'\ngrants.WRONG = true",
    "a quoted key": "[skus.S]\nflag = 'F'\ngrants = { \"WRONG\" = true }",
    "a rule": '[[exclude]]\nname = "y"\nfield = "T"\nequals = ["a"]\n\n[[exclude]]\nname = "z"\nfield = "T"\nWRONG = 3',
    "no TOML": "[skus.S]\nflag = 'F'\nfrom = WRONG",
}


@given(st.lists(st.sampled_from(BEFORE), unique=True), st.sampled_from(sorted(LINES)), st.sampled_from(["\n", "\r\n"]))
def test_a_fault_points_to_its_line_and_column(before: list[str], kind: str, end: str) -> None:
    text = "\n".join([*before, LINES[kind]]) + "\n"
    at = text.rindex("WRONG")
    with pytest.raises(InvalidInput) as refused:
        read_catalog(text.replace("\n", end))
    [fault] = refused.value.faults
    assert (fault.line, fault.column) == (text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)), (fault, text)


def test_all_faults_are_told_at_once() -> None:
    text = '[source]\ntime_zone = "Mars"\nname = "Id"\n[features."a b"]\n[skus.S]\nflag = "Id"\ngrants = { f = true }\n'
    assert [field for field, _, _ in faults(text)] == [
        "source.time_zone",
        "features",
        "skus.S.grants",
        "source.name",
        "skus.S.flag",
        "skus.S.flag",
    ]


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"EmailDomain__c": "ours.example"}, "our own domains"),
        ({"EmailDomain__c": "lab.ours.example"}, "our own domains"),
        ({"EmailDomain__c": "colours.example"}, None),
        ({"RecordTypeId": "0125g000000AbCeAAK"}, "partners and suppliers"),
        ({"IsTest__c": True}, "test accounts"),
        ({"IsTest__c": "true"}, None),
    ],
)
def test_the_rules_of_the_page_keep_out_what_it_says(fields: dict[str, object], rule: str | None) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/how-to/change-the-catalog.md").read_text(), re.DOTALL)
    found = [one.name for one in read_catalog(block).exclusions if one.matches(fields)]
    assert found == ([rule] if rule else [])


def test_two_skus_may_share_a_flag() -> None:
    assert set(read_catalog('[skus.A]\nflag = "X"\n[skus.B]\nflag = "X"').skus) == {"A", "B"}


@pytest.mark.parametrize(
    ("value", "excluded"),
    [
        ("Test", True),
        ("test", False),
        (True, True),
        (1, False),
        (7, True),
        ("a.invalid", True),
        (None, False),
        ([], False),
    ],
)
def test_an_exclusion_matches_equal_values_of_the_same_type_and_endings(value: object, excluded: bool) -> None:
    rule = Exclusion(name="tests", field="Type", equals=["Test", True, 7], ends_with=[".invalid"])
    assert rule.matches({"Type": value}) is excluded
    assert rule.matches({}) is False
