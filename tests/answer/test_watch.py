"""A watch tells that an answer may differ where only the time, the catalog or the data's age changed it, too."""

import datetime as dt
import uuid

import pytest

from licet.answer.snapshot import Latest, Snapshot
from licet.answer.watch import Watch
from licet.domain.catalog import read_catalog
from licet.domain.errors import InvalidInput
from licet.store.records import LICENSE, CustomerRecord, NameRecord, Position, Records

NOON = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
CATALOG = '[features.email]\n[skus.SKU1]\nflag = "SKU1"\ngrants = { email = true }\n'


class World:
    """A snapshot of one customer whose license ends in an hour, and clocks that a test sets."""

    def __init__(self) -> None:
        self.now, self.seconds = NOON, 0.0
        self.latest = Latest(lambda: self.seconds)
        self.latest.snapshot = Snapshot(Position(uuid.uuid4(), 1, 1), read_catalog(CATALOG, 1))
        self.latest.matched_at = 0.0
        ends = int((NOON + dt.timedelta(hours=1)).timestamp() * 1e6)
        self.put(customers=[CustomerRecord("acme", f"SKU1|active||{ends}|", LICENSE.pack(bytes(16), 0), "tenant:1")])

    def put(self, **records: list[CustomerRecord] | list[NameRecord]) -> None:
        snapshot = self.latest.get()
        changes = snapshot.prepare(Records(**records))  # type: ignore[arg-type]
        snapshot.apply(changes, Position(snapshot.position.epoch, snapshot.position.revision + 1, 1))

    def watch(self, *, users: tuple[str, ...] = (), customers: tuple[str, ...] = ()) -> Watch:
        return Watch(self.latest, lambda: self.now, 60.0, users, customers)


@pytest.mark.parametrize(
    "who", [{"customers": ("acme",)}, {"customers": ("tenant:1",)}, {"users": ("a@acme.example",)}]
)
def test_a_change_of_what_an_answer_rests_on_is_told_once(who: dict[str, tuple[str, ...]]) -> None:
    world = World()
    world.put(domains=[NameRecord("acme.example", "acme")])
    watch = world.watch(**who)
    assert watch.customers() == {"acme"}
    assert [watch.moved(), watch.moved()] == [True, False]
    world.put(customers=[CustomerRecord("other", None, None, None)])
    assert not watch.moved()
    world.now += dt.timedelta(hours=1)  # the license ends
    assert [watch.moved(), watch.moved()] == [True, False]
    world.seconds = 61.0  # the store is away
    assert [watch.moved(), watch.moved()] == [True, False]
    snapshot = world.latest.get()
    snapshot.apply(snapshot.prepare(Records()), snapshot.position, read_catalog(CATALOG, 2))
    assert [watch.moved(), watch.moved()] == [True, False]
    world.put(customers=[CustomerRecord("acme", None, None, None)])
    assert [watch.moved(), watch.moved()] == [True, False]


def test_a_user_who_belongs_nowhere_is_waited_for() -> None:
    world = World()
    watch = world.watch(users=("pat",))
    assert [watch.moved(), watch.moved(), watch.customers()] == [True, False, frozenset()]
    world.put(users=[NameRecord("pat", "acme")])
    assert [watch.moved(), watch.moved(), watch.customers()] == [True, False, {"acme"}]


def test_a_name_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput):
        World().watch(customers=("a b",))
