"""What the ways to ask share: the caller, the body, the engine, the count of reasons."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

import msgspec

from licet.answer.asker import Answer, Asker
from licet.answer.history import History
from licet.domain.decision import Asked, Decision
from licet.domain.errors import Fault, InvalidInput, Unavailable
from licet.domain.principal import Scope
from licet.edge.asgi import AsgiScope, Receive, header
from licet.edge.authentication import Authenticator
from licet.edge.body import Bodies
from licet.observe.metrics import Metrics

T = TypeVar("T")
JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
USER_TOKEN = b"x-licet-token"
READ_LIMIT_S = 10.0  # three megabytes over a slow line; who is here has shown a key
MAX_BODY = 16 * 1024 * 1024  # ten thousand questions of the longest names, escapes and all


class Asking:
    """One for all ways but ``GET /v1/check``, which has no body and its own figures."""

    def __init__(self, asker: Asker, history: History, authenticator: Authenticator, metrics: Metrics) -> None:
        self._asker = asker
        self.wait = asker.wait  # until answers include what is wanted
        self._history = history
        self._authenticator = authenticator
        self._checks = metrics.checks
        self._bodies = Bodies(MAX_BODY, MAX_BODY, limit_s=READ_LIMIT_S)

    async def admit(self, authorization: bytes | None, *, explain: bool = False) -> None:
        """Let in who may ask, by an ``Authorization`` header. Raises ``Unauthenticated`` and ``Forbidden``."""
        principal = await self._authenticator.authenticate(authorization)
        principal.require(Scope.READ)
        if explain:
            principal.require(Scope.EXPLAIN)

    async def read(self, scope: AsgiScope, receive: Receive) -> bytes:
        """Read the body. Raises what ``Bodies.read`` does."""
        body = await self._bodies.read(receive, dict(scope["headers"]).get(b"content-length"))
        self._bodies.release(body)
        return body

    async def ask(self, asked: Sequence[Asked | InvalidInput], token: str | None) -> AsyncIterator[Sequence[Answer]]:
        """Answer questions, some at a time and in order; a fault stands in the place of its question."""
        async for answers in self._asker.check_many(asked, token):
            for reason, count in Counter(one.reason for one in answers if isinstance(one, Decision)).items():
                self._checks.labels(reason.value).inc(count)
            yield answers

    async def ask_one(self, asked: Asked, token: str | None) -> Decision:
        """Answer one question. Raises ``InvalidInput``."""
        (answer,) = [one async for some in self.ask([asked], token) for one in some]
        if isinstance(answer, InvalidInput):
            raise answer
        return answer

    async def why(self, decision: Decision) -> str | None:
        """Explain a decision in three sentences; None while the store is away: the decision is worth more."""
        try:
            return " ".join(await self._history.why(decision))
        except Unavailable:
            return None


def user_token(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return the OIDC token of the user who is meant, None where none was sent."""
    token = header(headers, USER_TOKEN)
    return token.decode("latin-1") if token else None


def decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw, field: str = "body") -> T:
    """Decode JSON that stands at ``field``. Raises ``InvalidInput``."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        said, _, path = str(error).replace("`", "").removeprefix("Expected ").partition(" - at $")
        expected, _, found = said.partition(", got ")
        fault = Fault(field + path, found or expected, expected if found else "the fields that /docs lists")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = Fault(field, f"what is no JSON ({error})", "JSON in UTF-8")
    raise InvalidInput.of(fault)
