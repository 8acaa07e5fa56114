"""``GET /v1/check`` with ``explain``, ``as_of`` or ``known_at``, answered from the store; and how moments are read."""

import datetime as dt
import re
from typing import Annotated

import msgspec

from licet.answer.check import NOTHING, Checker
from licet.answer.history import History
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.domain.principal import Scope
from licet.edge import check
from licet.edge.asgi import AsgiScope, Handler, Receive, Send, header, respond
from licet.edge.asking import JSON, USER_TOKEN
from licet.edge.authentication import Authenticator
from licet.observe.metrics import Metrics
from licet.store.past import When

PARAMETERS = ("explain", "as_of", "known_at")
MARKS = tuple(f"{name}=".encode() for name in PARAMETERS)
_REVISION = re.compile(r"\d{1,18}\Z", re.ASCII)
_TRUTH = {"true": True, "false": False}
_Time = Annotated[dt.datetime, msgspec.Meta(tz=True)]
_encode = msgspec.json.Encoder().encode


class PastCheck:
    """The handler; a question that has none of the three after all is for ``plain``. Errors are for the front."""

    def __init__(
        self, history: History, checker: Checker, plain: Handler, authenticator: Authenticator, metrics: Metrics
    ) -> None:
        self._history = history
        self._checker = checker
        self._plain = plain
        self._authenticator = authenticator
        self._checks = metrics.checks

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one check of a moment, with what stands behind it where that is asked for."""
        asked = check.read_query(scope["query_string"], (*check.PARAMETERS, *PARAMETERS))
        if not asked.keys() & set(PARAMETERS):
            await self._plain(scope, receive, send)
            return
        principal = await self._authenticator.authenticate(header(scope["headers"], b"authorization"))
        principal.require(Scope.READ)
        explain = _truth(asked.get("explain", "false"))
        if explain:
            principal.require(Scope.EXPLAIN)
        if header(scope["headers"], USER_TOKEN) is not None:
            raise InvalidInput.of(Fault("user", "a token", "a user or a customer by name, beside explain or a time"))
        question, wanted = check.question_in(asked)
        when = read_when(asked.get("as_of"), asked.get("known_at"))
        if wanted != NOTHING:
            await self._checker.wait(wanted)  # what the snapshot includes, the store does
        if explain:
            told = await self._history.explain(question, when)
            decision, body = told.decision, _encode(told)
        else:
            decision = await self._history.check(question, when)
            body = _encode(decision)
        self._checks.labels(decision.reason.value).inc()
        await respond(send, 200, JSON, body)


def read_when(as_of: str | None, known_at: str | None) -> When:
    """Read a moment: ``as_of`` is a time, ``known_at`` a time or a revision. Raises ``InvalidInput``."""
    if known_at is not None and _REVISION.match(known_at):
        return When(_time("as_of", as_of), int(known_at))
    return When(_time("as_of", as_of), _time("known_at", known_at))


def _time(field: str, text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        # A plus sign that was not escaped arrives as a space.
        return msgspec.convert(text.replace(" ", "+"), _Time).astimezone(dt.UTC)
    except (msgspec.ValidationError, OverflowError) as error:
        or_revision = ", or a revision" if field == "known_at" else ""
        raise InvalidInput.of(
            Fault(field, shown(text), f"a time with its zone (2026-03-03T09:00:00Z){or_revision}")
        ) from error


def _truth(text: str) -> bool:
    if text not in _TRUTH:
        raise InvalidInput.of(Fault("explain", shown(text), "true or false"))
    return _TRUTH[text]
