"""A batch is one transaction on PostgreSQL, whatever goes wrong; what every store must do is in test_projection."""

import datetime as dt
import random
import string
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from licet.consume.apply import Applier, Fenced
from licet.queue.message import Record
from licet.store.migrate import default_catalog
from licet.store.ports import StoreUnavailable
from support.world import Log, Road, apply_catalog, fresh, rows, states

SIGNED = {"SignedTos": True, "SKU1": True}
KEPT = (
    "SELECT (SELECT revision FROM revision) AS revision, (SELECT sequence FROM revision) AS sequence,"
    " (SELECT count(*) FROM revision_log) AS log, (SELECT count(*) FROM delivery) AS ledger,"
    " (SELECT count(*) FROM dead_letter) AS dead, (SELECT count(*) FROM customer) AS customers,"
    " (SELECT count(*) FROM license) AS licenses, (SELECT count(*) FROM change_feed) AS feed,"
    " (SELECT json_object_agg(partition, next_offset) FROM consumer_offset) AS offsets"
)


def kept(url: str) -> dict[str, Any]:
    """All that a transaction could leave behind, counted."""
    return rows(url, KEPT)[0]


@contextmanager
def second_road(url: str, log: Log) -> Iterator[Road]:
    road = Road(url, log.name)
    try:
        yield road
    finally:
        road.close()


def terminate_worker(url: str) -> None:
    """Cut the worker off, as a failing network or an operator does."""
    found = rows(
        url,
        "SELECT pg_terminate_backend(pid) AS gone FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'licet worker'",
    )
    assert [row["gone"] for row in found] == [True]


def test_one_fenced_partition_keeps_back_the_whole_batch(database: str, log: Log, road: Road) -> None:
    mine, theirs = log.change({"Id": "acme"}, partition=1), log.change({"Id": "umbrella"}, partition=2)
    with second_road(database, log) as other:
        other.apply(theirs)
    before = kept(database)
    with pytest.raises(Fenced) as fenced:
        road.apply(mine, theirs)
    assert fenced.value.partitions == {2}
    assert kept(database) == before
    road.applier.assign(log.name, [2])
    assert road.apply(mine, theirs) == ["applied"]


def test_a_connection_that_dies_in_the_middle_leaves_nothing_and_the_batch_is_applied_once(
    database: str, log: Log, road: Road
) -> None:
    records = [log.change({"Id": "acme", **SIGNED}), log.change({"Id": "acme", "SKU1": False})]
    cut: list[Callable[[], None]] = [lambda: terminate_worker(database)]

    def new_id() -> uuid.UUID:  # the fold asks for it after the offsets moved and before anything is written
        while cut:
            cut.pop()()
        return uuid.uuid4()

    road.applier = Applier(road.projection, road.batches.append, new_id=new_id)
    road.applier.assign(log.name, [0])
    before = kept(database)
    with pytest.raises(StoreUnavailable):
        road.apply(*records)
    assert kept(database) == before
    assert road.batches == []
    assert road.apply(*records) == ["applied", "applied"]
    assert states(database, "acme") == {"SKU1": "ended"}
    assert kept(database)["offsets"] == {"0": 2}


def test_a_store_that_is_away_is_said_so_and_found_again(database: str, log: Log) -> None:
    nowhere = Road("postgresql://nobody@127.0.0.1:1/nowhere", log.name)
    for attempt in (
        lambda: nowhere.applier.assign(log.name, [0]),
        lambda: nowhere.apply(log.change({"Id": "acme"})),
        lambda: nowhere.projection.transaction(1).__enter__(),
    ):
        with pytest.raises(StoreUnavailable):
            attempt()


def unstorable(log: Log, customer: str) -> Record:
    """A change that reads well and that PostgreSQL cannot index: a name of 9,000 letters without a pattern."""
    dice = random.Random(7)
    return log.change({"Id": customer, "Name": "".join(dice.choices(string.ascii_letters, k=9000))})


@pytest.mark.parametrize("where", range(5))
def test_a_change_that_the_store_refuses_is_dead_alone_and_the_others_are_applied(
    shared_database: str, log: Log, shared_road: Road, where: int
) -> None:
    customer = fresh("acme")
    records = [
        unstorable(log, customer) if place == where else log.change({"Id": customer, "Extra": place})
        for place in range(5)
    ]
    outcomes = shared_road.apply(*records)
    assert outcomes == ["dead(inapplicable)" if place == where else "applied" for place in range(5)]
    (dead,) = rows(
        shared_database,
        "SELECT dead_letter.* FROM dead_letter JOIN delivery USING (sequence)"
        ' WHERE log = %(log)s AND "offset" = %(at)s',
        log=log.name,
        at=where,
    )
    assert (dead["key"], dead["value"]) == (records[where].key, records[where].value)
    assert "ProgramLimitExceeded" in dead["faults"][0]["found"]
    assert shared_road.applier.known() == {0: 5}
    assert shared_road.apply(log.change({"Id": customer, "Extra": "after"})) == ["applied"]


