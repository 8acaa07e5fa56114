"""The people: a user and a domain of each customer, made known to Licet so that ``?user=`` has an answer at once."""

import dataclasses
import heapq
import urllib.parse
from collections.abc import Callable

from licet_simulator.customers import Customer
from licet_simulator.web import Answer, Unreachable, Web

FIRST_RETRY_S = 0.25
LAST_RETRY_S = 15.0
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, SERVER_ERROR = 401, 403, 404, 500


@dataclasses.dataclass(frozen=True, order=True)
class _Attempt:
    due: float
    wait_s: float
    customer: Customer = dataclasses.field(compare=False)


class Registrar:
    """Registers each customer once it is known; times are those of ``time.monotonic``."""

    def __init__(self, web: Web, api_key: str, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._web = web
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._say = say
        self._warn = warn
        self._attempts: list[_Attempt] = []

    def add(self, customer: Customer, now: float) -> None:
        """Take on a customer that was posted just now."""
        heapq.heappush(self._attempts, _Attempt(now + FIRST_RETRY_S, FIRST_RETRY_S, customer))

    @property
    def due(self) -> float | None:
        """When the next attempt is due; None where nothing is left to do."""
        return self._attempts[0].due if self._attempts else None

    def attempt(self, now: float) -> None:
        """Make the attempt that is due first."""
        attempt = heapq.heappop(self._attempts)
        customer = attempt.customer
        try:
            answer = self._register(customer)
        except Unreachable as error:
            self._warn(f"{customer.name}: not registered yet: {error}")
            self._again(attempt, now)
            return
        if answer.ok:
            self._say(f"{customer.name}: registered the domain and its user {customer.user}")
        elif answer.status == NOT_FOUND:
            self._again(attempt, now)
        elif answer.status in {UNAUTHORIZED, FORBIDDEN}:
            self._warn(f"users and domains are not registered: {answer.words()}")
            self._attempts.clear()
        elif answer.status >= SERVER_ERROR:
            self._warn(f"{customer.name}: not registered yet: {answer.words()}")
            self._again(attempt, now)
        else:
            self._warn(f"{customer.name}: not registered: {answer.words()}")

    def _again(self, attempt: _Attempt, now: float) -> None:
        wait = min(attempt.wait_s * 2, LAST_RETRY_S)
        heapq.heappush(self._attempts, _Attempt(now + wait, wait, attempt.customer))

    def _register(self, customer: Customer) -> Answer:
        home = f"/v1/customers/{customer.customer_id}"
        answer = self._web.send(
            "PUT", f"{home}/users/{urllib.parse.quote(customer.user, safe='')}", None, self._headers
        )
        if not answer.ok:
            return answer
        return self._web.send("PUT", f"{home}/domains/{customer.name}", None, self._headers)
