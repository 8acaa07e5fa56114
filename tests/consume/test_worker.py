"""The worker's loop: what it does when the log, the store or another worker stands in its way."""

import datetime as dt
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from licet.consume.apply import Applier
from licet.consume.worker import Watch, Worker
from licet.observe.metrics import Metrics
from licet.queue.message import Record
from licet.queue.ports import LogGap, LogUnavailable
from licet.store.ports import StoreUnavailable
from support.world import Log, Road, fresh, rows, states

SIGNED = {"SignedTos": True, "SKU1": True}


class ListReader:
    """A log in memory that gives the partitions as they are and fails when it is told to."""

    def __init__(self, log: Log, applier: Applier, *partitions: int) -> None:
        self.name = log.name
        self.assigned = frozenset(partitions)
        self.records: list[Record] = []
        self.faults: list[Exception] = []
        self.first = 0
        self.applier = applier
        self.next: dict[int, int | None] = {}
        self.stale = True
        self.refreshed = 0
        self.committed: dict[int, int] = {}
        self.closed = False

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        if self.faults:
            raise self.faults.pop(0)
        if self.stale:
            known = self.applier.assign(self.name, self.assigned)
            self.next = {partition: known.get(partition, self.first) for partition in sorted(self.assigned)}
            self.stale = False
        for partition, at in self.next.items():
            if at is not None and at < self.first:
                raise LogGap(partition, at, self.first, len(self.records))
        found = [one for one in self.records if self._follows(one)]
        if not found:
            time.sleep(min(timeout, 0.005))
        for record in found[:limit]:
            self.next[record.partition] = record.offset + 1
        return found[:limit]

    def _follows(self, record: Record) -> bool:
        at = self.next.get(record.partition)
        return at is not None and record.offset >= at

    def refresh(self) -> None:
        self.refreshed += 1
        self.stale = True

    def commit(self, offsets: Mapping[int, int]) -> None:
        self.committed.update(offsets)

    def lag(self) -> Mapping[int, int]:
        return {
            partition: sum(one.partition == partition and one.offset >= offset for one in self.records)
            for partition, offset in self.next.items()
            if offset is not None
        }

    def close(self) -> None:
        self.closed = True


