"""The feed's reading side: one moment whole, then exactly what changed after it, or word that only a load helps."""

import datetime as dt
import threading
import time
import uuid
from collections.abc import Iterator

import msgspec
import psycopg
import pytest

from licet.domain.errors import InvalidInput, Unavailable
from licet.domain.license import Status
from licet.store.feed import PostgresFeed
from licet.store.migrate import default_catalog
from licet.store.records import CustomerRecord, Delta, NameRecord, Position, Records, Term, read_license, read_terms
from support.proxy import proxied
from support.world import Log, Road, apply_catalog, reader, rows


@pytest.fixture
def feed(database: str) -> Iterator[PostgresFeed]:
    opened = PostgresFeed(database)
    yield opened
    opened.close()


@pytest.fixture
def road(database: str) -> Iterator[tuple[Log, Road]]:
    log = Log()
    built = Road(database, log.name)
    yield log, built
    built.close()


def whole(feed: PostgresFeed) -> tuple[Position, Records]:
    """All of a load in one piece."""
    with feed.load() as load:
        chunks = list(load.chunks)
    return load.position, Records(
        *([row for chunk in chunks for row in getattr(chunk, kind)] for kind in ("customers", "users", "domains"))
    )


def names(url: str, *said: tuple[str, str, str]) -> None:
    """Write names as a person does, in one revision each, and tell the feed."""
    tables = {"user": ("user_membership", "user_id"), "domain": ("customer_domain", "domain")}
    with reader(url) as connection:
        for kind, name, customer in said:
            table, column = tables[kind]
            with connection.transaction():
                revision = connection.execute(
                    "UPDATE revision SET revision = revision + 1 RETURNING revision"
                ).fetchone()
                assert revision is not None
                number = revision["revision"]
                connection.execute(
                    f"INSERT INTO {table} ({column}, customer_id, origin, author, valid, recorded)"
                    " VALUES (%s, %s, 'person', 'a', tstzrange(now(), NULL), int8range(%s, NULL))",
                    (name, customer, number),
                )
                connection.execute("INSERT INTO change_feed VALUES (%s, %s, %s)", (number, kind, name))
                connection.execute(
                    "INSERT INTO revision_log SELECT revision, epoch, 1, now() FROM revision",
                )


def news(feed: PostgresFeed, after: Position) -> Delta:
    delta = feed.since(after)
    assert delta is not None
    return delta


def test_a_load_tells_all_and_a_delta_only_what_changed(
    database: str, feed: PostgresFeed, road: tuple[Log, Road]
) -> None:
    log, built = road
    built.apply(
        log.change({"Id": "acme", "SignedTos": True, "SKU1": True, "SKU2": False}),
        log.change({"Id": "other", "SignedTos": False, "SKU1": True, "SKU3": True}),
        log.change({"Id": "empty"}),
    )
    names(database, ("user", "ada", "acme"), ("user", "ada", "other"), ("domain", "acme.example", "acme"))
    position, records = whole(feed)
    assert {one.customer_id: one.terms for one in records.customers} == {
        "acme": "SKU1|active|||",
        "other": "SKU1|pending_terms||| SKU3|pending_terms|||",
        "empty": None,
    }
    assert list(records.users) == [NameRecord("ada", "acme other")]
    assert list(records.domains) == [NameRecord("acme.example", "acme")]
    nothing = news(feed, position)
    assert (nothing.position, nothing.catalog, nothing.records) == (position, None, Records((), (), ()))

    built.apply(log.change({"Id": "acme", "SKU1": False}))
    built.apply(log.change({"Id": "new", "SKU1": True}))
    delta = news(feed, position)
    assert delta.position.revision == position.revision + 2
    assert {one.customer_id: one.terms for one in delta.records.customers} == {
        "acme": "SKU1|ended|||",
        "new": "SKU1|pending_terms|||",
    }
    later, all_ = whole(feed)
    assert later == delta.position
    assert {one.customer_id for one in all_.customers} == {"acme", "other", "empty", "new"}


def test_a_record_carries_terms_ids_and_since_to_the_microsecond(
    database: str, feed: PostgresFeed, road: tuple[Log, Road]
) -> None:
    log, built = road
    built.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True, "SKU2": True}))
    with reader(database) as connection:
        connection.execute("ALTER TABLE license DISABLE TRIGGER USER")
        connection.execute(
            "UPDATE license SET starts_at = '2026-01-02 03:04:05.000006+00', ends_at = '1969-12-31 23:59:59.5+00',"
            " quantity = 7 WHERE sku = 'SKU2'"
        )
    (record,) = whole(feed)[1].customers
    assert read_terms(record.terms) == (
        Term("SKU1", Status.ACTIVE, None, None, None),
        Term(
            "SKU2",
            Status.ACTIVE,
            dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC),
            dt.datetime(1969, 12, 31, 23, 59, 59, 500_000, dt.UTC),
            7,
        ),
    )
    stored = rows(database, "SELECT license_id, lower(valid) AS since FROM license ORDER BY sku")
    for place, row in enumerate(stored):
        assert read_license(record.packed or b"", place) == (row["license_id"], row["since"])


