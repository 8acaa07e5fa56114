"""``licet web`` and ``licet worker``: the two processes of a deployment."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Annotated

import typer
import uvicorn
import uvloop

from licet.bootstrap.queue import check_queue, queue_away
from licet.bootstrap.store import check_address, check_store, migrate_store
from licet.bootstrap.web import Web, build_web
from licet.bootstrap.worker import build_worker
from licet.cli.settings import Host, Port, read_settings
from licet.domain.errors import ConfigurationError
from licet.edge.connections import Connection, raise_file_limit
from licet.observe.health import serve_health
from licet.observe.log import Event, configure, log
from licet.settings import Settings

# Idle connections outlive the 60 s of the usual load balancers, so that those close them and none meets a reset.
KEEP_ALIVE_S = 75
# After SIGTERM /readyz says so for this long before connections are refused: who looks in that time sends no more.
NOT_READY_S = 0.3
# Requests in flight get this long then, a second more than the door's own limit; with what the queue flushes after it
# (2 s) the process is gone within 10 s.
SHUTDOWN_S = 6
# A reader that was cut off for being slow holds its place until its last words are out, or the kernel gives up on it.
SILENT_S = 30


class Server(uvicorn.Server):
    """uvicorn, ended by our own signal handlers: its own raise the signal again, and the exit code would not be 0.

    ``listening`` is called once it listens.
    """

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        if self.started:
            for listener in [one for server in self.servers for one in server.sockets]:
                _let_go_of_the_silent(listener.fileno())
            self._listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def web(
    host: Host = None,
    port: Port = None,
    migrate_first: Annotated[bool, typer.Option("--migrate", help="Bring the database to this release first.")] = False,
) -> None:
    """Run the door and the API.

    Example: LICET_DATABASE_URL=postgresql://licet@db/licet licet web --port 8000
    """
    settings = read_settings(host=host, port=port)
    start_logging(settings)
    if migrate_first:
        migrate_store(settings)
    check_store(settings)
    away = queue_away(settings)
    if away is not None:
        log(Event.QUEUE_AWAY, reason=away)
    address = f"http://{settings.host}:{settings.port}"
    uvloop.run(serve(build_web(settings), settings, lambda: log(Event.STARTED, process="web", address=address)))
    log(Event.STOPPED, process="web")


async def serve(
    web: Web,
    settings: Settings,
    started: Callable[[], None],
    ending: Callable[[], None] = lambda: None,
    connection: type[asyncio.Protocol] = Connection,
) -> None:
    """Serve the web process until a signal ends it.

    ``started`` is called once it listens, ``ending`` when the signal comes; ``connection`` speaks HTTP. Raises
    ``ConfigurationError`` where it cannot listen.
    """
    raise_file_limit()
    server = Server(
        uvicorn.Config(
            web.app,
            host=settings.host,
            port=settings.port,
            http=connection,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
        ),
        started,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, server, web, ending)
    async with web.running():
        # What is there now stays; requests make few cycles. A full collection each 700 objects cost 10 % of the door.
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        # How long the event loop waits for a thread that computes: the follower's, and the worker's in `licet up`.
        sys.setswitchinterval(0.001)
        try:
            await server.serve()
        except SystemExit as error:  # uvicorn's way to say that it cannot listen; its log line has the reason
            raise _cannot_listen(settings) from error


def check_port(settings: Settings) -> None:
    """Raise ``ConfigurationError`` where nothing can listen on the address now."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        raise _cannot_listen(settings) from error


def _cannot_listen(settings: Settings) -> ConfigurationError:
    where = f"{settings.host}:{settings.port}"
    return ConfigurationError(f"cannot listen on {where}: choose another with --host or --port")


def _end(server: uvicorn.Server, web: Web, ending: Callable[[], None]) -> None:
    """First say that no traffic may come, then refuse it; a second signal waits for nobody."""

    def refuse() -> None:
        server.should_exit = True

    if web.ends.is_set():
        server.force_exit = True
        refuse()
    ending()
    web.ends.set()
    web.stop_streams()
    asyncio.get_running_loop().call_later(NOT_READY_S, refuse)


def _let_go_of_the_silent(listener: int) -> None:
    """End connections whose peer takes nothing for ``SILENT_S``; what is accepted inherits it. Linux has it."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        with socket.socket(fileno=os.dup(listener)) as one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_S * 1000)


def worker(
    wait: Annotated[float, typer.Option(help="Seconds to wait for the database and its schema.")] = 60.0,
) -> None:
    """Run a worker: it applies what the queue holds. Start as many as you like; they share the partitions.

    Example: LICET_DATABASE_URL=postgresql://licet@db/licet licet worker
    """
    settings = read_settings()
    start_logging(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    check_address(settings)  # waiting would not help
    _wait_for(lambda: check_store(settings), wait, stop)
    _wait_for(lambda: check_queue(settings), wait, stop)
    if stop.is_set():
        return
    built = build_worker(settings)
    health = serve_health(
        settings.metrics_host, settings.metrics_port, built.metrics, built.worker.waiting_for, built.worker.stopped
    )
    with health as port:
        log(Event.STARTED, process="worker", health=f"http://{settings.metrics_host}:{port}/readyz")
        built.run(stop)
    log(Event.STOPPED, process="worker")


def _wait_for(check: Callable[[], None], wait_s: float, stop: threading.Event) -> None:
    """Repeat a check until it passes; raise what it says once the time is over."""
    end = time.monotonic() + wait_s
    said = ""
    while not stop.is_set():
        try:
            check()
        except ConfigurationError as error:
            if time.monotonic() >= end:
                raise
            if error.detail != said:
                said = error.detail
                log(Event.WAITING, reason=said)
            stop.wait(0.5)
        else:
            return


def start_logging(settings: Settings) -> None:
    """Send log lines to stderr as the settings say, and say aloud where the door is open."""
    configure(settings.log_format, settings.log_level, secrets=settings.secrets())
    if settings.webhook_auth == "none":
        log(Event.DOOR_OPEN)
