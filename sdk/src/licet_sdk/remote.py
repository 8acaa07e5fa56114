"""Remote mode: each question goes to the service; a short memory of answers, and the last known one in an outage."""

import datetime as dt
import uuid
from collections import OrderedDict
from http import HTTPStatus

import msgspec

from licet_sdk.core import Core, log
from licet_sdk.decision import Decision, micros_of, refusal
from licet_sdk.pages import ROW, Page

Question = tuple[str, str | None, str | None]  # feature, customer, user
PAUSE = 1.0  # s in which a service that failed is left alone
_MOST = 10_000  # answers remembered


class _License(msgspec.Struct):
    license_id: uuid.UUID | None = None
    override_id: uuid.UUID | None = None
    since: dt.datetime | None = None


_read_decision = msgspec.json.Decoder(Decision).decode
_read_license = msgspec.json.Decoder(_License).decode


class Remote:
    """Remembers answers for ``keep`` seconds, and in an outage until they end by themselves."""

    def __init__(self, core: Core, keep: float) -> None:
        self._core, self._keep = core, keep
        self._answers: OrderedDict[Question, tuple[float, Decision]] = OrderedDict()
        self._not_before = 0.0

    def known(self, question: Question) -> Decision | None:
        """Return an answer that needs no request: a young one, or the last known while the service is left alone."""
        now = self._core.monotonic()
        asked_at, decision = self._answers.get(question, (0.0, None))
        if decision is not None and now - asked_at < self._keep and self._holds(decision):
            return decision
        return self._last(question) if now < self._not_before else None

    def answered(self, question: Question, status: int, body: bytes) -> Decision:
        """Return the decision of the service's HTTP answer."""
        feature, customer, user = question
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:  # a name that nobody can have
            return refusal("unknown_customer" if user is None else "unknown_user", feature, customer, user)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            self._core.refused(f"HTTP {status}")
        try:
            decision, of = _read_decision(body), _read_license(body)
        except msgspec.DecodeError:
            return self.missed(question, f"HTTP {status}")
        of_id = of.license_id or of.override_id
        if of_id and of.since:
            page = Page((b"\n" + ROW.pack(of_id.bytes, micros_of(of.since)),))
            decision = msgspec.structs.replace(decision, _page=page, _at=0)
        if decision.reason == "unknown_feature":
            self._core.say_unknown(feature)
        with self._core.lock:
            self._answers[question] = self._core.monotonic(), decision
            if len(self._answers) > _MOST:
                self._answers.popitem(last=False)
        return decision

    def missed(self, question: Question, why: str) -> Decision:
        """Return what can be said without the service, and leave it alone for a moment."""
        self._not_before = self._core.monotonic() + PAUSE
        log.warning("the licensing service did not answer (%s): last known answers, defaults, else denied", why)
        return self._last(question)

    def _last(self, question: Question) -> Decision:
        asked_at, decision = self._answers.get(question, (0.0, None))
        if decision is None or not self._holds(decision):
            return self._core.without(*question)
        older = int((self._core.monotonic() - asked_at) * 1000)
        return msgspec.structs.replace(decision, _age_ms=decision.age_ms + older)

    def _holds(self, decision: Decision) -> bool:
        return decision.until is None or self._core.clock() < decision.until.timestamp()
