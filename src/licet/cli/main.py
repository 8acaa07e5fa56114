"""``licet``: everything an operator can do."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from licet import __version__
from licet.bootstrap.store import migrate_store
from licet.cli import audit, brake, catalog, customer, dead, history, keys, override, partition
from licet.cli.doctor import run_doctor
from licet.cli.drift import export, reconcile
from licet.cli.serve import run_web, run_worker
from licet.cli.settings import read_settings, show_settings
from licet.cli.table import Json, progress_bar, say
from licet.cli.up import run_up
from licet.cli.verify import run_prune, run_verify
from licet.domain.errors import ConfigurationError, Fault, InvalidInput, LicetError

_HELP = """Turns a deal in Salesforce into an answer in the product: may this user use this feature, and why?

Example: licet up --simulate
"""
_EPILOG = """Exit codes: 0 done; 1 it failed, or found something wrong; 2 the command or the configuration is wrong. \
Some commands have more; their help says so.

A terminal gets tables and colours (none with NO_COLOR), a pipe tab-separated lines; --json prints JSON.

Completion for bash, zsh and fish: licet --install-completion
"""
app = typer.Typer(
    name="licet",
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Host = Annotated[str | None, typer.Option(help="The address to listen on (LICET_HOST).", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="The port to listen on (LICET_PORT).", show_default="8000")]


def up(
    host: Host = None,
    port: Port = None,
    data: Annotated[Path, typer.Option(help="Where the embedded PostgreSQL and the API key live.")] = Path(".data"),
    simulate: Annotated[bool, typer.Option("--simulate", help="Let a simulated Salesforce send customers.")] = False,
) -> None:
    """Run everything on this machine, in one process. Ctrl-C ends it; the next start finds the data.

    Example: licet up --simulate
    """
    run_up(read_settings(host=host, port=port), data, simulate=simulate)


def web(
    host: Host = None,
    port: Port = None,
    migrate_first: Annotated[bool, typer.Option("--migrate", help="Bring the database to this release first.")] = False,
) -> None:
    """Run the door and the API.

    Example: LICET_DATABASE_URL=postgresql://licet@db/licet licet web --port 8000
    """
    run_web(read_settings(host=host, port=port), migrate_first=migrate_first)


def worker(
    wait: Annotated[float, typer.Option(help="Seconds to wait for the database and its schema.")] = 60.0,
) -> None:
    """Run a worker: it applies what the queue holds. Start as many as you like; they share the partitions.

    Example: LICET_DATABASE_URL=postgresql://licet@db/licet licet worker
    """
    run_worker(read_settings(), wait)


def migrate_command(
    role: Annotated[str | None, typer.Option("--grant-to", help="The PostgreSQL role that services run as.")] = None,
    _json: Json = False,
) -> None:
    """Bring the database to the schema of this release. Safe to run twice, and from two places at once.

    Example: LICET_DATABASE_URL=postgresql://licet@db/licet licet migrate
    """
    with progress_bar() as progress:
        task = progress.add_task("migrations", total=None)
        done = migrate_store(read_settings(), role, lambda at, of: progress.update(task, completed=at, total=of))
    applied = [migration.name for migration in done]
    lines = [*(f"applied {name}" for name in applied), "the database is at this release's schema"]
    say("\n".join(lines), applied=applied)


def prune_command(_json: Json = False) -> None:
    """Empty the bytes of deliveries older than LICET_PAYLOAD_DAYS. Their rows, hashes and outcomes stay.

    Example: LICET_PAYLOAD_DAYS=90 licet prune
    """
    run_prune(read_settings())


def verify_command(
    as_json: Json = False,
) -> None:
    """Hold the log against the ledger, and the ledger, folded again, against the store.

    Exit codes: 0 all is well; 1 faults were found; 3 none was found, but not all could be looked at.

    Example: licet verify --json
    """
    run_verify(read_settings(), as_json=as_json)


def doctor_command(
    as_json: Json = False,
) -> None:
    """Look at settings, database, clock, schema, catalog, keys, door, queue and workers, and say what to do about each.

    Exit codes: 0 nothing is bad; 1 something is; 2 the settings cannot be read.

    Example: licet doctor
    """
    run_doctor(read_settings(), as_json=as_json)


def settings_command(_json: Json = False) -> None:
    """List every setting, its value here (secrets masked) and what it is for.

    Example: licet settings
    """
    show_settings(read_settings())


def version(_json: Json = False) -> None:
    """Print the version.

    Example: licet version
    """
    say(__version__, version=__version__)


# What a newcomer looks for first stands first.
_PANELS: dict[str, dict[str, typer.Typer | Callable[..., None]]] = {
    "Run it": {
        "up": up,
        "web": web,
        "worker": worker,
        "migrate": migrate_command,
        "doctor": doctor_command,
        "settings": settings_command,
        "version": version,
    },
    "Understand an answer": {"explain": history.explain, "timeline": history.timeline, "audit": audit.app},
    "Say what is sold, and to whom": {
        "catalog": catalog.app,
        "grant": override.grant,
        "block": override.block,
        "override": override.app,
        "customer": customer.app,
        "keys": keys.app,
    },
    "Keep it right": {
        "verify": verify_command,
        "export": export,
        "reconcile": reconcile,
        "dead": dead.app,
        "partition": partition.app,
        "brake": brake.app,
        "prune": prune_command,
    },
}
for panel, commands in _PANELS.items():
    for name, what in commands.items():
        if isinstance(what, typer.Typer):
            app.add_typer(what, name=name, rich_help_panel=panel)
        else:
            app.command(name, rich_help_panel=panel)(what)


def main() -> None:
    """Run a command; an error that Licet expects is told in words, not in a traceback."""
    try:
        app()
    except InvalidInput as error:
        for fault in error.faults or [error.detail]:
            where = f"{fault.line}:{fault.column} " if isinstance(fault, Fault) and fault.line else ""
            said = fault if isinstance(fault, str) else f"{fault.field}: found {fault.found}, expected {fault.expected}"
            print(f"licet: {where}{said}", file=sys.stderr)  # noqa: T201 the command's own voice
        sys.exit(2)
    except LicetError as error:
        for line in error.detail.splitlines():
            print(f"licet: {line}", file=sys.stderr)  # noqa: T201 the command's own voice
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
