"""A partition that must not go on stops alone, says so, and stays stopped until a person has decided."""

import logging
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from consume.test_worker import SIGNED, Works, events, ledger, working
from licet.domain.errors import Conflict, InvalidInput
from licet.manage.partitions import PartitionDesk
from licet.queue.message import Record
from licet.queue.ports import Extent
from licet.store.partitions import PostgresPartitions
from licet.store.ports import DeadLimit
from support.processes import eventually
from support.world import TESTER, Log, Road, fresh, rows


class Survey:
    """A log in memory, as an operator sees it."""

    def __init__(self, name: str, **extents: Extent) -> None:
        self.name = name
        self.found = {int(partition.removeprefix("p")): extent for partition, extent in extents.items()}

    def extents(self) -> tuple[str, dict[int, Extent]]:
        return self.name, self.found

    def count(self, partition: int, start: int, stop: int) -> int:
        raise AssertionError((partition, start, stop))


def desk(url: str, log: str, **extents: Extent) -> PartitionDesk:
    return PartitionDesk(PostgresPartitions(url), Survey(log, **extents))


def stops(url: str) -> list[tuple[int, str, int | None]]:
    return [(stop.partition, stop.reason, stop.next_offset) for stop in PostgresPartitions(url).stops()]


def good(log: Log, partition: int, count: int) -> list[Record]:
    return [log.change({"Id": fresh("acme"), **SIGNED}, partition=partition) for _ in range(count)]


def poison(log: Log, partition: int, count: int) -> list[Record]:
    return [log.raw(b"a", b"{", Log().change({"Id": "a"}).headers, partition) for _ in range(count)]


