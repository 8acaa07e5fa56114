"""The clock: what time changes is in the feed once, soon, and only where it was time that changed it."""

import datetime as dt
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consume.test_stops import Survey
from licet.consume.clock import LOOK_S, Clock
from licet.consume.verify import verify
from licet.observe.metrics import Metrics
from licet.store.clock import CHUNK, HANDS, PostgresClock
from licet.store.verification import open_books
from support.properties import quick
from support.termed import GRACED, TERMED, end_override, licensed, now, put_override, shift, time_events
from support.world import Log, Road, apply_catalog, fresh, reader, rows

HOUR = dt.timedelta(hours=1)
DAY = 24 * HOUR


@pytest.fixture
def clock(road: Road, database: str) -> Iterator[Clock]:
    apply_catalog(database, TERMED)
    boundaries = PostgresClock(database)
    yield Clock(boundaries, Metrics())
    boundaries.close()


def settle(clock: Clock) -> None:
    """Let the clock write all that is due."""
    for _ in range(100):
        if clock.step() > 0:
            return
    raise AssertionError("the clock does not come to an end")


def touched(url: str) -> list[tuple[int, str]]:
    found = rows(url, "SELECT revision, subject FROM change_feed WHERE kind = 'customer' ORDER BY revision, subject")
    return [(row["revision"], row["subject"]) for row in found]


def test_a_start_and_an_end_that_passed_in_a_downtime_are_told_once(
    road: Road, log: Log, database: str, clock: Clock
) -> None:
    starts, ends = now() - HOUR, now() - HOUR / 2
    road.apply(log.change(licensed("acme", starts=starts, ends=ends)))
    shift(database, 2)
    before = touched(database)
    settle(clock)
    settle(clock)
    assert time_events(database) == [("acme", "start", starts), ("acme", "end", ends)]
    told = touched(database)[len(before) :]
    assert [subject for _, subject in told] == ["acme", "acme"]
    linked = rows(database, "SELECT DISTINCT revision, customer_id FROM time_event ORDER BY revision")
    assert [(row["revision"], row["customer_id"]) for row in linked] == told


def test_a_boundary_to_come_is_waited_for_and_told_within_a_second(
    road: Road, log: Log, database: str, clock: Clock
) -> None:
    ends = now() + dt.timedelta(seconds=0.4)
    road.apply(log.change(licensed("acme", ends=ends)))
    assert time_events(database) == []
    stop = threading.Event()
    while not time_events(database):
        wait_s = clock.step()
        assert wait_s <= LOOK_S
        stop.wait(wait_s)
    told = rows(database, "SELECT r.recorded_at FROM time_event JOIN revision_log r USING (revision)")
    assert dt.timedelta() <= told[0]["recorded_at"] - ends < dt.timedelta(seconds=1)


def test_what_was_moved_before_the_clock_came_is_not_told(road: Road, log: Log, database: str, clock: Clock) -> None:
    road.apply(log.change(licensed("acme", ends=now() - HOUR)))
    shift(database, 2)
    road.apply(log.change(licensed("acme", ends=now() + HOUR)))
    settle(clock)
    assert time_events(database) == []


def test_a_change_that_tells_of_a_moment_gone_by_is_its_own_cause(
    road: Road, log: Log, database: str, clock: Clock
) -> None:
    shift(database, 2)  # the clock last looked two hours ago
    road.apply(log.change(licensed("acme", starts=now() - 3 * HOUR, ends=now() - HOUR)))
    settle(clock)
    assert time_events(database) == []


@pytest.mark.parametrize("fields", [{"SignedTos": False}, {"SKU1": False}, {"IsDeleted": True}])
def test_what_gave_no_access_does_not_end_by_time(
    road: Road, log: Log, database: str, clock: Clock, fields: dict[str, bool]
) -> None:
    road.apply(log.change(licensed("acme", ends=now() - HOUR)))
    road.apply(log.change({"Id": "acme", **fields}))
    shift(database, 2)
    settle(clock)
    assert time_events(database) == []


@pytest.mark.parametrize(
    "said", [{"kind": "trial"}, {"kind": "brake"}, {"sku": None, "feature": "x", "effect": "block"}]
)
def test_an_override_starts_and_ends_by_time_once_each(
    road: Road, log: Log, database: str, clock: Clock, said: dict[str, Any]
) -> None:
    road.apply(log.change({"Id": "acme"}))
    starts, ends = now() - HOUR, now() - HOUR / 2
    one = put_override(database, "acme", starts, ends, **said)
    shift(database, 2)
    before = touched(database)
    settle(clock)
    settle(clock)
    assert time_events(database) == [("acme", "start", starts), ("acme", "end", ends)]
    assert [subject for _, subject in touched(database)[len(before) :]] == ["acme", "acme"]
    kinds = rows(database, "SELECT DISTINCT kind, id FROM time_event")
    assert [(row["kind"], row["id"]) for row in kinds] == [("override", one.override_id)]


