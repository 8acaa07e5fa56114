"""The one place that wires: it alone names adapters. Importing it does nothing; each ``build_*`` constructs."""

import asyncio
import contextlib
import datetime as dt
import pathlib
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from typing import cast

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from licet.answer.catalogs import Catalogs
from licet.answer.check import Checker, Patience
from licet.answer.follow import Follower
from licet.answer.kept import KeptAnswers
from licet.answer.reading import Reading
from licet.answer.snapshot import Latest
from licet.answer.stream import Hub
from licet.consume.apply import Applied, Applier
from licet.consume.refold import refold
from licet.consume.worker import Watch, Worker
from licet.domain.errors import ConfigurationError
from licet.domain.license import Cause, Moment
from licet.edge import stream
from licet.edge.app import Rooms, build_app
from licet.edge.asgi import Handler
from licet.edge.authentication import Authenticator
from licet.edge.check import HOW as CHECK_HOW
from licet.edge.check import Check
from licet.edge.front import Front, Route
from licet.edge.webhook import HOW as WEBHOOK_HOW
from licet.edge.webhook import Webhook
from licet.manage.catalog import CatalogDesk
from licet.manage.directory import Directory
from licet.manage.keys import Keys
from licet.observe.log import Event, log
from licet.observe.metrics import Metrics
from licet.queue.kafka import KafkaLog, KafkaReader, KafkaTopic, ensure_topic
from licet.queue.ports import ChangeLog, LogReader, LogUnavailable, Positions
from licet.queue.postgres import PostgresLog, PostgresReader, log_name
from licet.receive.signature import Signatures
from licet.receive.webhook import Door
from licet.receive.who import Gate
from licet.settings import Settings
from licet.store.catalog_reader import PostgresCatalogReader
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.customers import PostgresCustomers
from licet.store.directory import PostgresDirectory
from licet.store.feed import PostgresFeed
from licet.store.keys import PostgresKeys
from licet.store.migrate import Migration, check_migrated, default_catalog, migrate
from licet.store.pools import Pool, reader_pool, store_ready, writer_pool
from licet.store.projection import PostgresProjection

FLUSH_S = 5.0
# The web process listens once checks can be answered, or after this: with many customers the door opens before.
FIRST_LOAD_S = 2.0


def utc_now() -> dt.datetime:
    """Tell the time; the one clock that is handed to the rooms."""
    return dt.datetime.now(dt.UTC)


def migrate_store(settings: Settings) -> list[Migration]:
    """Bring the database to this release's schema; returns what was applied. Raises ``ConfigurationError``."""
    with _told(settings):
        return migrate(settings.database_url, _initial_catalog(settings.catalog))


def _initial_catalog(path: str | None) -> str:
    """Read the catalog of a store that has none: the file that the setting names, or the seed's."""
    if path is None:
        return default_catalog()
    try:
        return pathlib.Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"LICET_CATALOG: {error}") from error


def check_store(settings: Settings) -> None:
    """Raise ``ConfigurationError`` where the store is not set, cannot be reached or is not at this release's schema."""
    with _told(settings):
        check_migrated(settings.database_url)


@contextlib.contextmanager
def _told(settings: Settings) -> Iterator[None]:
    """Turn what the driver says of a wrong address into words that name it, without the password."""
    shape = "postgresql://user:password@host/database"
    if not settings.database_url:
        raise ConfigurationError(f"LICET_DATABASE_URL: found nothing, expected {shape}")
    try:
        where = conninfo_to_dict(settings.database_url)
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"LICET_DATABASE_URL: found a value that cannot be read, expected {shape}") from error
    try:
        yield
    except psycopg.OperationalError as error:
        address = f"{where.get('host', 'localhost')}:{where.get('port', 5432)}, database {where.get('dbname', '')}"
        raise ConfigurationError(f"PostgreSQL at {address} cannot be used: {str(error).strip()}") from error


