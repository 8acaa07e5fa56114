"""The timeline tells all that happened, newest first, and a page goes on where the one before ended."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from cli.said import Cli
from support.web import Stage, stage
from support.world import apply_catalog, rows

OVERRIDE = """
INSERT INTO override (override_id, customer_id, sku, feature, effect, kind, value, starts_at, ends_at, reason, author,
                      ended_by, end_reason, valid, recorded)
VALUES (%(id)s, %(customer)s, NULL, 'inbound-email-security', 'grant', 'override', NULL, '2026-03-01', '2026-03-03',
        'a demo', 'cora', %(ended_by)s, %(end_reason)s, %(valid)s::tstzrange, %(recorded)s::int8range)
"""


@pytest.fixture
def there(postgres: str, template: str) -> Iterator[Stage]:
    with stage(postgres, template) as built:
        yield built


def kinds(page: Any) -> list[str]:
    return [event["kind"] for event in page["items"]]


def test_all_that_happened_is_told_newest_first(there: Stage) -> None:
    first = there.deal("acme", SKU1=True, Name="acme.example")
    there.web.put("/v1/customers/acme/users/ada")
    there.web.ask("DELETE", "/v1/customers/acme/users/ada")
    there.web.put("/v1/customers/acme/domains/acme.example")
    there.web.put("/v1/customers/acme/aliases/tenant:4711")
    there.deal("acme", SKU1=True, Name="acme.example")  # changes nothing
    last = there.deal("acme", SKU1=False)
    page = there.web.get("/v1/customers/acme/timeline")
    assert kinds(page) == [
        "license", "delivery", "delivery", "alias", "domain", "membership", "membership", "license", "delivery"
    ]  # fmt: skip
    ended, _, ignored, *_, taken, given, opened, _ = page["items"]
    assert ended["before"] == opened["after"]
    assert (ended["before"]["status"], ended["after"]["status"]) == ("active", "ended")
    assert (ended["cause"]["event_id"], opened["cause"]["event_id"]) == (last, first)
    assert ignored["after"] == {"outcome": "ignored", "reason": "unchanged", "rule": "unchanged"}
    assert (given["before"], given["after"]["name"]) == (None, "ada")
    assert (taken["before"]["name"], taken["after"]) == ("ada", None)
    assert given["author"] == "bootstrap"


def test_what_time_changed_is_told_with_its_moment(there: Stage) -> None:
    there.deal("acme", SKU1=True)
    [held] = rows(there.url, "SELECT license_id, (SELECT revision FROM revision) AS revision FROM license")
    with psycopg.connect(there.url) as connection:
        connection.execute(
            "INSERT INTO time_event (kind, id, boundary, at, customer_id, revision)"
            " VALUES ('license', %s, 'end', '2026-03-01Z', 'acme', %s)",
            (held["license_id"], held["revision"]),
        )
    told = there.web.get("/v1/customers/acme/timeline")["items"][0]
    assert told["kind"] == "time"
    assert (told["before"]["state"], told["after"]["state"]) == ("active", "expired")
    assert told["after"]["license_id"] == str(held["license_id"])
    assert told["cause"]["boundary"] == "end"


@pytest.mark.parametrize(
    ("kind", "boundary", "before", "after"),
    [
        ("override", "start", "not_yet_valid", "active"),
        ("override", "end", "active", "expired"),
        ("grace", "end", "grace", "expired"),
    ],
)
def test_what_time_changed_of_an_override_and_of_a_grace(
    there: Stage, kind: str, boundary: str, before: str, after: str
) -> None:
    there.deal("acme", SKU1=True)
    with psycopg.connect(there.url) as connection:
        connection.execute(
            "INSERT INTO time_event (kind, id, boundary, at, customer_id, revision)"
            " SELECT %s, gen_random_uuid(), %s, '2026-03-01Z', 'acme', revision FROM revision",
            (kind, boundary),
        )
    told = there.web.get("/v1/customers/acme/timeline")["items"][0]
    of = "license_id" if kind == "grace" else "override_id"
    assert (told["kind"], told["before"]["state"], told["after"]["state"], of in told["after"]) == (
        "time",
        before,
        after,
        True,
    )


def test_pages_hold_everything_once_also_under_new_writes(there: Stage) -> None:
    for number in range(5):
        there.deal("acme", SKU1=number % 2 == 0, SKU2=True)
    whole = there.web.get("/v1/customers/acme/timeline")["items"]
    seen: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = there.web.get("/v1/customers/acme/timeline", limit="1", **cursor)
        seen += page["items"]
        there.deal("acme", Extra=len(seen))
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == whole


def test_a_catalog_that_changes_what_is_granted_is_told(there: Stage) -> None:
    there.deal("acme", SKU1=True)
    there.deal("other", SKU2=True)
    wide = '[features.a]\n[features.b]\n[skus.SKU1]\nflag = "SKU1"\ngrants = { a = true }\n'
    there.web.get("/v1/customers/acme")

    apply_catalog(there.url, wide + '[skus.SKU2]\nflag = "SKU2"\n')
    apply_catalog(there.url, wide + '[skus.SKU2]\nflag = "SKU2"\ngrants = { b = 5 }\n')
    (change,) = [one for one in there.web.get("/v1/customers/acme/timeline")["items"] if one["kind"] == "catalog"]
    assert change["after"] == [{"sku": "SKU1", "feature": "a", "value": None}]
    assert change["cause"] == {"catalog_version": 2}
    versions = [
        one["cause"]["catalog_version"]
        for one in there.web.get("/v1/customers/other/timeline")["items"]
        if one["kind"] == "catalog"
    ]
    assert versions == [3, 2]


def test_an_override_is_told_with_its_author_and_reason_and_so_is_its_end(there: Stage) -> None:
    there.deal("acme", SKU1=True)
    said = {"id": uuid.uuid4(), "customer": "acme"}
    with psycopg.connect(there.url, autocommit=True) as connection:
        rows = [
            (None, None, "[2026-03-01,)", "[2,3)"),
            ("ada", "the demo is over", "[2026-03-01,2026-03-02)", "[3,)"),
        ]
        for ended_by, end_reason, valid, recorded in rows:
            moment = {"ended_by": ended_by, "end_reason": end_reason, "valid": valid, "recorded": recorded}
            connection.execute(OVERRIDE.encode(), said | moment)
    ended, made = (one for one in there.web.get("/v1/customers/acme/timeline")["items"] if one["kind"] == "override")
    assert (made["author"], made["cause"], made["before"]) == ("cora", {"reason": "a demo"}, None)
    assert (ended["author"], ended["cause"], ended["after"]) == ("ada", {"reason": "the demo is over"}, None)
    assert ended["before"] == made["after"]


def test_what_a_customer_was_like_at_another_moment(there: Stage) -> None:
    there.deal("acme", SKU1=True)
    before = there.web.put("/v1/customers/acme/users/ada")["revision"]
    there.web.ask("DELETE", "/v1/customers/acme/users/ada")
    there.deal("acme", SKU1=False, SKU2=True)
    block = {"customer": "acme", "sku": "SKU1", "effect": "block", "reason": "abuse"}
    assert there.web.ask("PUT", f"/v1/overrides/{uuid.uuid4()}", json=block).status_code in (200, 201)
    assert [one["reason"] for one in there.web.get("/v1/customers/acme")["overrides"]] == ["abuse"]
    past = there.web.get("/v1/customers/acme", known_at=str(before))
    assert past["revision"] == before
    assert past["overrides"] == []
    assert [one["reason"] for one in past["features"] if one["sku"] == "SKU1"] == ["licensed"]
    assert [(one["sku"], one["status"]) for one in past["licenses"]] == [("SKU1", "active")]
    assert [user["name"] for user in past["people"]["users"]] == ["ada"]
    assert there.web.get("/v1/customers/acme", as_of="2999-01-01T00:00:00Z")["licenses"][0]["status"] == "ended"
    assert there.web.ask("GET", "/v1/customers/acme?known_at=0").status_code == 404


def test_was_it_right(there: Stage) -> None:
    """A change that arrives late: what was answered then is not what is known now to have been true."""
    there.send({"Id": "acme", "SignedTos": True, "SKU1": True, "SystemModstamp": "2026-02-01T00:00:00Z"})

    (row,) = rows(there.url, "SELECT clock_timestamp()::text AS at")
    then = row["at"].replace(" ", "T").replace("+00", "Z")
    told = there.web.get("/v1/check", customer="acme", feature="inbound-email-security", explain="true", as_of=then)
    assert (told["agree"], told["then"]["reason"], told["now_believed"]["reason"]) == (True, "licensed", "licensed")
    there.send({"Id": "acme", "SKU1": False, "SystemModstamp": "2026-02-20T00:00:00Z"})
    told = there.web.get("/v1/check", customer="acme", feature="inbound-email-security", explain="true", as_of=then)
    assert (told["agree"], told["then"]["reason"], told["now_believed"]["reason"]) == (False, "licensed", "revoked")
    assert told["decision"] == told["now_believed"]


def test_the_command_line_says_the_same(there: Stage, cli: Cli) -> None:
    event = there.deal("acme", SKU1=True, Name="acme.example", AccountManager="Ada Byron")
    feature = "inbound-email-security"
    said = cli("explain", "acme", feature, "--as-of", "2999-01-01T00:00:00Z", database_url=there.url)
    assert said.code == 0, said.err
    assert "acme.example may use" in said.out
    assert "which was right" in said.out
    assert f"delivery\t{event} of salesforce" in said.out
    told = cli("explain", "acme", feature, "--json", database_url=there.url)
    assert '"allowed": true' in told.out
    assert cli("timeline", "acme", "--json", database_url=there.url).out.count("\n") == 2
    assert "delivery" in cli("timeline", "acme", database_url=there.url).out
    assert cli("timeline", "nobody", database_url=there.url).code == 1
    first = cli("timeline", "acme", "--most", "1", "--json", database_url=there.url)
    assert (first.out.count("\n"), "there is more: licet timeline acme --most 1 --cursor " in first.err) == (1, True)
    rest = cli("timeline", *first.err.split()[5:], "--json", database_url=there.url)
    assert (first.out + rest.out, rest.err) == (cli("timeline", "acme", "--json", database_url=there.url).out, "")
