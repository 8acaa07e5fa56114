"""Telling others: what is told of each revision, and that nothing is left out when something fails half way."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.consume.clock import Clock
from licet.consume.refold import refold
from licet.domain.errors import Unavailable
from licet.domain.license import Moment
from licet.domain.principal import Principal
from licet.manage.directory import Directory
from licet.observe.metrics import Metrics
from licet.publish import publisher as publishing
from licet.publish.publisher import Publisher
from licet.queue.ports import Announcement, LogUnavailable
from licet.store.clock import PostgresClock
from licet.store.directory import PostgresDirectory
from licet.store.outbox import PostgresOutbox
from licet.store.pools import writer_pool
from licet.store.prune import prune
from licet.store.values import NameKind
from support.processes import eventually
from support.properties import quick
from support.termed import TERMED, licensed, now, shift
from support.world import TESTER, Log, Road, apply_catalog, fresh, rows

HOUR = dt.timedelta(hours=1)


class Topic:
    """What a topic heard. ``fails`` is called before each step is taken."""

    def __init__(self, fails: Callable[[], None] = lambda: None) -> None:
        self.heard: list[Announcement] = []
        self.fails = fails

    def open(self) -> None: ...

    def send(self, announcements: Sequence[Announcement]) -> None:
        self.fails()
        self.heard += announcements

    def close(self) -> None: ...

    @property
    def events(self) -> list[Any]:
        return [msgspec.json.decode(one.value) for one in self.heard if one.value is not None]


class Telling:
    """One publisher on a database."""

    def __init__(self, url: str, name: str = "told") -> None:
        self.topic, self.metrics = Topic(), Metrics()
        self.outbox = PostgresOutbox(url, name)
        self.publisher = Publisher(self.outbox, self.topic, self.metrics)

    def tell(self) -> list[Any]:
        """Tell all there is; returns the events. A session that ended gives its lock on a moment later."""
        eventually("it leads", lambda: self.outbox.lead() or None)
        while True:
            self.publisher.step()
            if self.lag("revisions") == 0:
                return self.topic.events

    def lag(self, unit: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"licet_publish_lag_{unit}")


@pytest.fixture
def telling(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Telling]:
    monkeypatch.setattr(publishing, "LOOK_S", 0.0)
    built = Telling(database)
    yield built
    built.publisher.close()


def ids(topic: Topic) -> list[bytes]:
    return [dict(one.headers)["ce_id"] for one in topic.heard]


def differs(event: Any) -> dict[str, tuple[Any, Any]]:
    """The changes of an event, of SKUs their state and of features the reason."""

    def word(side: Any) -> Any:
        return side.get("state", side.get("reason")) if isinstance(side, dict) else side

    return {one["name"]: (word(one["before"]), word(one["after"])) for one in event["changes"]}


def test_a_delivery_is_told_with_state_difference_and_cause(road: Road, log: Log, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}, event_id="e-1"))
    (event,), (record,) = telling.tell(), telling.topic.heard
    headers = {name: value.decode() for name, value in record.headers}
    assert (record.key, headers["ce_subject"]) == ("acme", "acme")
    assert (headers["ce_type"], headers["ce_specversion"]) == ("licet.license-change.v1", "1.0")
    assert headers["ce_id"].startswith(f"{event['epoch']}.{event['revision']}.")
    assert (event["customer"], event["catalog_version"], event["aliases"]) == ("acme", 2, [])
    assert event["skus"]["SKU1"]["state"] == "active"
    feature = event["features"]["inbound-email-security"]
    assert (feature["allowed"], feature["reason"], feature["sku"]) == (True, "licensed", "SKU1")
    assert event["features"]["account-takeover-protection"]["reason"] == "not_licensed"
    assert differs(event) == {"SKU1": (None, "active"), "inbound-email-security": ("not_licensed", "licensed")}
    (cause,) = event["cause"].pop("deliveries")
    assert (event["cause"], cause["event_id"], cause["source"]) == ({"kind": "delivery"}, "e-1", "salesforce")


def test_what_time_made_is_told_as_its_own_difference(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change(licensed("acme", starts=now() - HOUR, ends=now() - HOUR / 2)))
    shift(database, 2)
    boundaries = PostgresClock(database)
    Clock(boundaries, Metrics()).step()
    boundaries.close()
    granted, started, ended = telling.tell()
    assert granted["skus"]["SKU1"]["state"] == "not_yet_valid"
    assert differs(started)["SKU1"] == ("not_yet_valid", "expired")  # both had passed when the clock came
    assert differs(ended)["SKU1"] == ("active", "expired")
    assert ended["cause"]["boundaries"][0].items() >= {"kind": "license", "boundary": "end"}.items()


async def named_by_a_person(url: str) -> None:
    async with writer_pool(url, 1) as pool:
        by = Principal("ada", "k", frozenset())
        await Directory(PostgresDirectory(pool)).put(NameKind.ALIAS, "acme", "tenant:4711", by)


def test_person_and_catalog_are_causes(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True, "SKU4": True}))
    asyncio.run(named_by_a_person(database))
    apply_catalog(database, TERMED + '\n[skus.SKU4]\nflag = "SKU4"\ngrants = { abuse-mailbox-automation = true }\n')
    list(refold(road.projection, lambda revision, cause: Moment(now(), revision, cause)))
    _, named, learnt = telling.tell()
    assert (named["cause"], named["aliases"]) == ({"kind": "person", "author": "ada"}, ["tenant:4711"])
    assert differs(named) == {"tenant:4711": (None, True)}
    assert learnt["cause"] == {"kind": "catalog", "version": 3}
    assert differs(learnt) == {"SKU4": (None, "active"), "abuse-mailbox-automation": ("not_licensed", "licensed")}


def test_of_one_that_was_erased_only_that_is_told(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    road.apply(log.change({"Id": "umbrella", "SignedTos": True, "SKU1": True}))
    rows(database, "DELETE FROM customer WHERE customer_id = 'acme' RETURNING 1")
    telling.tell()
    assert [(one.key, one.value is None) for one in telling.topic.heard] == [("acme", True), ("umbrella", False)]


def test_a_deleted_customer_is_told_and_not_forgotten(road: Road, log: Log, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    road.apply(log.change({"Id": "acme", "IsDeleted": True}))
    assert differs(telling.tell()[-1])["SKU1"] == ("active", "ended")


def test_a_step_that_failed_is_told_again_under_the_same_ids(
    road: Road, log: Log, database: str, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "CHUNK", 2)
    road.apply(*[log.change({"Id": f"c{number}", "SignedTos": True, "SKU1": True}) for number in range(3)])
    road.apply(log.change({"Id": "c1", "SKU1": False}))
    away = iter([LogUnavailable("away"), None, LogUnavailable("away"), None])

    def fails() -> None:
        error = next(away)
        if error is not None:
            raise error

    telling.topic.fails = fails
    with pytest.raises(LogUnavailable):
        telling.tell()
    assert telling.topic.heard == []
    assert (telling.lag("revisions"), (telling.lag("seconds") or 0) > 0) == (4, True)
    telling.publisher.close()
    with pytest.raises(LogUnavailable):
        telling.tell()
    assert [one.key for one in telling.topic.heard] == ["c0", "c1", "c2"]
    telling.publisher.close()
    told = telling.tell()
    assert [event["customer"] for event in told] == ["c0", "c1", "c2", "c1"]
    # The process ended after the topic had confirmed and before the position moved.
    rows(database, "UPDATE publish_position SET revision = 3 RETURNING 1")
    telling.topic.fails = lambda: None
    telling.tell()
    assert ids(telling.topic)[4:] == ids(telling.topic)[3:4]
    assert (telling.lag("revisions"), telling.lag("seconds")) == (0, 0)


def test_one_publishes_at_a_time_and_another_takes_over(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    other = Telling(database)
    telling.tell()
    other.publisher.step()
    assert (other.topic.heard, other.outbox.lead()) == ([], False)
    road.apply(log.change({"Id": "acme", "SKU1": False}))
    telling.publisher.close()
    assert [event["revision"] for event in other.tell()] == [4]
    other.publisher.close()


def test_who_lost_the_lead_reads_nothing_and_moves_nothing(
    road: Road, log: Log, database: str, telling: Telling
) -> None:
    """It was paused after it had taken the lead; its session ended, and another told all."""
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    assert telling.outbox.lead()
    step = telling.outbox.ahead(10)
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'licet publisher'"
    rows(database, ended + " AND datname = current_database()")
    other = Telling(database)
    other.tell()
    with pytest.raises(Unavailable):
        telling.outbox.read(step, 0)
    with pytest.raises(Unavailable, match="another publisher"):
        telling.outbox.told(step)
    other.publisher.close()


def test_a_session_without_a_sign_of_life_gives_the_lead_back(database: str) -> None:
    outbox = PostgresOutbox(database, "told")
    with outbox._lent() as connection:
        assert connection.execute("SHOW idle_session_timeout").fetchone() == ("8s",)
        connection.execute("SET idle_session_timeout = 50")
        other = PostgresOutbox(database, "told")
        assert outbox.lead()
        eventually("the server gives the lock on", lambda: other.lead() or None)
    outbox.close()
    other.close()


def test_a_store_of_another_epoch_is_told_anew(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    telling.tell()
    rows(database, "UPDATE revision SET epoch = gen_random_uuid() RETURNING 1")
    telling.tell()
    assert [one.key for one in telling.topic.heard] == ["acme", "acme"]


def test_pruning_leaves_the_feed(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    shift(database, 24 * 400)
    list(prune(database, 1, TESTER))
    assert [event["customer"] for event in telling.tell()] == ["acme"]


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.dictionaries(st.sampled_from(["SKU1", "SKU2", "SignedTos", "Tenant"]), st.booleans(), min_size=1),
    ),
    min_size=1,
    max_size=4,
)
WITH_ALIAS = TERMED.replace("[source]", '[source]\naliases = { tenant = "Tenant" }', 1)


@settings(quick, max_examples=8)
@given(batches=st.lists(CHANGES, min_size=1, max_size=5))
def test_what_is_told_late_is_what_would_have_been_told_at_once(
    postgres: str, template: str, batches: list[list[tuple[str, dict[str, bool]]]]
) -> None:
    """Each revision is told as it was, whatever came after; and differences add up to the states."""
    with _database(postgres, template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "LOOK_S", 0.0)
        patch.setattr(publishing, "CHUNK", 2)
        apply_catalog(url, WITH_ALIAS)
        log = Log()
        road, prompt = Road(url, log.name), Telling(url, "prompt")
        for batch in batches:
            road.apply(*[log.change(_payload(*change)) for change in batch])
            prompt.tell()
        road.close()
        prompt.publisher.close()
        late = Telling(url, "late")
        told = late.tell()
        late.publisher.close()
    assert late.topic.heard == prompt.topic.heard
    _add_up(told)


def _payload(customer_id: str, fields: dict[str, bool]) -> dict[str, Any]:
    said: dict[str, Any] = {"Id": customer_id, "SignedTos": True, **fields}
    if "Tenant" in said:
        said["Tenant"] = "4711" if said["Tenant"] else None
    return said


def _add_up(told: list[Any]) -> None:
    """Follow the differences alone; they must come to the states."""
    known: dict[str, dict[tuple[str, str], Any]] = {}
    for event in told:
        mine = known.setdefault(event["customer"], {})
        for one in event["changes"]:
            place = (one["what"], one["name"])
            # Of a new customer the features are held against those of one without a license.
            assert mine.get(place) in (one["before"], None)
            mine[place] = one["after"]
        states = {"sku": event["skus"], "feature": event["features"], "alias": dict.fromkeys(event["aliases"], True)}
        for (what, name), last in mine.items():
            assert states[what].get(name) == last


@contextlib.contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    name = fresh("test").replace("-", "_")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield psycopg.conninfo.make_conninfo(server, dbname=name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
