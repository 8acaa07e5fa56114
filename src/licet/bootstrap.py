"""The one place that wires: it alone names adapters. Importing it does nothing; each ``build_*`` constructs."""

import asyncio
import contextlib
import datetime as dt
import pathlib
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, cast

import msgspec
import psycopg
from confluent_kafka import KafkaException
from psycopg.conninfo import conninfo_to_dict

from licet.answer.catalogs import Catalogs
from licet.answer.check import Checker
from licet.answer.letters import Letters
from licet.answer.reading import Reading
from licet.consume.apply import Applied, Applier
from licet.consume.refold import refold
from licet.consume.verify import Report, verify
from licet.consume.worker import Watch, Worker
from licet.domain.errors import ConfigurationError
from licet.domain.license import Cause, Moment
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
from licet.manage.letters import LetterDesk
from licet.manage.partitions import PartitionDesk
from licet.observe.log import Event, log
from licet.observe.metrics import Metrics
from licet.queue.drain import GIVE_UP_S, Drainer
from licet.queue.kafka import KafkaLog, KafkaTopic, ensure_topic
from licet.queue.kafka_reader import KafkaReader, KafkaSurvey
from licet.queue.librdkafka import said
from licet.queue.ports import ChangeLog, LogReader, LogSurvey, LogUnavailable, Positions
from licet.queue.postgres import PostgresLog, log_name
from licet.queue.postgres_reader import PostgresReader, PostgresSurvey
from licet.queue.spool import KAFKA_SHARE, SPOOL_SHARE, SpoolLog
from licet.queue.spool_state import SpoolState
from licet.receive.register import Register
from licet.receive.signature import Signatures
from licet.receive.webhook import Door
from licet.receive.who import Gate
from licet.settings import Settings
from licet.store.answers import PostgresAnswers
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.customers import PostgresCustomers
from licet.store.directory import PostgresDirectory
from licet.store.keys import PostgresKeys
from licet.store.letters import PostgresLetters
from licet.store.migrate import Migration, check_migrated, default_catalog, migrate
from licet.store.partitions import PostgresPartitions
from licet.store.pools import Pool, reader_pool, store_ready, writer_pool
from licet.store.ports import DeadLimit
from licet.store.projection import PostgresProjection
from licet.store.prune import prune
from licet.store.senders import PostgresSenders
from licet.store.verification import open_books

FLUSH_S = 5.0
REGISTER_S = 2.0


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


def check_address(settings: Settings) -> Mapping[str, Any]:
    """Return the store's address in parts. Raises ``ConfigurationError`` where none is set or it cannot be read."""
    shape = "postgresql://user:password@host/database"
    if not settings.database_url:
        raise ConfigurationError(f"LICET_DATABASE_URL: found nothing, expected {shape}")
    try:
        return conninfo_to_dict(settings.database_url)
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"LICET_DATABASE_URL: found a value that cannot be read, expected {shape}") from error


def check_store(settings: Settings) -> None:
    """Raise ``ConfigurationError`` where the store is not set, cannot be reached or is not at this release's schema."""
    with _told(settings):
        check_migrated(settings.database_url)


@contextlib.contextmanager
def _told(settings: Settings) -> Iterator[None]:
    """Turn what the driver says of a wrong address into words that name it, without the password."""
    where = check_address(settings)
    try:
        yield
    except psycopg.OperationalError as error:
        address = f"{where.get('host', 'localhost')}:{where.get('port', 5432)}, database {where.get('dbname', '')}"
        raise ConfigurationError(f"PostgreSQL at {address} cannot be used: {str(error).strip()}") from error


def check_queue(settings: Settings) -> None:
    """Make the topic where Kafka is used and has none. Raises ``ConfigurationError`` where Kafka does not answer."""
    away = queue_away(settings)
    if away is not None:
        raise ConfigurationError(away)


def queue_away(settings: Settings) -> str | None:
    """Make the topic where Kafka is used and has none; says what Kafka lacks. A door can start without it."""
    if settings.kafka_brokers:
        try:
            with _kafka_told(settings):
                ensure_topic(_topic(settings))
        except LogUnavailable as error:
            return str(error)
    return None


@contextlib.contextmanager
def _kafka_told(settings: Settings) -> Iterator[None]:
    """Turn what Kafka's client says of a wrong setting into words without a secret; it quotes values."""
    try:
        yield
    except KafkaException as error:
        text = said(error)
        for _, value in settings.kafka_config:
            text = text.replace(f'"{value}"', "(not shown)")
        raise ConfigurationError(f"LICET_KAFKA_CONFIG: {text}") from None


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
    """Build the writing side of the queue, without a spool."""
    timeout = settings.append_timeout_ms / 1000
    if settings.kafka_brokers:
        with _kafka_told(settings):
            return KafkaLog(_topic(settings), timeout=timeout)
    return PostgresLog(settings.database_url, log_name(settings.database_url), timeout=timeout)


def build_spool_log(settings: Settings, metrics: Metrics) -> SpoolLog:
    """Build the door's side of a queue in Kafka: it spools into PostgreSQL while Kafka is away."""
    url, timeout = settings.database_url, settings.append_timeout_ms / 1000
    state = SpoolState(url, metrics)
    spool = PostgresLog(url, log_name(url), timeout=timeout * SPOOL_SHARE, opening=lambda: state.opening)
    with _kafka_told(settings):
        kafka = KafkaLog(_topic(settings), timeout=timeout * KAFKA_SHARE)
        drainer = Drainer(url, KafkaLog(_topic(settings), timeout=GIVE_UP_S), state, metrics)
    return SpoolLog(kafka, spool, state, drainer, metrics, timeout=timeout)


