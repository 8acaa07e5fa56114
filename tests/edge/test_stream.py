"""Snapshot and stream on the real store, read by a reader that knows the wire alone."""

from collections.abc import Awaitable, Callable, Iterator

import pytest

from licet.answer import stream as module
from support.streams import Caller, Mirror, called
from support.web import ADMIN, Stage, stage


@pytest.fixture(scope="module")
def there(postgres: str, template: str) -> Iterator[Stage]:
    """The web and the worker's applier on a database of this module."""
    with stage(postgres, template) as built:
        yield built


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell each change at once: what is collected is the matter of a test of its own."""
    monkeypatch.setattr(module, "WINDOW_S", 0.0)
    monkeypatch.setattr(module, "READER_S", 0.0)


async def snapshot(there: Stage, query: str = "") -> Mirror:
    async with called(there.web.app, f"/v1/snapshot{query}", ADMIN) as caller:
        assert (caller.status, caller.headers[b"content-type"]) == (200, b"application/x-ndjson")
        return Mirror(await caller.read())


async def caught_up(there: Stage, caller: Caller, mirror: Mirror) -> None:
    """Let the reader take all that changed until now."""
    await there.web.follower.step()
    there.web.hub.say_alive()
    position = there.web.hub._position().text()
    while mirror.position != position:
        mirror.take(await caller.event())


def play(there: Stage, scenario: Callable[[], Awaitable[None]]) -> None:
    async def wait() -> None:
        await scenario()

    there.web.runner.run(wait())


def test_a_snapshot_tells_all_and_its_last_line_how_much_that_was(there: Stage) -> None:
    there.deal("acme", SKU1=True, SKU2=False)
    there.web.put("/v1/customers/acme/aliases/tenant:4711")
    there.web.put("/v1/customers/acme/users/ada@acme.example")
    there.web.put("/v1/customers/acme/domains/acme.example")

    async def scenario() -> None:
        mirror = await snapshot(there)
        licenses = mirror.customers["acme"]["l"]
        assert [one[:5] for one in licenses] == [
            ["SKU1", "active", None, None, None],
        ]

    play(there, scenario)


def test_a(there: Stage) -> None:
    async def scenario() -> None:
        mirror = await snapshot(there)
        async with called(there.web.app, "/v1/stream?after=" + mirror.position, ADMIN) as caller:
            there.deal("late", SKU1=True)
            await caught_up(there, caller, mirror)
            assert "late" in mirror.customers
            assert mirror.state == (await snapshot(there)).state

    play(there, scenario)
