"""The web process without its server: the real rooms on the real store, asked over ASGI."""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar, cast

import httpx
import psycopg

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
from licet.domain.errors import Unavailable
from licet.domain.ids import canonical_customer_id
from licet.edge import check, stream
from licet.edge.app import Rooms, build_app
from licet.edge.asgi import Handler
from licet.edge.asking import Asking
from licet.edge.authentication import Authenticator
from licet.edge.front import Front, Route
from licet.edge.past import PastCheck
from licet.edge.ways import ways
from licet.manage.directory import Directory
from licet.manage.keys import Keys
from licet.manage.letters import LetterDesk
from licet.manage.overrides import Overrides
from licet.observe.metrics import Metrics
from licet.queue.postgres import PostgresLog, log_name
from licet.settings import Settings
from licet.store.catalog_reader import PostgresCatalogReader
from licet.store.customers import PostgresCustomers
from licet.store.directory import PostgresDirectory
from licet.store.feed import PostgresFeed
from licet.store.history import PostgresHistory
from licet.store.keys import PostgresKeys
from licet.store.letters import PostgresLetters
from licet.store.overrides import PostgresOverrides
from licet.store.pools import reader_pool, store_ready, writer_pool
from support.database import database_url_for
from support.world import TESTER, Log, Road, fresh

T = TypeVar("T")
ADMIN = "an-admin-key-of-the-tests"