def test_a_batch_is_read_again_where_the_catalog_moved_while_it_was_read(database: str, log: Log, road: Road) -> None:
    """Under the old catalog the field may hold anything; under the new one it is a flag, and a word is none."""
    road.apply(log.change({"Id": "umbrella"}))
    apply_catalog(database, default_catalog().replace('flag = "SKU1"', 'flag = "MAIL__c"'))
    outcomes = road.apply(log.change({"Id": "acme", "MAIL__c": "yes"}), log.change({"Id": "acme", "MAIL__c": True}))
    assert outcomes == ["dead(unreadable)", "applied"]
    assert [row["sequence"] for row in rows(database, "SELECT sequence FROM delivery ORDER BY 1")] == [1, 2, 3]
    assert [row["revision"] for row in rows(database, "SELECT revision FROM revision_log ORDER BY 1")] == [1, 2, 3, 4]


def test_a_deletion_field_that_the_catalog_renames_does_not_bury_later_changes(
    database: str, log: Log, road: Road
) -> None:
    road.apply(log.change({"Id": "acme", **SIGNED, "IsDeleted": True}))
    text = default_catalog().replace("[source]", '[source]\ndeleted = "Gone__c"')
    apply_catalog(database, text)
    later = {"Id": "acme", "Gone__c": True, "SystemModstamp": "2026-03-01T12:00:00Z"}
    assert road.apply(log.change(later)) == ["ignored(tombstoned)"]


def apply_in_the_end(road: Road, record: Record) -> list[str]:
    """Who waits for the lock gives up after the same time, and tries again as a worker does."""
    try:
        return road.apply(record)
    except StoreUnavailable:
        return road.apply(record)


def test_a_writer_that_is_paused_as_it_leaves_a_pipeline_is_thrown_out_by_who_waits(
    database: str, log: Log, road: Road
) -> None:
    """The server's own time-out is off there: psycopg's Flush comes after the answer that set it."""
    with second_road(database, log) as paused:
        held = paused.projection.transaction(1)
        transaction = held.__enter__()
        with transaction._connection.pipeline():
            transaction._run("unfolded", version=1, limit=1)
        began = time.monotonic()
        assert apply_in_the_end(road, log.change({"Id": "acme"})) == ["applied"]
        assert time.monotonic() - began < 5
        with pytest.raises(StoreUnavailable):
            held.__exit__(None, None, None)
    assert kept(database)["ledger"] == 1


def test_a_paused_writer_has_two_seconds(database: str, log: Log, road: Road) -> None:
    began = time.monotonic()
    with second_road(database, log) as paused:
        held = paused.projection.transaction(1)
        held.__enter__()
        assert apply_in_the_end(road, log.change({"Id": "acme"})) == ["applied"]
        with pytest.raises(StoreUnavailable):
            held.__exit__(None, None, None)
    assert 1.5 < time.monotonic() - began < 4.5


def test_revisions_and_sequences_have_no_gap_and_time_never_falls(database: str, log: Log, road: Road) -> None:
    for number in range(5):
        road.apply(*(log.change({"Id": f"c{one}", "Extra": number}) for one in range(number + 1)))
        with pytest.raises(Fenced), second_road(database, log) as zombie:
            zombie.apply(log.change({"Id": "never"}, partition=0))
        log = Log(log.name)  # the zombie's record never was
        for _ in range(sum(range(number + 2))):
            log.change({"Id": "skipped"})
    said = rows(database, "SELECT revision, recorded_at FROM revision_log ORDER BY revision")
    assert [row["revision"] for row in said] == list(range(1, len(said) + 1))
    assert [row["recorded_at"] for row in said] == sorted(row["recorded_at"] for row in said)
    assert [row["sequence"] for row in rows(database, "SELECT sequence FROM delivery ORDER BY 1")] == list(range(1, 16))


def test_revision_time_does_not_fall_when_the_clock_does(database: str, log: Log, road: Road) -> None:
    road.apply(log.change({"Id": "acme"}))
    ahead = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE revision_log SET recorded_at = %s WHERE revision = 2", (ahead,))
    road.apply(log.change({"Id": "acme", "Extra": 1}))
    (last,) = rows(database, "SELECT recorded_at FROM revision_log ORDER BY revision DESC LIMIT 1")
    assert last["recorded_at"] == ahead