def test_an_override_to_come_is_waited_for(road: Road, log: Log, database: str, clock: Clock) -> None:
    road.apply(log.change({"Id": "acme"}))
    ends = now() + dt.timedelta(seconds=0.4)
    put_override(database, "acme", now() - HOUR, ends)
    stop = threading.Event()
    while not time_events(database):
        stop.wait(clock.step())
    assert time_events(database) == [("acme", "end", ends)], "it began when it was made: that was no work of time"
    (told,) = rows(database, "SELECT r.recorded_at FROM time_event JOIN revision_log r USING (revision)")
    assert dt.timedelta() <= told["recorded_at"] - ends < dt.timedelta(seconds=1)


def test_an_override_ended_or_replaced_before_its_boundary_has_none(
    road: Road, log: Log, database: str, clock: Clock
) -> None:
    road.apply(log.change({"Id": "acme"}), log.change({"Id": "umbrella"}))
    begin = now()
    ended, longer, moved = (put_override(database, "acme", begin, begin + 2 * HOUR) for _ in range(3))
    shift(database, 1)
    end_override(database, ended)
    put_override(database, "acme", longer.starts_at, begin + 5 * HOUR, longer)
    put_override(database, "umbrella", moved.starts_at, begin + 2 * HOUR, moved)
    shift(database, 3)  # as if all of it were four, and three, hours ago
    with reader(database) as connection:
        connection.execute("ALTER TABLE override DISABLE TRIGGER override_only_closes")
        connection.execute(
            "UPDATE override SET starts_at = starts_at - interval '4 h', ends_at = ends_at - interval '4 h'"
        )
    settle(clock)
    assert time_events(database) == [("umbrella", "end", begin - 2 * HOUR)]


@pytest.fixture
def graced(database: str, clock: Clock) -> Clock:
    """The clock under a catalog with a grace of a day, which was there long ago."""
    apply_catalog(database, GRACED)
    with reader(database) as connection:
        connection.execute(
            "UPDATE catalog_version SET valid = tstzrange(lower(valid) - interval '9 d', upper(valid) - interval '9 d')"
        )
    return clock


def test_a_grace_ends_by_time_after_an_end_by_date_and_by_flag(
    road: Road, log: Log, database: str, graced: Clock
) -> None:
    dated, flagged = now() - DAY - HOUR, now() - DAY - HOUR / 2
    road.apply(log.change(licensed("dated", ends=dated)), log.change(licensed("open", "SKU2", ends=dated)))
    road.apply(log.change(licensed("flagged"), received=flagged - DAY))
    road.apply(log.change({"Id": "flagged", "SKU1": False}, received=flagged))
    shift(database, 26)
    settle(graced)
    settle(graced)
    graces = rows(database, "SELECT customer_id, boundary, at FROM time_event WHERE kind = 'grace' ORDER BY at")
    assert [tuple(row.values()) for row in graces] == [("dated", "end", dated + DAY), ("flagged", "end", flagged + DAY)]
    ends = rows(database, "SELECT customer_id FROM time_event WHERE kind = 'license' ORDER BY 1")
    assert [row["customer_id"] for row in ends] == ["dated", "open"], "its start is the license's end"


@pytest.mark.parametrize(
    "change",
    [
        {"IsDeleted": True},
        {"SignedTos": False},
        {"SKU1Until": "2999-01-01T00:00:00Z"},
        {"SKU1From": "2999-01-01T00:00:00Z"},
    ],
)
def test_what_ended_no_grace_by_time_is_not_told(
    road: Road, log: Log, database: str, graced: Clock, change: dict[str, object]
) -> None:
    road.apply(log.change(licensed("acme", ends=now() - DAY - HOUR)))
    shift(database, 26)
    road.apply(log.change({"Id": "acme", **change}))
    settle(graced)
    assert rows(database, "SELECT FROM time_event WHERE kind = 'grace'") == []


def test_a_catalog_that_shortens_a_grace_is_its_own_cause_and_one_that_lengthens_it_puts_its_end_off(
    road: Road, log: Log, database: str, graced: Clock
) -> None:
    ended = now() - 3 * DAY
    road.apply(log.change(licensed("acme", ends=ended)))
    shift(database, 73)
    longer = GRACED.replace("grace_days = 1", "grace_days = 30")
    apply_catalog(database, longer)
    settle(
        graced
    )  # the day of the shorter one passed under the shorter one: that the longer one opens it again is its doing
    assert rows(database, "SELECT FROM time_event WHERE kind = 'grace'") == []
    apply_catalog(database, GRACED.replace("grace_days = 1", "grace_days = 2"))
    settle(graced)
    assert rows(database, "SELECT FROM time_event WHERE kind = 'grace'") == []


def test_many_ends_of_one_moment_are_told_by_two_clocks_at_once_and_each_once(
    road: Road, log: Log, database: str, clock: Clock
) -> None:
    ends, count = now() - HOUR, CHUNK + 200
    road.apply(*[log.change(licensed(f"c{number:04}", ends=ends)) for number in range(count)])
    shift(database, 2)
    other = PostgresClock(database)
    both = [threading.Thread(target=settle, args=(one,)) for one in (clock, Clock(other, Metrics()))]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    other.close()
    assert time_events(database) == [(f"c{number:04}", "end", ends) for number in range(count)]
    revisions = rows(database, "SELECT revision, count(*) AS many FROM time_event GROUP BY revision ORDER BY revision")
    assert [row["many"] for row in revisions] == [CHUNK, 200]


