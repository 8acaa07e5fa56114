"""The application around the rooms: every error is a problem document, the description is true, health is told."""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from licet.edge import health
from licet.edge.problems import CODES
from support.proxy import proxied
from support.schema import misfits, resolve
from support.web import Stage, running_web, stage
from support.world import fresh, rows

METHODS = ("get", "put", "post", "delete")


@pytest.fixture(scope="module")
def there(postgres: str, template: str) -> Iterator[Stage]:
    with stage(postgres, template) as built:
        built.deal("acme", Name="Acme", SKU1=True, SKU2=False, SKU9=True)
        built.web.put("/v1/customers/acme/users/ada@acme.example")
        built.web.put("/v1/customers/acme/domains/acme.example")
        built.web.put("/v1/customers/acme/aliases/tenant:acme")
        yield built


@pytest.fixture(scope="module")
def document(there: Stage) -> dict[str, Any]:
    answer: dict[str, Any] = there.web.ask("GET", "/openapi.json", key=None).json()
    return answer


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("GET", "/v1/customers/nobody", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("POST", "/v1/skus", 405, "method_not_allowed"),
        ("DELETE", "/v1/customers/acme", 405, "method_not_allowed"),
        ("PUT", "/v1/check", 405, "method_not_allowed"),
        ("POST", "/v1/check", 422, "invalid_input"),
        ("GET", "/ofrep/v1/evaluate/flags/x", 405, "method_not_allowed"),
        ("GET", "/v1/forward-auth?feature=x&user=ada", 422, "invalid_input"),
        ("BREW", "/v1/skus", 405, "method_not_allowed"),
        ("GET", "/v1/customers?limit=none", 422, "invalid_input"),
        ("GET", "/v1/customers?cursor=!", 422, "invalid_input"),
        ("GET", "/v1/customers?name=%00", 422, "invalid_input"),
        ("GET", "/v1/customers/a%20b", 422, "invalid_input"),
        ("GET", "/v1/changes/" + "x" * 300, 422, "invalid_input"),
        ("GET", "/v1/check", 422, "invalid_input"),
        ("PUT", "/v1/customers/acme/domains/gmail.com", 422, "invalid_input"),
        ("PUT", "/v1/customers/nobody/users/ada", 404, "not_found"),
    ],
)
def test_every_error_is_a_problem_document_with_a_registered_code(
    there: Stage, document: dict[str, Any], method: str, path: str, status: int, code: str
) -> None:
    answer = there.web.ask(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["code"], problem["status"], problem["type"]) == (code, status, f"urn:licet:problem:{code}")
    assert (CODES[code].status, CODES[code].title) == (status, problem["title"])
    assert misfits(document, {"$ref": "#/components/schemas/ProblemDocument"}, problem) == []
    for fault in problem.get("faults", ()):
        assert set(fault) == {"field", "found", "expected"}
    if status == 405:
        assert answer.headers["allow"]


def test_all_but_health_and_pages_needs_a_key(there: Stage, document: dict[str, Any]) -> None:
    open_to_all = {"/livez", "/readyz", "/metrics"}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method not in item or path == "/salesforce/webhook":
                continue
            answer = there.web.ask(method.upper(), re.sub(r"\{\w+\}", "7", path), key=None)
            assert (answer.status_code == 401) == (path not in open_to_all), path
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.json()["code"] == "unauthenticated"


def test_what_licet_did_not_expect_is_a_500_that_tells_nothing_and_a_line_in_the_log(
    postgres: str, template: str, caplog: pytest.LogCaptureFixture
) -> None:
    with stage(postgres, template) as built:
        with psycopg.connect(built.url, autocommit=True) as connection:
            connection.execute("ALTER TABLE customer RENAME TO somewhere_else")
        for path in ("/v1/customers/acme", "/v1/customers/acme/users"):
            caplog.clear()
            answer = built.web.ask("GET", path)
            assert (answer.status_code, answer.json()["code"]) == (500, "internal")
            assert "customer" not in answer.json()["detail"]
            (record,) = caplog.records
            assert record.exc_info is not None
            assert isinstance(record.exc_info[1], psycopg.errors.UndefinedTable)


