"""The customer's page and the search without a browser: who may do what, and what each text leads to."""

import datetime as dt
import re
import time
import uuid
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from licet.console.session import Role
from licet.console.timeline import NOTHING, tell
from licet.store.past import Event
from licet_sdk.decision import Decision
from licet_sdk.reference import encode
from support.console import Served, form_token, served_console
from support.world import rows

KEY = "an-admin-key-of-the-page-tests"
ACME = "0015g00000AbCdEAAV"


@pytest.fixture(scope="module")
def at(postgres: str, template: str) -> Iterator[Served]:
    with served_console(postgres, template, bootstrap_api_key=KEY) as served:
        served.deal(ACME, Name="Acme Müller-Logistics GmbH", SKU1=True)
        served.deal("blue", Name="Blue Acme", SKU1=True)
        served.deal("gone", Name="<script>alert(1)</script>", SKU2=False)
        for name in ("users/Ada@acme.example", "users/u-17", "domains/acme.example", "aliases/tenant:4711"):
            put = httpx.put(f"{served.url}/v1/customers/{ACME}/{name}", headers={"authorization": f"Bearer {KEY}"})
            assert put.status_code == 200, put.text
        yield served


def found(at: Served, text: str) -> list[str]:
    with at.client(Role.SALES) as client:
        page = client.get("/console", params={"q": text}, headers={"hx-request": "true"})
        assert page.status_code == 200
        assert "<html" not in page.text
        return re.findall(r'href="/console/customers/([^"?]+)"', page.text)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("acme", [ACME, "blue"]),
        ("ACME mü", [ACME]),
        ("müller-l", [ACME]),
        ("Müller-Logistics g", [ACME]),
        ("gmbh", [ACME]),
        ("0015g00000AbCdE", [ACME]),
        ("0015g", [ACME]),
        ("tenant:47", [ACME]),
        ("4711", [ACME]),
        ("ada@ACME.example", [ACME]),
        ("somebody@acme.example", [ACME]),
        ("acme.exa", [ACME]),
        ("u-17", [ACME]),
        ("<scr", ["gone"]),
        ("", [ACME, "blue", "gone"]),
        ("a%", []),
        ("cme", []),
        ("\x00\\", []),
    ],
)
def test_a_customer_is_found_by_whatever_one_has_of_it(at: Served, text: str, ids: list[str]) -> None:
    got = found(at, text)
    assert sorted(got) == sorted(ids)
    if text == "acme":
        assert got == ids, "a name that begins so goes before one that has the word later"


def refusal(feature: str, customer: str | None) -> Decision:
    said = {"allowed": False, "reason": "not_licensed", "feature": feature, "message": "No.", "customer": customer}
    return msgspec.convert({**dict.fromkeys(("value", "sku", "until", "user")), **said}, Decision)


def test_a_refusal_s_reference_leads_to_its_customer_feature_and_moment(at: Served) -> None:
    decision = refusal("abuse-mailbox-automation", ACME)
    when = time.time() - 3600
    with at.client(Role.SALES) as client:
        page = client.get("/console", params={"q": encode(decision, when)}).text
        link = re.search(r'href="(/console/customers/[^"]+feature[^"]+)"', page)
        assert link is not None, page
        told = client.get(link[1].replace("&amp;", "&"))
        assert told.status_code == 200
        assert "may not use Abuse mailbox automation" in told.text
        broken = encode(decision, when)[:-2] + "xx"
        assert "A refusal" not in client.get("/console", params={"q": broken}).text
        nobody = encode(refusal("x", None), when)
        assert "could not tell to belong" in client.get("/console", params={"q": nobody}).text


def test_names_are_text_never_markup(at: Served) -> None:
    with at.client(Role.SALES) as client:
        assert "<script>alert" not in client.get("/console/customers/gone").text


