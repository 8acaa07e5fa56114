"""The web process: the door and the API."""

import asyncio
import contextlib
import functools
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

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
from licet.bootstrap.queue import build_log, build_spool_log
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
from licet.queue.spool import SpoolLog
from licet.receive.register import Register
from licet.receive.signature import Signatures
from licet.receive.webhook import Door
from licet.receive.who import Gate
from licet.settings import Settings
from licet.store.brake import count_held
from licet.store.catalog_reader import PostgresCatalogReader
from licet.store.console import PostgresSessions
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


class _Parts:
    """What the web process is made of. Nothing is connected before it runs."""

    def __init__(self, settings: Settings) -> None:
        url, self.metrics, self.ends = settings.database_url, Metrics(), asyncio.Event()
        self.readers, self.writers = reader_pool(url), writer_pool(url)
        self.catalogs = Catalogs(PostgresCatalogReader(self.readers))
        self.customers = PostgresCustomers(self.readers)
        self.history = History(PostgresHistory(self.readers), self.customers, self.catalogs, clock=utc_now)
        self.keys = PostgresKeys(self.readers)
        self.authenticator = Authenticator(self.keys.all, clock=utc_now, bootstrap_key=settings.bootstrap_api_key)
        self.change_log = build_spool_log(settings, self.metrics) if settings.kafka_brokers else build_log(settings)
        self.register, self.senders = Register(self.metrics, utc_now), PostgresSenders(self.writers)
        self.latest = Latest()
        self.metrics.watch_snapshot(self.latest.age_s, self.latest.size)
        self.traces = build_traces(settings, "web")
        self.hub = Hub(self.latest, PostgresFeed(url), settings.stream_readers)
        self.metrics.stream_readers.set_function(lambda: self.hub.readers)
        # It tells the streams, and where traces are on, when a change is visible.
        visible = Visible(self.traces) if self.traces is not None else None
        feed = PostgresFeed(url, traces=visible.hear if visible is not None else None)
        self.follower = Follower(feed, self.latest, self.catalogs.learn, stale_after_s=settings.stale_after_s)
        self.follower.listeners += [self.hub, visible] if visible is not None else [self.hub]
        self.tokens = build_tokens(settings)
        self.operations = build_operations(settings, self.readers, self.ends)


def build_web(settings: Settings, terminal: Terminal | None = None) -> Web:
    """Build the door, the API and the console. Nothing is connected before ``running()`` is entered.

    ``terminal`` is where the console may print a link that signs in.
    """
    parts = _Parts(settings)
    console = _build_console(settings, parts, terminal)
    routes = _routes(settings, parts)
    front: Handler = Front(routes, cast("Handler", _build_api(parts, console)), parts.metrics)
    if parts.traces is not None:
        front = Traced(front, parts.traces, routes)

    def stop_streams() -> None:
        parts.hub.stop()
        if console is not None:
            console.live.stop()

    return Web(front, functools.partial(_running, parts, console), parts.ends, stop_streams)


@contextlib.asynccontextmanager
async def _running(parts: _Parts, console: Console | None) -> AsyncIterator[None]:
    """Open what serves, start what follows, and end both in turn."""
    async with contextlib.AsyncExitStack() as stack:
        if parts.traces is not None:
            stack.push_async_callback(asyncio.to_thread, parts.traces.close)
        for pool in (parts.readers, parts.writers):
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
            watch_store(parts.readers, parts.metrics),
        ]
        if console is not None:
            await console.ended.refresh()
            tasks.append(console.ended.keep_fresh())
        for task in tasks + ([parts.tokens.keep_fresh()] if parts.tokens is not None else []):
            stack.push_async_callback(_end, asyncio.create_task(task))
        await parts.follower.first_load(FIRST_LOAD_S)
        yield