def test_every_answer_carries_the_headers_that_keep_a_browser_in(there: Stage) -> None:
    for path in ("/", "/docs", "/assets/licet.css", "/openapi.json", "/livez", "/v1/skus", "/nothing"):
        headers = there.web.ask("GET", path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    assert there.web.ask("GET", "/v1/skus").headers["cache-control"] == "no-store"


def test_the_description_is_well_formed_and_every_reference_in_it_leads_somewhere(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "Licet"
    found = re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))
    assert found
    for reference in set(found):
        assert resolve(document, {"$ref": reference})
    names = set()
    for path, item in document["paths"].items():
        for operation in (item[method] for method in METHODS if method in item):
            names.add(operation["operationId"])
            assert operation["summary"]
            assert "400" not in operation["responses"] or path.startswith("/ofrep/")
            assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}
            said = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert said == set(re.findall(r"\{(\w+)\}", path)), path
    assert len(names) == sum(method in item for item in document["paths"].values() for method in METHODS)


def test_every_route_is_in_the_description(there: Stage, document: dict[str, Any]) -> None:
    from litestar import Litestar

    front = there.web.app
    assert isinstance(front._fallback, Litestar)
    pages = {"/", "/docs", "/assets/{name}", "/openapi.json"}
    routed = {re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path) for route in front._fallback.routes} - pages
    hot = {served.label for served in (*front._served.values(), *(served for _, served in front._begins))}
    assert routed | hot | {"/salesforce/webhook"} == set(document["paths"])


@pytest.mark.parametrize(
    ("path", "described"),
    [
        ("/v1/check?customer=acme&feature=inbound-email-security", "/v1/check"),
        ("/v1/check?user=nobody&feature=nothing", "/v1/check"),
        ("/v1/customers", "/v1/customers"),
        ("/v1/customers/acme", "/v1/customers/{customer}"),
        ("/v1/customers/acme/licenses", "/v1/customers/{customer}/licenses"),
        ("/v1/customers/acme/users", "/v1/customers/{customer}/users"),
        ("/v1/skus", "/v1/skus"),
        ("/v1/features", "/v1/features"),
        ("/v1/changes/nothing", "/v1/changes/{event_id}"),
        ("/livez", "/livez"),
        ("/readyz", "/readyz"),
    ],
)
def test_what_is_sent_is_what_is_described(there: Stage, document: dict[str, Any], path: str, described: str) -> None:
    (content,) = document["paths"][described]["get"]["responses"]["200"]["content"].values()
    assert misfits(document, content["schema"], there.web.get(path)) == []


@pytest.mark.parametrize("method", ["put", "delete"])
@pytest.mark.parametrize(("kind", "name"), [("users", "user"), ("domains", "domain"), ("aliases", "alias")])
def test_what_a_write_answers_is_what_is_described(
    there: Stage, document: dict[str, Any], method: str, kind: str, name: str
) -> None:
    operation = document["paths"][f"/v1/customers/{{customer}}/{kind}/{{{name}}}"][method]
    (content,) = operation["responses"]["200"]["content"].values()
    said = {"users": "someone", "domains": "else.example", "aliases": "tenant:else"}[kind]
    answer = there.web.ask(method.upper(), f"/v1/customers/acme/{kind}/{said}").json()
    assert misfits(document, content["schema"], answer) == []
    assert set(answer) == {"customer", "name", "revision"}


def test_the_docs_show_every_operation_and_fetch_nothing_from_elsewhere(there: Stage, document: dict[str, Any]) -> None:
    answer = there.web.ask("GET", "/docs", key=None)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = answer.text
    for path, item in document["paths"].items():
        assert f"<code>{path}</code>" in page
        for method in METHODS:
            assert (method not in item) or f'id="{item[method]["operationId"]}"' in page
    for name in document["components"]["schemas"]:
        assert re.fullmatch("[A-Za-z]+", name)
        assert f'id="{name}"' in page
    assert "<script" not in page
    assert "style=" not in page
    assert re.findall(r'(?:src|href)="(?!#|/(?!/))[^"]*"', page) == []
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))
    style = there.web.ask("GET", "/assets/licet.css", key=None)
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text


def test_the_start_page_shows_the_first_three_commands_with_its_own_address(there: Stage) -> None:
    page = there.web.ask("GET", "/", key=None).text
    commands = re.findall(r"<code>(curl .*?)</code>", page, re.DOTALL)
    assert len(commands) == 3
    assert all("http://licet.test" in command for command in commands)
    assert 'href="/docs"' in page
    assert "<script" not in there.web.ask("GET", "/", headers=[("host", "<script>.example")]).text


