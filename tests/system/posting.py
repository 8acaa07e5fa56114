"""A sender of many changes, and the account of what became of each."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Self

import httpx

from support.processes import Deployment, Wire, eventually
from system.payloads import customer

CUSTOMERS = 60


class Sender:
    """Posts changes of sixty customers one after another, from a thread. Every change turns SKU1 round."""

    def __init__(self, url: str, count: int) -> None:
        self._wire = Wire(url)
        self._count = count
        self._customers = [customer(Name=f"sent-{number}.example") for number in range(CUSTOMERS)]
        self.event_ids: list[str] = []
        self.refused: list[int] = []
        self._half = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def wait_until_half_is_sent(self) -> None:
        assert self._half.wait(60)

    def _run(self) -> None:
        try:
            for number in range(self._count):
                if number == self._count // 2:
                    self._half.set()
                on = number // CUSTOMERS % 2 == 0
                answer = self._wire.post(self._customers[number % CUSTOMERS] | {"SKU1": on})
                if answer.status_code == 202:
                    self.event_ids.append(answer.json()["changes"][0]["event_id"])
                else:
                    self.refused.append(answer.status_code)
        finally:
            self._half.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._wire.close()


class Stream:
    """Posts changes of ten customers without end, each after the last one's answer, and keeps the account of it."""

    def __init__(self, url: str, pause: float = 0.01) -> None:
        self._wire = Wire(url)
        self._pause = pause
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.accepted: list[tuple[str, str]] = []
        self.statuses: Counter[int] = Counter()
        self.queued: Counter[str] = Counter()

    def wait_for(self, more: int) -> None:
        """Wait until so many more are accepted."""
        wanted = len(self.accepted) + more
        eventually(f"{more} more are accepted", lambda: len(self.accepted) >= wanted or None)

    def account(self, deployment: Deployment) -> None:
        """Hold that each change accepted has one outcome beside duplicates, and each customer's stand in order."""
        event_ids = [event_id for event_id, _ in self.accepted]
        listed = ",".join(f"('{event_id}')" for event_id in event_ids)
        query = (
            f"SELECT event_id, min(sequence), count(*) FILTER (WHERE rule <> 'duplicate') FROM delivery "
            f"WHERE event_id IN (VALUES {listed}) GROUP BY 1"
        )

        def all_there() -> list[tuple[str, int, int]] | None:
            found = deployment.rows(query)
            return found if len(found) == len(event_ids) else None

        found = eventually("every change accepted has its outcome", all_there)
        assert {count for _, _, count in found} == {1}
        place = {event_id: sequence for event_id, sequence, _ in found}
        for one in {customer_id for _, customer_id in self.accepted}:
            sent = [place[event_id] for event_id, customer_id in self.accepted if customer_id == one]
            assert sent == sorted(sent)

    def _run(self) -> None:
        customers = [customer(Name=f"streamed-{number}.example") for number in range(10)]
        number = 0
        while not self._ends.wait(self._pause):
            try:
                answer = self._wire.post(customers[number % 10] | {"SKU1": number // 10 % 2 == 0})
            except httpx.TransportError:  # nobody listens any more
                return
            self.statuses[answer.status_code] += 1
            if answer.status_code == 202:
                (change,) = answer.json()["changes"]
                self.accepted.append((change["event_id"], change["customer_id"]))
                self.queued[change["queued_in"]] += 1
            number += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._wire.close()


def outcomes(wire: Wire, event_ids: Sequence[str], seconds: float) -> Counter[str]:
    """Wait until every change has its outcome, and count them; each must have exactly one delivery."""
    end = time.monotonic() + seconds
    changes = [wire.settled(event_id, max(0.5, end - time.monotonic())) for event_id in event_ids]
    assert not [change for change in changes if len(change["deliveries"]) != 1]
    return Counter(change["outcome"] for change in changes)


def all_partitions_move(wire: Wire, seconds: float) -> None:
    """Hold that changes of 120 new customers, which leave none of twelve partitions out, are applied in time."""
    event_ids = wire.accepted([customer() for _ in range(120)])
    assert outcomes(wire, event_ids, seconds) == {"applied": 120}


def applied_by(health: str) -> float:
    """How many deliveries one worker has ended, by its own metrics."""
    lines = httpx.get(f"{health}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("licet_deliveries_total{"))
