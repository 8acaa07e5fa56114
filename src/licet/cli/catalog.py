"""``licet catalog``: which Salesforce field means what, and which SKU grants which feature."""

import getpass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from licet.bootstrap.desks import catalog_desk, refold_customers
from licet.bootstrap.store import check_store
from licet.cli.settings import read_settings
from licet.domain.errors import ConfigurationError
from licet.settings import Settings

app = typer.Typer(help="Show and apply the catalog of SKUs and features.", no_args_is_help=True)


@app.command()
def show() -> None:
    """Print the current catalog as TOML.

    Example: licet catalog show > catalog.toml
    """
    current = catalog_desk(_settings()).show()
    typer.echo(current.document, nl=False)
    typer.echo(f"version {current.version}", err=True)


@app.command()
def apply(file: Annotated[Path, typer.Argument(help="The catalog, in TOML.")]) -> None:
    """Make a file the current catalog, and bring existing customers under it. Interrupted, run it again.

    Example: licet catalog apply catalog.toml
    """
    settings = _settings()
    try:
        document = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from error
    applied = catalog_desk(settings).apply(document, getpass.getuser())
    typer.echo(f"version {applied.version} is current" if applied else "this catalog is current already")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("customers", total=None)
        reached = 0
        for count in refold_customers(settings):
            reached += count
            progress.update(task, completed=reached)
    typer.echo(f"{reached} customers brought under it")


def _settings() -> Settings:
    settings = read_settings()
    check_store(settings)
    return settings
