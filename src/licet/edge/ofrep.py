"""OFREP 0.3 (OpenFeature Remote Evaluation Protocol): features as flags. docs/how-to/openfeature.md has the table.

A refusal is a value, never an error: an error would make the client take its default, which may be "yes".
"""

import hashlib
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from licet.domain.catalog import Catalog, GrantValue
from licet.domain.decision import Asked, Decision, Reason
from licet.domain.errors import InvalidInput
from licet.domain.ids import shown
from licet.edge.asgi import AsgiScope, Receive, Send, header, respond
from licet.edge.asking import JSON, Asking, user_token

BULK = "/ofrep/v1/evaluate/flags"
SINGLE = BULK + "/{key}"
STREAM = "/ofrep/v1/stream"
HOW = "POST an OFREP request here: {context: {targetingKey: the user}} or {context: {customer: …}}; X-API-Key is taken."
_NOBODY = frozenset({Reason.UNKNOWN_USER, Reason.UNKNOWN_CUSTOMER})
_METADATA = ("reason", "message", "customer", "sku", "license_id", "since", "until")
_PARTS: dict[str, Callable[[Decision], Any]] = {
    "allowed": lambda decision: decision.allowed,
    "reason": lambda decision: decision.reason.value,
    "message": lambda decision: decision.message,
    "decision": msgspec.to_builtins,
}
_encode = msgspec.json.Encoder().encode


class Context(msgspec.Struct, frozen=True, rename="camel"):
    """Who is meant: the user, or a customer outright. Whatever else an application puts here is not read."""

    targeting_key: str | None = None
    customer: str | None = None


class Evaluate(msgspec.Struct, frozen=True):
    """An evaluation request."""

    context: Context


class Evaluation(msgspec.Struct, frozen=True):
    """A flag's value. ``metadata`` holds Licet's reason and what else the decision says."""

    key: str
    value: bool | int | float | str | dict[str, Any]
    reason: str
    variant: str
    metadata: dict[str, Any]


class Evaluations(msgspec.Struct, frozen=True, rename="camel"):
    """All flags of one context; ``metadata`` holds the revision and the age in milliseconds.

    ``event_streams`` name where it is announced that flags may have changed.
    """

    flags: Sequence[Evaluation]
    metadata: dict[str, int]
    event_streams: Sequence[dict[str, Any]] = ()