def _form(client: httpx.Client, **said: str) -> dict[str, str]:
    ends = (dt.datetime.now(dt.UTC) + dt.timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    token = form_token(client.get("/console").text)
    base = {"form_token": token, "override_id": str(uuid.uuid4()), "what": "sku:SKU2", "effect": "trial"}
    return {**base, "ends_at": ends, "reason": "a try", **said}


@pytest.mark.parametrize(
    ("role", "said", "status"),
    [
        (Role.SALES, {}, 403),
        (Role.SUPPORT, {}, 303),
        (Role.SUPPORT, {"effect": "block"}, 403),
        (Role.SUPPORT, {"ends_at": "2099-01-01T00:00"}, 403),
        (Role.ADMIN, {"effect": "block"}, 303),
        (Role.ADMIN, {"ends_at": "2099-01-01T00:00", "what": "feature:abuse-mailbox-automation"}, 303),
        (Role.ADMIN, {"reason": " "}, 422),
        (Role.ADMIN, {"ends_at": ""}, 422),
        (Role.ADMIN, {"ends_at": "tomorrow"}, 422),
        (Role.ADMIN, {"what": "sku:SKU77"}, 422),
        (Role.ADMIN, {"override_id": "x"}, 422),
        (Role.ADMIN, {"form_token": "0" * 64}, 403),
    ],
)
def test_each_role_grants_what_it_may(at: Served, role: Role, said: dict[str, str], status: int) -> None:
    before = rows(at.database, "SELECT count(*) AS n FROM audit_entry")[0]["n"]
    with at.client(role) as client:
        answer = client.post("/console/customers/blue/overrides", data=_form(client, **said))
    assert answer.status_code == status, answer.text
    assert rows(at.database, "SELECT count(*) AS n FROM audit_entry")[0]["n"] == before + (status == 303)


def test_a_form_sent_twice_is_one_grant_and_an_old_page_overwrites_nothing(at: Served) -> None:
    with at.client(Role.ADMIN) as client:
        form = _form(client, what="sku:SKU3")
        path = "/console/customers/blue/overrides"
        assert client.post(path, data=form).status_code == 303
        again = client.post(path, data=form)
        assert "This form was sent before" in client.get(again.headers["location"]).text
        page = client.get("/console/customers/blue").text
        version = re.search(rf'{form["override_id"]}">.*?name="version" value="(\d+)"', page, re.DOTALL)
        assert version is not None, page
        change = {**form, "version": version[1], "do": "extend", "reason": "longer"}
        assert client.post(f"{path}/{form['override_id']}", data=change).status_code == 303
        late = client.post(f"{path}/{form['override_id']}", data={**change, "do": "end"})
        assert late.status_code == 409
        assert "Conflict" in late.text


def test_a_moment_that_is_none_and_a_customer_that_is_none_are_said(at: Served) -> None:
    with at.client(Role.SALES) as client:
        assert client.get(f"/console/customers/{ACME}?as_of=yesterday").status_code == 422
        then = client.get(f"/console/customers/{ACME}?as_of=1999-01-01T00:00").text
        assert "So it was then" in then
        assert then.count("not sold") == 3
        assert client.get("/console/customers/nobody").status_code == 404
        assert client.get(f"/console/customers/{ACME}?cursor=x").status_code == 422


def test_a_part_is_answered_alone_and_only_a_part_that_there_is(at: Served) -> None:
    with at.client(Role.SALES) as client:
        path = "/console/customers/tenant:4711?feature=inbound-email-security"
        part = client.get(path, headers={"hx-request": "true", "hx-target": "answer"}).text
        assert "may use Inbound email security" in part
        assert "<h2" not in part
        assert "<html" in client.get(path, headers={"hx-request": "true", "hx-target": "body"}).text


@pytest.mark.parametrize(
    ("kind", "before", "after", "what", "changed"),
    [
        (
            "delivery",
            None,
            {"outcome": "dead", "reason": "event_id_reused"},
            "could not be applied: event id reused",
            [],
        ),
        ("license", None, {"sku": "A", "status": "active", "quantity": 5}, "A is active", [("quantity", NOTHING, "5")]),
        (
            "license",
            {"sku": "A", "status": "active", "ends_at": None},
            {"sku": "A", "status": "suspended", "ends_at": "2026-03-03T09:00:01+00:00"},
            "A is suspended, was active",
            [("status", "active", "suspended"), ("ends at", NOTHING, "2026-03-03 09:00 UTC")],
        ),
        (
            "override",
            {"sku": "A", "feature": None, "effect": "block", "kind": "override"},
            None,
            "A block of A was ended",
            [],
        ),
        ("membership", {"name": "ada"}, None, "The membership ada was taken", []),
        ("catalog", None, [{"sku": "A", "feature": "f", "value": True}], "A new catalog", [("A: f", NOTHING, "yes")]),
        (
            "time",
            {"license_id": "1", "state": "active"},
            {"license_id": "1", "state": "expired"},
            "license is expired",
            [],
        ),
    ],
)
def test_every_kind_of_event_is_told_in_words(
    kind: str, before: object, after: object, what: str, changed: object
) -> None:
    told = tell(Event(at=None, revision=1, kind=kind, id="", before=before, after=after, author=None, cause={}))
    assert what in told.what
    assert told.changed == changed