class Web:
    """Asks the application; every method returns the answer, whatever its status."""

    hub: Hub

    def __init__(
        self,
        runner: asyncio.Runner,
        app: Front,
        rooms: Rooms,
        follower: Follower,
        patience: Patience,
        keys: PostgresKeys,
    ) -> None:
        self.runner = runner
        transport = httpx.ASGITransport(app=app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://licet.test")
        self.app = app
        self.rooms = rooms
        self.follower = follower
        self.patience = patience
        self._following = asyncio.Lock()
        self.keys = keys

    def ask(self, method: str, path: str, *, key: str | None = ADMIN, **options: Any) -> httpx.Response:
        """Send one request with a key."""
        return self.runner.run(self.send(method, path, key=key, **options))

    async def send(self, method: str, path: str, *, key: str | None = ADMIN, **options: Any) -> httpx.Response:
        """Send one request with a key, among others, once the snapshot is where the store is (if that answers)."""
        async with self._following:
            with contextlib.suppress(Unavailable):
                await self.follower.step()
        headers = [("authorization", f"Bearer {key}")] if key is not None else []
        return await self.client.request(method, path, headers=headers + options.pop("headers", []), **options)

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a 200."""
        answer = self.ask("GET", path, params=query or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def check(self, feature: str, **who: str) -> Any:
        """Return a decision."""
        return self.get("/v1/check", feature=feature, **who)

    def run(self, use: Callable[[Keys], Awaitable[T]]) -> T:
        """Do something with the operator's side of the keys."""

        async def wait() -> T:
            return await use(Keys(self.keys))

        return self.runner.run(wait())

    def key(self, name: str, *scopes: str) -> str:
        """Make a key and return what a caller sends."""
        return self.run(lambda keys: keys.create(name, scopes, TESTER)).token

    def forget_keys(self) -> None:
        """Read the keys anew, as the process does every second."""
        self.runner.run(self.rooms.authenticator.refresh())

    def put(self, path: str) -> Any:
        """Return the JSON of a write that went well."""
        answer = self.ask("PUT", path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextlib.contextmanager
def running_web(
    url: str,
    *,
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    checks: dict[str, Callable[[], Awaitable[str | None]]] | None = None,
    timeout: float = 2.0,
    tokens: Tokens | None = None,
    most_streams: int = 1000,
) -> Iterator[Web]:
    """Build the rooms on the store at ``url``."""
    reader, writer = reader_pool(url, wait=timeout), writer_pool(url, wait=timeout)
    catalogs = Catalogs(PostgresCatalogReader(reader))
    customers = PostgresCustomers(reader)
    history = History(PostgresHistory(reader), customers, catalogs, clock=clock)
    metrics = Metrics()
    log = PostgresLog(url, log_name(url))
    latest = Latest()
    metrics.watch_snapshot(latest.age_s, latest.size)
    follower = Follower(PostgresFeed(url, timeout=timeout), latest, catalogs.learn)
    hub = Hub(latest, PostgresFeed(url, timeout=timeout), most_streams)
    follower.listeners.append(hub)

    async def store() -> str | None:
        return await store_ready(reader)

    async def build() -> Web:
        await reader.open()
        await writer.open()
        await catalogs.load()
        await follower.step()
        keys = PostgresKeys(reader)
        authenticator = Authenticator(keys.all, clock=lambda: dt.datetime.now(dt.UTC), bootstrap_key=ADMIN)
        rooms = Rooms(
            reading=Reading(customers, customers, catalogs, clock=clock),
            history=history,
            directory=Directory(PostgresDirectory(writer)),
            letter_search=PostgresLetters(reader),
            letter_desk=LetterDesk(PostgresLetters(writer), log, catalogs.current),
            operations=build_operations(Settings(database_url=url), reader, asyncio.Event()),
            overrides=Overrides(PostgresOverrides(writer), catalogs.current, clock),
            override_reader=PostgresOverrides(reader),
            authenticator=authenticator,
            metrics=metrics,
            checks={"store": store, "snapshot": follower.ready} | (checks or {}),
        )
        patience = Patience(latest, follower, customers)
        checker = Checker(latest, clock=clock, metrics=metrics, patience=patience)
        asking = Asking(Asker(checker, tokens), history, authenticator, metrics)
        handler = check.Check(checker, latest, KeptAnswers(latest, clock), authenticator, metrics)
        past = PastCheck(history, asking, handler, metrics)
        routes = ways(handler, past, asking, catalogs.current, clock) | {
            "/v1/snapshot": Route(stream.Snapshots(latest, authenticator), ("GET",), stream.SNAPSHOT),
            "/v1/stream": Route(stream.Stream(hub, latest, authenticator), ("GET",), stream.STREAM),
            "/ofrep/v1/stream": Route(
                stream.OfrepStream(hub, latest, authenticator, clock, 60.0), ("GET",), stream.OFREP
            ),
        }
        front = Front(routes, cast("Handler", build_app(rooms)), metrics)
        return Web(runner, front, rooms, follower, patience, keys)

    with asyncio.Runner() as runner:
        web = runner.run(build())
        web.hub = hub
        try:
            yield web
        finally:
            closings = (web.client.aclose(), log.close(), hub.close(), follower.close(), reader.close(), writer.close())
            for closing in closings:
                runner.run(closing)


class Stage:
    """A database of its own with the web and the worker's applier on it, and a clock that tests can set."""

    def __init__(self, url: str, log: Log, road: Road, web: Web) -> None:
        self.url = url
        self.log = log
        self.road = road
        self.web = web

    def deal(self, customer: str, *, signed: bool | None = True, **fields: Any) -> str:
        """Apply a change of a customer for real; returns its event id."""
        payload = {"Id": customer, "SignedTos": signed, **fields}
        return self.send({name: value for name, value in payload.items() if value is not None})

    def send(self, payload: dict[str, Any]) -> str:
        """Apply a change as it stands; returns its event id."""
        event_id = fresh("event")
        self.road.apply(self.log.change(payload, event_id=event_id, key=canonical_customer_id(payload["Id"])))
        return event_id


@contextlib.contextmanager
def stage(server_url: str, template: str, **options: Any) -> Iterator[Stage]:
    """Make a database from the template and build everything on it."""
    with fresh_database(server_url, template) as url:
        log = Log()
        road = Road(url, log.name)
        try:
            with running_web(url, **options) as web:
                yield Stage(url, log, road, web)
        finally:
            road.close()


@contextlib.contextmanager
def fresh_database(server_url: str, template: str) -> Iterator[str]:
    """Copy the template."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield database_url_for(server_url, name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
