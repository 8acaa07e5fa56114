"""The catalog in memory: follows the store, and stays where the store is away."""

import asyncio

import psycopg
import pytest

from licet.answer.catalogs import Catalogs
from licet.answer.follow import Follower
from licet.answer.snapshot import Latest
from licet.domain.errors import Unavailable
from licet.manage.catalog import CatalogDesk
from licet.store.catalog_reader import PostgresCatalogReader
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.feed import PostgresFeed
from licet.store.migrate import default_catalog
from licet.store.pools import reader_pool
from support.proxy import proxied
from support.world import TESTER


def test_the_current_catalog_follows_the_store_and_outlives_it(database: str) -> None:
    desk = CatalogDesk(PostgresCatalogs(database))

    async def scenario() -> None:
        pool = reader_pool(url, wait=0.5)
        await pool.open()
        catalogs = Catalogs(PostgresCatalogReader(pool))
        follower = Follower(PostgresFeed(url), Latest(), catalogs.learn)
        with pytest.raises(Unavailable):
            catalogs.current()
        assert await catalogs.ready() == "the catalog has not been read yet"
        await catalogs.load()
        await follower.step()
        assert await catalogs.ready() is None
        for number in range(2, 13):
            desk.apply(default_catalog() + f"# {number}\n", TESTER)
        await follower.step()
        assert catalogs.current().version == 12
        assert (await catalogs.at(2)).version == 2
        assert (await catalogs.at(12)) is catalogs.current()
        with pytest.raises(LookupError):
            await catalogs.at(99)
        proxy.close()
        with pytest.raises(Unavailable):
            await follower.step()
        assert catalogs.current().version == 12
        with pytest.raises(Unavailable):
            await catalogs.at(3)
        await follower.close()
        await pool.close()

    with proxied(database) as (proxy, url):
        asyncio.run(scenario())


def test_a_store_without_a_catalog_says_what_to_do(empty_database: str) -> None:
    async def scenario() -> None:
        pool = reader_pool(empty_database)
        await pool.open()
        with pytest.raises(LookupError, match="licet migrate"):
            await Catalogs(PostgresCatalogReader(pool)).load()
        await pool.close()

    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE catalog_version (version int, document text, recorded int8range)")
    asyncio.run(scenario())
