"""The check: may this user, or this customer, use this feature, and why?"""

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Hashable, Iterable, Sequence

import msgspec

from licet.answer.catalogs import Catalogs
from licet.answer.ports import Resolver
from licet.domain import ids
from licet.domain.catalog import Catalog
from licet.domain.decision import Asked, Decision, Freshness, decide
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import CustomerRef
from licet.store.values import Question, Resolution

# Questions of one batch that wait for the store together; the others' keep their turn.
_AT_ONCE = 256
Who = tuple[str | None, str | None]  # user, customer


class Checker:
    """Answers checks from the store. An answer includes every write that was committed when the check began."""

    def __init__(
        self,
        resolver: Resolver,
        catalogs: Catalogs,
        *,
        clock: Callable[[], dt.datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver
        self._catalogs = catalogs
        self._clock = clock
        self._monotonic = monotonic

    async def check(self, asked: Asked) -> Decision:
        """Decide. Raises ``InvalidInput`` with every fault of the question, and ``Unavailable``.

        A user and a customer together ask about the user as a member of that customer.
        """
        question = _question(asked)
        return await self._decide(asked, question, await self._resolver.resolve(question))

    async def check_many(self, asked: Sequence[Asked]) -> list[Decision | InvalidInput]:
        """Decide many, each in its place, the faults of a question in the place of its answer. Raises ``Unavailable``.

        Who is meant is resolved once, whatever the number of features; and features that the same SKUs grant with the
        same values have the same answer, so it is decided once: a grid of 100 x 100 is some hundred decisions.
        """
        found = await self._resolve_each({(one.user, one.customer) for one in asked})
        decided: dict[Hashable, Decision | InvalidInput] = {}
        answers: list[Decision | InvalidInput] = []
        for one in asked:
            who = (one.user, one.customer)
            alike = (who, found[who][0].grants.get(one.feature, one.feature) if who in found else None)
            answer = decided.get(alike)
            if answer is None:
                question = _read(one)
                if isinstance(question, Question):
                    answer = await self._decide(one, question, found[who][1])
                else:
                    answer = question
                decided[alike] = answer
            elif isinstance(answer, Decision) and answer.feature != one.feature:
                answer = msgspec.structs.replace(answer, feature=one.feature)
            answers.append(answer)
        return answers

    async def _resolve_each(self, whos: Iterable[Who]) -> dict[Who, tuple[Catalog, Resolution]]:
        """Resolve all who can be meant."""
        questions = [(who, _read(Asked("any", *who))) for who in whos]
        meant = [(who, question) for who, question in questions if isinstance(question, Question)]
        found: dict[Who, tuple[Catalog, Resolution]] = {}
        for start in range(0, len(meant), _AT_ONCE):
            some = meant[start : start + _AT_ONCE]
            resolved = await asyncio.gather(*(self._resolver.resolve(question) for _, question in some))
            for (who, _), one in zip(some, resolved, strict=True):
                found[who] = (await self._catalogs.at(one.catalog_version), one)
        return found

    async def _decide(self, asked: Asked, question: Question, found: Resolution) -> Decision:
        catalog = await self._catalogs.at(found.catalog_version)
        kept = _as_kept(asked, question)
        age_ms = int((self._monotonic() - found.asked_at) * 1000)
        fresh = Freshness(found.revision, age_ms, None)
        if _names_unknown_customer(question, found):
            nobody = decide(Asked(asked.feature, None, kept.customer), (), catalog, self._clock(), fresh)
            return msgspec.structs.replace(nobody, user=kept.user)
        return decide(kept, found.customers, catalog, self._clock(), fresh)


def _names_unknown_customer(question: Question, found: Resolution) -> bool:
    """Tell whether the customer is what is unknown: a user whom nobody knows comes first (``Reason``'s order)."""
    return question.customer is not None and found.named is None and (question.user is None or found.belongs)


def _read(asked: Asked) -> Question | InvalidInput:
    try:
        return _question(asked)
    except InvalidInput as error:
        return error


def _question(asked: Asked) -> Question:
    faults: list[Fault] = []
    user = customer = None
    if asked.user is None and asked.customer is None:
        faults.append(Fault("customer", "nothing", "a customer, a user, or both"))
    if not asked.feature:
        faults.append(Fault("feature", "nothing", "the name of a feature; /v1/features lists them"))
    try:
        user = ids.user_id(asked.user) if asked.user is not None else None
    except InvalidInput as error:
        faults.extend(error.faults)
    try:
        customer = CustomerRef.parse(asked.customer) if asked.customer is not None else None
    except InvalidInput as error:
        faults.extend(error.faults)
    if faults:
        raise InvalidInput.of(*faults)
    return Question(user, ids.email_domain(user) if user is not None else None, customer)


def _as_kept(asked: Asked, question: Question) -> Asked:
    """Return the question with its names in the form that Licet keeps."""
    ref = question.customer
    return Asked(asked.feature, question.user, (ref.customer_id or ref.alias) if ref is not None else None)