def check_queue(settings: Settings) -> None:
    """Make the topic where Kafka is used and has none. Raises ``ConfigurationError`` where Kafka does not answer."""
    if settings.kafka_brokers:
        try:
            ensure_topic(_topic(settings))
        except LogUnavailable as error:
            raise ConfigurationError(str(error)) from error


def queue_name(settings: Settings) -> str:
    """Say in words which queue is in use."""
    if settings.kafka_brokers:
        return f"Kafka at {settings.kafka_brokers}, topic {settings.kafka_topic}"
    return "PostgreSQL; Kafka when LICET_KAFKA_BROKERS is set"


def _topic(settings: Settings) -> KafkaTopic:
    return KafkaTopic(
        brokers=settings.kafka_brokers,
        name=settings.kafka_topic,
        replication=settings.kafka_replication,
        config=dict(settings.kafka_config),
    )


def build_log(settings: Settings) -> ChangeLog:
    """Build the door's side of the queue."""
    timeout = settings.append_timeout_ms / 1000
    if settings.kafka_brokers:
        return KafkaLog(_topic(settings), timeout=timeout)
    return PostgresLog(settings.database_url, log_name(settings.database_url), timeout=timeout)


def build_reader(settings: Settings, positions: Positions) -> LogReader:
    """Build the worker's side of the queue."""
    if settings.kafka_brokers:
        return KafkaReader(_topic(settings), positions)
    return PostgresReader(settings.database_url, log_name(settings.database_url), positions)


class Web(msgspec.Struct, frozen=True):
    """The web process: its ASGI callable, and what must be opened before it serves and closed after.

    ``stop_streams``: end what would never end by itself; requests in flight go on.
    """

    app: Handler
    running: Callable[[], contextlib.AbstractAsyncContextManager[None]]
    stop_streams: Callable[[], None]


def build_web(settings: Settings) -> Web:
    """Build the door and the API. Nothing is connected before ``running()`` is entered."""
    metrics = Metrics()
    readers, writers = reader_pool(settings.database_url), writer_pool(settings.database_url)
    catalogs = Catalogs(PostgresCatalogReader(readers))
    customers = PostgresCustomers(readers)
    keys = PostgresKeys(readers)
    authenticator = Authenticator(keys.all, clock=utc_now, bootstrap_key=settings.bootstrap_api_key)
    change_log = build_log(settings)
    gate = Gate(
        authenticate=authenticator.authenticate,
        signatures=Signatures(settings.webhook_secrets, settings.webhook_tolerance_s),
        open_as=settings.webhook_source if settings.webhook_auth == "none" else None,
        clock=utc_now,
    )
    door = Door(
        change_log,
        catalog=catalogs.current,
        clock=utc_now,
        metrics=metrics,
        organization=settings.salesforce_org_id,
    )
    latest = Latest()
    metrics.watch_snapshot(latest.age_s, latest.size)
    follower = Follower(
        PostgresFeed(settings.database_url), latest, catalogs.learn, stale_after_s=settings.stale_after_s
    )
    hub = Hub(latest, PostgresFeed(settings.database_url), settings.stream_readers)
    follower.listeners.append(hub)
    metrics.stream_readers.set_function(lambda: hub.readers)
    checker = Checker(
        latest,
        clock=utc_now,
        metrics=metrics,
        patience=Patience(latest, follower, customers),
        stale_after_s=settings.stale_after_s,
    )
    check = Check(checker, latest, KeptAnswers(latest, utc_now), authenticator, metrics)

    async def store() -> str | None:
        return await store_ready(readers)

    api = build_app(
        Rooms(
            reading=Reading(customers, customers, catalogs, clock=utc_now),
            directory=Directory(PostgresDirectory(writers)),
            authenticator=authenticator,
            metrics=metrics,
            checks={"store": store, "snapshot": follower.ready, "catalog": catalogs.ready, "queue": change_log.ready},
        )
    )
    front = Front(
        {
            "/salesforce/webhook": Route(Webhook(gate, door, metrics), ("POST",), WEBHOOK_HOW),
            "/v1/check": Route(check, ("GET",), CHECK_HOW),
            "/v1/snapshot": Route(stream.Snapshots(latest, authenticator), ("GET",), stream.SNAPSHOT),
            "/v1/stream": Route(stream.Stream(hub, latest, authenticator), ("GET",), stream.STREAM),
            "/ofrep/v1/stream": Route(stream.OfrepStream(hub, latest, authenticator), ("GET",), stream.OFREP),
        },
        cast("Handler", api),
        metrics,
    )

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for pool in (readers, writers):
                await pool.open()
                stack.push_async_callback(pool.close)
            stack.push_async_callback(hub.close)
            stack.push_async_callback(follower.close)
            stack.push_async_callback(change_log.close)
            await catalogs.load()
            await authenticator.refresh()
            for task in (follower.run(), hub.run(), authenticator.keep_fresh(), _flush_key_use(authenticator, keys)):
                stack.push_async_callback(_end, asyncio.create_task(task))
            await follower.first_load(FIRST_LOAD_S)
            yield

    return Web(front, running, hub.stop)


