"""The ways to ask: their routes on the front, and what the OpenAPI document says of each."""

import datetime as dt
import http
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from licet.answer.history import Explanation
from licet.domain.catalog import Catalog
from licet.domain.decision import Decision
from licet.edge import batch, check, forward_auth, ofrep
from licet.edge.asgi import AsgiScope, Handler, Receive, Send
from licet.edge.asking import USER_TOKEN, Asking
from licet.edge.front import Route
from licet.edge.past import MARKS
from licet.edge.past import MOST as PAST_MOST
from licet.edge.past import PARAMETERS as PAST

REF = "#/components/schemas/{name}"
FORMS = (Decision, Explanation, batch.Question, ofrep.Evaluate, ofrep.Evaluation, ofrep.Evaluations, ofrep.Failure)
# Every parameter: where it stands, and what it is.
_PARAMETERS = {
    "customer": ("query", "A customer's id (15 or 18 characters, or verbatim) or an alias, `tenant:4711`."),
    "user": ("query", "A user's id or e-mail address. With `customer`: as a member of that customer."),
    "feature": ("query", "The feature's name; `/v1/features` lists them."),
    "min_revision": ("query", "Wait up to 2 s until the answer includes this revision; else 503."),
    "after_event": ("query", "Wait up to 2 s until the answer includes this event; else 503."),
    "explain": ("query", "`true`: what stands behind the answer, too; needs the scope `explain`. From the store."),
    "as_of": ("query", "What was true at this time (RFC 3339), as it is believed now or at `known_at`."),
    "known_at": ("query", "What the store believed at this time, or at this revision."),
    "key": ("path", "A feature, or `feature:allowed`, `feature:reason`, `feature:message`, `feature:decision`."),
    "X-Licet-Token": ("header", "The user's OIDC token, where the deployment trusts its issuer; then without `user`."),
    "X-Licet-Key": ("header", "The API key, where `Authorization` holds the user's own token."),
    "X-Licet-User": ("header", "The user, as the proxy knows it."),
    "X-Licet-Customer": ("header", "The customer; beside a user or a token it narrows."),
    "If-None-Match": ("header", "The `ETag` of an earlier answer."),
}
_REQUIRED = {"feature", "key"}


def ways(
    plain: Handler, past: Handler, asking: Asking, catalog: Callable[[], Catalog], clock: Callable[[], dt.datetime]
) -> dict[str, Route]:
    """Build the routes by path. ``catalog`` returns the current one.

    ``plain`` answers ``GET /v1/check``; ``past`` does where it asks why or when.
    """
    flags = ofrep.Ofrep(asking, catalog)
    many, by_token = partial(batch.check_many, asking), partial(batch.check_token, asking)

    def checks(scope: AsgiScope, receive: Receive, send: Send) -> Awaitable[None]:
        # Loops, as generators cost a check a microsecond.
        query = scope["query_string"]
        for mark in MARKS:
            if mark in query:
                return past(scope, receive, send)
        if scope["method"] == "POST":
            return many(scope, receive, send)
        for name, _ in scope["headers"]:
            if name == USER_TOKEN:
                return by_token(scope, receive, send)
        return plain(scope, receive, send)

    return {
        "/v1/check": Route(checks, ("GET", "POST"), f"{check.HOW} POST many at once."),
        "/v1/forward-auth": Route(partial(forward_auth.judge, asking, clock), ("GET",), forward_auth.HOW),
        ofrep.BULK: Route(flags.bulk, ("POST",), ofrep.HOW),
        ofrep.SINGLE: Route(flags.single, ("POST",), ofrep.HOW),
    }


def described() -> dict[str, Any]:
    """Return what the OpenAPI document says of these paths."""
    text: dict[str, Any] = {"type": "string"}
    names = {"type": "array", "items": text}
    sent = {"checks": _list(ref("Question")), "features": names, "customers": names, "users": names, "token": text}
    told_why = {"oneOf": [ref("Decision"), ref("Explanation")]}
    told = {"results": _list({"oneOf": [*told_why["oneOf"], ref("ProblemDocument")]})}
    many = (
        "`checks`, or a grid of `features` and `customers` or `users`, 10,000 questions at most. Each is answered in "
        "its place, a grid row by row; what is wrong with one is a problem in its place. "
        f"With `explain`, `as_of` or `known_at` {PAST_MOST} at most, each from the store."
    )
    passing = "200: yes, 401: no user is known, 403: no. The decision is in the headers `X-Licet-…`."
    plain = f'{check.HOW} "No" is a 200 with its reason; a 304 says that the answer of this ETag still stands.'
    why, token = "May this user, or this customer, use this feature, and why?", "X-Licet-Token"
    asked = (*check.PARAMETERS, *PAST, token, "If-None-Match")
    proxied = ("feature", "explain", "X-Licet-User", "X-Licet-Customer", "X-Licet-Key", token)
    one = _operation("Check", why, plain, asked, {200: told_why, 304: None})
    several = _operation("CheckMany", "Many questions at once", many, (*PAST, token), {200: told}, sent)
    passes = _operation("ForwardAuth", "May this request of a proxy pass?", passing, proxied, {200: None})
    flags = {200: "Evaluations", 304: None, 400: "Failure"}
    every = _operation(
        "EvaluateFlags", "All features as flags", ofrep.HOW, ("explain", token, "If-None-Match"), flags, "Evaluate"
    )
    flag = {200: "Evaluation", 400: "Failure", 404: "Failure"}
    single = _operation("EvaluateFlag", "A feature as a flag", ofrep.HOW, ("key", "explain", token), flag, "Evaluate")
    return {
        "/v1/check": {"get": one, "post": several},
        "/v1/forward-auth": {"get": passes},
        ofrep.BULK: {"post": every},
        ofrep.SINGLE: {"post": single},
    }


def ref(name: str) -> dict[str, Any]:
    """Name a schema of the document."""
    return {"$ref": REF.format(name=name)}


def answer(description: str, form: str | dict[str, Any] | None) -> dict[str, Any]:
    """Describe a body of JSON: of a named form, or of these properties."""
    if form is None:
        return {"description": description}
    schema = ref(form) if isinstance(form, str) else form if "oneOf" in form else {"type": "object", "properties": form}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": batch.MOST}


def _operation(
    name: str,
    summary: str,
    description: str,
    parameters: Sequence[str],
    answers: dict[int, Any],
    body: str | dict[str, Any] | None = None,
) -> dict[str, Any]:
    said = [(one, *_PARAMETERS[one]) for one in parameters]
    return {
        "operationId": name,
        "tags": ["Asking"],
        "summary": summary,
        "description": f"{description} Needs the scope `read`.",
        "parameters": [
            {"name": one, "in": place, "required": one in _REQUIRED, "description": what, "schema": {"type": "string"}}
            for one, place, what in said
        ],
        "responses": {str(status): answer(http.HTTPStatus(status).phrase, form) for status, form in answers.items()},
        "security": [{"key": []}],
    } | ({"requestBody": {**answer("The questions.", body), "required": True}} if body else {})
