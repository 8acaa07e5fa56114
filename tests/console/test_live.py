"""What is wrong is said first and in words; and the store is read for all who watch together."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from licet.console.app import templates
from licet.console.desks import Desks
from licet.console.findings import Level, ago, answers, judge
from licet.console.live import PERIOD_S, VIEWERS, Live
from licet.domain.errors import Unavailable
from licet.store.standing import Pulse, Told
from licet.store.values import Page, Reconciliation

WELL = Pulse(letters=0, stopped=0, stopped_why=None, spooling=False, spooled=0, behind_s=0.2, silent_s=0.2)
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
OFF = Reconciliation(1, NOW, "nightly", "accounts.csv", 9, 100, 0, 2, 0, 1, 0, 0, 0)


def told(sequence: int) -> Told:
    return Told(sequence, NOW, f"c{sequence}", True, None, "applied", None, "applied", f"e{sequence}", None)


class Store:
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0
        self.away = False
        self.rows: list[Told] = []

    async def deliveries(self, after: int, limit: int) -> Sequence[Told]:
        self.reads += 1
        if self.away:
            raise Unavailable("the store does not answer")
        return [row for row in self.rows if row.sequence > after][:limit]

    def live(self) -> Live:
        async def none(*_: Any) -> Page:
            return Page([], more=False)

        async def pulse() -> Pulse:
            return WELL

        async def held() -> int:
            return 0

        unused: Any = None
        desks = Desks(
            versions=none,
            audit=unused,
            reconciliations=none,
            brake=unused,
            brake_desk=unused,
            keys=unused,
            pulse=pulse,
            deliveries=self.deliveries,
            held=held,
            age_s=lambda: 0.1,
            stale_after_s=60,
            open_door=False,
        )
        return Live(desks, templates())


@pytest.mark.parametrize(
    ("change", "what", "level", "said"),
    [
        ({"silent_s": None}, "Worker", Level.BAD, "none was ever heard of"),
        ({"silent_s": 125.0}, "Worker", Level.BAD, "2 minutes ago"),
        ({"behind_s": 20.0}, "Lag", Level.WAIT, "20 seconds ago"),
        ({"behind_s": 90.0}, "Lag", Level.BAD, "90 seconds ago"),
        ({"stopped": 2, "stopped_why": "dead_limit: 9 of 10"}, "Partitions", Level.BAD, "2 stopped; dead_limit: 9 of"),
        ({"spooling": True, "spooled": 7}, "Spool", Level.WAIT, "7 changes are in PostgreSQL"),
        ({"letters": 1000}, "Dead letters", Level.WAIT, "1000 or more open"),
        ({}, "Brake", Level.WAIT, "access to 3 licenses"),
        ({}, "Drift", Level.WAIT, "2 missing, 1 different on 01 Mar 2026"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(change: dict[str, Any], what: str, level: Level, said: str) -> None:
    pulse = msgspec.structs.replace(WELL, **change)
    found = list(judge(pulse, 3 if what == "Brake" else 0, OFF if what == "Drift" else None))
    [wrong] = [one for one in found if one.level is not Level.GOOD]
    assert (wrong.what, wrong.level) == (what, level)
    assert said in wrong.found
    assert wrong.todo


def test_all_is_well_where_all_is_well_and_nothing_was_ever_compared() -> None:
    assert {one.level for one in judge(WELL, 0, None)} == {Level.GOOD}
    levels = [answers(age, 60).level for age in (0.5, 5, 59, 60, float("inf"))]
    assert levels == [Level.GOOD, Level.WAIT, Level.WAIT, Level.BAD, Level.BAD]
    assert [ago(seconds) for seconds in (1, 119, 120, 7200, 200_000)] == [
        "just now",
        "119 seconds ago",
        "2 minutes ago",
        "2 hours ago",
        "2 days ago",
    ]


def test_the_store_is_read_for_all_who_watch_together_and_each_is_told_what_it_lacks() -> None:
    store = Store()
    store.rows = [told(2), told(1)]

    async def watch(live: Live, after: int, seen: list[str]) -> None:
        async for event in live.follow(after):
            seen.append(event)

    async def run() -> tuple[int, list[list[str]]]:
        live = store.live()
        seen: list[list[str]] = [[] for _ in range(20)]
        tasks = [asyncio.create_task(watch(live, one % 3, seen[one])) for one in range(20)]
        await asyncio.sleep(PERIOD_S / 2)
        assert live.viewers == 20
        store.rows.insert(0, told(3))
        await asyncio.sleep(2.5 * PERIOD_S)
        live.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert live.viewers == 0
        with pytest.raises(Unavailable, match="is stopping"):
            live.admit()
        return store.reads, seen

    reads, seen = asyncio.run(run())
    assert reads <= 5  # each 0.4 s for some 1.2 s, not twenty times as often
    for one, events in enumerate(seen):
        text = "".join(events)
        assert [text.count(f'data-sequence="{number}"') for number in (1, 2, 3)] == [one % 3 < 1, one % 3 < 2, 1]
        assert text.count("event: state") == 1  # nothing else changed


def test_a_stream_ends_with_the_session_of_who_watches() -> None:
    store, seen = Store(), list[str]()
    store.rows = [told(1)]

    async def run() -> None:
        async for event in store.live().follow(0, lambda: "event: rows" not in "".join(seen)):
            seen.append(event)

    asyncio.run(asyncio.wait_for(run(), 5))
    assert len(seen) == 2  # when to come back, and the one row


def test_no_more_watch_than_may_and_a_store_that_is_away_is_what_is_wrong() -> None:
    store = Store()

    async def run() -> None:
        live = store.live()
        live.viewers = VIEWERS
        with pytest.raises(Unavailable, match="people watch already"):
            live.admit()
        store.rows, store.away = [told(1)], True
        scene = await live.look()
        assert [one.what for one in scene.findings] == ["Store", "Answers"]
        store.away = False
        await asyncio.sleep(PERIOD_S)
        scene = await live.look()
        assert {one.level for one in scene.findings} == {Level.GOOD}
        assert [row.sequence for row in scene.rows] == [1]

    asyncio.run(run())