class Works:
    """A worker in a thread, on the real store."""

    def __init__(self, url: str, log: Log, *partitions: int, batch: int = 10) -> None:
        self.metrics = Metrics()
        self.road = Road(url, log.name)
        watch = Watch(self.metrics, [self.road.batches.append])
        self.road.applier = Applier(self.road.projection, watch.committed, new_id=self._new_id)
        self.reader = ListReader(log, self.road.applier, *(partitions or (0,)))
        self.worker = Worker(self.reader, self.road.applier, self.metrics, batch)
        self.in_the_fold: list[Callable[[], None]] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.worker.run, args=(self.stop,))

    def _new_id(self) -> uuid.UUID:
        if self.in_the_fold:
            self.in_the_fold.pop()()
        return uuid.uuid4()

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that the worker must bring about."""
        deadline = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < deadline, "in vain"
            time.sleep(0.005)

    def until_applied(self, count: int) -> None:
        self.until(lambda: sum(len(batch.deliveries) for batch in self.road.batches) >= count)


@contextmanager
def working(works: Works) -> Iterator[Works]:
    works.thread.start()
    try:
        yield works
    finally:
        works.stop.set()
        works.thread.join(10)
        works.road.close()
    assert not works.thread.is_alive()
    assert works.reader.closed


def ledger(url: str, log: Log) -> list[tuple[int, int]]:
    found = rows(url, 'SELECT partition, "offset" FROM delivery WHERE log = %(log)s ORDER BY 1, 2', log=log.name)
    return [(row["partition"], row["offset"]) for row in found]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.licet_event for record in caplog.records if hasattr(record, "licet_event")]


def test_what_stands_in_the_log_is_applied_and_the_log_is_told(shared_database: str, log: Log) -> None:
    works = Works(shared_database, log, batch=2)
    customer = fresh("acme")
    works.reader.records = [log.change({"Id": customer, **SIGNED, "Extra": number}) for number in range(5)]
    assert works.worker.waiting_for() == "its first look at the log"
    with working(works):
        works.until(lambda: works.reader.committed == {0: 5})
        works.until(lambda: works.worker.waiting_for() is None)
    assert [len(batch.deliveries) for batch in works.road.batches] == [2, 2, 1]
    assert states(shared_database, customer) == {"SKU1": "active"}


def test_a_log_that_is_away_is_waited_for_and_found_again(
    shared_database: str, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    works = Works(shared_database, log)
    works.reader.faults = [LogUnavailable("no broker answers")] * 3
    works.reader.records = [log.change({"Id": fresh("acme")})]
    began = time.monotonic()
    with caplog.at_level(logging.INFO, "licet"), working(works):
        works.until(lambda: works.worker.waiting_for() == "LogUnavailable: no broker answers")
        works.until_applied(1)
        works.until(lambda: works.worker.waiting_for() is None)
    assert 0.35 <= time.monotonic() - began < 5  # 0.1 + 0.2 + 0.4 s, of each at least half
    assert [event for event in events(caplog) if event.startswith("worker")] == ["worker_failed", "worker_recovered"]
    assert works.metrics.registry.get_sample_value("licet_batches_failed_total") == 3


def test_a_store_that_is_away_for_a_moment_costs_no_record(shared_database: str, log: Log) -> None:
    works = Works(shared_database, log)
    works.reader.records = [log.change({"Id": fresh("acme"), **SIGNED}) for _ in range(3)]

    def away() -> None:
        raise StoreUnavailable("the store is gone")

    works.in_the_fold = [away, away]
    with working(works):
        works.until_applied(3)
    assert ledger(shared_database, log) == [(0, 0), (0, 1), (0, 2)]
    assert works.reader.refreshed == 2


def test_a_mistake_of_ours_is_told_with_its_traceback_and_the_loop_goes_on(
    shared_database: str, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    works = Works(shared_database, log)
    works.reader.faults = [ZeroDivisionError("a mistake of ours")]
    works.reader.records = [log.change({"Id": fresh("acme")})]
    with caplog.at_level(logging.INFO, "licet"), working(works):
        works.until_applied(1)
    (told,) = [record for record in caplog.records if getattr(record, "licet_event", "") == "worker_failed"]
    assert told.exc_info is not None
    assert told.exc_info[0] is ZeroDivisionError


def test_a_fenced_worker_reads_on_from_where_the_store_stands(shared_database: str, log: Log) -> None:
    works = Works(shared_database, log, 0, 1)
    records = [log.change({"Id": fresh("acme"), **SIGNED}, partition=number % 2) for number in range(6)]
    other = Road(shared_database, log.name)
    other.apply(records[0], records[2])
    other.close()
    works.reader.records = records
    with working(works):
        works.until_applied(4)
    assert ledger(shared_database, log) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert works.reader.next == {0: 3, 1: 3}
    assert works.metrics.registry.get_sample_value("licet_batches_failed_total") == 0


def test_a_store_that_goes_away_while_a_worker_is_fenced_costs_no_record(shared_database: str, log: Log) -> None:
    """The partition that was not fenced must be read again too, though the store could not say where it stands."""
    works = Works(shared_database, log, 0, 1)
    records = [log.change({"Id": fresh("acme"), **SIGNED}, partition=number % 2) for number in range(4)]
    other = Road(shared_database, log.name)
    other.apply(records[0])
    other.close()
    assign, faults = works.road.applier.assign, [StoreUnavailable("the store is gone")]

    def assign_in_the_end(name: str, partitions: Collection[int]) -> Mapping[int, int | None]:
        if works.reader.refreshed and faults:
            raise faults.pop()
        return assign(name, partitions)

    works.road.applier.assign = assign_in_the_end  # type: ignore[assignment, method-assign]
    works.reader.records = records[:2]
    with working(works):
        works.until_applied(1)
        works.reader.records = records
        works.until_applied(3)
    assert ledger(shared_database, log) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_batch_begun_is_finished_before_the_worker_stops(shared_database: str, log: Log) -> None:
    works = Works(shared_database, log)
    works.reader.records = [log.change({"Id": fresh("acme"), **SIGNED}) for _ in range(3)]
    works.in_the_fold = [works.stop.set]
    with working(works):
        works.thread.join(10)
    assert ledger(shared_database, log) == [(0, 0), (0, 1), (0, 2)]
    assert works.reader.committed == {0: 3}


def test_a_worker_without_a_partition_says_so(shared_database: str, log: Log) -> None:
    works = Works(shared_database, log)
    works.reader.assigned = frozenset()
    with working(works):
        works.until(lambda: works.worker.waiting_for() == "a partition; other workers hold them all")


def test_metrics_and_log_lines_tell_how_deliveries_ended(
    shared_database: str, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    works = Works(shared_database, log)
    customer, now = fresh("acme"), dt.datetime.now(dt.UTC)
    one = log.change({"Id": customer}, event_id="one", received=now)
    again = log.change({"Id": customer}, event_id="one", received=now)
    works.reader.records = [one, again, log.raw(b"acme", b"{", one.headers)]
    with caplog.at_level(logging.INFO, "licet"), working(works):
        works.until_applied(3)
        works.until(lambda: works.reader.committed == {0: 3})
    value = works.metrics.registry.get_sample_value
    for outcome, rule in (("applied", "applied"), ("ignored", "duplicate"), ("dead", "unreadable")):
        assert value("licet_deliveries_total", {"outcome": outcome, "rule": rule}) == 1
    assert value("licet_batch_size_sum") == 3
    assert value("licet_revision") == works.road.batches[-1].revision
    assert 0 <= (value("licet_lag_seconds") or 0) < 60
    (told,) = [record for record in caplog.records if getattr(record, "licet_event", "") == "dead_letter"]
    assert told.licet_fields["place"] == f"{log.name}/0/2"  # type: ignore[attr-defined]


def behind_s(url: str, log: Log) -> list[float]:
    """How many seconds ago each partition was caught up, as the store has it."""
    found = rows(
        url,
        "SELECT extract(epoch FROM clock_timestamp() - caught_up_at)::float8 AS ago FROM consumer_progress"
        " WHERE log = %(log)s ORDER BY partition",
        log=log.name,
    )
    return [row["ago"] for row in found]


def test_a_worker_says_how_far_it_is_and_one_that_is_stuck_falls_behind(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("licet.consume.worker.TELL_S", 0.01)
    log = Log()
    works = Works(database, log, 0, 1)
    with working(works):
        works.until(lambda: len(behind_s(database, log)) == 2 and max(behind_s(database, log)) < 1)
        works.reader.faults = [LogUnavailable("no broker answers")] * 30
        works.until(lambda: min(behind_s(database, log)) > 0.3)
        works.reader.faults.clear()
        works.until(lambda: max(behind_s(database, log)) < 0.2)


def test_a_partition_with_more_to_come_is_as_far_as_its_last_record(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    works = Works(database, log, 0, 1)
    monkeypatch.setattr(works.reader, "lag", lambda: {0: 5, 1: 7})
    works.reader.records.append(log.change({"Id": "acme", **SIGNED}))
    with working(works):
        works.until(lambda: len(behind_s(database, log)) == 1)
    took = (dt.datetime.now(dt.UTC) - works.reader.records[0].appended_at).total_seconds()  # type: ignore[operator]
    assert behind_s(database, log)[0] == pytest.approx(took, abs=5)