def test_the_next_boundary_is_found_by_index_and_verify_takes_no_offence(
    road: Road, log: Log, database: str, clock: Clock
) -> None:
    changes = [log.change(licensed(f"c{number}", ends=now() - HOUR)) for number in range(20)]
    road.apply(*changes)
    shift(database, 2)
    settle(clock)
    boundaries = PostgresClock(database)
    with boundaries._lent() as connection:
        hands = [(kind, boundary, f"{kind}_{boundary}s on {kind}") for kind, boundary in HANDS if kind != "grace"]
        for kind, boundary, index in [*hands, ("grace", "end", "license_graces on license l")]:
            for query in (f"next_{kind}_{boundary}", f"due_{kind}_{boundary}"):
                asked = b"EXPLAIN " + boundaries._sql[query]
                limit = {"limit": CHUNK} if "due" in query else None
                plan = "\n".join(row[0] for row in connection.execute(asked, limit))
                assert index in plan, plan
                assert re.search(r"Index Cond: .*ROW\(", plan), plan  # it begins where the clock stood
                assert "Sort" not in plan or kind == "grace", plan  # of graces the few SKUs' own are sorted
    boundaries.close()
    with open_books(database) as books:
        report = verify(books, Survey(log.name), lambda _: None)
    assert (report.faults, report.customers) == ([], 20)


# A boundary for each half hour of a day, so that none meets the hour of a change.
HALVES = st.none() | st.integers(0, 7)
STEP = st.tuples(st.sampled_from(["terms", "off", "unsigned", "signed", "other"]), HALVES, HALVES)


@pytest.mark.storm
@settings(quick, max_examples=25)
@given(steps=st.lists(STEP, min_size=1, max_size=8))
def test_any_history_agrees_with_a_naive_model(
    shared_database: str, steps: list[tuple[str, int | None, int | None]]
) -> None:
    """Change by change an hour passes; then the clock comes. It tells what stood at its moment and still stands."""
    if not rows(shared_database, "SELECT FROM catalog_version WHERE version = 2"):
        apply_catalog(shared_database, TERMED)
    customer_id, begin = fresh("c"), now() - dt.timedelta(hours=10)
    log = Log()
    road = Road(shared_database, log.name)
    believed: list[tuple[bool, dt.datetime | None, dt.datetime | None]] = []
    signed, on, terms = True, False, (None, None)
    for number, (what, starts, ends) in enumerate(steps):
        payload: dict[str, object] = {"Id": customer_id, "EventId": fresh("e")}
        match what:
            case "terms":
                on, terms = (
                    True,
                    tuple(  # type: ignore[assignment]
                        begin + HOUR * (half + 0.5) if half is not None else None for half in (starts, ends)
                    ),
                )
                payload |= licensed(customer_id, starts=terms[0], ends=terms[1]) | {"SignedTos": signed}
            case "off":
                on = False
                payload["SKU1"] = False
            case "other":
                payload["SKU2"] = number % 2 == 0
            case _:
                signed = what == "signed"
                payload["SignedTos"] = signed
        road.apply(log.change(payload))
        believed.append((on and signed, *terms))
        with reader(shared_database) as connection:
            connection.execute(
                "UPDATE revision_log SET recorded_at = %(at)s WHERE revision = (SELECT revision FROM revision)",
                {"at": begin + HOUR * number},
            )
    road.close()
    with reader(shared_database) as connection:
        connection.execute("UPDATE clock_position SET at = %(at)s", {"at": begin - HOUR})
    boundaries = PostgresClock(shared_database)
    settle(Clock(boundaries, Metrics()))
    boundaries.close()
    active, *last = believed[-1]
    expected = {
        (boundary, moment)
        for place, (boundary, moment) in enumerate(zip(("start", "end"), last, strict=True))
        if active and moment is not None
        for number, (stood, *then) in enumerate(believed)
        if stood and then[place] == moment and stood_at(number, moment, begin, len(believed))
        if not any_end_between(steps, number)
    }
    found = rows(shared_database, "SELECT boundary, at FROM time_event WHERE customer_id = %(id)s", id=customer_id)
    assert sorted((row["boundary"], row["at"]) for row in found) == sorted(expected)


def stood_at(number: int, moment: dt.datetime, begin: dt.datetime, count: int) -> bool:
    """Tell whether the state after a change was the one at a moment: up to the next change's hour, or for good."""
    return begin + HOUR * number < moment and (number == count - 1 or moment < begin + HOUR * (number + 1))


def any_end_between(steps: list[tuple[str, int | None, int | None]], number: int) -> bool:
    """Tell whether the license of that moment ended since: what came then is another license."""
    return any(what == "off" for what, _, _ in steps[number + 1 :])
