"""The web process: the door and the API."""

import asyncio
import contextlib
import functools
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, cast

import msgspec
from litestar import Litestar

from licet.answer.asker import Asker
from licet.answer.catalogs import Catalogs
from licet.answer.check import Checker, Patience
from licet.answer.follow import Follower
from licet.answer.history import History
from licet.answer.kept import KeptAnswers
from licet.answer.reading import Reading
from licet.answer.snapshot import Latest
from licet.answer.stream import Hub
from licet.answer.token import Tokens
from licet.bootstrap.desks import build_operations
from licet.bootstrap.queue import (
    build_log,
    build_spool_log,
)
from licet.bootstrap.store import utc_now
from licet.bootstrap.traces import Visible, build_traces
from licet.console.app import Console, build_console
from licet.console.desks import Desks
from licet.console.oidc import Oidc
from licet.console.session import Seal
from licet.console.sign_in import Terminal, Ways
from licet.domain.drift import DriftKind
from licet.domain.errors import ConfigurationError, Unavailable
from licet.edge import stream
from licet.edge.app import Rooms, build_app
from licet.edge.asgi import Handler
from licet.edge.asking import Asking
from licet.edge.authentication import Authenticator
from licet.edge.check import Check
from licet.edge.front import Front, Route
from licet.edge.operations import Operations
from licet.edge.past import PastCheck
from licet.edge.problems import problem_of
from licet.edge.traced import Traced
from licet.edge.ways import ways
from licet.edge.webhook import HOW as WEBHOOK_HOW
from licet.edge.webhook import Webhook
from licet.manage.directory import Directory
from licet.manage.letters import LetterDesk
from licet.manage.overrides import Overrides
from licet.manage.sessions import Sessions
from licet.observe.log import Event, log
from licet.observe.metrics import Metrics
from licet.queue.ports import ChangeLog
from licet.queue.spool import SpoolLog
from licet.receive.register import Register
from licet.receive.signature import Signatures
from licet.receive.webhook import Door
from licet.receive.who import Gate
from licet.settings import Settings
from licet.store.brake import count_held
from licet.store.catalog_reader import PostgresCatalogReader
from licet.store.customers import PostgresCustomers
from licet.store.directory import PostgresDirectory
from licet.store.drift import PostgresReconciliations
from licet.store.feed import PostgresFeed
from licet.store.history import PostgresHistory
from licet.store.keys import PostgresKeys
from licet.store.letters import PostgresLetters
from licet.store.overrides import PostgresOverrides
from licet.store.pools import Pool, reader_pool, store_ready, writer_pool
from licet.store.pulse import PostgresPulse
from licet.store.senders import PostgresSenders
from licet.store.sessions import PostgresSessions

if TYPE_CHECKING:
    from licet.observe.traces import Traces

FLUSH_S = 5.0
WATCH_S = 15.0
REGISTER_S = 2.0
# The web process listens once checks can be answered, or after this: with many customers the door opens before.
FIRST_LOAD_S = 2.0


class Web(msgspec.Struct, frozen=True):
    """The web process: its ASGI callable, and what must be opened before it serves and closed after.

    Once ``ends`` is set, it is not ready any more. ``stop_streams``: end what would never end by itself; requests in
    flight go on.
    """

    app: Handler
    running: Callable[[], contextlib.AbstractAsyncContextManager[None]]
    ends: asyncio.Event
    stop_streams: Callable[[], None]


class _Parts(msgspec.Struct, frozen=True):
    """What runs while the web process serves."""

    pools: tuple[Pool, Pool]
    hub: Hub
    follower: Follower
    change_log: ChangeLog
    catalogs: Catalogs
    authenticator: Authenticator
    register: Register
    senders: PostgresSenders
    keys: PostgresKeys
    tokens: Tokens | None
    metrics: Metrics
    traces: "Traces | None"
    console: Console | None


