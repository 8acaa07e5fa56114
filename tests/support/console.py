"""The console for tests: the real web process on loopback, in a thread, with the worker's applier beside it."""

import asyncio
import contextlib
import datetime as dt
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import uvicorn

from licet.bootstrap.web import Web, build_web
from licet.cli.serve import Server
from licet.console.frame import COOKIE
from licet.console.session import Role, Seal
from licet.console.sign_in import Terminal
from licet.domain.ids import canonical_customer_id
from licet.settings import Settings
from support.processes import free_port
from support.web import fresh_database
from support.world import Log, Road, fresh

SEAL_KEY = "a-key-of-the-console-tests"


class Served:
    """A console at ``url``. ``printed`` is what the terminal showed."""

    def __init__(self, url: str, database: str, printed: list[str], road: Road, log: Log, web: Web) -> None:
        self.url = url
        self.web = web
        self.database = database
        self.printed = printed
        self._road = road
        self._log = log

    def deal(self, customer: str, **fields: Any) -> None:
        """Apply a change of a customer for real."""
        payload = {"Id": customer, "SignedTos": True, **fields}
        self._road.apply(self._log.change(payload, event_id=fresh("event"), key=canonical_customer_id(customer)))

    def noise(self, count: int) -> None:
        """Let so many records of a stranger end dead: they name no event and no customer."""
        self._road.apply(*(self._log.raw(None, b"{", []) for _ in range(count)))

    def session(self, role: Role, name: str = "ada@licet.example") -> str:
        """Make the cookie of somebody who is signed in."""
        seal = Seal(SEAL_KEY, lambda: dt.datetime.now(dt.UTC))
        return seal.write(seal.visit(name, role))

    @contextlib.contextmanager
    def client(self, role: Role | None = None) -> Iterator[httpx.Client]:
        """Lend a browser without a screen, signed in with a role."""
        with httpx.Client(base_url=self.url) as client:
            if role is not None:
                client.cookies.set(COOKIE, self.session(role), "localhost.local", "/console")
            yield client


def form_token(page: str) -> str:
    """Find the token that a page's forms carry."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page)
    assert found is not None, page
    return found[1]


@contextlib.contextmanager
def served_console(server_url: str, template: str, terminal: bool = True, **settings: Any) -> Iterator[Served]:
    """Serve a console on a database of its own; its port is free to be named by ``settings`` (callables of the URL)."""
    port = free_port()
    url = f"http://localhost:{port}"
    with fresh_database(server_url, template) as database:
        chosen: dict[str, Any] = {"console_secret": SEAL_KEY, "port": port, "database_url": database}
        chosen |= {name: value(url) if callable(value) else value for name, value in settings.items()}
        printed: list[str] = []
        made = Terminal("ada", printed.append)
        log = Log()
        road = Road(database, log.name)
        with _serving(Settings(**chosen), made if terminal else None) as web:
            try:
                yield Served(url, database, printed, road, log, web)
            finally:
                road.close()


@contextlib.contextmanager
def _serving(settings: Settings, terminal: Terminal | None) -> Iterator[Web]:
    started, failed = threading.Event(), list[BaseException]()
    built: list[Web] = []
    stop: list[Callable[[], None]] = []

    async def serve() -> None:
        web = build_web(settings, terminal)
        built.append(web)
        config = uvicorn.Config(web.app, host="127.0.0.1", port=settings.port, lifespan="off", log_config=None)
        server = Server(config, started.set)
        stop.append(lambda: setattr(server, "should_exit", True))
        async with web.running():
            await server.serve()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 the test's thread raises it
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="console")
    thread.start()
    assert started.wait(30)
    try:
        if not failed:
            yield built[0]
    finally:
        for end in stop:
            end()
        thread.join(30)
    if failed:
        raise failed[0]
