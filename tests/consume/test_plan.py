"""A plan is exact: once its catalog is applied, customers have gained and lost what it said, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from licet.bootstrap.desks import catalog_desk, catalog_plans, refold_customers
from licet.consume import plan as planning
from licet.consume.plan import Effect, Told
from licet.settings import Settings
from licet.store.migrate import default_catalog
from support.web import Stage, stage
from support.world import TESTER, fresh, rows

FLAGS = ("A", "B", "C")
TERMS = ("Terms", "Signed", "not_required")


@pytest.fixture(scope="module")
def there(postgres: str, template: str) -> Iterator[Stage]:
    with stage(postgres, template) as built:
        yield built


@st.composite
def catalogs(draw: st.DrawFn) -> str:
    """Draw a catalog; one field has one role in all of them."""
    features = draw(st.lists(st.sampled_from(["mail", "boxes", "abuse"]), unique=True))
    lines = ["[source]", f'terms = "{draw(st.sampled_from(TERMS))}"', f'domain = "{draw(st.sampled_from(["D", "E"]))}"']
    lines += [f'aliases = {{ tenant = "{draw(st.sampled_from(["T", "U"]))}" }}', f'name = "N" # {fresh("note")}']
    lines += [f"[features.{feature}]" for feature in features]
    for sku in draw(st.lists(st.sampled_from(["S1", "S2", "S3"]), unique=True)):
        grants = (
            draw(st.dictionaries(st.sampled_from(features), st.sampled_from(["true", "5", "7.5"]))) if features else {}
        )
        lines += [f"[skus.{sku}]", f'flag = "{draw(st.sampled_from(FLAGS))}"']
        lines += [f'until = "{sku}_End"'] if draw(st.booleans()) else []
        lines += [f'from = "{sku}_Start"'] if draw(st.booleans()) else []
        lines += [f"grants = {{ {', '.join(f'{name} = {value}' for name, value in grants.items())} }}"]
    return "\n".join(lines) + "\n"


DATES = st.sampled_from([None, "2020-02-29", "2099-12-31"])
PAYLOADS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys((*FLAGS, "Terms", "Signed", "IsDeleted"), st.sampled_from([True, True, False, None])),
        **{f"{sku}_{part}": DATES for sku in ("S1", "S2", "S3") for part in ("Start", "End")},
        "N": st.sampled_from(["acme", None]),
        **{name: st.sampled_from(["here", "there", None]) for name in ("D", "E", "T", "U")},
    },
)


def bring_under(there: Stage, document: str) -> None:
    options = Settings(database_url=there.url)
    catalog_desk(options).apply(document, TESTER)
    assert sum(refold_customers(options)) >= 0


def view(there: Stage, customer: str) -> dict[tuple[str, str], Any]:
    """What the API says of a customer: each feature's answer, each name."""
    found = there.web.get(f"/v1/customers/{customer}")
    kinds = {"alias": found["aliases"], "domain": found["domains"]}
    names = {(kind, one["name"]): True for kind, names in kinds.items() for one in names}
    keys = ("allowed", "reason", "value", "sku", "until")
    return names | {("feature", one["feature"]): [one[key] for key in keys] for one in found["features"]}


def plain(told: Told | None) -> list[Any] | None:
    if told is None:
        return None
    until = told.until.strftime("%Y-%m-%dT%H:%M:%SZ") if told.until else None
    return [told.allowed, told.reason.value, told.value, told.sku, until]


UNKNOWN = [False, "unknown_feature", None, None, None]


