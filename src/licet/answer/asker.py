"""Every way to ask ends here: questions, the user of a token if one was sent, and the one engine."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from licet.answer.check import NOTHING, Checker, Wanted, by_turns
from licet.answer.token import Tokens
from licet.domain.decision import Asked, Decision, Reason
from licet.domain.errors import Fault, InvalidInput, Unauthenticated

Answer = Decision | InvalidInput


class Asker:
    """Answers for those named outright, and for the user of a token. ``tokens`` is None where no issuer is trusted."""

    def __init__(self, checker: Checker, tokens: Tokens | None = None) -> None:
        self._checker = checker
        self._tokens = tokens

    async def wait(self, wanted: Wanted) -> None:
        """Return once answers include what is wanted. Raises ``RevisionNotReached`` and ``Unavailable``."""
        if wanted != NOTHING:
            await self._checker.wait(wanted)

    async def check_many(
        self, asked: Sequence[Asked | InvalidInput], token: str | None = None
    ) -> AsyncIterator[Sequence[Answer]]:
        """Decide many, some at a time and in order. With a token its user is meant by all; a ``customer`` narrows.

        Raises ``Unauthenticated`` for a token that is refused, ``InvalidInput`` for one beside users, ``Unavailable``.
        """
        if token is None:
            async for decided in self._checker.check_many(asked):
                yield decided
            return
        if self._tokens is None:
            raise Unauthenticated("a token was sent, and this deployment trusts no issuer: LICET_OIDC_ISSUER is unset")
        if any(isinstance(one, Asked) and one.user is not None for one in asked):
            raise InvalidInput.of(Fault("user", "a user beside a token", "one of both"))
        who = await self._tokens.identify(token)
        meant = [Asked(one.feature, who.user, one.customer) if isinstance(one, Asked) else one for one in asked]
        answers = await self._all(meant)
        if who.customer is not None:
            places = [at for at, one in enumerate(answers) if _unknown_user(one)]
            unknown = [one for at in places if isinstance(one := meant[at], Asked)]
            by_claim = await self._by_claim(unknown, who.user, who.customer)
            for at, answer in zip(places, by_claim, strict=True):
                answers[at] = answer or answers[at]
        async for some in by_turns(answers):
            yield some

    async def _all(self, asked: Sequence[Asked | InvalidInput]) -> list[Answer]:
        return [one async for some in self._checker.check_many(asked) for one in some]

    async def _by_claim(self, asked: Sequence[Asked], user: str, claim: str) -> list[Answer | None]:
        """Answer for the customer that a token claims; None where the claim does not count.

        It counts only for a user who belongs nowhere (membership and domain go before it), and only for the customer
        that the question names, if any, by whatever name.
        """
        answers = await self._all(
            [
                question
                for one in asked
                for question in (
                    Asked(one.feature, user, None),
                    Asked(one.feature, None, claim),
                    Asked(one.feature, None, one.customer or claim),
                )
            ]
        )
        decided: list[Answer | None] = []
        for alone, claimed, named in zip(answers[::3], answers[1::3], answers[2::3], strict=True):
            if not _unknown_user(alone) or isinstance(claimed, InvalidInput) or isinstance(named, InvalidInput):
                decided.append(None)
            else:
                same = claimed.customer == named.customer
                decided.append(msgspec.structs.replace(claimed, user=user) if same else None)
        return decided


def _unknown_user(answer: Answer) -> bool:
    return isinstance(answer, Decision) and answer.reason is Reason.UNKNOWN_USER