async def _flush_key_use(authenticator: Authenticator, keys: PostgresKeys) -> None:
    """Write when keys were last used, every few seconds: a check must not wait for a write."""
    while True:
        await asyncio.sleep(FLUSH_S)
        used = authenticator.take_used()
        if used:
            try:
                await keys.touch(used)
            except Exception as error:  # noqa: BLE001 the next use is written again; the log says it
                log(Event.KEY_USE_UNWRITTEN, reason=str(error))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class RunningWorker(msgspec.Struct, frozen=True):
    """A worker ready to run: ``run(stop)`` in one thread, ``close()`` after it."""

    worker: Worker
    metrics: Metrics
    close: Callable[[], None]


def build_worker(settings: Settings, seen: Callable[[Applied], None] | None = None) -> RunningWorker:
    """Build the consumer. ``seen`` is called with each committed batch, from the worker's thread."""
    metrics = Metrics()
    projection = PostgresProjection(settings.database_url)
    applied_by: list[Applier] = []  # the reader asks the applier for positions, which needs the reader's name

    def positions(partitions: Collection[int]) -> Mapping[int, int]:
        return applied_by[0].assign(partitions)

    reader = build_reader(settings, positions)
    watch = Watch(metrics, seen)
    applier = Applier(projection, reader.name, watch.committed, settings.salesforce_org_id)
    applied_by.append(applier)
    return RunningWorker(Worker(reader, applier, metrics, settings.batch_size), metrics, projection.close)


@contextlib.contextmanager
def worker_thread(settings: Settings, seen: Callable[[Applied], None] | None = None) -> Iterator[Worker]:
    """Run a worker in a thread until the block ends; the batch begun is finished first."""
    built = build_worker(settings, seen)
    stop = threading.Event()
    thread = threading.Thread(target=built.worker.run, args=(stop,), name="worker")
    thread.start()
    try:
        yield built.worker
    finally:
        stop.set()
        thread.join()
        built.close()


@contextlib.asynccontextmanager
async def key_desk(settings: Settings) -> AsyncIterator[Keys]:
    """Lend the operator's side of the API keys."""
    pool: Pool = writer_pool(settings.database_url, 1)
    await pool.open()
    try:
        yield Keys(PostgresKeys(pool))
    finally:
        await pool.close()


def catalog_desk(settings: Settings) -> CatalogDesk:
    """Build the operator's side of the catalog."""
    return CatalogDesk(PostgresCatalogs(settings.database_url))


def refold_customers(settings: Settings) -> Iterator[int]:
    """Bring existing customers under the current catalog; yields how many each step reached."""
    projection = PostgresProjection(settings.database_url)
    try:
        yield from refold(projection, _moment)
    finally:
        projection.close()


def _moment(revision: int, cause: Cause) -> Moment:
    return Moment(utc_now(), revision, cause)
