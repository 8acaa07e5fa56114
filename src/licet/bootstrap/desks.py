"""What operators do from the command line."""

import asyncio
import contextlib
import datetime as dt
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NamedTuple

from licet.answer.catalogs import Catalogs
from licet.answer.history import History
from licet.bootstrap.queue import build_log, build_survey
from licet.bootstrap.store import build_brake, utc_now
from licet.consume.brake import BrakeDesk
from licet.consume.customers import CustomerDesk
from licet.consume.plan import Plans
from licet.consume.refold import refold
from licet.consume.verify import Report, verify
from licet.domain.errors import ConfigurationError, Unavailable
from licet.domain.license import Moment
from licet.domain.principal import Actor
from licet.edge.operations import Operations
from licet.manage.catalog import CatalogDesk
from licet.manage.drift import DriftDesk
from licet.manage.keys import Keys
from licet.manage.letters import LetterDesk
from licet.manage.overrides import Overrides
from licet.manage.partitions import PartitionDesk
from licet.manage.repair import Orders
from licet.manage.sessions import Sessions
from licet.queue.message import Message
from licet.queue.ports import AppendFailed
from licet.settings import Settings
from licet.store.audit import PostgresAudit, export_audit
from licet.store.brake import PostgresBrake
from licet.store.catalog_reader import PostgresCatalogReader
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.console import PostgresSessions
from licet.store.customers import PostgresCustomers
from licet.store.drift import PostgresReconciliations, open_drift
from licet.store.history import PostgresHistory
from licet.store.keys import PostgresKeys
from licet.store.letters import PostgresLetters
from licet.store.overrides import PostgresOverrides
from licet.store.partitions import PostgresPartitions
from licet.store.planning import open_planning
from licet.store.pools import Pool, reader_pool, writer_pool
from licet.store.projection import PostgresProjection, open_projection
from licet.store.prune import prune
from licet.store.verification import open_books


class Letters(NamedTuple):
    """The operator's side of dead letters: to search, and to act."""

    store: PostgresLetters
    desk: LetterDesk


class Exceptions(NamedTuple):
    """The operator's side of overrides: to read, and to write."""

    store: PostgresOverrides
    desk: Overrides


@contextlib.asynccontextmanager
async def key_desk(settings: Settings) -> AsyncIterator[Keys]:
    """Lend the operator's side of the API keys."""
    async with writer_pool(settings.database_url, 1) as pool:
        yield Keys(PostgresKeys(pool))


@contextlib.asynccontextmanager
async def session_desk(settings: Settings) -> AsyncIterator[Sessions]:
    """Lend what lets people into the console, and ends their sessions."""
    async with writer_pool(settings.database_url, 1) as pool:
        yield Sessions(PostgresSessions(pool))


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
async def letter_desk(settings: Settings) -> AsyncIterator[Letters]:
    """Lend the operator's side of dead letters."""
    async with writer_pool(settings.database_url, 1) as pool:
        change_log = build_log(settings)
        try:
            letters, catalogs = PostgresLetters(pool), Catalogs(PostgresCatalogReader(pool))
            await catalogs.load()
            yield Letters(letters, LetterDesk(letters, change_log, catalogs.current))
        finally:
            await change_log.close()


@contextlib.asynccontextmanager
async def override_desk(settings: Settings) -> AsyncIterator[Exceptions]:
    """Lend the operator's side of overrides."""
    async with writer_pool(settings.database_url, 1) as pool:
        store, catalogs = PostgresOverrides(pool), Catalogs(PostgresCatalogReader(pool))
        await catalogs.load()
        yield Exceptions(store, Overrides(store, catalogs.current, utc_now))


def verify_store(settings: Settings, begins: Callable[[int], None], told: Callable[[int], None]) -> Report:
    """Verify the store; ``begins`` hears how many deliveries there are to fold, ``told`` how many more are folded."""
    with open_books(settings.database_url) as books:
        begins(books.count_entries())
        return verify(books, build_survey(settings), told)


