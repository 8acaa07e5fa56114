"""``/v1/check`` with ``explain``, ``as_of`` or ``known_at``, answered from the store; and how moments are read."""

import datetime as dt
import re
from collections.abc import Iterable
from typing import Annotated

import msgspec

from licet.answer.history import Explanation, History
from licet.domain.decision import Asked
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.edge import batch as batches
from licet.edge import check
from licet.edge.asgi import AsgiScope, Handler, Receive, Send, header, respond
from licet.edge.asking import JSON, USER_TOKEN, Asking, decode
from licet.edge.problems import problem_of
from licet.observe.metrics import Metrics
from licet.store.past import When

PARAMETERS = ("explain", "as_of", "known_at")
MOST = 100  # each question of a batch asks the store once to five times
MARKS = tuple(f"{name}=".encode() for name in PARAMETERS)
_REVISION = re.compile(r"\d{1,18}\Z", re.ASCII)
_TRUTH = {"true": True, "false": False}
_Time = Annotated[dt.datetime, msgspec.Meta(tz=True)]
_encode = msgspec.json.Encoder().encode


class PastCheck:
    """The handler; a GET that has none of the three after all is for ``plain``. Errors are for the front."""

    def __init__(self, history: History, asking: Asking, plain: Handler, metrics: Metrics) -> None:
        self._history = history
        self._asking = asking
        self._plain = plain
        self._checks = metrics.checks

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer checks of a moment, one or a batch, with what stands behind each where that is asked for."""
        many = scope["method"] == "POST"
        asked = check.read_query(scope["query_string"], PARAMETERS if many else (*check.PARAMETERS, *PARAMETERS))
        if not asked.keys() & set(PARAMETERS):
            await self._plain(scope, receive, send)
            return
        explain = read_truth(asked.get("explain", "false"))
        await self._asking.admit(header(scope["headers"], b"authorization"), explain=explain)
        when = read_when(asked.get("as_of"), asked.get("known_at"))
        token: object = header(scope["headers"], USER_TOKEN)
        questions: Iterable[Asked | InvalidInput] = ()
        if many:
            batch = decode(batches.BATCH, await self._asking.read(scope, receive))
            questions, token = batches.read(batch, MOST), token if batch.token is None else batch.token
        if token is not None:
            raise InvalidInput.of(Fault("user", "a token", "a user or a customer by name, beside explain or a time"))
        if many:
            body = b'{"results":[%s]}' % b",".join(
                [await self._placed(one, when, explain=explain) for one in questions]
            )
        else:
            question, wanted = check.question_in(asked)
            await self._asking.wait(wanted)  # what the snapshot includes, the store does
            body = await self._told(question, when, explain=explain)
        await respond(send, 200, JSON, body)

    async def _placed(self, one: Asked | InvalidInput, when: When, *, explain: bool) -> bytes:
        """Answer a question of a batch; a fault of it is a problem in its place."""
        try:
            return (
                problem_of(one).body if isinstance(one, InvalidInput) else await self._told(one, when, explain=explain)
            )
        except InvalidInput as error:
            return problem_of(error).body

    async def _told(self, asked: Asked, when: When, *, explain: bool) -> bytes:
        told = await (self._history.explain(asked, when) if explain else self._history.check(asked, when))
        decision = told.decision if isinstance(told, Explanation) else told
        self._checks.labels(decision.reason.value).inc()
        return _encode(told)


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


def read_truth(text: str) -> bool:
    """Read the value of ``explain``. Raises ``InvalidInput``."""
    if text not in _TRUTH:
        raise InvalidInput.of(Fault("explain", shown(text), "true or false"))
    return _TRUTH[text]