def build_web(settings: Settings, terminal: Terminal | None = None) -> Web:
    """Build the door, the API and the console. Nothing is connected before ``running()`` is entered.

    ``terminal`` is where the console may print a link that signs in.
    """
    metrics = Metrics()
    readers, writers = reader_pool(settings.database_url), writer_pool(settings.database_url)
    catalogs = Catalogs(PostgresCatalogReader(readers))
    customers = PostgresCustomers(readers)
    history = History(PostgresHistory(readers), customers, catalogs, clock=utc_now)
    keys = PostgresKeys(readers)
    authenticator = Authenticator(keys.all, clock=utc_now, bootstrap_key=settings.bootstrap_api_key)
    change_log = build_spool_log(settings, metrics) if settings.kafka_brokers else build_log(settings)
    register, senders = Register(metrics, utc_now), PostgresSenders(writers)
    webhook = _build_webhook(settings, authenticator, catalogs, change_log, register, metrics)
    latest = Latest()
    metrics.watch_snapshot(latest.age_s, latest.size)
    traces = build_traces(settings, "web")
    hub = Hub(latest, PostgresFeed(settings.database_url), settings.stream_readers)
    metrics.stream_readers.set_function(lambda: hub.readers)
    follower = _build_follower(settings, latest, catalogs, hub, traces)
    checker = Checker(
        latest,
        clock=utc_now,
        metrics=metrics,
        patience=Patience(latest, follower, customers),
        stale_after_s=settings.stale_after_s,
    )
    check = Check(checker, latest, KeptAnswers(latest, utc_now), authenticator, metrics)
    tokens = build_tokens(settings)
    asking = Asking(Asker(checker, tokens if settings.oidc_audience else None), history, authenticator, metrics)
    ends = asyncio.Event()
    operations = build_operations(settings, readers, ends)
    ways_in = _build_ways_in(settings, tokens, writers, terminal)
    console = _build_console(settings, ways_in, _build_desks(settings, readers, operations, keys, latest))
    parts = _Parts(
        (readers, writers),
        hub,
        follower,
        change_log,
        catalogs,
        authenticator,
        register,
        senders,
        keys,
        tokens,
        metrics,
        traces,
        console,
    )
    api = _build_api(parts, customers, history, operations, ends)
    past = PastCheck(history, asking, check, metrics)
    routes = ways(check, past, asking, catalogs.current, utc_now) | {
        "/salesforce/webhook": Route(webhook, ("POST",), WEBHOOK_HOW),
    }
    routes |= _stream_routes(hub, latest, authenticator, settings.stale_after_s)
    front: Handler = Front(routes, cast("Handler", api), metrics)
    if traces is not None:
        front = Traced(front, traces, routes)
    return Web(front, functools.partial(_running, parts), ends, functools.partial(_stop_streams, hub, console))


@contextlib.asynccontextmanager
async def _running(parts: _Parts) -> AsyncIterator[None]:
    """Open what serves, start what follows, and end both in turn."""
    async with contextlib.AsyncExitStack() as stack:
        if parts.traces is not None:
            stack.push_async_callback(asyncio.to_thread, parts.traces.close)
        for pool in parts.pools:
            await pool.open()
            stack.push_async_callback(pool.close)
        stack.push_async_callback(parts.hub.close)
        stack.push_async_callback(parts.follower.close)
        stack.push_async_callback(parts.change_log.close)
        if isinstance(parts.change_log, SpoolLog):
            parts.change_log.start()
        await parts.catalogs.load()
        await parts.authenticator.refresh()
        stack.push_async_callback(parts.register.flush, parts.senders)
        ending = asyncio.Event()
        flushing = asyncio.create_task(_flush_key_use(parts.authenticator, parts.keys, ending))
        stack.push_async_callback(asyncio.wait, {flushing})
        stack.callback(ending.set)
        tasks = [
            parts.follower.run(),
            parts.hub.run(),
            parts.authenticator.keep_fresh(),
            _flush_register(parts.register, parts.senders),
        ]
        tasks.append(watch_store(parts.pools[0], parts.metrics))
        if parts.console is not None:
            await parts.console.ended.refresh()
            tasks.append(parts.console.ended.keep_fresh())
        for task in tasks + ([parts.tokens.keep_fresh()] if parts.tokens is not None else []):
            stack.push_async_callback(_end, asyncio.create_task(task))
        await parts.follower.first_load(FIRST_LOAD_S)
        yield


def _build_follower(
    settings: Settings, latest: Latest, catalogs: Catalogs, hub: Hub, traces: "Traces | None"
) -> Follower:
    """Build what keeps the snapshot; it tells the streams, and where traces are on, when a change is visible."""
    visible = Visible(traces) if traces is not None else None
    feed = PostgresFeed(settings.database_url, traces=visible.hear if visible is not None else None)
    follower = Follower(feed, latest, catalogs.learn, stale_after_s=settings.stale_after_s)
    follower.listeners += [hub, visible] if visible is not None else [hub]
    return follower


def _build_api(
    parts: _Parts,
    customers: PostgresCustomers,
    history: History,
    operations: Operations,
    ends: asyncio.Event,
) -> Litestar:
    readers, writers = parts.pools
    catalogs = parts.catalogs
    return build_app(
        Rooms(
            reading=Reading(customers, customers, catalogs, clock=utc_now),
            history=history,
            directory=Directory(PostgresDirectory(writers)),
            letter_search=PostgresLetters(readers),
            letter_desk=LetterDesk(PostgresLetters(writers), parts.change_log, catalogs.current),
            operations=operations,
            overrides=Overrides(PostgresOverrides(writers), catalogs.current, utc_now),
            override_reader=PostgresOverrides(readers),
            authenticator=parts.authenticator,
            metrics=parts.metrics,
            checks=_checks(ends, readers, parts.follower, catalogs, parts.change_log),
            console=parts.console,
        )
    )