def build_reader(settings: Settings, positions: Positions) -> LogReader:
    """Build the worker's side of the queue."""
    if settings.kafka_brokers:
        return KafkaReader(_topic(settings), positions)
    return PostgresReader(settings.database_url, positions)


def build_survey(settings: Settings) -> LogSurvey:
    """Build the operator's side of the queue."""
    return KafkaSurvey(_topic(settings)) if settings.kafka_brokers else PostgresSurvey(settings.database_url)


class Web(msgspec.Struct, frozen=True):
    """The web process: its ASGI callable, and what must be opened before it serves and closed after.

    Once ``ends`` is set, it is not ready any more.
    """

    app: Handler
    running: Callable[[], contextlib.AbstractAsyncContextManager[None]]
    ends: asyncio.Event


def build_web(settings: Settings) -> Web:
    """Build the door and the API. Nothing is connected before ``running()`` is entered."""
    metrics = Metrics()
    readers, writers = reader_pool(settings.database_url), writer_pool(settings.database_url)
    answers = PostgresAnswers(settings.database_url)
    catalogs = Catalogs(answers)
    customers = PostgresCustomers(readers)
    keys = PostgresKeys(readers)
    authenticator = Authenticator(keys.all, clock=utc_now, bootstrap_key=settings.bootstrap_api_key)
    spooling = build_spool_log(settings, metrics) if settings.kafka_brokers else None
    change_log = spooling or build_log(settings)
    gate = Gate(
        authenticate=authenticator.authenticate,
        signatures=Signatures(settings.webhook_secrets, settings.webhook_tolerance_s),
        open_as=settings.webhook_source if settings.webhook_auth == "none" else None,
        clock=utc_now,
    )
    register, senders = Register(metrics, utc_now), PostgresSenders(writers)
    door = Door(
        change_log,
        catalog=catalogs.current,
        clock=utc_now,
        metrics=metrics,
        register=register,
        organization=settings.salesforce_org_id,
    )
    checker = Checker(answers, catalogs, clock=utc_now)

    async def store() -> str | None:
        return await store_ready(readers)

    ends = asyncio.Event()

    async def stays() -> str | None:
        return "the process ends" if ends.is_set() else None

    checks: dict[str, Callable[[], Awaitable[str | None]]] = {
        "process": stays,
        "store": store,
        "catalog": catalogs.ready,
        "queue": change_log.ready,
    }
    if spooling is not None:
        checks["spool"] = spooling.standing
    api = build_app(
        Rooms(
            reading=Reading(customers, customers, catalogs, clock=utc_now),
            directory=Directory(PostgresDirectory(writers)),
            letters=Letters(PostgresLetters(readers)),
            letter_desk=LetterDesk(PostgresLetters(writers), change_log),
            authenticator=authenticator,
            metrics=metrics,
            checks=checks,
        )
    )
    front = Front(
        {
            "/salesforce/webhook": Route(Webhook(gate, door, metrics, register), ("POST",), WEBHOOK_HOW),
            "/v1/check": Route(Check(checker, authenticator, metrics), ("GET",), CHECK_HOW),
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
            stack.push_async_callback(answers.close)
            stack.push_async_callback(change_log.close)
            if spooling is not None:
                spooling.start()
            await catalogs.load()
            await authenticator.refresh()
            stack.push_async_callback(register.flush, senders)
            ending = asyncio.Event()
            flushing = asyncio.create_task(_flush_key_use(authenticator, keys, ending))
            stack.push_async_callback(asyncio.wait, {flushing})
            stack.callback(ending.set)
            for task in (catalogs.follow(), authenticator.keep_fresh(), _flush_register(register, senders)):
                stack.push_async_callback(_end, asyncio.create_task(task))
            yield

    return Web(front, running, ends)


async def _flush_key_use(authenticator: Authenticator, keys: PostgresKeys, ending: asyncio.Event) -> None:
    """Write when keys were last used, every few seconds and at the end: a check must not wait for a write."""
    while not ending.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), FLUSH_S)
        used = authenticator.take_used()
        if used:
            try:
                await keys.touch(used)
            except Exception as error:  # noqa: BLE001 the next use is written again; the log says it
                log(Event.KEY_USE_UNWRITTEN, reason=str(error))


async def _flush_register(register: Register, senders: PostgresSenders) -> None:
    while True:
        await asyncio.sleep(REGISTER_S)
        await register.flush(senders)


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
    watch = Watch(metrics, seen)
    limit = DeadLimit(settings.dead_limit or sys.maxsize, settings.dead_share, settings.dead_window)
    applier = Applier(projection, watch.committed, settings.salesforce_org_id, limit)
    reader = build_reader(settings, applier.assign)
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


class LetterRooms(msgspec.Struct, frozen=True):
    """The operator's side of dead letters. ``open_letters`` counts those that a run has before it."""

    letters: Letters
    desk: LetterDesk
    open_letters: Callable[[uuid.UUID, str | None], Awaitable[int]]


@contextlib.asynccontextmanager
async def letter_rooms(settings: Settings) -> AsyncIterator[LetterRooms]:
    """Lend the operator's side of dead letters."""
    async with reader_pool(settings.database_url, 1) as readers, writer_pool(settings.database_url, 1) as writers:
        change_log = build_log(settings)
        try:
            reading = PostgresLetters(readers)
            yield LetterRooms(Letters(reading), LetterDesk(PostgresLetters(writers), change_log), reading.count_open)
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