class Failure(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Why there is no value: PARSE_ERROR, INVALID_CONTEXT, TARGETING_KEY_MISSING or FLAG_NOT_FOUND."""

    error_code: str
    error_details: str
    key: str = ""


_read = msgspec.json.Decoder(Evaluate).decode


class _Unusable(Exception):
    """The request names nobody who could be asked about: an error code of the protocol, and details."""


class Ofrep:
    """The two handlers: ``single`` and ``bulk``. Errors that the protocol does not name are for the front."""

    def __init__(self, asking: Asking, catalog: Callable[[], Catalog]) -> None:
        self._asking = asking
        self._catalog = catalog

    async def single(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Evaluate one flag."""
        key: str = scope["path"][len(BULK) + 1 :]
        feature, _, part = key.partition(":")
        try:
            _, (decision,) = await self._decide([feature], scope, receive)
        except _Unusable as error:
            code, details = error.args
            return await respond(send, 400, JSON, _encode(Failure(code, details, key)))
        if decision.reason is Reason.UNKNOWN_FEATURE or (part and part not in _PARTS):
            said = f"there is no flag {shown(key)}; /v1/features lists the features, and each has {', '.join(_PARTS)}"
            return await respond(send, 404, JSON, _encode(Failure("FLAG_NOT_FOUND", said, key)))
        fresh = {"revision": decision.revision, "age_ms": decision.age_ms} | (await self._whys([decision], scope))[0]
        return await respond(send, 200, JSON, _encode(evaluation(key, part, decision, self._catalog(), fresh)))

    async def bulk(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Evaluate every feature. The ETag is over the values alone, so 304 is said until one of them changes."""
        catalog = self._catalog()
        try:
            context, decisions = await self._decide(list(catalog.features), scope, receive)
        except _Unusable as error:
            return await respond(send, 400, JSON, _encode(Failure(*error.args)))
        known = [one for one in decisions if one.reason is not Reason.UNKNOWN_FEATURE]
        whys = await self._whys(known, scope)
        flags = _encode([evaluation(one.feature, "", one, catalog, why) for one, why in zip(known, whys, strict=True)])
        etag = b'W/"%s"' % hashlib.blake2b(flags, digest_size=12).hexdigest().encode()
        revision, age_ms = min(((one.revision, one.age_ms) for one in decisions), default=(0, 0))
        head = [(b"etag", etag), (b"x-licet-revision", b"%d" % revision), (b"x-licet-age-ms", b"%d" % age_ms)]
        if etag in map(bytes.strip, (header(scope["headers"], b"if-none-match") or b"").split(b",")):
            return await respond(send, 304, [*JSON[1:], *head])
        metadata = _encode({"revision": revision, "age_ms": age_ms})
        streams = _encode(_streams(context, known, by_token=user_token(scope["headers"]) is not None))
        body = b'{"flags":%s,"metadata":%s,"eventStreams":%s}' % (flags, metadata, streams)
        return await respond(send, 200, [*JSON, *head], body)

    async def _decide(
        self, features: Sequence[str], scope: AsgiScope, receive: Receive
    ) -> tuple[Context, list[Decision]]:
        """Admit the caller; return who is meant and the decisions. Raises ``_Unusable``, and what ``Asking`` raises."""
        headers = scope["headers"]
        key = header(headers, b"x-api-key")
        authorization = b"Bearer " + key if key else header(headers, b"authorization")
        await self._asking.admit(authorization, explain=_explains(scope))
        body, token = await self._asking.read(scope, receive), user_token(headers)
        try:
            context: Context = _read(body).context
        except msgspec.ValidationError as error:
            raise _Unusable("INVALID_CONTEXT", str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _Unusable("PARSE_ERROR", str(error)) from error
        outright = context.customer is not None or token is not None
        if not outright and not context.targeting_key:
            raise _Unusable("TARGETING_KEY_MISSING", "context: neither targetingKey, the user, nor customer")
        user = None if outright else context.targeting_key
        asked = [Asked(feature, user, context.customer) for feature in features]
        answers = [one async for some in self._asking.ask(asked, token) for one in some]
        for one in answers:
            if isinstance(one, InvalidInput):  # who is meant is the same in all, and so is the fault
                raise _Unusable("INVALID_CONTEXT", one.detail)
        return context, [one for one in answers if isinstance(one, Decision)]

    async def _whys(self, decisions: Sequence[Decision], scope: AsgiScope) -> list[dict[str, str]]:
        """Return the explanation of each, where one is asked for; a flag's metadata has no lists, so it is one text."""
        found: list[dict[str, str]] = []
        away = not _explains(scope)
        for one in decisions:
            why = None if away else await self._asking.why(one)
            away = why is None  # the store: it is not waited for again
            found.append({"explanation": why} if why is not None else {})
        return found


def _explains(scope: AsgiScope) -> bool:
    """Tell whether ``explain=true`` is asked for, beside whatever a client of the protocol adds to the address."""
    return b"explain=true" in scope["query_string"].split(b"&")


def _streams(context: Context, decisions: Sequence[Decision], *, by_token: bool) -> list[dict[str, Any]]:
    """Say where to hear that flags may have changed: the stream of all that the answers rest on.

    A client keeps the address until its context changes. So it names the user and not the customers of today; a token
    may have named its customer itself.
    """
    named = {("user", one.user) for one in decisions if one.user is not None}
    if context.customer is not None:
        named.add(("customer", context.customer))
    elif by_token:
        named |= {("customer", one.customer) for one in decisions if one.customer and one.reason not in _NOBODY}
    uri = f"{STREAM}?{urllib.parse.urlencode(sorted(named))}"
    return [{"type": "sse", "endpoint": {"requestUri": uri}}] if named else []


def evaluation(key: str, part: str, decision: Decision, catalog: Catalog, more: dict[str, Any]) -> Evaluation:
    """Tell a decision as a flag; ``part`` is what follows the feature's name in the key."""
    said = msgspec.to_builtins(decision)
    metadata = {name: said[name] for name in _METADATA if said[name] is not None}
    value = _PARTS[part](decision) if part else _value(decision, catalog)
    if isinstance(value, bool):
        variant = "on" if value else "off"
    else:
        variant = str(value) if isinstance(value, int | float) else decision.reason.value
    reason = "UNKNOWN" if decision.reason in _NOBODY else "TARGETING_MATCH"
    return Evaluation(key, value, reason, variant, metadata | more)


def _value(decision: Decision, catalog: Catalog) -> GrantValue:
    """Return the value in the one type that the feature always has: a client refuses a flag that changes its type."""
    granted = [value for _, value in catalog.grants.get(decision.feature, ()) if not isinstance(value, bool)]
    if not granted:
        return decision.allowed
    value = decision.value or 0
    return float(value) if any(isinstance(one, float) for one in granted) else int(value)
