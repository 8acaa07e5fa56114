"""The spool's promise over every order of events: two doors, a Kafka that fails each in its own way, a drainer.

The doors' logic is the real one; around it stands the smallest model of what it relies on. A door may know the state
late, but not later than ``settled`` of the door that spooled: that is what the waiting is for.
"""

import asyncio
from collections.abc import Sequence
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from licet.observe.metrics import Metrics
from licet.queue.drain import Drainer
from licet.queue.message import Message, Position, Spooled
from licet.queue.ports import AppendFailed
from licet.queue.spool import SpoolLog
from licet.queue.spool_state import SpoolState
from support.logs import message
from support.properties import quick

Results = Sequence[Position | AppendFailed]


class Deployment:
    """What is true, whoever knows it."""

    def __init__(self) -> None:
        self.open, self.opening = False, 0
        self.kafka: list[str] = []
        self.spool: list[str] = []
        self.doors: list[Known] = []

    def drain(self) -> None:
        if self.open:
            self.kafka += self.spool
            self.spool.clear()
            self.open = False


class Known:
    """The state as one door knows it."""

    def __init__(self, truth: Deployment, *, settles: bool) -> None:
        self.truth = truth
        self.settles = settles
        self.open, self.opening, self.fresh, self.away = False, 0, True, None
        truth.doors.append(self)

    def look(self) -> None:
        self.open, self.opening = self.truth.open, self.truth.opening

    async def read(self, max_age: float) -> None:
        if max_age == 0:
            self.look()

    async def begin(self, _limit: float) -> bool:
        if not self.truth.open:
            self.truth.open, self.truth.opening = True, self.truth.opening + 1
        self.look()
        return True

    async def settled(self) -> None:
        if self.settles and self.truth.open:
            for door in self.truth.doors:
                door.look()


class Kafka:
    """Kafka as one door meets it: ``well``, ``lost``, or ``late`` (written, and the report does not come)."""

    name = "kafka:model"

    def __init__(self, truth: Deployment) -> None:
        self.truth = truth
        self.way = "well"

    async def append(self, messages: Sequence[Message]) -> Results:
        if self.way != "lost":
            self.truth.kafka += [one.event_id for one in messages]
        return [Position(0, 0) if self.way == "well" else AppendFailed("away") for _ in messages]

    async def ready(self) -> str | None:
        return None

    async def close(self) -> None:
        return None


class Spool(Kafka):
    """The queue's tables behind the gate."""

    def __init__(self, truth: Deployment, known: Known) -> None:
        super().__init__(truth)
        self.known = known

    async def append(self, messages: Sequence[Message]) -> Results:
        if not self.truth.open or self.known.opening != self.truth.opening:
            return [AppendFailed("the spool is closed")] * len(messages)
        self.truth.spool += [one.event_id for one in messages]
        return [Position(0, 0)] * len(messages)


EVENTS = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 1), st.integers(1, 3)),
    st.tuples(st.just("kafka"), st.integers(0, 1), st.sampled_from(["well", "lost", "late"])),
    st.tuples(st.just("look"), st.integers(0, 1), st.none()),
    st.tuples(st.just("drain"), st.just(0), st.none()),
)


async def play(events: Sequence[tuple[str, int, int | str | None]], *, settles: bool) -> tuple[list[str], Deployment]:
    """Play the events; returns the changes in the order of their confirmations."""
    truth = Deployment()
    knowns = [Known(truth, settles=settles) for _ in range(2)]
    kafkas = [Kafka(truth) for _ in range(2)]
    logs = [
        SpoolLog(kafka, Spool(truth, known), cast(SpoolState, known), cast(Drainer, None), Metrics())
        for kafka, known in zip(kafkas, knowns, strict=True)
    ]
    confirmed: list[str] = []
    number = 0
    for what, door, how in events:
        if what == "append" and isinstance(how, int):
            sent = [message("one", number + at) for at in range(how)]
            number += how
            for one, result in zip(sent, await logs[door].append(sent), strict=True):
                assert isinstance(result, Spooled) or (isinstance(result, Position) and kafkas[door].way == "well")
                confirmed.append(one.event_id)
        elif what == "kafka":
            kafkas[door].way = str(how)
        elif what == "look":
            knowns[door].look()
        else:
            truth.drain()
    truth.drain()
    return confirmed, truth


@quick
@given(st.lists(EVENTS, max_size=30))
def test_what_is_confirmed_is_kept_once_and_in_order(events: list[tuple[str, int, int | str | None]]) -> None:
    confirmed, truth = asyncio.run(play(events, settles=True))
    assert list(dict.fromkeys(truth.kafka)) == confirmed
    assert truth.spool == []


def test_without_the_waiting_a_change_would_overtake() -> None:
    """The model can see the fault that the waiting is against."""
    events: list[tuple[str, int, int | str | None]] = [("kafka", 0, "lost"), ("append", 0, 1), ("append", 1, 1)]
    confirmed, truth = asyncio.run(play(events, settles=False))
    assert truth.kafka != confirmed
    confirmed, truth = asyncio.run(play(events, settles=True))
    assert truth.kafka == confirmed
