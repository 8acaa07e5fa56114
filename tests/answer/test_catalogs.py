"""The catalog in memory: follows the store, and stays where the store is away."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from licet.answer import catalogs as module
from licet.answer.catalogs import Catalogs
from licet.domain.errors import Unavailable
from licet.manage.catalog import CatalogDesk
from licet.store.answers import PostgresAnswers
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.migrate import default_catalog
from support.proxy import proxied


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(500):
        if await what():
            return
        await asyncio.sleep(0.02)
    pytest.fail("not within 10 s")


def test_the_current_catalog_follows_the_store_and_outlives_it(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.02)
    desk = CatalogDesk(PostgresCatalogs(database))

    async def scenario(url: str, go_away: Callable[[], None]) -> None:
        answers = PostgresAnswers(url, timeout=1.0)
        catalogs = Catalogs(answers)
        with pytest.raises(Unavailable):
            catalogs.current()
        assert await catalogs.ready() == "the catalog has not been read yet"
        await catalogs.load()
        following = asyncio.create_task(catalogs.follow())
        for number in range(2, 13):
            desk.apply(default_catalog() + f"# {number}\n", "Ada")

        async def caught_up() -> bool:
            return catalogs.current().version == 12

        await until(caught_up)
        assert await catalogs.ready() is None
        assert (await catalogs.at(2)).version == 2
        assert (await catalogs.at(12)) is catalogs.current()
        go_away()

        async def waits() -> bool:
            return "cannot be read again: the store does not answer" in (await catalogs.ready() or "")

        await until(waits)
        assert catalogs.current().version == 12
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await answers.close()

    with proxied(database) as (proxy, url):
        asyncio.run(scenario(url, proxy.close))