# Not shrunk: each example changes the catalog of the database, and a smaller one takes minutes to find.
@settings(
    max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    first=catalogs(),
    second=catalogs(),
    changes=st.lists(PAYLOADS, min_size=1, max_size=4),
    again=st.lists(PAYLOADS, max_size=4),
)
def test_what_was_planned_is_what_happens(
    there: Stage, first: str, second: str, changes: list[dict[str, Any]], again: list[dict[str, Any]]
) -> None:
    bring_under(there, first)
    customers = [fresh("c") for _ in changes]
    for payloads in (changes, again):
        for customer, payload in zip(customers, payloads, strict=False):
            own = {name: f"{value}-{customer}.example" for name, value in payload.items() if name in "DETU" and value}
            there.send({**payload, **own, "Id": customer})
    before = {customer: view(there, customer) for customer in customers}
    planned: dict[str, list[Effect]] = {customer: [] for customer in customers}
    for step in catalog_plans(Settings(database_url=there.url)).steps(second, "", lambda _version, _count: None):
        for effect in step.effects:
            planned.setdefault(effect.customer, []).append(effect)

    bring_under(there, second)
    for customer in customers:
        was, comes = before[customer], view(there, customer)
        found: dict[tuple[str, str], Effect] = {(one.kind, one.what): one for one in planned[customer]}
        for kind, what in was.keys() | comes.keys():
            absent: Any = UNKNOWN if kind == "feature" else None
            old, new = was.get((kind, what), absent), comes.get((kind, what), absent)
            planned_effect = found.pop((kind, what), None)
            if old == new:
                assert planned_effect is None, (kind, what)
            elif kind == "feature":
                assert planned_effect is not None, (kind, what, old, new)
                assert (plain(planned_effect.before), plain(planned_effect.after)) == (old, new)
                wanted = "changes" if old[0] == new[0] else "gains" if new[0] else "loses"
                assert planned_effect.effect == wanted
            else:
                assert planned_effect is not None, (kind, what, old, new)
                assert planned_effect.effect == ("gains" if new else "loses")
        assert found == {}, "planned, and did not happen"


def test_over_the_api_a_plan_comes_in_pages_and_an_applied_one_is_for_its_version_only(
    there: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_under(there, default_catalog() + f"# {fresh('note')}\n")
    customer = fresh("zz")
    there.deal(customer, SKU1=True)
    proposed = default_catalog().replace("grants = { inbound-email-security = true }", "grants = {}")
    shown = there.web.ask("GET", "/v1/catalog")
    base = shown.json()["version"]
    assert shown.headers["etag"] == f'"{base}"'
    monkeypatch.setattr(planning, "CHUNK", 7)
    items: list[Any] = []
    cursor, looked_at = None, 0
    while cursor is not None or not looked_at:
        query: dict[str, Any] = {"cursor": cursor} if cursor else {}
        page = there.web.ask("POST", "/v1/catalog/plan", json={"document": proposed}, params=query).json()
        assert page["base"] == base
        items, cursor, looked_at = items + page["items"], page["next"], looked_at + page["customers"]
    assert looked_at == rows(there.url, "SELECT count(*) AS n FROM customer")[0]["n"]
    [mine] = [item for item in items if item["customer"] == customer]
    assert (mine["what"], mine["effect"], mine["after"]["reason"]) == (
        "inbound-email-security",
        "loses",
        "not_licensed",
    )

    for wrong in (None, '"x"'):
        headers = [("if-match", wrong)] if wrong else []
        assert there.web.ask("PUT", "/v1/catalog", json={"document": proposed}, headers=headers).status_code == 422
    stale = there.web.ask("PUT", "/v1/catalog", json={"document": proposed}, headers=[("if-match", f'"{base - 1}"')])
    assert stale.status_code == 409
    applied = there.web.ask("PUT", "/v1/catalog", json={"document": proposed}, headers=[("if-match", f'"{base}"')])
    assert (applied.status_code, applied.json()["version"]) == (200, base + 1)
    assert there.web.get("/v1/catalog")["reached"] is True
    listed = there.web.get("/v1/catalog/versions", limit=2)
    assert [one["version"] for one in listed["items"]] == [base + 1, base]
    assert there.web.get("/v1/catalog/versions", limit=2, cursor=listed["next"])["items"][0]["version"] == base - 1
    [entry] = there.web.get("/v1/audit", action="catalog.apply", limit=1)["items"]
    assert (entry["actor"], entry["via"], entry["after"]) == ("bootstrap (bootstrap)", "api", {"version": base + 1})
    reader = there.web.key("reader", "read")
    assert there.web.ask("GET", "/v1/catalog", key=reader).status_code == 200
    refused = there.web.ask("POST", "/v1/catalog/plan", key=reader, json={"document": proposed})
    assert refused.status_code == 403
    faulty = there.web.ask("POST", "/v1/catalog/plan", json={"document": "[source\n"})
    assert (faulty.status_code, faulty.json()["faults"][0]["line"]) == (422, 1)
