"""The ways to ask: their routes on the front, and what the OpenAPI document says of each."""

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

from licet.domain.catalog import Catalog
from licet.domain.decision import Decision
from licet.edge import batch, check, forward_auth, ofrep
from licet.edge.asgi import AsgiScope, Handler, Receive, Send
from licet.edge.asking import USER_TOKEN, Asking
from licet.edge.front import Route

REF = "#/components/schemas/{name}"
FORMS = (Decision, batch.Question, ofrep.Evaluate, ofrep.Evaluation, ofrep.Evaluations, ofrep.Failure)
_SAID = {
    "customer": "A customer's id (15 or 18 characters, or verbatim) or an alias, `tenant:4711`.",
    "user": "A user's id or e-mail address. With `customer`: as a member of that customer.",
    "feature": "The feature's name; `/v1/features` lists them.",
    "key": "A feature, or `feature:allowed`, `feature:reason`, `feature:message`, `feature:decision`.",
    "X-Licet-Token": "The user's OIDC token, where the deployment trusts its issuer; then without `user`.",
    "X-Licet-Key": "The API key, where `Authorization` holds the user's own token.",
    "X-Licet-User": "The user, as the proxy knows it.",
    "X-Licet-Customer": "The customer; beside a user or a token it narrows.",
    "If-None-Match": "The `ETag` of an earlier answer.",
}


def ways(
    plain: Handler, asking: Asking, catalog: Callable[[], Catalog], clock: Callable[[], dt.datetime]
) -> dict[str, Route]:
    """Build the routes by path. ``plain`` answers ``GET /v1/check``; ``catalog`` returns the current one."""
    flags = ofrep.Ofrep(asking, catalog)
    many, by_token = batch.BatchCheck(asking), batch.TokenCheck(asking)

    def checks(scope: AsgiScope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["method"] == "POST":
            return many(scope, receive, send)
        sent = any(name == USER_TOKEN for name, _ in scope["headers"])
        return (by_token if sent else plain)(scope, receive, send)

    return {
        "/v1/check": Route(checks, ("GET", "POST"), f"{check.HOW} POST many at once."),
        "/v1/forward-auth": Route(forward_auth.ForwardAuth(asking, clock), ("GET",), forward_auth.HOW),
        ofrep.BULK: Route(flags.bulk, ("POST",), ofrep.HOW),
        ofrep.SINGLE: Route(flags.single, ("POST",), ofrep.HOW),
    }


def described() -> dict[str, Any]:
    """Return what the OpenAPI document says of these paths."""
    token, ask = _parameter("header", "X-Licet-Token"), {"$ref": REF.format(name="Evaluate")}
    named = [_parameter("header", name) for name in ("X-Licet-User", "X-Licet-Customer", "X-Licet-Key")]
    feature = _parameter("query", "feature", required=True)
    single = {
        "200": answer("The flag's value.", "Evaluation"),
        "400": answer("The request names nobody.", "Failure"),
        "404": answer("No such flag.", "Failure"),
    }
    bulk = single | {"200": answer("All flags.", "Evaluations"), "304": {"description": "No value changed."}}
    del bulk["404"]
    return {
        "/v1/check": {
            "get": _operation(
                "Check",
                "May this user, or this customer, use this feature, and why?",
                f'{check.HOW} "No" is a 200 with its reason.',
                {"200": answer("The decision.", "Decision")},
                [*(_parameter("query", name, required=name == "feature") for name in check.PARAMETERS), token],
            ),
            "post": _operation(
                "CheckMany",
                "Many questions in one request",
                f"`checks`, or a grid of `features` and `customers` or `users`, up to {batch.MOST:,} questions. Each "
                "is answered in its place, a grid row by row; what is wrong with one is a problem in its place.",
                {"200": {"description": "The results.", "content": _content(_results())}},
                [token],
                _batch(),
            ),
        },
        "/v1/forward-auth": {
            "get": _operation(
                "ForwardAuth",
                "May this request of a proxy pass?",
                "200: yes, 401: no user is known, 403: no. The decision is in the headers `X-Licet-…`.",
                {"200": {"description": "It may pass."}},
                [feature, *named, token],
            )
        },
        ofrep.BULK: {
            "post": _operation(
                "EvaluateFlags", "All features as OpenFeature flags", ofrep.HOW, bulk,
                [token, _parameter("header", "If-None-Match")], ask,
            )
        },
        ofrep.SINGLE: {
            "post": _operation(
                "EvaluateFlag", "One feature as an OpenFeature flag", ofrep.HOW, single,
                [_parameter("path", "key", required=True), token], ask,
            )
        },
    }  # fmt: skip


def answer(description: str, name: str) -> dict[str, Any]:
    """Describe an answer of JSON of a named form."""
    return {"description": description, "content": _content({"$ref": REF.format(name=name)})}


def _operation(
    name: str,
    summary: str,
    description: str,
    responses: dict[str, Any],
    parameters: list[dict[str, Any]],
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    operation = {
        "operationId": name,
        "tags": ["Asking"],
        "summary": summary,
        "description": f"{description} Needs the scope `read`.",
        "parameters": parameters,
        "responses": responses,
        "security": [{"key": []}],
    }
    return operation | ({"requestBody": {"required": True, "content": _content(body)}} if body else {})


def _parameter(place: str, name: str, *, required: bool = False) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": place, "required": required, "description": _SAID[name], "schema": schema}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _batch() -> dict[str, Any]:
    names = {"type": "array", "items": {"type": "string"}}
    checks = {"type": "array", "items": {"$ref": REF.format(name="Question")}, "maxItems": batch.MOST}
    fields = {"checks": checks, "features": names, "customers": names, "users": names, "token": {"type": "string"}}
    return {"type": "object", "properties": fields}


def _results() -> dict[str, Any]:
    one = [{"$ref": REF.format(name=name)} for name in ("Decision", "ProblemDocument")]
    return {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": {"oneOf": one}}},
    }