def prune_store(settings: Settings, by: Actor) -> Iterator[tuple[int, int, int]]:
    """Empty what the settings keep no longer; see ``store.prune``. Raises ``ConfigurationError`` for no limit."""
    if not settings.payload_days:
        raise ConfigurationError("LICET_PAYLOAD_DAYS is 0: payloads are kept for ever, there is nothing to prune")
    return prune(settings.database_url, settings.payload_days, by)


def partition_desk(settings: Settings) -> PartitionDesk:
    """Build the operator's side of stopped partitions."""
    return PartitionDesk(PostgresPartitions(settings.database_url), build_survey(settings))


def catalog_plans(settings: Settings) -> Plans:
    """Build what says beforehand what a catalog would change."""
    return Plans(functools.partial(open_planning, settings.database_url), utc_now)


def customer_desk(settings: Settings) -> CustomerDesk:
    """Build what a person does to whole customers."""
    return CustomerDesk(functools.partial(open_projection, settings.database_url), utc_now)


def brake_desk(settings: Settings) -> BrakeDesk:
    """Build what a person does to the safety brake's holds."""
    return BrakeDesk(functools.partial(open_projection, settings.database_url), build_brake(settings))


@contextlib.asynccontextmanager
async def brake_reader(settings: Settings) -> AsyncIterator[PostgresBrake]:
    """Lend the reading side of the safety brake."""
    async with reader_pool(settings.database_url, 1) as pool:
        yield PostgresBrake(pool, build_brake(settings))


def drift_desk(settings: Settings) -> DriftDesk:
    """Build what exports the store and compares it with exports."""
    return DriftDesk(functools.partial(open_drift, settings.database_url))


@contextlib.contextmanager
def repair_orders(settings: Settings, **asked: Any) -> Iterator[Orders]:
    """Lend what repairs go to the queue with; ``asked`` are the other fields of ``Orders``."""
    with asyncio.Runner() as runner:
        change_log = build_log(settings)

        def append(messages: Sequence[Message]) -> None:
            for result in runner.run(change_log.append(messages)):
                if isinstance(result, AppendFailed):
                    raise Unavailable(f"the queue did not take all, run it again: {result.reason}")

        try:
            yield Orders(append=append, clock=utc_now, organization=settings.salesforce_org_id, **asked)
        finally:
            runner.run(change_log.close())


def build_operations(settings: Settings, readers: Pool, ends: asyncio.Event) -> Operations:
    """Build the same for the API. Once ``ends`` is set a refold stops; the next one goes on where it stood."""

    def refold_all() -> None:
        for _ in refold_customers(settings):
            if ends.is_set():
                return

    return Operations(
        versions=PostgresCatalogReader(readers).versions,
        catalog=catalog_desk(settings),
        plans=catalog_plans(settings),
        customers=customer_desk(settings),
        audit=PostgresAudit(readers).search,
        reconciliations=PostgresReconciliations(readers).search,
        brake=PostgresBrake(readers, build_brake(settings)).show,
        brake_desk=brake_desk(settings),
        refold=refold_all,
    )


@contextlib.asynccontextmanager
async def audit_search(settings: Settings) -> AsyncIterator[PostgresAudit]:
    """Lend the reading side of the audit."""
    async with reader_pool(settings.database_url, 1) as pool:
        yield PostgresAudit(pool)


def audit_lines(settings: Settings, since: dt.datetime | None) -> Iterator[str]:
    """Yield the audit since a moment (None: all) as lines of JSON."""
    return export_audit(settings.database_url, since)


def refold_customers(settings: Settings) -> Iterator[int]:
    """Bring existing customers under the current catalog; yields how many each step reached."""
    with contextlib.closing(PostgresProjection(settings.database_url)) as projection:
        yield from refold(projection, lambda revision, cause: Moment(utc_now(), revision, cause))
