"""Consumer bugs that other systems shipped, each held off by name.

Elsewhere: ``auto.offset.reset=latest`` (tests/queue/test_conformance.py, "a new group starts at the logs start"); an
endless retry without a cap (test_stops.py, "is not tried for ever"); a buffer lost at shutdown (test_worker.py, "a
batch begun is finished"); a worker that is ready and idle (test_stops.py, "whose partitions are all stopped").
"""

import pytest

from licet.store.ports import Folded, StoreUnavailable
from licet.store.projection import PostgresTransaction
from support.world import Log, Road, rows, states

SIGNED = {"SignedTos": True, "SKU1": True}


def test_a_dedupe_mark_is_never_kept_without_its_effect(
    database: str, log: Log, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = PostgresTransaction.write

    def write_and_die(transaction: PostgresTransaction, folded: Folded) -> None:
        write(transaction, folded)
        monkeypatch.undo()
        raise StoreUnavailable("killed between the mark and the commit")

    monkeypatch.setattr(PostgresTransaction, "write", write_and_die)
    change = log.change({"Id": "acme", **SIGNED}, event_id="one")
    with pytest.raises(StoreUnavailable):
        road.apply(change)
    assert rows(database, "SELECT 1 FROM delivery") == []
    assert road.apply(change) == ["applied"]
    assert states(database, "acme") == {"SKU1": "active"}


def test_a_change_that_failed_is_not_skipped_once_a_later_one_commits(
    database: str, log: Log, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = log.change({"Id": "acme", **SIGNED}), log.change({"Id": "umbrella", **SIGNED})

    def away(*_: object) -> None:
        raise StoreUnavailable("away for a moment")

    with monkeypatch.context() as patch:
        patch.setattr(PostgresTransaction, "write", away)
        with pytest.raises(StoreUnavailable):
            road.apply(first)
    assert road.applier.known() == {}, "the offset does not pass what failed"
    assert road.apply(first, second) == ["applied", "applied"]
    assert [row["offset"] for row in rows(database, 'SELECT "offset" FROM delivery ORDER BY 1')] == [0, 1]


def test_a_stale_change_overwrites_no_newer_data(database: str, log: Log, road: Road) -> None:
    newer = {"Id": "acme", **SIGNED, "SystemModstamp": "2026-03-01T11:00:00Z"}
    stale = {"Id": "acme", "SignedTos": False, "SKU1": False, "SystemModstamp": "2026-03-01T10:00:00Z"}
    assert road.apply(log.change(newer)) == ["applied"]
    assert road.apply(log.change(stale)) == ["superseded"]
    assert states(database, "acme") == {"SKU1": "active"}