def _stop_streams(hub: Hub, console: Console | None) -> None:
    hub.stop()
    if console is not None:
        console.live.stop()


def _stream_routes(hub: Hub, latest: Latest, authenticator: Authenticator, stale_after_s: float) -> dict[str, Route]:
    ofrep = stream.OfrepStream(hub, latest, authenticator, utc_now, stale_after_s)
    return {
        "/v1/snapshot": Route(stream.Snapshots(latest, authenticator), ("GET",), stream.SNAPSHOT),
        "/v1/stream": Route(stream.Stream(hub, latest, authenticator), ("GET",), stream.STREAM),
        "/ofrep/v1/stream": Route(ofrep, ("GET",), stream.OFREP),
    }


def build_tokens(settings: Settings) -> Tokens | None:
    """Build the reader of OIDC tokens, None where no issuer is set. Raises ``ConfigurationError``."""
    console = settings.console_oidc_client_id
    if console is not None and None in (settings.oidc_issuer, settings.console_url):
        raise ConfigurationError(
            "LICET_CONSOLE_OIDC_CLIENT_ID: expected LICET_OIDC_ISSUER and LICET_CONSOLE_URL with it"
        )
    if settings.oidc_audience is None and settings.oidc_issuer is not None and console is not None:
        return Tokens(settings)
    if (settings.oidc_issuer is None) is not (settings.oidc_audience is None):
        raise ConfigurationError("LICET_OIDC_ISSUER and LICET_OIDC_AUDIENCE: found one of them, expected both")
    return Tokens(settings) if settings.oidc_issuer else None


def _build_desks(
    settings: Settings, readers: Pool, operations: Operations, keys: PostgresKeys, latest: Latest
) -> Desks:
    pulse = PostgresPulse(readers)
    return Desks(
        versions=operations.versions,
        audit=operations.audit,
        reconciliations=operations.reconciliations,
        brake=operations.brake,
        brake_desk=operations.brake_desk,
        keys=keys.all,
        pulse=pulse.pulse,
        deliveries=pulse.deliveries,
        held=functools.partial(count_held, readers),
        age_s=latest.age_s,
        stale_after_s=settings.stale_after_s,
        open_door=settings.webhook_auth == "none",
    )


def _build_ways_in(settings: Settings, tokens: Tokens | None, writers: Pool, terminal: Terminal | None) -> Ways:
    seal = Seal(settings.console_secret, utc_now)
    oidc = Oidc(settings, tokens, seal) if tokens is not None and settings.console_oidc_client_id else None
    return Ways(seal, Sessions(PostgresSessions(writers)), oidc, terminal)


def _build_console(settings: Settings, ways_in: Ways, desks: Desks) -> Console | None:
    """Build the page for people, None where it is off."""
    if settings.console == "off":
        return None
    return build_console(ways_in, desks, settings.console_url, lambda error: problem_of(error).status)


def _build_webhook(
    settings: Settings,
    authenticator: Authenticator,
    catalogs: Catalogs,
    change_log: ChangeLog,
    register: Register,
    metrics: Metrics,
) -> Webhook:
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
        register=register,
        organization=settings.salesforce_org_id,
    )
    return Webhook(gate, door, metrics, register)


def _checks(
    ends: asyncio.Event, readers: Pool, follower: Follower, catalogs: Catalogs, change_log: ChangeLog
) -> dict[str, Callable[[], Awaitable[str | None]]]:
    async def process() -> str | None:
        return "it ends" if ends.is_set() else None

    checks = {"process": process, "snapshot": follower.ready, "catalog": catalogs.ready, "queue": change_log.ready}
    if isinstance(change_log, SpoolLog):
        checks["spool"] = change_log.standing
    return {**checks, "store": functools.partial(store_ready, readers)}


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


async def watch_store(readers: Pool, metrics: Metrics) -> None:
    """Tell what the last reconciliation came to (nothing before there is one), and what the safety brake holds."""
    reconciliations = PostgresReconciliations(readers)
    while True:
        try:
            last = (await reconciliations.search(None, 1)).rows
            for kind in DriftKind if last else ():
                metrics.drift_customers.labels(kind.value).set(getattr(last[0], kind.value))
            metrics.brake_holds.set(await count_held(readers))
        except Unavailable:
            metrics.brake_holds.set(math.nan)
            for kind in DriftKind:
                metrics.drift_customers.labels(kind.value).set(math.nan)
        await asyncio.sleep(WATCH_S)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
