"""``GET /v1/check`` over HTTP, on the bare front: who asks, the question, the decision. "No" is a 200."""

import re
import urllib.parse
from collections.abc import Mapping, Sequence

import msgspec

from licet.answer.check import NOTHING, Checker, Wanted
from licet.answer.kept import Kept, KeptAnswers
from licet.answer.snapshot import Latest
from licet.domain.decision import Asked, Freshness, Reason
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.domain.principal import Scope
from licet.edge.asgi import AsgiScope, Receive, Send, header
from licet.edge.authentication import Authenticator
from licet.observe.metrics import Metrics

HOW = "GET /v1/check?customer=…&feature=…, or ?user=…&feature=…."
PARAMETERS = ("customer", "user", "feature", "min_revision", "after_event")
_MOST = 32
_MAX_EVENT = 255
_REVISION = re.compile(r"\d{1,18}\Z", re.ASCII)
_HEAD = [(b"content-type", b"application/json"), (b"cache-control", b"private, no-cache")]
_encode = msgspec.json.Encoder().encode


class Check:
    """The handler of the hot path. Errors are for the front."""

    def __init__(
        self, checker: Checker, latest: Latest, kept: KeptAnswers, authenticator: Authenticator, metrics: Metrics
    ) -> None:
        self._checker = checker
        self._latest = latest
        self._kept = kept
        self._authenticator = authenticator
        self._counts = {reason: metrics.checks.labels(reason.value) for reason in Reason}

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:  # noqa: ARG002 ASGI's shape
        """Answer one check."""
        headers = dict(scope["headers"])
        sent = headers.get(b"authorization")
        if len(headers) != len(scope["headers"]):
            sent = header(scope["headers"], b"authorization")
        principal = self._authenticator.recall(sent) or await self._authenticator.authenticate(sent)
        principal.require(Scope.READ)
        query = scope["query_string"]
        fresh = self._latest.freshness()
        if self._checker.stale(fresh):
            await self._answer_stale(query, send)
            return
        kept = self._kept.find(query)
        if kept is None:
            kept = await self._ask(query)
            fresh = self._latest.freshness()
        self._counts[kept.answer.decision.reason].inc()
        match = headers.get(b"if-none-match")
        if match is not None and kept.etag in map(bytes.strip, match.split(b",")):
            await self._send_not_modified(kept, fresh, send)
            return
        body = kept.body(fresh)
        head = [*_HEAD, (b"etag", kept.etag), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def _ask(self, query: bytes) -> Kept:
        asked, wanted = read_question(query)
        if wanted == NOTHING:
            return self._kept.keep(query, self._checker.answer(asked, self._latest.freshness()))
        await self._checker.wait(wanted)
        # Who asks again may have to wait again.
        return self._kept.keep(None, self._checker.answer(asked, self._latest.freshness()))

    async def _answer_stale(self, query: bytes, send: Send) -> None:
        decision = await self._checker.check(*read_question(query))
        self._counts[decision.reason].inc()
        body = _encode(decision)
        head = [_HEAD[0], (b"cache-control", b"no-store"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def _send_not_modified(self, kept: Kept, fresh: Freshness, send: Send) -> None:
        said = [(b"licet-revision", b"%d" % fresh.revision), (b"licet-age-ms", b"%d" % fresh.age_ms)]
        if fresh.lag_ms is not None:
            said.append((b"licet-lag-ms", b"%d" % fresh.lag_ms))
        await send({"type": "http.response.start", "status": 304, "headers": [_HEAD[1], (b"etag", kept.etag), *said]})
        await send({"type": "http.response.body", "body": b""})


def read_question(query: bytes) -> tuple[Asked, Wanted]:
    """Read the query string. Raises ``InvalidInput`` with every fault that reading finds.

    A parameter that does not exist is refused: a misspelt ``customer`` must not silently widen the question, and a
    token has no place in an address, which ends up in logs.
    """
    return question_in(read_query(query, PARAMETERS))


def read_query(query: bytes, known: Sequence[str]) -> Mapping[str, str]:
    """Read the parameters of a query string, each of which must be known and stand once. Raises ``InvalidInput``."""
    try:
        pairs = _pairs(query.decode("ascii"))
    except ValueError as error:  # UnicodeDecodeError is one
        raise InvalidInput.of(
            Fault("query", "bytes that are no UTF-8, or too many fields", ", ".join(known))
        ) from error
    asked = dict(pairs)
    if len(asked) != len(pairs) or not asked.keys() <= set(known):
        raise InvalidInput.of(*_faults(pairs, known))
    return asked


def question_in(asked: Mapping[str, str]) -> tuple[Asked, Wanted]:
    """Take the question out of the parameters. Raises ``InvalidInput``."""
    question = Asked(asked.get("feature", ""), asked.get("user"), asked.get("customer"))
    if "min_revision" not in asked and "after_event" not in asked:
        return question, NOTHING
    return question, _wanted(asked.get("min_revision"), asked.get("after_event"))


def _pairs(query: str) -> list[tuple[str, str]]:
    """Split as ``urllib.parse.parse_qsl`` does, in a third of its time."""
    parts = query.split("&") if query else []
    if len(parts) > _MOST:
        raise ValueError(len(parts))
    return [(_unquoted(name), _unquoted(value)) for name, _, value in (part.partition("=") for part in parts if part)]


def _unquoted(text: str) -> str:
    if "%" in text or "+" in text:
        return urllib.parse.unquote_to_bytes(text.replace("+", " ")).decode()
    return text


def _wanted(revision: str | None, event: str | None) -> Wanted:
    faults = []
    if revision is not None and not _REVISION.match(revision):
        faults.append(Fault("min_revision", shown(revision), "a revision, as an answer stated it"))
    if event is not None and (not event or "\x00" in event or len(event) > _MAX_EVENT):
        faults.append(Fault("after_event", shown(event), "the id of an event, as the webhook's 202 named it"))
    if faults:
        raise InvalidInput.of(*faults)
    return Wanted(int(revision) if revision is not None else None, event)


def _faults(pairs: Sequence[tuple[str, str]], known: Sequence[str]) -> list[Fault]:
    names = [name for name, _ in pairs]
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    faults = [Fault("query", f"the parameter {shown(name)}", "one of " + ", ".join(known)) for name in unknown]
    return faults + [Fault(name, "it more than once", "it once") for name in known if names.count(name) > 1]
