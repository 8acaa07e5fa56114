"""What operators do from the command line."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

from licet.answer.catalogs import Catalogs
from licet.answer.history import History
from licet.bootstrap.queue import build_log, build_survey
from licet.bootstrap.store import utc_now
from licet.consume.refold import refold
from licet.consume.verify import Report, verify
from licet.domain.errors import ConfigurationError
from licet.domain.license import Cause, Moment
from licet.manage.catalog import CatalogDesk
from licet.manage.keys import Keys
from licet.manage.letters import LetterDesk
from licet.manage.partitions import PartitionDesk
from licet.settings import Settings
from licet.store.catalog_reader import PostgresCatalogReader
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.customers import PostgresCustomers
from licet.store.history import PostgresHistory
from licet.store.keys import PostgresKeys
from licet.store.letters import PostgresLetters
from licet.store.partitions import PostgresPartitions
from licet.store.pools import Pool, reader_pool, writer_pool
from licet.store.projection import PostgresProjection
from licet.store.prune import prune
from licet.store.verification import open_books


@contextlib.asynccontextmanager
async def key_desk(settings: Settings) -> AsyncIterator[Keys]:
    """Lend the operator's side of the API keys."""
    pool: Pool = writer_pool(settings.database_url, 1)
    await pool.open()
    try:
        yield Keys(PostgresKeys(pool))
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def history_desk(settings: Settings) -> AsyncIterator[History]:
    """Lend the reader of other moments, of what stands behind an answer, and of what happened."""
    async with reader_pool(settings.database_url, 1) as pool:
        catalogs = Catalogs(PostgresCatalogReader(pool))
        yield History(PostgresHistory(pool), PostgresCustomers(pool), catalogs, clock=utc_now)


def catalog_desk(settings: Settings) -> CatalogDesk:
    """Build the operator's side of the catalog."""
    return CatalogDesk(PostgresCatalogs(settings.database_url))


@contextlib.asynccontextmanager
async def letter_desk(settings: Settings) -> AsyncIterator[tuple[PostgresLetters, LetterDesk]]:
    """Lend the operator's side of dead letters: to search, and to act."""
    async with writer_pool(settings.database_url, 1) as pool:
        change_log = build_log(settings)
        try:
            letters = PostgresLetters(pool)
            yield letters, LetterDesk(letters, change_log)
        finally:
            await change_log.close()


def verify_store(settings: Settings, begins: Callable[[int], None], told: Callable[[int], None]) -> Report:
    """Verify the store; ``begins`` hears how many deliveries there are to fold, ``told`` how many more are folded."""
    with open_books(settings.database_url) as books:
        begins(books.count_entries())
        return verify(books, build_survey(settings), told)


def prune_store(settings: Settings) -> Iterator[tuple[int, int, int]]:
    """Empty what the settings keep no longer; see ``store.prune``. Raises ``ConfigurationError`` for no limit."""
    if not settings.payload_days:
        raise ConfigurationError("LICET_PAYLOAD_DAYS is 0: payloads are kept for ever, there is nothing to prune")
    return prune(settings.database_url, settings.payload_days)


def partition_desk(settings: Settings) -> PartitionDesk:
    """Build the operator's side of stopped partitions."""
    return PartitionDesk(PostgresPartitions(settings.database_url), build_survey(settings))


def refold_customers(settings: Settings) -> Iterator[int]:
    """Bring existing customers under the current catalog; yields how many each step reached."""
    projection = PostgresProjection(settings.database_url)
    try:
        yield from refold(projection, _moment)
    finally:
        projection.close()


def _moment(revision: int, cause: Cause) -> Moment:
    return Moment(utc_now(), revision, cause)