def test_what_is_no_more_is_told_as_gone(database: str, feed: PostgresFeed, road: tuple[Log, Road]) -> None:
    log, built = road
    built.apply(log.change({"Id": "acme"}))
    names(database, ("user", "ada", "acme"), ("domain", "acme.example", "acme"))
    position, _ = whole(feed)
    with reader(database) as connection:
        for table in ("user_membership", "customer_domain", "customer"):
            connection.execute(f"DELETE FROM {table}".encode())
    names(database, ("user", "ada", "x"), ("user", "bob", "x"), ("domain", "acme.example", "x"))
    with reader(database) as connection:
        connection.execute("DELETE FROM user_membership WHERE user_id = 'ada'")
        connection.execute("DELETE FROM customer_domain")
        connection.execute("INSERT INTO change_feed SELECT max(revision), 'customer', 'acme' FROM revision_log")
    delta = news(feed, position)
    assert list(delta.records.customers) == [CustomerRecord("acme", gone=True)]
    assert {one.name: one.customers for one in delta.records.users} == {"ada": None, "bob": "x"}
    assert list(delta.records.domains) == [NameRecord("acme.example", None)]


def test_a_catalog_is_told_with_the_revision_that_made_it_current(database: str, feed: PostgresFeed) -> None:
    position, _ = whole(feed)
    apply_catalog(database, default_catalog() + "# another\n")
    delta = news(feed, position)
    assert delta.catalog is not None
    assert delta.catalog.version == 2
    assert delta.catalog.document.endswith("# another\n")
    assert news(feed, delta.position).catalog is None


def test_only_a_load_helps_where_the_store_does_not_know_the_position_or_too_much_changed(
    database: str, feed: PostgresFeed, road: tuple[Log, Road]
) -> None:
    log, built = road
    position, _ = whole(feed)
    for wrong in (
        msgspec.structs.replace(position, epoch=uuid.uuid4()),
        msgspec.structs.replace(position, tag=position.tag ^ 1),
        msgspec.structs.replace(position, revision=position.revision + 1),
    ):
        assert feed.since(wrong) is None
    built.apply(*(log.change({"Id": f"c{number}"}) for number in range(6)))
    assert feed.since(position, limit=5) is None
    assert len(feed.since(position, limit=6).records.customers) == 6  # type: ignore[union-attr]
    with reader(database) as connection:
        connection.execute("DELETE FROM revision_log WHERE revision = %s", (position.revision,))
    assert feed.since(position) is None


def test_a_load_is_one_moment_whatever_is_written_meanwhile(feed: PostgresFeed, road: tuple[Log, Road]) -> None:
    log, built = road
    built.apply(log.change({"Id": "acme", "SKU1": True}))
    with feed.load() as load:
        built.apply(log.change({"Id": "acme", "SKU1": False}), log.change({"Id": "late"}))
        seen = [one for chunk in load.chunks for one in chunk.customers]
    assert [(one.customer_id, one.terms) for one in seen] == [("acme", "SKU1|pending_terms|||")]
    delta = news(feed, load.position)
    assert {one.customer_id for one in delta.records.customers} == {"acme", "late"}


def test_a_write_ends_the_wait_and_none_is_missed(feed: PostgresFeed, road: tuple[Log, Road]) -> None:
    log, built = road
    feed.wait(0.01)
    built.apply(log.change({"Id": "acme"}))
    began = time.monotonic()
    feed.wait(20)
    thread = threading.Timer(0.05, lambda: built.apply(log.change({"Id": "acme", "Name": "a"})))
    thread.start()
    feed.wait(20)
    thread.join()
    assert time.monotonic() - began < 15


def test_a_store_that_hangs_is_cut_off_and_one_that_broke_is_found_again(database: str) -> None:
    with proxied(database) as (proxy, url):
        feed = PostgresFeed(url)
        position, _ = whole(feed)
        feed.wait(0)
        proxy.hold()
        thread = threading.Timer(0.1, feed.cut)
        thread.start()
        with pytest.raises(Unavailable):
            feed.since(position)
        proxy.release()
        assert feed.since(position) is not None
        proxy.cut()
        with pytest.raises(Unavailable):
            feed.since(position)
        assert feed.since(position) is not None
        feed.close()
        thread.join()


def test_a_position_is_read_back_from_its_text_and_anything_else_is_refused() -> None:
    position = Position(uuid.uuid4(), 42, -(2**63))
    assert Position.parse(position.text()) == position
    for text in ("", "a.b.c", f"{uuid.uuid4()}.1", f"{uuid.uuid4()}.-1.5", f"{uuid.uuid4()}.1.{2**63}"):
        with pytest.raises(InvalidInput):
            Position.parse(text)


def test_a_store_without_a_catalog_says_what_to_do(database: str, feed: PostgresFeed) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("TRUNCATE catalog_version CASCADE")
    with pytest.raises(Unavailable, match="licet migrate"), feed.load():
        pass


def test_the_consumers_lag_is_that_of_the_last_log_and_of_its_partition_furthest_behind(
    feed: PostgresFeed, road: tuple[Log, Road]
) -> None:
    log, built = road
    with feed.load() as load:
        assert load.lag_ms is None
    built.projection.tell_progress("a log of old", {0: 9000.0})
    built.projection.tell_progress(log.name, {0: 0.0, 1: 60.0})
    built.projection.tell_progress(log.name, {1: 90.0})  # it was further than that already
    assert 60_000 <= (news(feed, load.position).lag_ms or 0) < 80_000
    with feed.load() as load:
        assert 60_000 <= (load.lag_ms or 0) < 80_000
