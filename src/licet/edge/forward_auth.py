"""``GET /v1/forward-auth`` for proxies that ask before they pass a request on (nginx ``auth_request``, Traefik …).

200 lets the request through, 401: no user is known, 403: the decision is no; it stands in the headers ``X-Licet-…``.
With Licet's key in ``Authorization`` the proxy names the user. With the key in ``X-Licet-Key`` the ``Authorization`` is
the client's own: a customer alone is then nobody (docs/decisions/0013).
"""

import datetime as dt
import urllib.parse
from collections.abc import Callable, Sequence

import msgspec

from licet.answer.check import NOTHING
from licet.domain.decision import Asked, Decision
from licet.domain.errors import Fault, InvalidInput, Unauthenticated
from licet.edge import check
from licet.edge.asgi import AsgiScope, Receive, Send, header, respond
from licet.edge.asking import Asking, user_token
from licet.edge.past import read_truth
from licet.edge.problems import Denied, problem_of

HOW = "GET /v1/forward-auth?feature=…, the user in X-Licet-User or a token; for proxies that ask before they pass on."
_TOLD = ("allowed", "reason", "message", "customer", "user", "feature", "value", "sku", "revision")
# Beside letters, digits and "_.-~", which always stand: what neither breaks a header nor a page that shows it.
_SAFE = " !#$()*+,/:;=?@[]|"
Headers = Sequence[tuple[bytes, bytes]]


async def judge(asking: Asking, clock: Callable[[], dt.datetime], scope: AsgiScope, _: Receive, send: Send) -> None:
    """Answer one request of a proxy; errors are for the front."""
    headers = scope["headers"]
    key = header(headers, b"x-licet-key")
    query = check.read_query(scope["query_string"], (*check.PARAMETERS, "explain"))
    explain = read_truth(query.get("explain", "false"))
    await asking.admit(b"Bearer " + key if key else header(headers, b"authorization"), explain=explain)
    asked, wanted = check.question_in(query)
    if asked.user is not None or asked.customer is not None or wanted != NOTHING:
        raise InvalidInput.of(Fault("query", "more than the feature", "the feature; headers say who is meant"))
    user, customer = _named(headers, b"x-licet-user"), _named(headers, b"x-licet-customer")
    token = None if user else user_token(headers) or (_bearer(headers) if key else None)
    if not user and not token and (key or not customer):
        raise Unauthenticated("no user is known: send the header X-Licet-User or, beside X-Licet-Key, a token")
    decision = await asking.ask_one(Asked(asked.feature, user, customer), token)
    told_as = reference(decision, clock())
    why = await asking.why(decision) if explain else None
    decided = msgspec.to_builtins(decision)
    said = {**{name: decided[name] for name in _TOLD}, "reference": told_as, "explanation": why}
    told = [(f"x-licet-{name}".encode(), safe(value)) for name, value in said.items() if value is not None]
    told.append((b"cache-control", b"no-store"))
    if decision.allowed:
        return await respond(send, 200, told)
    problem = problem_of(Denied(f"{decision.message} Reference: {told_as}"))
    return await respond(send, problem.status, [problem.headers[0], *told], problem.body)


def reference(decision: Decision, now: dt.datetime) -> str:
    """Return what a person can read to support: customer, feature, revision, time."""
    moment = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{decision.customer or 'nobody'}/{decision.feature}/{decision.revision}/{moment}"


def safe(value: object) -> bytes:
    """Write a value so that it can stand in a header: what cannot is percent-encoded, and so is "%"."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return urllib.parse.quote(text, safe=_SAFE, errors="replace").encode()


def _named(headers: Headers, name: bytes) -> str | None:
    """Return who a header names, as it stands; an empty header is none."""
    sent = header(headers, name)
    try:
        return sent.decode() if sent else None
    except UnicodeDecodeError as error:
        raise InvalidInput.of(Fault(f"header {name.decode()}", "bytes that are no UTF-8", "UTF-8")) from error


def _bearer(headers: Headers) -> str | None:
    scheme, _, token = (header(headers, b"authorization") or b"").partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else None
