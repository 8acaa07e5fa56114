"""The false Salesforce itself: each customer once, then one change after another."""

import dataclasses
import itertools
import random
import time
import uuid
from collections.abc import Callable, Mapping

from licet_simulator.customers import Customer, Population
from licet_simulator.faults import bad_payload
from licet_simulator.registrar import Registrar
from licet_simulator.web import Answer, Unreachable, Web

WEBHOOK = "/salesforce/webhook"
OK = 200
# The statuses after which the same request may succeed.
RETRIED = frozenset({408, 429, *range(500, 600)})
FIRST_WAIT_S, LAST_WAIT_S = 0.1, 2.0
# Behind by more than this, the missed turns are let go: a burst would say nothing about the rate that was asked for.
MAX_DEBT_S = 1.0
# How long a run that has made all its changes still waits for customers to become known.
LAST_REGISTRATIONS_S = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What to simulate. ``period_s`` lies between two turns; ``count`` turns follow the first posts (None: endless).

    ``bad`` is the share of turns that post a body to be refused; ``duplicates`` the share of changes sent twice.
    """

    customers: int = 10
    period_s: float = 10.0
    count: int | None = None
    seed: int = 1
    duplicates: float = 0.0
    bad: float = 0.0
    api_key: str | None = None


class Simulator:
    """One run. ``say`` gets a line per change, ``warn`` one per thing that went wrong."""

    def __init__(self, web: Web, plan: Plan, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._web = web
        self._plan = plan
        self._say = say
        self._warn = warn
        self._population = Population(plan.seed, plan.customers)
        # Apart from the changes' dice, so that a seed makes the same changes under any share of faults.
        self._dice = random.Random(f"{plan.seed}/faults")
        self._registrar = Registrar(web, plan.api_key, say, warn) if plan.api_key else None

    def run(self) -> None:
        """Run until ``count`` turns are made; what the web answers never ends a run."""
        self._wait_for_web()
        if self._registrar is None:
            self._warn("no API key: no user and no domain is registered, so ?user= will not know them")
        for customer in tuple(self._population.customers):
            self._introduce(customer)
        turns = itertools.count() if self._plan.count is None else range(self._plan.count)
        due = time.monotonic()
        for _ in turns:
            due = max(due + self._plan.period_s, time.monotonic() - MAX_DEBT_S)
            self._register_until(due)
            self._turn()
        self._register_until(time.monotonic() + LAST_REGISTRATIONS_S, wait=False)

    def _wait_for_web(self) -> None:
        """Poll readiness until it is there, said once."""
        wait, said = FIRST_WAIT_S, False
        while True:
            try:
                answer = self._web.send("GET", "/readyz")
            except Unreachable as error:
                why = str(error)
            else:
                if answer.status == OK:
                    break
                why = answer.words()
            if not said:
                self._warn(f"waiting for {self._web.url} ({why})")
                said = True
            time.sleep(wait)
            wait = min(wait * 2, LAST_WAIT_S)
        if said:
            self._warn(f"{self._web.url} is ready")

    def _introduce(self, customer: Customer) -> None:
        """Post a customer for the first time: again while the web cannot take it, since all else builds on it."""
        wait = FIRST_WAIT_S
        while (answer := self._deliver(customer, "new")) is None or answer.status in RETRIED:
            time.sleep(wait)
            wait = min(wait * 2, LAST_WAIT_S)
        if self._registrar is not None and answer.ok:
            self._registrar.add(customer, time.monotonic())

    def _turn(self) -> None:
        if self._dice.random() < self._plan.bad:
            customer = self._dice.choice(self._population.customers)
            kind, body = bad_payload(self._dice, customer)
            self._post(f"{customer.name}: bad on purpose, {kind}", body, expect_ok=False)
        else:
            customer, flag = self._population.change()
            self._deliver(customer, f"{flag} {str(customer.says(flag)).lower()}")

    def _deliver(self, customer: Customer, what: str) -> Answer | None:
        """Post a customer's state; a share of them twice, and those under an id, which Salesforce does not send.

        The id is no throw of the dice: a second run of a seed makes new events.
        """
        line = f"{customer.name} ({customer.customer_id}): {what}"
        body = customer.payload()
        if self._dice.random() >= self._plan.duplicates:
            return self._post(line, body)
        headers = {"webhook-id": str(uuid.uuid4())}
        answer = self._post(line, body, headers)
        self._post(f"{line}, again", body, headers)
        return answer

    def _post(
        self, line: str, body: bytes, headers: Mapping[str, str] | None = None, *, expect_ok: bool = True
    ) -> Answer | None:
        """Post a body and say what came of it.

        Where no answer comes, it waits for the web and posts a second time; None where that failed too.
        """
        for last in (False, True):
            try:
                answer = self._web.send("POST", WEBHOOK, body, headers)
            except Unreachable as error:
                self._warn(f"{line}: no answer ({error}){'' if last else ', will be sent again'}")
                self._wait_for_web()
            else:
                (self._say if answer.ok == expect_ok else self._warn)(f"{line}: {answer.words()}")
                return answer
        return None

    def _register_until(self, end: float, *, wait: bool = True) -> None:
        """Do the registrations that are due before ``end``; then, if asked to, wait until then."""
        while self._registrar is not None and self._registrar.due is not None and self._registrar.due < end:
            time.sleep(max(0.0, self._registrar.due - time.monotonic()))
            self._registrar.attempt(time.monotonic())
        if wait:
            time.sleep(max(0.0, end - time.monotonic()))
