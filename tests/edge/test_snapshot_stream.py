"""Snapshot and stream on the real store, read by a reader that knows the wire alone."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.answer import follow, wire
from licet.answer import stream as module
from licet.domain.errors import Unavailable
from licet.edge import stream as edge
from licet.store.migrate import default_catalog
from support.properties import quick
from support.proxy import proxied
from support.streams import Caller, Event, Mirror, called
from support.web import ADMIN, Stage, running_web, stage
from support.world import TESTER, Log, Road, apply_catalog, fresh, rows

FEATURE = "inbound-email-security"
Scenario = Callable[[], Awaitable[None]]


@pytest.fixture(scope="module")
def there(postgres: str, template: str) -> Iterator[Stage]:
    """The web and the worker's applier on a database of this module."""
    with stage(postgres, template) as built:
        yield built


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell each change at once; the steps are the matter of a test of their own."""
    monkeypatch.setattr(module, "WINDOW_S", 0.0)
    monkeypatch.setattr(module, "READER_S", 0.0)


def play(there: Stage, scenario: Scenario) -> None:
    async def wait() -> None:
        await scenario()

    there.web.runner.run(wait())


def called_on(there: Stage, path: str, *headers: tuple[str, str], key: str = ADMIN) -> Any:
    return called(there.web.app, path, key, *headers)


async def snapshot(there: Stage, query: str = "") -> Mirror:
    async with called_on(there, f"/v1/snapshot{query}") as caller:
        assert (caller.status, caller.headers[b"content-type"]) == (200, b"application/x-ndjson")
        return Mirror(await caller.read())


async def write(there: Stage, method: str, path: str) -> None:
    """Write as a person does, without a look of the follower at the store."""
    headers = {"authorization": f"Bearer {ADMIN}"}
    assert (await there.web.client.request(method, path, headers=headers)).status_code in (200, 404, 409)


async def problem(there: Stage, path: str, *headers: tuple[str, str], key: str = ADMIN) -> tuple[int, str]:
    async with called_on(there, path, *headers, key=key) as caller:
        body = await caller.read()
        code = body.partition(b'"code":"')[2].partition(b'"')[0].decode()
        return caller.status, code


async def news(there: Stage, caller: Caller) -> list[Event]:
    """Let the follower and the readers take all that changed; returns the events up to the sign of life after it."""
    await there.web.follower.step()
    there.web.hub.say_alive()
    position = there.web.hub._position().text()
    events = [await caller.event()]
    while (events[-1].name, events[-1].id) != ("alive", position):
        events.append(await caller.event())
    return [event for event in events if event.name == "changes"]


def test_a_snapshot_tells_all_and_its_last_line_how_much_that_was(there: Stage) -> None:
    there.deal("acme", SKU1=True, SKU2=False)
    for name in ("aliases/tenant:4711", 'aliases/crm:"5"', "users/ada@acme.example", "domains/acme.example"):
        there.web.put(f"/v1/customers/acme/{name}")

    async def scenario() -> None:
        await there.web.follower.step()
        mirror = await snapshot(there)
        stored = rows(
            there.url,
            "SELECT sku, status, license_id::text AS id, (extract(epoch FROM lower(valid)) * 1000000)::bigint AS since"
            " FROM license WHERE customer_id = 'acme' AND upper_inf(recorded) ORDER BY sku",
        )
        assert mirror.customers["acme"] == {
            "c": "acme",
            "a": ['crm:"5"', "tenant:4711"],
            "l": [[row["sku"], row["status"], None, None, None, row["id"], row["since"]] for row in stored],
        }
        assert mirror.users["ada@acme.example"] == mirror.domains["acme.example"] == ["acme"]
        assert mirror.catalog["features"][FEATURE]["grants"] == [["SKU1", True]]
        assert mirror.catalog["features"][FEATURE]["when_stale"] == "last_known"

    play(there, scenario)


def test_a_snapshot_of_a_feature_has_all_customers_and_only_its_licenses(there: Stage) -> None:
    there.deal("narrow", SKU1=True, SKU2=True)

    async def scenario() -> None:
        await there.web.follower.step()
        mirror = await snapshot(there, f"?feature={FEATURE}")
        assert set(mirror.catalog["features"]) == {FEATURE}
        assert [one[0] for one in mirror.customers["narrow"]["l"]] == ["SKU1"]
        assert set(mirror.customers) == set((await snapshot(there)).customers)

    play(there, scenario)


def test_a_snapshot_is_one_moment_and_the_stream_goes_on_from_there(
    there: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "CHUNK", 1)
    there.deal("moment", SKU1=True)

    async def scenario() -> None:
        await there.web.follower.step()
        async with called_on(there, "/v1/snapshot") as caller:
            await caller.chunk()
            there.deal("moment", SKU1=False)
            there.deal("after", SKU1=True)
            await there.web.follower.step()
            mirror = Mirror(await caller.read())
        assert mirror.customers["moment"]["l"][0][1] == "active"
        assert "after" not in mirror.customers
        async with called_on(there, f"/v1/stream?after={mirror.position}") as caller:
            assert caller.headers[b"content-type"] == b"text/event-stream"
            mirror.take(await caller.event("changes"))
        assert mirror.state == (await snapshot(there)).state

    play(there, scenario)


def test_callers_are_told_what_is_wrong(there: Stage) -> None:
    reader = there.web.key("reader", "read")

    async def scenario() -> None:
        for path in ("/v1/snapshot", "/v1/stream"):
            assert await problem(there, path, key=reader) == (403, "forbidden")
            assert await problem(there, f"{path}?feature=nothing") == (422, "invalid_input")
            assert await problem(there, f"{path}?customers=acme") == (422, "invalid_input")
        assert await problem(there, "/v1/stream?after=yesterday") == (422, "invalid_input")
        assert await problem(there, "/v1/stream?customer=tenant:nobody") == (404, "not_found")
        epoch, revision, tag = (await snapshot(there)).position.split(".")
        for unknown in (f"{epoch}.{int(revision) + 7}.{tag}", f"{epoch}.{revision}.{int(tag) ^ 1}"):
            assert await problem(there, "/v1/stream", ("last-event-id", unknown)) == (410, "resync")
        assert there.web.hub.readers == 0

    play(there, scenario)


def test_a_browser_that_comes_back_to_the_same_address_resumes_at_its_last_event(there: Stage) -> None:
    async def scenario() -> None:
        before = (await snapshot(there)).position
        there.deal("first")
        await there.web.follower.step()
        between = (await snapshot(there)).position
        there.deal("second")
        await there.web.follower.step()
        async with called_on(there, f"/v1/stream?after={before}", ("last-event-id", between)) as caller:
            event = await caller.event("changes")
        assert [one["c"] for one in event.data["customers"]] == ["second"]

    play(there, scenario)


def test_each_change_is_told_once_at_its_revision_and_a_sign_of_life_comes_at_once(there: Stage) -> None:
    async def scenario() -> None:
        async with called_on(there, "/v1/stream") as caller:
            first = await caller.event()
            assert (first.name, first.id) == ("alive", there.web.hub._position().text())
            assert set(first.data) == {"revision", "age_ms", "lag_ms"}
            for flag in (True, False):
                there.deal("told", SKU1=flag)
                (event,) = await news(there, caller)
                (record,) = event.data["customers"]
                assert (record["c"], record["l"][0][1]) == ("told", "active" if flag else "ended")
                assert event.data["revision"] == int(event.id.split(".")[1])
                assert "catalog" not in event.data
            assert await news(there, caller) == []
            apply_catalog(there.url, default_catalog() + f"# {fresh('catalog')}\n")
            (event,) = await news(there, caller)
            assert event.data["catalog"]["version"] > 1

    play(there, scenario)


def test_a_part_is_told_only_what_matters_to_it(there: Stage) -> None:
    there.deal("mine", SKU1=True)
    there.deal("theirs", SKU1=True)
    there.web.put("/v1/customers/mine/aliases/tenant:mine")

    async def scenario() -> None:
        await there.web.follower.step()
        one = called_on(there, "/v1/stream?customer=tenant:mine")
        other = called_on(there, f"/v1/stream?feature={FEATURE}")
        async with one as customer, other as feature:
            there.deal("theirs", SKU1=False)
            await write(there, "PUT", "/v1/customers/theirs/users/bob")
            assert await news(there, customer) == []
            (event,) = await news(there, feature)
            assert [one["c"] for one in event.data["customers"]] == ["theirs"]
            there.deal("mine", SKU2=True)
            (event,) = await news(there, customer)
            assert [one[0] for one in event.data["customers"][0]["l"]] == ["SKU1", "SKU2"]
            assert await news(there, feature) == []
            await write(there, "PUT", "/v1/customers/mine/users/bob")
            (event,) = await news(there, customer)
            assert event.data["users"] == [{"u": "bob", "c": ["mine"]}]
            await write(there, "DELETE", "/v1/customers/mine/users/bob")
            (event,) = await news(there, customer)
            assert event.data["users"] == [{"u": "bob", "c": []}]

    play(there, scenario)


def test_a_part_is_told_what_it_saw_come_and_go_while_it_joined(there: Stage) -> None:
    there.deal("undone")

    async def scenario() -> None:
        await there.web.follower.step()
        position = (await snapshot(there)).position
        there.deal("undone", SKU1=True)
        await there.web.follower.step()
        await write(there, "PUT", "/v1/customers/undone/users/eve")  # the follower has not seen it; who joins is told
        async with called_on(there, f"/v1/stream?customer=undone&after={position}") as caller:
            assert (await caller.event("changes")).data["users"] == [{"u": "eve", "c": ["undone"]}]
            await write(there, "DELETE", "/v1/customers/undone/users/eve")
            (event,) = await news(there, caller)
            assert event.data["users"] == [{"u": "eve", "c": []}]

    play(there, scenario)


def test_a_part_that_is_no_longer_the_same_is_sent_for_a_new_snapshot(there: Stage) -> None:
    for customer in ("old", "new"):
        there.deal(customer)
    there.web.put("/v1/customers/old/aliases/tenant:moves")

    async def scenario() -> None:
        await there.web.follower.step()
        async with called_on(there, "/v1/stream?customer=tenant:moves") as caller:
            await write(there, "DELETE", "/v1/customers/old/aliases/tenant:moves")
            await write(there, "PUT", "/v1/customers/new/aliases/tenant:moves")
            await there.web.follower.step()
            assert "tenant:moves" in (await caller.event("resync")).data["reason"]
            await caller.read()
        async with called_on(there, f"/v1/stream?feature={FEATURE}") as caller:
            position = (await caller.event()).id
            apply_catalog(there.url, default_catalog().replace(FEATURE, f"{FEATURE}-no-more"))
            await there.web.follower.step()
            assert "SKUs" in (await caller.event("resync")).data["reason"]
        apply_catalog(there.url, default_catalog() + f"# {fresh('catalog')}\n")
        await there.web.follower.step()
        assert await problem(there, f"/v1/stream?feature={FEATURE}&after={position}") == (410, "resync")

    play(there, scenario)


def test_changes_are_told_in_steps_that_grow_with_the_number_of_readers(
    there: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW_S", 0.05)
    monkeypatch.setattr(module, "READER_S", 0.2)

    def told_at() -> float:
        """When the hub told last: a busy machine may read it much later."""
        return there.web.hub._told_at

    async def scenario() -> None:
        async with called_on(there, "/v1/stream") as one, called_on(there, "/v1/stream"):
            there.deal("step", SKU1=True)
            await there.web.follower.step()
            await one.event("changes")
            before = told_at()
            for flag in (False, True, False):
                there.deal("step", SKU1=flag)
                await there.web.follower.step()
            event = await one.event("changes")
            assert told_at() - before > 0.3  # two readers: 0.4 s after the step before
            assert event.data["customers"][0]["l"][0][1] == "ended"
            there.deal("step", SKU1=True)
            await there.web.follower.step()
            await asyncio.sleep(0.2)
            there.web.hub.say_alive()  # tells early, and must not cut the step after it short
            before = told_at()
            there.deal("step", SKU1=False)
            await there.web.follower.step()
            for status in ("active", "ended"):
                assert (await one.event("changes")).data["customers"][0]["l"][0][1] == status
            assert told_at() - before > 0.3

    play(there, scenario)


def test_an_event_is_encoded_once_for_all_who_want_the_same(there: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    encode = wire.changes

    def counted(*said: Any) -> bytes:
        encoded.append(said)
        return encode(*said)

    monkeypatch.setattr(wire, "changes", counted)

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            callers = [await stack.enter_async_context(called_on(there, "/v1/stream")) for _ in range(20)]
            there.deal("shared", SKU1=True)
            await there.web.follower.step()
            events = [await caller.event("changes") for caller in callers]
        assert len(encoded) == 1
        assert len({event.id for event in events}) == 1

    play(there, scenario)


def test_a_slow_reader_is_cut_off_with_the_reason_and_the_others_are_not(
    there: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2000)

    async def scenario() -> None:
        async with called_on(there, "/v1/stream") as slow, called_on(there, "/v1/stream") as quick_:
            last = (await slow.event()).id
            slow.flow.clear()
            told = 0
            for number in range(30):
                there.deal(f"burst-{number}", SKU1=True)
                told += len(await news(there, quick_))
            assert told == 30
            reader = max(*there.web.hub._readers.values(), key=lambda one: one._over)
            assert len(reader._events) <= 1
            slow.flow.set()
            reason = (await slow.event("cut_off")).data["reason"]
            assert "slow" in reason
            assert slow.over or await slow.chunk() == b""
        async with called_on(there, f"/v1/stream?after={last}") as again:
            event = await again.event("changes")
            assert {one["c"] for one in event.data["customers"]} == {f"burst-{number}" for number in range(30)}

    play(there, scenario)


def test_the_number_of_readers_and_of_snapshots_is_bounded(there: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(there.web.hub, "_most", 1)
    monkeypatch.setattr(edge, "SNAPSHOTS", 1)
    monkeypatch.setattr(edge, "CHUNK", 1)

    async def scenario() -> None:
        async with called_on(there, "/v1/stream"), called_on(there, "/v1/snapshot") as snapshot_:
            snapshot_.flow.clear()
            assert await problem(there, "/v1/stream") == (503, "unavailable")
            assert await problem(there, "/v1/snapshot") == (503, "unavailable")
        assert (await snapshot(there)).customers
        async with called_on(there, "/v1/stream") as caller:
            assert caller.status == 200

    play(there, scenario)


def test_a_caller_that_takes_nothing_of_its_snapshot_is_let_go(there: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "STALLED_S", 0.05)
    monkeypatch.setattr(edge, "CHUNK", 1)

    async def scenario() -> None:
        async with called_on(there, "/v1/snapshot") as caller:
            caller.flow.clear()
            await asyncio.wait_for(asyncio.shield(caller.task), 15)
            assert b'"end"' not in caller.body

    play(there, scenario)


def test_a_stream_ends_when_its_key_is_revoked(there: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "STILL_KNOWN_S", 0.0)
    token = there.web.key("leaver", "snapshot")
    key_id = token.split("_")[1]

    async def scenario() -> None:
        async with called_on(there, "/v1/stream", key=token) as caller:
            await news(there, caller)
            await there.web.keys.revoke(key_id, TESTER)
            await there.web.rooms.authenticator.refresh()
            there.web.hub.say_alive()
            assert "revoked" in (await caller.event("cut_off")).data["reason"]
            await asyncio.wait_for(caller.task, 15)

    play(there, scenario)


def test_who_comes_and_goes_leaves_nothing_behind(there: Stage) -> None:
    async def scenario() -> None:
        position = (await snapshot(there)).position
        there.deal(fresh("churn"))
        before = len(asyncio.all_tasks())
        for number in range(200):
            path = ("/v1/stream", f"/v1/stream?after={position}", "/v1/snapshot", "/v1/stream?after=x")[number % 4]
            async with called_on(there, path):
                pass
        await asyncio.sleep(0)
        assert (there.web.hub.readers, len(asyncio.all_tasks())) == (0, before)

    play(there, scenario)


def test_a_store_that_is_away_leaves_the_streams_open_and_snapshots_answered(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT_S", 0.5)
    monkeypatch.setattr(follow, "LIMIT_S", 0.5)

    async def scenario() -> None:
        log = Log()
        road = Road(database, log.name)
        road.apply(log.change({"Id": "acme", "SKU1": True}))
        await web.follower.step()
        async with called(web.app, "/v1/stream", ADMIN) as caller:
            position = (await caller.event()).id
            proxy.hold()
            with pytest.raises(Unavailable):
                await web.follower.step()
            web.hub.say_alive()
            alive = await caller.event("alive")
            assert alive.data["age_ms"] >= 400
            async with called(web.app, "/v1/snapshot", ADMIN) as whole:
                assert set(Mirror(await whole.read()).customers) == {"acme"}
            async with called(web.app, f"/v1/stream?after={position}", ADMIN) as again:
                assert (await again.event()).name == "alive"
            old = position.rpartition(".")[0] + ".1"
            async with called(web.app, f"/v1/stream?after={old}", ADMIN) as refused:
                assert refused.status == 503
            proxy.cut()
            proxy.release()
            road.apply(log.change({"Id": "late"}))
            await web.follower.step()
            web.hub.say_alive()
            assert (await caller.event("changes")).data["customers"][0]["c"] == "late"
        road.close()

    with proxied(database) as (proxy, url), running_web(url, timeout=1.0) as web:
        web.runner.run(scenario())


def test_a_reload_cuts_off_and_stopping_ends_all(there: Stage) -> None:
    async def scenario() -> None:
        async with called_on(there, "/v1/stream") as caller:
            there.web.hub.reloaded()
            assert "anew" in (await caller.event("cut_off")).data["reason"]
            await asyncio.wait_for(caller.task, 15)
        async with called_on(there, "/v1/stream") as caller:
            there.web.hub.stop()
            assert "stopping" in (await caller.event("cut_off")).data["reason"]
            await asyncio.wait_for(caller.task, 15)
        assert await problem(there, "/v1/stream") == (503, "unavailable")
        there.web.hub._stopped = False

    play(there, scenario)


AGAIN = {"type": "refetchEvaluation"}


def test_an_openfeature_client_is_told_to_evaluate_again_as_it_connects_and_when_its_answers_may_differ(
    there: Stage,
) -> None:
    there.deal("flagged")
    there.web.put("/v1/customers/flagged/users/pat")
    key = ("x-api-key", there.web.key("openfeature", "read"))

    async def quiet(caller: Caller) -> None:
        there.web.hub.say_alive()
        assert await caller.chunk() == b":\n\n"

    async def scenario() -> None:
        await there.web.follower.step()
        for path in ("/ofrep/v1/stream?customer=flagged", "/ofrep/v1/stream?user=pat"):
            async with called_on(there, path, key, key="not-this-one") as caller:
                event = await caller.event()
                assert (event.name, event.data) == ("message", AGAIN)
                there.deal("other", SKU1=True)
                await there.web.follower.step()
                await quiet(caller)
                there.deal("flagged", SKU1=True)
                await there.web.follower.step()
                assert (await caller.event()).data == AGAIN
                await quiet(caller)
                there.deal("flagged", SKU1=False)
                await there.web.follower.step()
                assert (await caller.event()).data == AGAIN
        async with called_on(there, "/ofrep/v1/stream?user=pat", key) as caller:
            await caller.event()
            await write(there, "PUT", "/v1/customers/other/users/pat")
            await there.web.follower.step()
            there.web.hub.say_alive()
            assert (await caller.event()).data == AGAIN
            await quiet(caller)
        assert await problem(there, "/ofrep/v1/stream") == (422, "invalid_input")

    play(there, scenario)


class Following:
    """A reader as an application has one: snapshot, then stream; comes back when cut off, starts anew on ``resync``."""

    def __init__(self, there: Stage, feature: str = "", customers: tuple[str, ...] = ()) -> None:
        self._there = there
        self._snapshot = f"?feature={feature}" if feature else ""
        self._query = [f"feature={feature}"] * bool(feature) + [f"customer={one}" for one in customers]
        self._customers = customers
        self._caller: Caller | None = None
        self.mirror: Mirror | None = None

    async def caught_up(self) -> dict[str, Any]:
        """Take all that changed; returns the state."""
        position = self._there.web.hub._position().text()
        while self.mirror is None or self._caller is None or self.mirror.position != position:
            if self.mirror is None:
                self.mirror = (await snapshot(self._there, self._snapshot)).narrowed(self._customers)
            if self._caller is None:
                query = "&".join([*self._query, f"after={self.mirror.position}"])
                self._caller = await Caller(self._there.web.app, f"/v1/stream?{query}", ADMIN, ()).open()
                if self._caller.status == 410:
                    await self.drop()
                    self.mirror = None
                continue
            event = await self._caller.event()
            if event.name in ("cut_off", "resync"):
                await self.drop()
                self.mirror = None if event.name == "resync" else self.mirror
            else:
                self.mirror.take(event)
        return self.mirror.state

    async def drop(self) -> None:
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.hang_up()
            await asyncio.wait_for(caller.task, 15)


CUSTOMERS = ("p0", "p1", "p2")
named = st.sampled_from(CUSTOMERS)
flags = st.sampled_from([True, False])
deeds = st.one_of(
    st.tuples(st.just("deal"), named, flags, st.sampled_from(["SKU1", "SKU2", "SKU3"])),
    st.tuples(
        st.sampled_from(["aliases/tenant:p", "users/ada@p.example", "users/bob", "domains/p.example"]), named, flags
    ),
    st.tuples(st.sampled_from(["follow", "drop", "reload", "catalog"])),
)


async def do(there: Stage, readers: Sequence[Following], deed: Any, number: int) -> None:
    match deed:
        case ("deal", customer, flag, sku):
            there.deal(customer, **{sku: flag})
        case ("follow",):
            await there.web.follower.step()
        case ("drop",):
            for reader in readers:
                await reader.drop()
        case ("reload",):
            there.web.hub.reloaded()
        case ("catalog",):
            other = (
                default_catalog().replace("{ account-takeover", "{ inbound-email-security = true, account-takeover")
                if number % 2
                else default_catalog()
            )
            apply_catalog(there.url, f"{other}# {fresh('catalog')}\n")
        case (path, customer, flag):
            await write(there, "PUT" if flag else "DELETE", f"/v1/customers/{customer}/{path}")


@settings(quick, max_examples=12)
@given(st.lists(deeds, min_size=4, max_size=12))
def test_a_snapshot_and_what_the_stream_tells_make_a_fresh_snapshot(there: Stage, history: list[Any]) -> None:
    async def scenario() -> None:
        for customer in CUSTOMERS:
            there.deal(customer)
        await there.web.follower.step()
        everything, feature = Following(there), Following(there, FEATURE)
        part = Following(there, customers=CUSTOMERS[:2])
        readers = (everything, feature, part)
        for reader in readers:
            await reader.caught_up()
        for number, deed in enumerate([*history, ("follow",)]):
            await do(there, readers, deed, number)
        there.web.hub.say_alive()
        whole = await snapshot(there)
        assert await everything.caught_up() == whole.state
        assert await feature.caught_up() == (await snapshot(there, f"?feature={FEATURE}")).state
        assert await part.caught_up() == whole.narrowed(CUSTOMERS[:2]).state
        for reader in readers:
            await reader.drop()

    play(there, scenario)
