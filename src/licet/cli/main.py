"""``licet``: everything an operator can do.

Exit codes: 0 done; 1 it failed; 2 the command or the configuration is wrong.
"""

import sys
from typing import Annotated

import typer

from licet import __version__
from licet.bootstrap.store import migrate_store
from licet.cli import audit, brake, catalog, console, customer, dead, history, keys, override, partition
from licet.cli.doctor import doctor
from licet.cli.drift import export, reconcile
from licet.cli.serve import web, worker
from licet.cli.settings import read_settings, settings
from licet.cli.table import Json, say
from licet.cli.up import up
from licet.cli.verify import prune, verify
from licet.domain.errors import ConfigurationError, Fault, InvalidInput, LicetError

app = typer.Typer(
    name="licet",
    help="Turns a deal in Salesforce into an answer in the product: may this user use this feature, and why?",
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
    applied = [migration.name for migration in migrate_store(read_settings(), role)]
    lines = [*(f"applied {name}" for name in applied), "the database is at this release's schema"]
    say("\n".join(lines), applied=applied)


def version(_json: Json = False) -> None:
    """Print the version.

    Example: licet version
    """
    say(__version__, version=__version__)


for group in (keys, catalog, customer, override, brake, audit, console, partition, dead):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2])
for command in (override.grant, override.block, history.explain, history.timeline, export, reconcile, up, web, worker):
    app.command()(command)
for upkeep in (migrate, prune, verify, doctor, settings, version):
    app.command()(upkeep)


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