def test_readiness_names_what_it_waits_for_while_liveness_and_metrics_answer(database: str) -> None:
    async def queue() -> str | None:
        return "the broker does not answer"

    async def broken() -> str | None:
        raise ValueError("no such thing")

    with running_web(database, checks={"queue": queue, "odd": broken}) as web:
        answer = web.ask("GET", "/readyz", key=None)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.json()["checks"] == {
            "store": "ok",
            "snapshot": "ok",
            "queue": "the broker does not answer",
            "odd": "ValueError: no such thing",
        }
        assert answer.json()["detail"] == (
            "waiting for queue: the broker does not answer; odd: ValueError: no such thing"
        )
        assert web.ask("GET", "/livez", key=None).json() == {"live": True}
        metrics = web.ask("GET", "/metrics", key=None)
        assert metrics.headers["content-type"].startswith("text/plain; version=")
        assert "licet_http_requests_total" in metrics.text


def test_a_queue_may_be_away_once_it_was_there_and_the_end_of_the_process_may_not(database: str) -> None:
    said: dict[str, str | None] = {"queue": "no broker", "process": None}

    def check(name: str) -> Callable[[], Awaitable[str | None]]:
        async def run() -> str | None:
            return said[name]

        return run

    with running_web(database, checks={name: check(name) for name in said}) as web:
        assert web.ask("GET", "/readyz").status_code == 503, "a start waits for it"
        said["queue"] = None
        assert web.ask("GET", "/readyz").status_code == 200
        said["queue"] = "no broker"
        answer = web.ask("GET", "/readyz")
        assert (answer.status_code, answer.json()["checks"]["queue"]) == (200, "away: no broker")
        said["process"] = "it ends"
        assert web.ask("GET", "/readyz").status_code == 503


def test_a_check_that_never_ends_counts_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_LIMIT_S", 0.05)

    async def forever() -> str | None:
        await asyncio.Event().wait()
        return None

    async def fine() -> str | None:
        return None

    found = asyncio.run(health.run_checks({"slow": forever, "fine": fine}))
    assert found == {"slow": "no answer within 0.05 s", "fine": "ok"}


def test_while_the_store_is_away_checks_are_answered_and_the_rest_says_come_back(database: str) -> None:
    with proxied(database) as (proxy, url), running_web(url, timeout=0.5) as web:
        assert web.ask("GET", "/readyz").status_code == 200
        before = web.check("inbound-email-security", customer="a")
        proxy.close()
        after = web.check("inbound-email-security", customer="a")
        assert (after["reason"], after["revision"]) == (before["reason"], before["revision"])
        assert after["age_ms"] > before["age_ms"]
        for path in ("/v1/customers", "/v1/customers/acme", "/v1/changes/e"):
            answer = web.ask("GET", path)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path
            assert int(answer.headers["retry-after"]) >= 1
        assert web.ask("PUT", "/v1/customers/acme/users/ada").status_code == 503
        ready = web.ask("GET", "/readyz")
        assert ready.status_code == 200, "what still answers must get traffic"
        assert ready.json()["checks"]["store"].startswith("away: the store does not answer")
        assert web.ask("GET", "/livez").status_code == 200
        assert web.get("/v1/skus")["items"]


def test_building_and_serving_prints_nothing_and_leaves_logging_alone(
    database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def state() -> tuple[int, list[logging.Handler], set[str]]:
        kept = {name for name in logging.root.manager.loggerDict if name.startswith("litestar")}
        return logging.root.level, [*logging.root.handlers], kept

    before = state()
    with running_web(database) as web:
        web.ask("GET", "/v1/skus")
        web.ask("GET", "/nothing")
    assert state() == before
    assert capfd.readouterr() == ("", "")


def test_a_walk_by_an_address_with_a_trailing_slash_ends_at_the_same_place(there: Stage) -> None:
    assert there.web.get("/v1/skus/") == there.web.get("/v1/skus")
    customer = fresh("customer")
    there.deal(customer)
    assert there.web.get(f"/v1/customers/{customer}/")["id"] == customer


def test_the_senders_are_listed_without_what_the_catalog_has_learnt(database: str) -> None:
    rows(
        database,
        "INSERT INTO sender (source, last_received_at, unmapped) VALUES "
        """('crm', '2026-11-23T09:00Z', '{"Colour": "2026-11-23T09:00:00Z", "SKU1": "2026-11-22T09:00:00Z"}'), """
        "('', NULL, '{}') RETURNING 1",
    )
    with running_web(database) as web:
        crm, nobody = web.get("/v1/sources")["items"]
    assert (crm["source"], crm["received_at"], crm["refused_at"]) == ("crm", "2026-11-23T09:00:00Z", None)
    assert crm["unmapped"] == {"Colour": "2026-11-23T09:00:00Z"}
    assert nobody["source"] == ""