def test_a_gap_stops_its_partition_over_restarts_and_the_others_go_on_until_a_person_accepts(
    database: str, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    first = Road(database, log.name)
    lost = good(log, 0, 6)
    first.apply(*lost[:2])
    first.close()
    others = good(log, 1, 3)
    works = Works(database, log, 0, 1)
    works.reader.first, works.reader.records = 4, [*lost, *others]
    with caplog.at_level(logging.INFO, "licet"), working(works):
        works.until(lambda: set(works.worker.stopped()) == {0})
        works.until(lambda: works.worker.waiting_for() is None)
        assert works.metrics.registry.get_sample_value("licet_partitions_stopped") == 1
    assert stops(database) == [(0, "below_start", 2)]
    assert "partition_stopped" in events(caplog)
    assert ledger(database, log) == [(0, 0), (0, 1)]

    works = Works(database, log, 0, 1)  # another worker finds it stopped
    works.reader.first, works.reader.records = 4, [*lost, *others]
    with caplog.at_level(logging.INFO, "licet"), working(works):
        works.until(lambda: set(works.worker.stopped()) == {0})
        [(stop, at)] = desk(database, log.name, p0=Extent(4, 6)).accept(0, None, TESTER)
        assert (stop.next_offset, at) == (2, 4)
        works.until_applied(2)
        works.until(lambda: works.worker.stopped() == {})
    assert "partition_resumed" in events(caplog)
    assert ledger(database, log) == [(0, 0), (0, 1), (0, 4), (0, 5)]
    (kept,) = rows(database, "SELECT * FROM partition_decision")
    assert (kept["author"], kept["action"], kept["from_offset"], kept["next_offset"]) == ("a test", "accept", 2, 4)
    assert kept["reason"] == "below_start"
    assert "the next offset is 2" in kept["detail"]


def test_a_worker_whose_partitions_are_all_stopped_is_not_ready(database: str, log: Log) -> None:
    road = Road(database, log.name)
    road.applier.assign(log.name, [0])
    road.applier.stop(0, "refused", "a test")
    road.close()
    works = Works(database, log)
    with working(works):
        works.until(lambda: "licet partition show" in (works.worker.waiting_for() or ""))


def test_a_partition_that_stops_under_another_worker_costs_this_one_nothing(database: str, log: Log) -> None:
    works = Works(database, log, 0, 1)
    works.road.applier.assign(log.name, [5])
    works.road.applier.stop(5, "refused", "a test")  # held once, and not any more
    works.reader.records = [*good(log, 0, 25), *good(log, 1, 25)]
    with working(works):
        works.until_applied(50)
    assert works.reader.refreshed == 0


def test_what_still_holds_stops_a_resumed_partition_again(database: str, log: Log) -> None:
    road = Road(database, log.name)
    records = good(log, 0, 3)
    road.apply(records[0])
    road.close()
    works = Works(database, log)
    works.reader.first = 2
    works.reader.records = records
    with working(works):
        works.until(lambda: stops(database) == [(0, "below_start", 1)])
        desk(database, log.name).resume(None, TESTER)
        works.until(lambda: stops(database) == [(0, "below_start", 1)])
    assert [row["action"] for row in rows(database, "SELECT action FROM partition_decision")] == ["resume"]
    assert ledger(database, log) == [(0, 0)]


def test_a_log_made_anew_does_not_start_at_its_start_where_an_older_one_of_its_name_stood(database: str) -> None:
    old, new, other = (Log(name) for name in ("kafka:t@one", "kafka:t@two", "kafka:u@one"))
    road = Road(database, old.name)
    road.apply(*good(old, 0, 3))
    assert road.applier.assign(other.name, [0, 1]) == {}
    assert road.applier.assign(new.name, [0, 1]) == {0: None, 1: None}
    assert stops(database) == [(0, "recreated", None), (1, "recreated", None)]
    assert road.apply(*good(new, 0, 1)) == []
    found = desk(database, new.name, p0=Extent(0, 1), p1=Extent(0, 0))
    found.resume(0, TESTER)  # is no decision on where to go on
    assert road.applier.assign(new.name, [0]) == {0: None}
    assert [at for _, at in found.accept(None, None, TESTER)] == [0, 0]
    assert road.applier.assign(new.name, [0, 1]) == {0: 0, 1: 0}
    assert road.apply(*good(Log(new.name), 0, 2)) == ["applied", "applied"]
    road.close()


def test_a_worker_that_looks_while_a_person_accepts_does_not_stop_the_partition_again(database: str) -> None:
    """The decision is held between the stop that it lifts and the offset that it writes; then the worker looks."""
    old, new = Log("kafka:t@one"), Log("kafka:t@two")
    road = Road(database, old.name)
    road.apply(*good(old, 0, 1))
    assert road.applier.assign(new.name, [0]) == {0: None}
    found = desk(database, new.name, p0=Extent(0, 1))

    def waiting() -> int:
        where = "datname = current_database() AND wait_event_type = 'Lock'"
        return len(rows(database, f"SELECT pid FROM pg_stat_activity WHERE {where}"))

    with ThreadPoolExecutor(2) as pool, psycopg.connect(database) as holder:
        holder.execute("LOCK TABLE partition_decision IN EXCLUSIVE MODE")
        accepted = pool.submit(found.accept, None, None, TESTER)
        eventually("the decision is held", lambda: waiting() == 1 or None)
        looked = pool.submit(road.applier.assign, new.name, [0, 1])
        eventually("the worker waits for it", lambda: waiting() == 2 or None)
        holder.rollback()
        assert [at for _, at in accepted.result()] == [0]
        assert looked.result() == {0: 0, 1: None}
    assert stops(database) == [(1, "recreated", None)]
    road.close()


def test_a_stop_of_a_log_that_is_gone_is_lifted_with_the_others(database: str) -> None:
    old, new = Log("kafka:t@one"), Log("kafka:t@two")
    road = Road(database, old.name)
    road.apply(*good(old, 0, 1))
    road.applier.stop(0, "beyond_end", "a test")
    assert road.applier.assign(new.name, [0]) == {0: None}
    accepted = desk(database, new.name, p0=Extent(0, 1)).accept(None, None, TESTER)
    assert [(stop.log, at) for stop, at in accepted] == [(old.name, None), (new.name, 0)]
    assert road.applier.assign(new.name, [0]) == {0: 0}
    assert stops(database) == []
    road.close()


def test_offsets_that_a_restored_log_gives_again_are_another_logs_in_the_ledger(database: str, log: Log) -> None:
    """A broker that lost its tail: 0 and 1 are the same records, 2 is another one."""
    road = Road(database, log.name)
    before = good(log, 0, 5)
    road.apply(*before)
    road.applier.stop(0, "beyond_end", "a test")
    desk(database, log.name, p0=Extent(0, 3)).accept(0, None, TESTER)
    road.applier.assign(log.name, [0])
    restored = Log(log.name)
    again = [restored.place(before[0]), restored.place(before[1]), *good(restored, 0, 1)]
    assert road.apply(*again) == ["ignored(duplicate)", "ignored(duplicate)", "applied"]
    counted = rows(database, "SELECT log, count(*) AS n FROM delivery GROUP BY log ORDER BY log")
    assert [row["n"] for row in counted] == [3, 5]
    assert counted[1]["log"].startswith(f"{log.name}~")
    assert road.applier.assign(log.name, [1]) == {}, "a partition without an offset is not made anew by that"
    road.close()


def test_an_offset_that_the_log_does_not_have_is_not_accepted(database: str, log: Log) -> None:
    road = Road(database, log.name)
    road.applier.assign(log.name, [0, 1])
    road.applier.stop(0, "beyond_end", "a test")
    road.close()
    with pytest.raises(InvalidInput, match="4 to 6"):
        desk(database, log.name, p0=Extent(4, 6)).accept(0, 7, TESTER)
    with pytest.raises(Conflict):
        desk(database, "another", p0=Extent(4, 6)).accept(0, 5, TESTER)
    with pytest.raises(Conflict, match="partition 1 is not stopped"):
        desk(database, log.name, p1=Extent(4, 6)).resume(1, TESTER)
    assert stops(database) == [(0, "beyond_end", None)]


def test_too_many_dead_letters_stop_their_partition_and_not_the_topic(database: str, log: Log) -> None:
    road = Road(database, log.name, limit=DeadLimit(count=3, share=50, window=6))
    outcomes = road.apply(*good(log, 0, 4), *poison(log, 0, 2), *good(log, 1, 1))
    assert outcomes.count("dead(unreadable)") == 2
    assert road.applier.stopped == {}
    assert road.apply(*poison(log, 0, 1)) == ["dead(unreadable)"]
    assert road.applier.stopped == {0: "dead_limit: 3 of the last 6 deliveries are dead letters"}
    rest = [*poison(log, 0, 1), *good(log, 1, 1)]
    assert road.apply(*rest) == ["applied"]
    assert stops(database) == [(0, "dead_limit", 7)]

    desk(database, log.name).resume(0, TESTER)
    road.applier.assign(log.name, [0])
    assert road.apply(rest[0]) == ["dead(unreadable)"], "what was counted before the decision counts no more"
    assert road.applier.stopped == {}
    road.close()


def test_few_dead_letters_among_many_good_changes_stop_nothing(database: str, log: Log) -> None:
    road = Road(database, log.name, limit=DeadLimit(count=3, share=50, window=100))
    road.apply(*good(log, 0, 10), *poison(log, 0, 8))
    assert road.applier.stopped == {}
    road.close()


def test_what_cannot_even_be_kept_as_dead_stops_its_partition_and_is_not_tried_for_ever(
    database: str, log: Log
) -> None:
    """The ledger has that place already: somebody deleted the row of consumer_offset."""
    road = Road(database, log.name)
    twice = good(log, 0, 2)
    road.apply(*twice)
    rows(database, "DELETE FROM consumer_offset RETURNING 1")
    road.applier.assign(log.name, [0])
    assert road.apply(*twice, *good(log, 1, 2)) == ["applied", "applied"]
    assert road.applier.stopped[0].startswith("refused: ")
    assert stops(database) == [(0, "refused", None)]
    road.close()
