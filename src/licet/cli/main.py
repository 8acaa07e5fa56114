"""``licet``: everything an operator can do."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from licet import __version__
from licet.bootstrap.store import migrate_store
from licet.cli import audit, brake, catalog, console, customer, dead, history, keys, override, partition
from licet.cli.doctor import doctor
from licet.cli.drift import export, reconcile
from licet.cli.serve import web, worker
from licet.cli.settings import read_settings, settings
from licet.cli.table import Json, progress, say
from licet.cli.up import up
from licet.cli.verify import prune, verify
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


def migrate(
    role: Annotated[str | None, typer.Option("--grant-to", help="The PostgreSQL role that services run as.")] = None,
    _json: Json = False,
) -> None:
    """Bring the database to the schema of this release. Safe to run twice, and from two places at once.

    Example: LICET_DATABASE_URL=postgresql://licet@db/licet licet migrate
    """
    with progress("migrations") as moves:
        done = migrate_store(read_settings(), role, lambda at, of: moves(completed=at, total=of))
    applied = [migration.name for migration in done]
    lines = [*(f"applied {name}" for name in applied), "the database is at this release's schema"]
    say("\n".join(lines), applied=applied)


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
        "migrate": migrate,
        "doctor": doctor,
        "settings": settings,
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
        "console": console.app,
    },
    "Keep it right": {
        "verify": verify,
        "export": export,
        "reconcile": reconcile,
        "dead": dead.app,
        "partition": partition.app,
        "brake": brake.app,
        "prune": prune,
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