def _routes(settings: Settings, parts: _Parts) -> dict[str, Route]:
    """Build what the front serves itself: the ways to ask, the streams, the door."""
    latest, authenticator, metrics, history = parts.latest, parts.authenticator, parts.metrics, parts.history
    patience = Patience(latest, parts.follower, parts.customers)
    stale_after_s = settings.stale_after_s
    checker = Checker(latest, clock=utc_now, metrics=metrics, patience=patience, stale_after_s=stale_after_s)
    check = Check(checker, latest, KeptAnswers(latest, utc_now), authenticator, metrics)
    tokens = parts.tokens if settings.oidc_audience else None
    asking = Asking(Asker(checker, tokens), history, authenticator, metrics)
    past = PastCheck(history, asking, check, metrics)
    ofrep = stream.OfrepStream(parts.hub, latest, authenticator, utc_now, stale_after_s)
    return ways(check, past, asking, parts.catalogs.current, utc_now) | {
        "/salesforce/webhook": Route(_build_webhook(settings, parts), ("POST",), WEBHOOK_HOW),
        "/v1/snapshot": Route(stream.Snapshots(latest, authenticator), ("GET",), stream.SNAPSHOT),
        "/v1/stream": Route(stream.Stream(parts.hub, latest, authenticator), ("GET",), stream.STREAM),
        "/ofrep/v1/stream": Route(ofrep, ("GET",), stream.OFREP),
    }


def _build_api(parts: _Parts, console: Console | None) -> Litestar:
    readers, writers, catalogs = parts.readers, parts.writers, parts.catalogs
    return build_app(
        Rooms(
            reading=Reading(parts.customers, parts.customers, catalogs, clock=utc_now),
            history=parts.history,
            directory=Directory(PostgresDirectory(writers)),
            letter_search=PostgresLetters(readers),
            letter_desk=LetterDesk(PostgresLetters(writers), parts.change_log, catalogs.current),
            operations=parts.operations,
            overrides=Overrides(PostgresOverrides(writers), catalogs.current, utc_now),
            override_reader=PostgresOverrides(readers),
            authenticator=parts.authenticator,
            metrics=parts.metrics,
            checks=_checks(parts),
            console=console,
        )
    )


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


def _build_console(settings: Settings, parts: _Parts, terminal: Terminal | None) -> Console | None:
    """Build the page for people, None where it is off."""
    seal = Seal(settings.console_secret, utc_now)
    oidc = Oidc(settings, parts.tokens, seal) if parts.tokens is not None and settings.console_oidc_client_id else None
    if settings.console == "off":
        return None
    operations, pulse = parts.operations, PostgresPulse(parts.readers)
    desks = Desks(
        versions=operations.versions,
        audit=operations.audit,
        reconciliations=operations.reconciliations,
        brake=operations.brake,
        brake_desk=operations.brake_desk,
        keys=parts.keys.all,
        pulse=pulse.pulse,
        deliveries=pulse.deliveries,
        held=functools.partial(count_held, parts.readers),
        age_s=parts.latest.age_s,
        stale_after_s=settings.stale_after_s,
        open_door=settings.webhook_auth == "none",
    )
    sessions = Sessions(PostgresSessions(parts.writers))
    return build_console(
        Ways(seal, sessions, oidc, terminal), desks, settings.console_url, lambda error: problem_of(error).status
    )


def _build_webhook(settings: Settings, parts: _Parts) -> Webhook:
    gate = Gate(
        authenticate=parts.authenticator.authenticate,
        signatures=Signatures(settings.webhook_secrets, settings.webhook_tolerance_s),
        open_as=settings.webhook_source if settings.webhook_auth == "none" else None,
        clock=utc_now,
    )
    door = Door(
        parts.change_log,
        catalog=parts.catalogs.current,
        clock=utc_now,
        metrics=parts.metrics,
        register=parts.register,
        organization=settings.salesforce_org_id,
    )
    return Webhook(gate, door, parts.metrics, parts.register)


def _checks(parts: _Parts) -> dict[str, Callable[[], Awaitable[str | None]]]:
    async def process() -> str | None:
        return "it ends" if parts.ends.is_set() else None

    checks = {"process": process, "snapshot": parts.follower.ready, "catalog": parts.catalogs.ready}
    checks["queue"] = parts.change_log.ready
    if isinstance(parts.change_log, SpoolLog):
        checks["spool"] = parts.change_log.standing
    return {**checks, "store": functools.partial(store_ready, parts.readers)}


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
