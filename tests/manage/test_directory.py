"""Memberships, domains and aliases: idempotent, kept in both times, one writer at a time."""

import asyncio
from typing import Any

import pytest

from support.web import Stage
from support.world import fresh, rows

KINDS = [
    ("users", "user_membership", "user_id", "ada-{}"),
    ("domains", "customer_domain", "domain", "{}.example"),
    ("aliases", "customer_alias", "alias", "tenant:{}"),
]


def stored(there: Stage, table: str, customer: str) -> list[dict[str, Any]]:
    return rows(
        there.url,
        f"SELECT *, upper_inf(valid) AS still_true, upper_inf(recorded) AS believed, lower(recorded) AS since"
        f" FROM {table} WHERE customer_id = %(id)s ORDER BY lower(recorded), lower(valid)",
        id=customer,
    )


def revision(there: Stage) -> int:
    found: int = rows(there.url, "SELECT revision FROM revision")[0]["revision"]
    return found


@pytest.mark.parametrize(("kind", "table", "column", "form"), KINDS)
def test_putting_twice_is_putting_once(there: Stage, kind: str, table: str, column: str, form: str) -> None:
    customer = fresh("customer")
    there.deal(customer)
    name = form.format(customer)
    first = there.web.put(f"/v1/customers/{customer}/{kind}/{name}")
    second = there.web.put(f"/v1/customers/{customer}/{kind}/{name}")
    assert first == second == {"customer": customer, "name": name, "revision": revision(there)}
    (row,) = stored(there, table, customer)
    assert (row[column], row["origin"], row["author"], row["since"]) == (name, "person", "bootstrap", first["revision"])
    kept = rows(there.url, "SELECT kind, subject FROM change_feed WHERE revision = %(at)s", at=first["revision"])
    subject = customer if kind == "aliases" else name
    assert kept == [{"kind": {"users": "user", "domains": "domain", "aliases": "customer"}[kind], "subject": subject}]


@pytest.mark.parametrize(("kind", "table", "column", "form"), KINDS)
def test_what_was_taken_is_still_known_to_have_been(
    there: Stage, kind: str, table: str, column: str, form: str
) -> None:
    customer = fresh("customer")
    there.deal(customer)
    path = f"/v1/customers/{customer}/{kind}/{form.format(customer)}"
    given = there.web.put(path)["revision"]
    taken = there.web.ask("DELETE", path).json()["revision"]
    again = there.web.ask("DELETE", path)
    assert (again.status_code, again.json()["revision"]) == (200, taken)
    anew = there.web.put(path)["revision"]
    assert (taken, anew) == (given + 1, given + 2)
    before, copy, now = stored(there, table, customer)
    assert (before["still_true"], before["believed"], before["recorded"].upper) == (True, False, taken)
    assert (copy["still_true"], copy["believed"], copy["valid"].lower) == (False, True, before["valid"].lower)
    assert (now["still_true"], now["believed"], now["since"]) == (True, True, anew)
    assert copy["valid"].upper <= now["valid"].lower
    assert {row[column] for row in (before, copy, now)} == {form.format(customer)}


def test_taking_what_was_never_given_writes_nothing(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer)
    before = revision(there)
    for kind, _, _, form in KINDS:
        answer = there.web.ask("DELETE", f"/v1/customers/{customer}/{kind}/{form.format(customer)}")
        assert (answer.status_code, answer.json()["revision"]) == (200, before)
    assert revision(there) == before


