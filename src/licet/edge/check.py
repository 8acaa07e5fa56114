"""``GET /v1/check`` over HTTP, on the bare front: who asks, the question, the decision. "No" is a 200."""

import time
import urllib.parse
from collections.abc import Callable, Sequence

import msgspec
from prometheus_client import Counter

from licet.answer.check import Checker
from licet.domain.decision import Asked, Reason
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.domain.principal import Scope
from licet.edge.asgi import AsgiScope, Receive, Send
from licet.edge.authentication import Authenticator
from licet.observe.metrics import Metrics

HOW = "GET /v1/check?customer=…&feature=…, or ?user=…&feature=…."
PARAMETERS = ("customer", "user", "feature")
_MOST = 32
_HEAD = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_encode = msgspec.json.Encoder().encode


class Check:
    """The handler of the hot path. Errors are for the front."""

    def __init__(
        self,
        checker: Checker,
        authenticator: Authenticator,
        metrics: Metrics,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._checker = checker
        self._authenticator = authenticator
        self._clock = clock
        self._seconds = metrics.check_seconds
        self._counts: dict[Reason, Counter] = {reason: metrics.checks.labels(reason.value) for reason in Reason}

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:  # noqa: ARG002 ASGI's shape
        """Answer one check."""
        began = self._clock()
        principal = await self._authenticator.authenticate(authorization(scope["headers"]))
        principal.require(Scope.READ)
        decision = await self._checker.check(read_question(scope["query_string"]))
        body = _encode(decision)
        self._counts[decision.reason].inc()
        self._seconds.observe(self._clock() - began)
        head = [*_HEAD, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})


def authorization(headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """Return the Authorization header, None where there is none. Raises ``InvalidInput`` where there are two."""
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) > 1:
        raise InvalidInput.of(Fault("header authorization", "it more than once", "it once"))
    return found[0] if found else None


def read_question(query: bytes) -> Asked:
    """Read the query string. Raises ``InvalidInput`` with every fault that reading finds.

    A parameter that does not exist is refused: a misspelt ``customer`` must not silently widen the question, and a
    token has no place in an address, which ends up in logs.
    """
    try:
        pairs = urllib.parse.parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST
        )
    except ValueError as error:  # UnicodeDecodeError is one
        raise InvalidInput.of(
            Fault("query", "bytes that are no UTF-8, or too many fields", ", ".join(PARAMETERS))
        ) from error
    asked = dict(pairs)
    if len(asked) != len(pairs) or not asked.keys() <= set(PARAMETERS):
        raise InvalidInput.of(*_faults(pairs))
    return Asked(asked.get("feature", ""), asked.get("user"), asked.get("customer"))


def _faults(pairs: Sequence[tuple[str, str]]) -> list[Fault]:
    names = [name for name, _ in pairs]
    unknown = [name for name in dict.fromkeys(names) if name not in PARAMETERS]
    faults = [Fault("query", f"the parameter {shown(name)}", "one of " + ", ".join(PARAMETERS)) for name in unknown]
    return faults + [Fault(name, "it more than once", "it once") for name in PARAMETERS if names.count(name) > 1]
