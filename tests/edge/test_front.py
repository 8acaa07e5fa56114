"""The front: hot paths by exact path, everything else to the application behind it, no error without an answer."""

import asyncio
import io
from collections.abc import MutableMapping
from typing import Any

import pytest

from licet.domain.errors import NotFound
from licet.edge.asgi import Receive, Send
from licet.edge.front import Route
from licet.observe.log import configure
from support.asgi import request
from support.door import Doorway, doorway

Scope = MutableMapping[str, Any]


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError("secret of the house")


async def breaks_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ZeroDivisionError


async def misses(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotFound("no such customer")


ROUTES = {
    "/hello": Route(hello, ("GET", "HEAD"), "GET a greeting here."),
    "/breaks": Route(breaks, ("GET",), ""),
    "/late": Route(breaks_late, ("GET",), ""),
    "/misses": Route(misses, ("GET",), ""),
    "/many": Route(misses, ("GET",), ""),
    "/many/{key}": Route(hello, ("GET",), "GET one of many."),
}


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    configure("text", "info", stream)
    return stream


def ask(at: Doorway, method: str, path: str) -> Any:
    return asyncio.run(request(at.app, method=method, path=path))


@pytest.mark.parametrize("path", ["/salesforce/webhook", "/salesforce/webhook/"])
def test_the_webhook_answers_with_and_without_a_trailing_slash(path: str) -> None:
    at = doorway()
    answer = asyncio.run(request(at.app, b'{"Id":"a"}', path=path))
    assert answer is not None
    assert answer.status == 202
    assert at.counted("licet_http_requests_total", route="/salesforce/webhook", status="202") == 1
    assert at.counted("licet_http_request_seconds_count", route="/salesforce/webhook") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_on_the_webhook_learns_how_to_post(method: str) -> None:
    answer = ask(doorway(), method, "/salesforce/webhook")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert answer.json["detail"].startswith("POST a Salesforce customer here")


@pytest.mark.parametrize("path", ["/", "/v1/skus", "/salesforce/webhook//", "/SALESFORCE/webhook", "/salesforce"])
def test_any_other_path_goes_to_the_application_behind(path: str) -> None:
    at = doorway(fallback=hello)
    assert ask(at, "DELETE", path).body == b"hello"
    assert at.counted("licet_http_requests_total", route="other", status="200") == 1


def test_lifespan_and_websockets_go_to_the_application_behind_uncounted() -> None:
    seen = []

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing() -> MutableMapping[str, Any]:
        return {}

    async def story() -> None:
        for kind in ("lifespan", "websocket"):
            await at.app({"type": kind, "path": "/salesforce/webhook"}, nothing, nothing)

    at = doorway(fallback=behind)
    asyncio.run(story())
    assert seen == ["lifespan", "websocket"]
    assert b"licet_http_requests_total{" not in at.metrics.render()[1]


@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/many/one", 200, "/many/{key}"),
        ("/many/one/more", 200, "/many/{key}"),
        ("/many", 404, "/many"),
        ("/many/", 404, "/many"),
        ("/manyone", 200, "other"),
    ],
)
def test_a_path_with_a_parameter_serves_what_begins_as_it_does_after_the_exact_ones(
    path: str, status: int, route: str
) -> None:
    at = doorway(routes=ROUTES, fallback=hello)
    assert ask(at, "GET", path).status == status
    assert at.counted("licet_http_requests_total", route=route, status=str(status)) == 1
    assert ask(at, "PUT", "/many/one").status == 405


def test_an_error_of_the_tree_is_its_problem() -> None:
    answer = ask(doorway(routes=ROUTES), "GET", "/misses")
    assert (answer.status, answer.json["detail"]) == (404, "no such customer")


def test_what_nobody_expected_is_500_in_the_answer_and_a_traceback_in_the_log(lines: io.StringIO) -> None:
    at = doorway(routes=ROUTES)
    answer = ask(at, "GET", "/breaks")
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert b"secret of the house" not in answer.body
    assert "request_failed method=GET path=/breaks" in lines.getvalue()
    assert "ZeroDivisionError: secret of the house" in lines.getvalue()
    assert at.counted("licet_http_requests_total", route="/breaks", status="500") == 1


def test_a_handler_that_breaks_in_the_middle_of_its_answer_cuts_the_connection(lines: io.StringIO) -> None:
    with pytest.raises(ZeroDivisionError):
        ask(doorway(routes=ROUTES), "GET", "/late")
    assert "request_failed" in lines.getvalue()


def test_an_expected_error_is_no_log_line(lines: io.StringIO) -> None:
    ask(doorway(routes=ROUTES), "GET", "/misses")
    assert lines.getvalue() == ""