def test_an_alias_names_one_customer(there: Stage) -> None:
    one, other = fresh("one"), fresh("other")
    there.deal(one)
    there.deal(other)
    there.web.put(f"/v1/customers/{one}/aliases/tenant:{one}")
    before = revision(there)
    refused = there.web.ask("PUT", f"/v1/customers/{other}/aliases/tenant:{one}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert one in refused.json()["detail"]
    assert there.web.ask("DELETE", f"/v1/customers/{other}/aliases/tenant:{one}").status_code == 200
    assert (revision(there), there.web.get(f"/v1/customers/tenant:{one}")["id"]) == (before, one)
    there.web.ask("DELETE", f"/v1/customers/{one}/aliases/tenant:{one}")
    there.web.put(f"/v1/customers/{other}/aliases/tenant:{one}")
    assert there.web.get(f"/v1/customers/tenant:{one}")["id"] == other


def test_a_domain_and_a_user_may_be_of_several_customers(there: Stage) -> None:
    one, other = fresh("one"), fresh("other")
    for customer in (one, other):
        there.deal(customer)
        there.web.put(f"/v1/customers/{customer}/domains/{one}.example")
        there.web.put(f"/v1/customers/{customer}/users/ada@{one}.example")
    for customer in (one, other):
        shown = there.web.get(f"/v1/customers/{customer}")
        assert [row["name"] for row in shown["domains"]] == [f"{one}.example"]
        assert [row["name"] for row in shown["people"]["users"]] == [f"ada@{one}.example"]


@pytest.mark.parametrize("domain", ["gmail.com", "GMAIL.com", "outlook.com.", "localhost", "a b.example", "-a.example"])
def test_a_public_or_malformed_domain_is_refused(there: Stage, domain: str) -> None:
    there.deal("acme")
    answer = there.web.ask("PUT", f"/v1/customers/acme/domains/{domain}")
    assert answer.status_code == 422
    assert answer.json()["faults"][0]["field"] == "domain"


@pytest.mark.parametrize("path", ["users/a%20b", "users/a%00b", "aliases/4711", "aliases/Tenant:1", "aliases/tenant:"])
def test_a_malformed_name_is_refused(there: Stage, path: str) -> None:
    there.deal("acme")
    for method in ("PUT", "DELETE"):
        answer = there.web.ask(method, f"/v1/customers/acme/{path}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_a_malformed_domain_cannot_be_taken_either(there: Stage) -> None:
    there.deal("acme")
    assert there.web.ask("DELETE", "/v1/customers/acme/domains/a%00b").status_code == 422
    assert there.web.ask("DELETE", "/v1/customers/acme/domains/gmail.com").status_code == 200


def test_an_unknown_customer_is_a_404_and_leaves_no_revision_behind(there: Stage) -> None:
    before = revision(there)
    for kind, _, _, form in KINDS:
        for method in ("PUT", "DELETE"):
            answer = there.web.ask(method, f"/v1/customers/nobody-here/{kind}/{form.format('a')}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert revision(there) == before


def test_a_customer_may_be_named_by_its_alias_or_short_id(there: Stage) -> None:
    there.deal("0015g00000AbCdE")
    written = there.web.put("/v1/customers/0015g00000AbCdE/aliases/tenant:short")
    assert written["customer"] == "0015g00000AbCdEAAV"
    assert there.web.put("/v1/customers/tenant:short/users/someone")["customer"] == "0015g00000AbCdEAAV"


def test_writers_at_the_same_time_make_revisions_without_gaps_and_each_can_read_its_own(there: Stage) -> None:
    customers = [fresh("customer") for _ in range(3)]
    for customer in customers:
        there.deal(customer)
    before = revision(there)

    async def write(number: int) -> tuple[int, bool]:
        customer = customers[number % 3]
        written = await there.web.send("PUT", f"/v1/customers/{customer}/users/user-{number // 2}-{customer}")
        read = await there.web.send("GET", "/v1/customers/" + customer)
        return written.json()["revision"], read.json()["revision"] >= written.json()["revision"]

    async def all_at_once() -> list[tuple[int, bool]]:
        return await asyncio.gather(*(write(number) for number in range(24)))

    written = there.web.runner.run(all_at_once())
    assert all(seen for _, seen in written)
    after = revision(there)
    assert set(range(before + 1, after + 1)) == {number for number, _ in written}
    log = rows(
        there.url,
        "SELECT revision, recorded_at >= lag(recorded_at) OVER (ORDER BY revision) AS rises, tag"
        " FROM revision_log ORDER BY revision",
    )
    assert [row["revision"] for row in log] == list(range(log[0]["revision"], after + 1))
    assert all(row["rises"] for row in log[1:])
    assert len({row["tag"] for row in log}) == len(log)


def test_two_who_put_the_same_at_the_same_time_write_it_once(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer)

    async def both() -> list[int]:
        path = f"/v1/customers/{customer}/aliases/tenant:{customer}"
        answers = await asyncio.gather(*(there.web.send("PUT", path) for _ in range(8)))
        return [answer.json()["revision"] for answer in answers]

    revisions = there.web.runner.run(both())
    assert len(set(revisions)) == 1
    assert len(stored(there, "customer_alias", customer)) == 1


def test_a_writer_that_cannot_have_the_lock_tells_its_caller_to_come_back(there: Stage) -> None:
    import psycopg

    customer = fresh("customer")
    there.deal(customer)
    with psycopg.connect(there.url) as other:
        other.execute("SELECT FROM revision FOR UPDATE")
        answer = there.web.ask("PUT", f"/v1/customers/{customer}/users/ada")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert there.web.check("inbound-email-security", customer=customer)["reason"] == "not_licensed"
    assert there.web.put(f"/v1/customers/{customer}/users/ada")["revision"] == revision(there)


def test_writing_needs_its_own_scope(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer)
    key = there.web.key("reader", "read")
    refused = there.web.ask("PUT", f"/v1/customers/{customer}/users/ada", key=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    author = there.web.key("console", "write")
    assert there.web.ask("PUT", f"/v1/customers/{customer}/users/ada", key=author).status_code == 200
    assert stored(there, "user_membership", customer)[0]["author"] == "console"
    assert there.web.ask("GET", f"/v1/customers/{customer}", key=author).status_code == 403
