"""The follower on a real store: it catches up, reloads where it must, outlives the store, and hands on what changed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import psycopg
import pytest

from licet.answer import check
from licet.answer.check import Patience, Wanted
from licet.answer.follow import Follower
from licet.answer.snapshot import Latest, Snapshot
from licet.domain.errors import RevisionNotReached
from licet.domain.ids import CustomerRef
from licet.store.feed import PostgresFeed
from licet.store.records import Delta
from licet.store.values import ChangeRow
from support.proxy import proxied
from support.web import stage
from support.world import Log, Road, reader, rows


@pytest.fixture
def road(database: str) -> Iterator[tuple[Log, Road]]:
    log = Log()
    built = Road(database, log.name)
    yield log, built
    built.close()


@contextlib.asynccontextmanager
async def following(url: str) -> AsyncIterator[tuple[Follower, Latest]]:
    """A follower that runs."""
    latest = Latest()
    follower = Follower(PostgresFeed(url, timeout=1.0), latest, lambda _: None)
    running = asyncio.create_task(follower.run())
    try:
        yield follower, latest
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await follower.close()


class Listening:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[list[str], int]] = []
        self.early = False
        self.reloads = 0

    def changed(self, delta: Delta, before: Snapshot) -> None:
        names = sorted(one.customer_id for one in delta.records.customers)
        self.told.append((names, delta.position.revision))
        self.early |= not before.customers.keys().isdisjoint(names)

    def reloaded(self) -> None:
        self.reloads += 1


async def until(what: Callable[[], bool]) -> None:
    for _ in range(1500):
        if what():
            return
        await asyncio.sleep(0.01)
    pytest.fail("not within 15 s")


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def wait() -> None:
        await scenario()

    asyncio.run(wait())


def revision(url: str) -> int:
    found: int = rows(url, "SELECT revision FROM revision")[0]["revision"]
    return found


def test_a_write_is_in_the_snapshot_at_once_and_its_age_stays_small(database: str, road: tuple[Log, Road]) -> None:
    log, built = road

    async def scenario() -> None:
        async with following(database) as (follower, latest):
            assert await follower.ready() == "the snapshot is not loaded yet"
            await follower.first_load(15)
            assert await follower.ready() is None
            for number in range(5):
                await asyncio.to_thread(built.apply, log.change({"Id": f"c{number}", "SKU1": True}))
                await until(lambda number=number: f"c{number}" in latest.get().customers)  # type: ignore[misc]
                assert latest.get().position.revision == revision(database)
            await asyncio.sleep(1.5)  # nothing new: a look at the store that finds it unchanged makes the answer young
            assert latest.age_s() < 1.4

    play(scenario)


def test_a_store_that_is_away_leaves_the_snapshot_and_its_age_grows_until_it_is_back(
    database: str, road: tuple[Log, Road], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    log, built = road
    built.apply(log.change({"Id": "acme"}))

    async def scenario() -> None:
        async with following(url) as (follower, latest):
            await follower.first_load(15)
            proxy.hold()
            await asyncio.to_thread(built.apply, log.change({"Id": "late"}))
            await until(lambda: latest.age_s() > 2.0)
            assert await follower.ready() is None
            assert set(latest.get().customers) == {"acme"}
            proxy.cut()
            proxy.release()
            await until(lambda: "late" in latest.get().customers)
            await until(lambda: latest.age_s() < 1.0)

    with proxied(database) as (proxy, url):
        play(scenario)
    said = [record.__dict__.get("licet_event") for record in caplog.records]
    assert said.count("follow_lost") == said.count("follow_found") == 1


def test_a_restored_backup_is_loaded_anew_while_the_old_answers_stand(database: str, road: tuple[Log, Road]) -> None:
    log, built = road
    built.apply(log.change({"Id": "acme"}), log.change({"Id": "lost"}))

    async def scenario() -> None:
        async with following(database) as (follower, latest):
            await follower.first_load(15)
            before = latest.get()
            listener = Listening()
            follower.listeners.append(listener)
            with reader(database) as connection:
                connection.execute("UPDATE revision_log SET tag = tag + 1")  # another history with the same numbers
                connection.execute("DELETE FROM customer WHERE customer_id = 'lost'")
                await until(lambda: latest.get() is not before)
                assert set(latest.get().customers) == {"acme"}
                assert (listener.reloads, listener.told) == (1, [])
                await until(lambda: not before.customers)  # what nobody asks any more is let go of

    play(scenario)


def test_listeners_are_told_each_change_once_in_order_a_moment_before_the_snapshot_has_it(
    database: str, road: tuple[Log, Road]
) -> None:
    log, built = road

    async def scenario() -> None:
        async with following(database) as (follower, latest):
            await follower.first_load(15)
            listener = Listening()
            follower.listeners.append(listener)
            at = latest.get().position.revision
            for number in range(8):
                await asyncio.to_thread(built.apply, log.change({"Id": f"c{number}"}))
            await until(lambda: len(latest.get().customers) == 8)
            assert [name for names, _ in listener.told for name in names] == [f"c{number}" for number in range(8)]
            revisions = [revision for _, revision in listener.told]
            assert revisions == sorted(set(revisions))
            assert revisions[0] > at
            assert not listener.early
            assert listener.reloads == 0

    play(scenario)


def test_who_waits_for_a_revision_is_bounded_in_number_and_in_time(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "WAITING", 3)
    later = Wanted(min_revision=99)

    async def scenario() -> None:
        async with following(database) as (follower, latest):
            await follower.first_load(15)
            patience = Patience(latest, follower, Nothing(), limit_s=0.3)
            patient = [asyncio.create_task(patience.wait(later)) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(RevisionNotReached, match="3 questions wait already"):
                await patience.wait(later)
            await patience.wait(Wanted(min_revision=1))  # what is included need not wait
            async with asyncio.timeout(15):  # fifty times the limit, whatever else the machine does
                for one in await asyncio.gather(*patient, return_exceptions=True):
                    assert isinstance(one, RevisionNotReached)
                with pytest.raises(RevisionNotReached, match=r"within 0\.3 s"):
                    await patience.wait(Wanted(after_event="never-received"))

    play(scenario)


class Nothing:
    """A ledger that knows no event."""

    async def change(self, event_id: str, customer: CustomerRef | None) -> ChangeRow:  # noqa: ARG002 the port's shape
        return ChangeRow(None, [])


def test_a_question_waits_for_a_revision_and_for_an_event_and_is_told_when_it_is_not_reached(
    postgres: str, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage(postgres, template) as there:
        event = there.deal("acme", SKU1=True)
        path = "/v1/check?customer=acme&feature=inbound-email-security"
        present = revision(there.url)
        for wish in (f"min_revision={present}", f"after_event={event}", f"min_revision=1&after_event={event}"):
            answer = there.web.ask("GET", f"{path}&{wish}")
            assert (answer.status_code, answer.json()["reason"]) == (200, "licensed"), wish
        monkeypatch.setattr(there.web.patience, "_limit_s", 0.1)
        for wish in (f"min_revision={present + 1}", "after_event=never-received"):
            answer = there.web.ask("GET", f"{path}&{wish}")
            assert (answer.status_code, answer.json()["code"]) == (503, "revision_not_reached"), wish
            assert answer.headers["retry-after"] == "1"
        for wish in ("min_revision=x", "min_revision=-1", "after_event=", "after_event=%00"):
            answer = there.web.ask("GET", f"{path}&{wish}")
            assert (answer.status_code, answer.json()["faults"][0]["field"]) == (422, wish.partition("=")[0])

        async def asks_before_it_is_written() -> int:
            asking = asyncio.create_task(there.web.send("GET", f"{path}&min_revision={present + 1}"))
            await asyncio.sleep(0.05)
            await asyncio.to_thread(there.deal, "acme", SKU1=False)
            await there.web.follower.step()
            answer = await asking
            assert answer.json()["reason"] == "revoked"
            return answer.status_code

        monkeypatch.setattr(there.web.patience, "_limit_s", 15.0)
        assert there.web.runner.run(asks_before_it_is_written()) == 200


def test_a_catalog_that_cannot_be_read_stops_nothing_and_is_said(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with following(database) as (follower, latest):
            await follower.first_load(15)
            with psycopg.connect(database) as connection:
                connection.execute("UPDATE catalog_version SET document = 'no catalog ['")
                connection.execute("UPDATE revision SET revision = revision + 1")
                connection.execute("INSERT INTO revision_log SELECT revision, epoch, 1, now() FROM revision")
                connection.execute("INSERT INTO change_feed SELECT revision, 'catalog', '2' FROM revision")
            await until(lambda: any(one.__dict__.get("licet_event") == "follow_lost" for one in caplog.records))
            assert "inbound-email-security" in latest.get().catalog.features

    play(scenario)
