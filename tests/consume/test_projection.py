"""What every store of the worker must do: one suite, in memory (where the simulation runs) and on PostgreSQL.

``test_model`` belongs to it: there both stores end every delivery as the naive model does.
"""

import contextlib
import random
import string
from collections.abc import Iterator
from typing import Any

import pytest

from licet.consume.apply import Fenced
from licet.queue.message import Record
from licet.store.migrate import default_catalog
from licet.store.ports import DeadLimit, EventKey, Folded, Projection, Standing, StoreUnavailable, Wanted
from support.stores import Store, memory_store, postgres_store
from support.world import Applying, Log

SIGNED = {"SignedTos": True, "SKU1": True}


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Each store, empty, with the default catalog; a writer that is paused is thrown out after half a second."""
    if request.param == "memory":
        yield memory_store(default_catalog())
        return
    monkeypatch.setattr("licet.database.WRITER_TIMEOUT_MS", 500)
    with postgres_store(request.getfixturevalue("database")) as running:
        yield running


@pytest.fixture
def road(store: Store, log: Log) -> Applying:
    return Applying(store.projection, log.name)


def kept(store: Store, log: Log) -> list[Any]:
    """All that a transaction could leave behind."""
    look = store.look
    _, sequence = look.head()
    dead, feed = look.dead(0, sequence), look.feed(0, 1000)
    return [
        look.head(),
        look.ledger(log.name),
        look.licenses(""),
        look.customers(""),
        look.offsets(log.name),
        dead,
        feed,
    ]


def statuses(store: Store, customer: str) -> dict[str, str]:
    rows = [row for row in store.look.licenses(customer) if row["valid"].upper is row["recorded"].upper is None]
    return {row["sku"]: row["status"] for row in rows}


def test_effects_ledger_and_offsets_are_kept_together(store: Store, log: Log, road: Applying) -> None:
    revision, sequence = store.look.head()
    records = [log.change({"Id": "acme", **SIGNED}), log.change({"Id": "acme", "SKU1": False}), log.raw(b"x", b"{", ())]
    assert road.apply(*records) == ["applied", "applied", "dead(unreadable)"]
    assert store.look.head() == (revision + 1, sequence + 3)
    assert store.look.offsets(log.name) == {0: 3}
    ledger = store.look.ledger(log.name)
    assert [(row["offset"], row["sequence"], row["revision"]) for row in ledger] == [
        (number, sequence + 1 + number, revision + 1) for number in range(3)
    ]
    assert statuses(store, "acme") == {"SKU1": "ended"}
    assert store.look.feed(revision + 1, revision + 1) == {(revision + 1, "acme")}
    assert store.look.dead(0, sequence + 3)[sequence + 3]["value"] == b"{"


def test_a_transaction_that_fails_keeps_nothing(store: Store, log: Log, road: Applying) -> None:
    road.apply(log.change({"Id": "acme", **SIGNED}))
    before = kept(store, log)
    with contextlib.suppress(ZeroDivisionError), store.projection.transaction(3) as transaction:
        transaction.load(wanted(log, {0: (1, 4)}))
        transaction.write(Folded(touched=["acme"]))
        raise ZeroDivisionError
    assert kept(store, log) == before
    with store.projection.transaction(0) as transaction:
        assert transaction.first_sequence == store.look.head()[1] + 1


def wanted(log: Log, moves: dict[int, tuple[int | None, int]], **more: Any) -> Wanted:
    return Wanted(**({"log": log.name, "moves": moves, "events": (), "originals": (), "customers": ()} | more))


@pytest.mark.parametrize(
    ("before", "fenced"), [(2, False), (1, True), (3, True), (None, True)], ids=["mine", "behind", "ahead", "unknown"]
)
def test_an_offset_moves_only_from_where_it_stands(
    store: Store, log: Log, road: Applying, before: int | None, fenced: bool
) -> None:
    road.apply(log.change({"Id": "acme"}), log.change({"Id": "acme", "Name": "b"}))
    with store.projection.transaction(0) as transaction:
        loaded = transaction.load(wanted(log, {0: (before, 9), 1: (None, 5)}))
        assert loaded.fenced == ({0} if fenced else set())
        if not fenced:
            transaction.write(Folded())
    assert store.look.offsets(log.name)[1] == 5
    standings = store.projection.positions(log.name, [0, 1, 2])
    assert list(standings) == [Standing(0, 2 if fenced else 9, None), Standing(1, 5, None)]
    assert list(store.projection.positions("another log", [0, 1, 2])) == []


def test_a_zombie_worker_is_fenced_and_nothing_of_its_batch_is_kept(store: Store, log: Log, road: Applying) -> None:
    first, second, third = (log.change({"Id": "acme", "Name": name}) for name in "abc")
    road.apply(first)
    zombie = Applying(store.open(), log.name)
    zombie.applier.assign(log.name, [0])
    road.apply(second)
    before = kept(store, log)
    with pytest.raises(Fenced) as fenced:
        zombie.apply(second, third)
    assert fenced.value.partitions == {0}
    assert kept(store, log) == before
    assert zombie.applier.assign(log.name, fenced.value.partitions) == {0: 2}
    assert zombie.apply(second, third) == ["applied"]


def test_two_that_both_begin_a_partition_do_not_both_apply_it(store: Store, log: Log, road: Applying) -> None:
    record = log.change({"Id": "acme"})
    other = Applying(store.open(), log.name)
    other.applier.assign(log.name, [0])
    assert road.apply(record) == ["applied"]
    with pytest.raises(Fenced):
        other.apply(record)
    assert len(store.look.ledger(log.name)) == 1


def test_what_is_loaded_is_what_was_written(store: Store, log: Log, road: Applying) -> None:
    record = log.change({"Id": "acme", **SIGNED, "Extra": [1, {"b": 2**70}], "Name": "é"}, event_id="one", source="a")
    dead = log.change({"Id": "acme", "SystemModstamp": "2099-01-01T00:00:00Z"}, event_id="one", source="a")
    road.apply(record, dead)
    keys = {EventKey("a", "one", "acme"), EventKey("b", "one", "acme"), EventKey("a", "one", "umbrella")}
    places = {(log.name, 0, 0), (log.name, 0, 7)}
    with store.projection.transaction(0) as transaction:
        loaded = transaction.load(wanted(log, {}, events=keys, originals=places, customers=["acme", "umbrella"]))
    assert set(loaded.customers) == {"acme"}
    acme = loaded.customers["acme"]
    assert {name: field.value for name, field in acme.fields.items()} == {
        **SIGNED,
        "Extra": [1, {"b": 2**70}],
        "Name": "é",
    }
    assert [(row.sku, row.terms.status.value, row.row is not None) for row in acme.licenses.values()] == [
        ("SKU1", "active", True)
    ]
    assert {key: [one.dead for one in known] for key, known in loaded.earlier.items() if known} == {
        EventKey("a", "one", "acme"): [False, True]
    }
    assert loaded.originals == {(log.name, 0, 0): store.look.ledger(log.name)[0]["sequence"]}


def unstorable(log: Log) -> Record:
    """A change that reads well and that PostgreSQL cannot index: a name of 9,000 letters without a pattern."""
    letters = random.Random(7).choices(string.ascii_letters, k=9000)
    return log.change({"Id": "acme", "Name": "".join(letters)})


@pytest.mark.parametrize("where", range(3))
def test_what_the_store_refuses_is_dead_alone(store: Store, log: Log, road: Applying, where: int) -> None:
    records = [unstorable(log) if n == where else log.change({"Id": "acme", "Extra": n}) for n in range(3)]
    assert road.apply(*records) == ["dead(inapplicable)" if n == where else "applied" for n in range(3)]
    assert store.look.offsets(log.name) == {0: 3}


def test_a_catalog_takes_effect_between_two_batches(store: Store, log: Log, road: Applying) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "MAIL__c": True}))
    store.apply_catalog(default_catalog().replace('flag = "SKU1"', 'flag = "MAIL__c"'))
    assert road.apply(log.change({"Id": "acme", "Extra": 1})) == ["applied"]
    assert statuses(store, "acme") == {"SKU1": "active"}
    assert store.projection.current_catalog().version == 2


def test_a_partition_that_is_stopped_stays_so_for_the_first_reason(store: Store, log: Log, road: Applying) -> None:
    road.apply(log.change({"Id": "acme"}))
    for reason in ("refused", "below_start"):
        store.projection.stop(log.name, 0, 1, reason, "so it is")
    assert list(store.open().positions(log.name, [0, 1])) == [Standing(0, 1, "refused: so it is")]
    assert road.applier.assign(log.name, [0, 1]) == {0: None}


def test_a_partition_that_was_moved_meanwhile_is_not_stopped(store: Store, log: Log, road: Applying) -> None:
    road.apply(log.change({"Id": "acme"}))
    store.projection.stop(log.name, 0, 0, "below_start", "seen by a worker that has lost it")
    store.projection.stop(log.name, 0, None, "below_start", "seen by one that never had it")
    store.projection.stop(log.name, 1, 4, "below_start", "no offset stands there")
    assert list(store.open().positions(log.name, [0, 1])) == [Standing(0, 1, None)]
    store.projection.stop(log.name, 1, None, "refused", "so it is")
    assert Standing(1, None, "refused: so it is") in store.open().positions(log.name, [0, 1])


def test_too_many_dead_letters_stop_their_partition_with_the_batch_that_has_them(store: Store, log: Log) -> None:
    road = Applying(store.projection, log.name, limit=DeadLimit(count=2, share=50, window=4))
    assert road.apply(*(log.change({"Id": "acme", "Extra": number}) for number in range(3))) == ["applied"] * 3
    road.apply(log.raw(b"x", b"{", ()), log.change({"Id": "umbrella"}, partition=1))
    assert road.applier.stopped == {}
    road.apply(log.raw(b"x", b"{", ()))
    told = {0: "dead_limit: 2 of the last 4 deliveries are dead letters"}
    assert road.applier.stopped == told
    assert list(store.projection.positions(log.name, [0, 1])) == [Standing(0, 5, told[0]), Standing(1, 1, None)]


def test_a_log_that_was_made_anew_is_stopped(store: Store) -> None:
    old, new = Log("changes@1"), Log("changes@2")
    Applying(store.projection, old.name).apply(old.change({"Id": "acme"}))
    (standing,) = store.projection.positions(new.name, [0])
    assert (standing.partition, standing.next_offset) == (0, None)
    assert (standing.stopped or "").startswith("recreated: ")


WHERE = ("begun", "loaded", "written")


def pause(held: Any, log: Log, where: str) -> None:
    """Take a transaction as far as that, as a batch would."""
    transaction = held.__enter__()
    if where != "begun":
        transaction.load(wanted(log, {9: (None, 1)}))
    if where == "written":
        transaction.write(Folded())


@pytest.mark.parametrize("where", WHERE)
def test_a_writer_that_is_paused_anywhere_is_thrown_out_and_another_goes_on(store: Store, log: Log, where: str) -> None:
    road, paused = Applying(store.open(), log.name), store.open()
    held = paused.transaction(1)
    pause(held, log, where)
    assert apply_in_the_end(road, log.change({"Id": "acme", **SIGNED})) == ["applied"]
    with pytest.raises(StoreUnavailable):
        held.__exit__(None, None, None)
    assert statuses(store, "acme") == {"SKU1": "active"}
    assert store.look.offsets(log.name) == {0: 1}
    assert usable(paused, log)


def apply_in_the_end(road: Applying, record: Record) -> list[str]:
    """Who waits for the lock gives up after the same time, and tries again as a worker does."""
    try:
        return road.apply(record)
    except StoreUnavailable:
        return road.apply(record)


def usable(projection: Projection, log: Log) -> bool:
    with projection.transaction(0) as transaction:
        return not transaction.load(wanted(log, {9: (None, 1)})).fenced
